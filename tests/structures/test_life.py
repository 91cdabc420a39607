"""The life of a structure: opened, closed in part, rolled, traded leg by leg, settled."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from msgspec import structs

from actors.book import events as e
from actors.book.actions.orders import follow_structures
from actors.book.draft import Draft
from actors.book.ids import derive_structure_id
from actors.book.outcome import Closed, Placed
from actors.book.rules.money.fees import fees_of
from actors.book.state.structures import Structure
from actors.book.units import QTY_PER_SHARE
from actors.commands import (
    CloseAccount,
    CloseAllPositions,
    CloseStructure,
    ConfigureAccount,
    ReplaceOrder,
    ResetAccount,
    RollStructure,
    SetStructureExit,
)
from mbtd.records.structure_lines import story_line
from mbtd.records.structures import render_ended, render_structure
from tests.structures.rig import BY_WORD, CONDOR, WORDS, Floor, check, placed, refused


def opened(words: str = CONDOR, qty: str = "2", **more: object) -> Floor:
    floor = Floor(**more)  # type: ignore[arg-type]
    placed(floor.unit(words, qty=qty))
    return floor


def test_a_unit_order_opens_one_structure() -> None:
    floor = opened()
    structure = floor.only
    assert structure.name == "short_iron_condor"
    assert floor.shape() == {"P90": 2, "P95": -2, "C105": -2, "C110": 2}
    assert structure.underlying == "XYZ"
    assert structure.net_money == structure.premium_money == -sum(leg.basis_money for leg in structure.legs)
    assert floor.changes() == ["opened"]
    check(floor)


def test_an_order_says_which_structure_it_opens_or_works_on() -> None:
    floor = Floor()
    first = placed(floor.unit(CONDOR, qty="2"))
    assert first.terms is not None
    assert first.terms.structure_id == floor.only.structure_id
    close = placed(floor.command(CloseStructure(structure_id="1", qty="1", limit_price="0.01")))
    unnamed = placed(floor.unit("+C105 -C110", "0.01"))
    single = placed(floor.single("C100", "buy", limit="0.01"))
    stock = placed(floor.single("XYZ", "buy", limit="1.00"))
    ids = [order.terms.structure_id for order in (close, unnamed, stock) if order.terms is not None]
    assert ids == [first.terms.structure_id, first.terms.structure_id, ""]
    assert single.terms is not None
    assert single.terms.structure_id == derive_structure_id(single.terms.order_id), "it would open one of its own"
    floor.command(ReplaceOrder(order_id=single.terms.order_id, limit_price="0.02"))
    (changed,) = [o.terms for o in floor.own.orders.values() if o.terms.symbol == single.terms.symbol]
    assert changed.structure_id == derive_structure_id(changed.order_id)
    check(floor)


def test_fills_of_one_order_are_one_structure_also_after_a_change_of_the_order() -> None:
    floor = Floor()
    floor.do(floor.no, ConfigureAccount(profile="realistic"))
    show(floor, 2)
    order = placed(floor.unit("+C105 -C110", "0.33", qty="6"))
    floor.wait(5)
    live = floor.own.orders[order.order_no]
    assert 0 < live.filled_qty < live.terms.qty
    floor.do(floor.no, ReplaceOrder(order_id=live.terms.order_id, qty="7"))
    for _ in range(10):
        floor.wait(30)
        show(floor, 20)
    assert {fact.order_no for fact in floor.facts(e.OrderFilled)} == {1, 2}
    assert floor.shape() == {"C105": 7, "C110": -7}
    assert floor.only.rolls == 0
    assert set(floor.changes()) == {"opened", "added"}
    check(floor)


def show(floor: Floor, size: int) -> None:
    """The same quotes again with another size."""
    for word in ("C105", "C110"):
        quote = floor.engine.world.board.slots[BY_WORD[word].symbol].quote
        assert quote is not None
        floor.now += 1
        floor.send(structs.replace(quote, bid_size=size, ask_size=size, at=floor.now))


def test_a_part_is_closed_and_the_rest_keeps_its_identity() -> None:
    floor = opened(qty="3")
    before = floor.only
    placed(floor.command(CloseStructure(structure_id=before.structure_id, qty="1")))
    assert floor.shape() == {"P90": 2, "P95": -2, "C105": -2, "C110": 2}
    after = floor.only
    assert (after.structure_id, after.opened_at, after.broken) == (before.structure_id, before.opened_at, False)
    assert after.realized_money < 0
    check(floor)
    placed(floor.command(CloseStructure(structure_id=str(before.structure_no))))
    assert not floor.own.structures
    assert not floor.own.positions
    assert floor.changes() == ["opened", "reduced", "reduced"]
    check(floor)


def test_a_plain_unit_order_against_the_legs_closes_the_structure_too() -> None:
    floor = opened()
    placed(floor.unit("-P90 +P95 +C105 -C110", qty="2"))
    assert not floor.own.structures
    assert "leg_alone" not in floor.changes()


def test_one_side_of_a_condor_leaves_the_other() -> None:
    floor = opened()
    placed(floor.unit("-P90 +P95", qty="2"))
    assert floor.shape() == {"C105": -2, "C110": 2}
    assert (floor.only.name, floor.only.broken) == ("call_credit_spread", False)
    check(floor)


def test_a_roll_is_one_order_and_one_structure() -> None:
    floor = opened()
    before = floor.only
    order = placed(floor.command(RollStructure(structure_id=before.structure_id, expiration_date="2027-01-15")))
    assert order.terms is not None
    assert len(order.terms.legs) == 8
    assert floor.shape() == {"P90'": 2, "P95'": -2, "C105'": -2, "C110'": 2}
    after = floor.only
    assert (after.structure_no, after.opened_at, after.rolls) == (before.structure_no, before.opened_at, 1)
    assert after.name == "short_iron_condor"
    assert len([fill for fill in floor.facts(e.OrderFilled) if fill.order_no == order.order_no]) == 1
    assert floor.changes() == ["opened", "rolled"]
    check(floor)


def test_a_roll_by_an_ordinary_unit_order_is_a_roll() -> None:
    floor = opened("-C105 +C110", qty="1")
    before = floor.only
    placed(floor.unit("+C105 -C110 -C105' +C110'"))
    assert (floor.only.structure_no, floor.only.rolls) == (before.structure_no, 1)
    assert floor.shape() == {"C105'": -1, "C110'": 1}
    check(floor)


def test_half_of_a_structure_rolls() -> None:
    floor = opened("-C105 +C110", qty="4")
    placed(floor.command(RollStructure(structure_id="1", legs=floor.legs("-C110' +C105'"), qty="1")))
    assert floor.shape() == {"C105": -3, "C110": 3, "C105'": 1, "C110'": -1}
    check(floor)


def test_only_the_untested_side_rolls() -> None:
    floor = opened(qty="1")
    close = (BY_WORD["P90"].symbol, BY_WORD["P95"].symbol)
    order = placed(floor.command(RollStructure(structure_id="1", close=close, legs=floor.legs("+P90 -P100"))))
    assert order.terms is not None
    assert len(order.terms.legs) == 2, "a leg that is closed and opened again does not trade"
    assert floor.shape() == {"P90": 1, "P100": -1, "C105": -1, "C110": 1}
    assert (floor.only.rolls, floor.only.name) == (1, "short_iron_condor")
    check(floor)


def test_what_a_roll_may_not_say() -> None:
    floor = opened(qty="2")
    roll = lambda **more: floor.command(RollStructure(structure_id="1", **more))  # noqa: E731
    assert refused(roll()) == "roll_opens_nothing"
    assert refused(roll(legs=floor.legs("+P95"), close=(BY_WORD["P95"].symbol,))) == "roll_opens_nothing"
    assert refused(roll(legs=floor.legs("+P95'"), close=(BY_WORD["P100"].symbol,))) == "roll_leg_not_held"
    assert refused(roll(legs=floor.legs("+P95' -P90' -C100' +C105' +C110'"))) == "leg_count"
    assert refused(roll(expiration_date="2027-01-16")) == "contract_unknown"
    assert refused(roll(expiration_date="2027-01-15", qty="3")) == "structure_qty"
    assert refused(roll(expiration_date="2027-01-15", qty="0.5")) == "structure_qty"
    assert refused(floor.command(RollStructure(structure_id="2", expiration_date="2027-01-15"))) == (
        "structure_not_found"
    )
    assert refused(floor.command(CloseStructure(structure_id="x"))) == "structure_not_found"
    assert floor.shape() == {"P90": 2, "P95": -2, "C105": -2, "C110": 2}


def test_a_repeated_close_is_the_first_order() -> None:
    floor = opened()
    close = CloseStructure(structure_id="1", client_order_id="once")
    first = placed(floor.command(close))
    assert not floor.own.structures
    again = placed(floor.command(close))
    assert again.duplicate
    assert again.order_no == first.order_no
    other = CloseStructure(structure_id="1", qty="1", client_order_id="once")
    assert refused(floor.command(other)) == "client_order_id_not_unique"


def test_a_close_of_one_leg_takes_its_price_with_or_without_a_sign() -> None:
    for limit in ("0.10", "-0.10"):
        floor = Floor()
        floor.single("C105", "buy")
        order = placed(floor.command(CloseStructure(structure_id="1", limit_price=limit)))
        assert order.terms is not None
        assert (order.terms.side, order.terms.limit_price, order.terms.legs) == ("sell", 1_000, ())
        assert not floor.own.structures


def test_single_option_orders_open_structures_of_one_leg() -> None:
    floor = Floor(level=3)
    floor.single("XYZ", "buy", "100")
    floor.single("C105", "sell")
    floor.single("P90", "sell")
    floor.single("C110", "buy")
    names = [structure.name for structure in floor.own.structures.values()]
    assert names == ["covered_call", "cash_secured_put", "long_call"]
    covered = next(iter(floor.own.structures.values()))
    assert covered.cover_qty == 100 * 1_000_000_000
    check(floor)


def test_one_leg_traded_alone_is_told_before_and_marked_after() -> None:
    floor = opened("-C105 +C110", qty="2")
    floor.command(SetStructureExit(structure_id="1", stop_loss_percent="100"))
    assert floor.own.exits
    order = placed(floor.single("C105", "buy", "1"))
    (warning,) = order.warnings
    assert (warning.structure_id, warning.symbol, warning.qty) == (
        floor.only.structure_id, BY_WORD["C105"].symbol, 1_000_000_000,
    )  # fmt: skip
    assert warning.exits
    assert floor.only.broken
    assert not floor.own.exits
    assert floor.changes() == ["opened", "leg_alone"]
    assert floor.facts(e.StructureExitSet)[-1].reason == "leg_alone"
    check(floor)


def test_a_leg_of_a_lone_contract_is_taken_before_one_of_a_spread() -> None:
    floor = opened("-C105 +C110", qty="1")
    floor.single("C110", "buy")
    order = placed(floor.single("C110", "sell"))
    assert order.warnings == ()
    assert floor.only.structure_no == 1
    assert not floor.only.broken
    check(floor)


def test_a_vertical_that_ends_in_the_money_realises_its_width() -> None:
    floor = opened("-C95 +C100", qty="1")
    credit = floor.only.net_money
    floor.go("2026-12-18 15:00")
    floor.price(110.0)
    floor.auction("XYZ", 110.0)
    floor.go("2026-12-18 18:00")
    assert not floor.own.structures
    assert not floor.own.positions
    last = floor.facts(e.StructureChanged)[-1]
    assert not last.legs
    assert last.total_realized_money == credit - 500_000_000
    assert (last.premium_money, last.change) == (credit, "assigned")
    assert last.name == "call_credit_spread"
    check(floor)


def test_fees_of_all_fills_stand_beside_the_profit() -> None:
    floor = opened(qty="2")
    day = floor.engine.world.day
    assert day is not None
    legs = [(BY_WORD[word], side, price) for word, side, price in fills(floor)]
    first = sum(
        fee.pico for leg, side, price in legs
        for fee in fees_of(leg, side == "buy", 2 * QTY_PER_SHARE, price, day.trade_date)
    )  # fmt: skip
    assert floor.only.fees_pico == first > 0
    shown = render_structure(floor.own, floor.only, floor.engine.world, floor.now)
    assert Decimal(shown["fees"]) == round(Decimal(first) / 10**12, 6)
    assert Decimal(shown["net_pl"]) == Decimal(shown["gross_pl"]) - Decimal(shown["fees"])
    assert shown["gross_pl"] == shown["total_pl"]
    floor.command(CloseStructure(structure_id="1", qty="1"))
    assert floor.only.fees_pico > first
    floor.command(CloseStructure(structure_id="1"))
    last = floor.facts(e.StructureChanged)[-1]
    assert not last.legs
    gone = render_ended(last, floor.now)
    assert Decimal(gone["net_pl"]) == Decimal(gone["gross_pl"]) - round(Decimal(last.total_fees_pico) / 10**12, 6)
    check(floor)


def test_fees_stay_when_a_corporate_action_changes_the_legs() -> None:
    floor = opened(qty="1")
    before = floor.only.fees_pico
    draft = Draft(floor.own, floor.now)
    symbol = BY_WORD["C105"].symbol
    follow_structures(draft, {symbol: (symbol, Fraction(2))}, "split-1", floor.engine.world)
    assert floor.only.qty_of(symbol) == -2 * QTY_PER_SHARE
    assert floor.only.fees_pico == before > 0
    (told,) = draft.events
    assert (story_line(told, 0)["reason"], story_line(told, 0)["ca_id"]) == ("adjusted", "split-1")
    draft.discard()


def fills(floor: Floor) -> list[tuple[str, str, int]]:
    return [(WORDS[fact.symbol], fact.side, fact.price) for fact in floor.facts(e.OrderLegFilled)]


def test_an_order_that_closes_two_structures_shares_its_fees_by_contracts() -> None:
    floor = opened("-C105 +C110", qty="1")
    floor.unit("-C105 +C110", qty="2")
    before = [s.fees_pico for s in floor.own.structures.values()]
    floor.single("C105", "buy", qty="3")
    after = [s.fees_pico for s in floor.own.structures.values()]
    one, two = (late - early for early, late in zip(before, after, strict=True))
    assert 0 < one < two
    assert one + two == sum(fee.pico for fee in floor.facts(e.TradeBooked)[-1].fees)
    check(floor)


def test_a_condor_that_ends_worthless_keeps_its_credit() -> None:
    floor = opened(qty="2")
    credit = floor.only.net_money
    floor.auction("XYZ", 100.0)
    floor.go("2026-12-18 15:59")
    floor.auction("XYZ", 100.0)
    floor.go("2026-12-18 18:00")
    assert not floor.own.structures
    last = floor.facts(e.StructureChanged)[-1]
    assert (last.change, last.total_realized_money) == ("expired", credit)
    check(floor)


def test_the_wheel_is_told_by_its_structures() -> None:
    """A put is assigned, its shares are called away: the put's structure holds the shares until then."""
    floor = Floor(cash=20_000)
    floor.single("P100", "sell")
    floor.go("2026-12-18 15:59")
    floor.price(97.0)
    floor.auction("XYZ", 97.0)
    floor.go("2026-12-18 18:00")
    put: Structure = floor.only
    assert floor.shape() == {"XYZ": 100}
    assert put.name == "long_stock"
    assert put.legs[0].basis_money == 10_000_000_000
    check(floor)
    floor.go("2027-01-15 10:00")
    floor.price(97.0)
    floor.mid("C100'", 2.0)
    floor.single("C100'", "sell")
    assert [s.name for s in floor.own.structures.values()] == ["long_stock", "covered_call"]
    floor.go("2027-01-15 15:59")
    floor.price(104.0)
    floor.auction("XYZ", 104.0)
    floor.go("2027-01-15 18:00")
    assert not floor.own.structures
    assert not floor.own.positions
    totals = {fact.structure_no: fact.total_realized_money for fact in floor.facts(e.StructureChanged)}
    premium = {fact.structure_no: fact.premium_money for fact in floor.facts(e.StructureChanged)}
    assert totals == premium
    check(floor)


def test_a_calendar_lives_on_when_its_near_leg_has_ended() -> None:
    floor = opened("-C105 +C105'", qty="1")
    assert floor.only.name == "long_call_calendar"
    floor.go("2026-12-18 15:59")
    floor.auction("XYZ", 100.0)
    floor.go("2026-12-18 18:00")
    assert floor.shape() == {"C105'": 1}
    assert (floor.only.name, floor.only.broken) == ("long_call", False)
    check(floor)


def test_a_reset_forgets_structures_and_their_exits() -> None:
    floor = opened()
    floor.command(SetStructureExit(structure_id="1", stop_loss_percent="100"))
    floor.command(ResetAccount(cash="5000"))
    book = floor.own
    assert not book.structures
    assert not book.exits
    assert not [key for key in book.watch if key < 0]
    placed(floor.unit("-C105 +C110"))
    assert len(book.structures) == 1


def test_a_preview_leaves_no_trace() -> None:
    import msgspec

    floor = opened()
    floor.command(SetStructureExit(structure_id="1", stop_loss_percent="100"))
    before = msgspec.msgpack.encode(floor.own)
    for action in (
        CloseStructure(structure_id="1"),
        RollStructure(structure_id="1", expiration_date="2027-01-15"),
        ResetAccount(cash="1"),
        CloseAccount(),
    ):
        floor.engine.preview(floor.no, action, floor.now)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(floor.own)) == msgspec.msgpack.decode(before)


def test_some_legs_are_closed_together_and_the_structure_is_what_is_left() -> None:
    floor = opened(qty="2")
    side = (BY_WORD["P90"].symbol, BY_WORD["P95"].symbol)
    placed(floor.command(CloseStructure(structure_id="1", legs=side, qty="1")))
    assert floor.shape() == {"P90": 1, "P95": -1, "C105": -2, "C110": 2}
    assert not floor.only.broken
    assert refused(floor.command(CloseStructure(structure_id="1", legs=("XYZ",)))) == "roll_leg_not_held"
    assert refused(floor.command(CloseStructure(structure_id="1", legs=()))) == "legs_required"
    check(floor)


def test_closing_everything_closes_structures_whole() -> None:
    floor = opened(qty="2")
    floor.unit("-C105' +C110'")
    floor.single("XYZ", "buy", "10")
    floor.single("C105", "buy", "1")
    outcome = floor.command(CloseAllPositions())
    assert isinstance(outcome, Closed)
    assert all(isinstance(item, Placed) for _, item in outcome.items)
    floor.wait(2)
    assert not floor.own.positions
    assert not floor.own.structures
    check(floor)


def test_closing_everything_leaves_a_worthless_wing_to_its_own_order() -> None:
    floor = opened("-C105 +C110", qty="1")
    floor.quote(BY_WORD["C110"].symbol, 0.0, 0.02)
    floor.command(CloseAllPositions())
    floor.wait(2)
    assert set(floor.own.positions) <= {BY_WORD["C110"].symbol}
    check(floor)


def test_shares_that_are_no_whole_lot_are_not_closed_as_a_unit() -> None:
    floor = Floor(cash=20_000)
    floor.single("P100", "sell")
    floor.go("2026-12-18 15:59")
    floor.price(97.0)
    floor.auction("XYZ", 97.0)
    floor.go("2026-12-18 18:00")
    floor.go("2026-12-21 10:00")
    floor.price(97.0)
    floor.single("XYZ", "sell", "30")
    assert floor.shape() == {"XYZ": 70}
    assert refused(floor.command(CloseStructure(structure_id="1"))) == "structure_shares"
    check(floor)
