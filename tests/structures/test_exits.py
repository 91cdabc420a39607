"""Profit targets and stops on the net of a structure: when they act, when they may not, what becomes of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import REASONS
from actors.book.state.book import Book
from actors.commands import (
    CancelOrder,
    ClearStructureExit,
    CloseStructure,
    OrderLeg,
    PlaceOrder,
    RollStructure,
    SetStructureExit,
    StopLoss,
    TakeProfit,
)
from actors.engine import Engine
from actors.inputs import Moved
from actors.market.messages import Status
from mbtd.market.calendar import TradeDays
from mbtd.records.orders import accepted_record
from mbtd.service.why import why_ended
from tests.money.rig import QUICK
from tests.structures.rig import BY_WORD, CALENDAR, CONDOR, SECOND, Floor, check, placed, refused

SPREAD = "-C105 +C110"


def guarded(words: str = SPREAD, qty: str = "2", **levels: str) -> Floor:
    """A structure with exits at percents of its credit, in a market that stands at its middle."""
    floor = Floor()
    placed(floor.unit(words, qty=qty))
    given_levels = levels or {"take_profit_percent": "50", "stop_loss_percent": "100"}
    outcome = floor.command(SetStructureExit(structure_id="1", **given_levels))  # type: ignore[arg-type]
    assert floor.own.exits, outcome
    return floor


def net(floor: Floor, cents: float) -> None:
    """Both legs move so that closing the spread costs so much at the middle."""
    floor.mid("C110", 0.50)
    floor.mid("C105", 0.50 + cents)


def triggers(floor: Floor) -> list[e.StructureExitTriggered]:
    found: list[e.StructureExitTriggered] = floor.facts(e.StructureExitTriggered)
    return found


def credit(floor: Floor) -> float:
    return -sum(leg.basis_money for leg in floor.only.legs) / 2 / 100 / 1_000_000


def test_a_stop_acts_after_two_seconds_and_closes_everything() -> None:
    floor = guarded()
    level = floor.own.exits[1].stop_loss
    assert level is not None
    assert abs(level / 10_000 - 2 * credit(floor)) < 0.011
    net(floor, level / 10_000 + 0.05)
    floor.wait(1)
    assert not triggers(floor)
    floor.wait(3)
    (fact,) = triggers(floor)
    assert (fact.exit, fact.level) == ("stop_loss", level)
    assert fact.middle_doubled >= 2 * level
    assert {leg.symbol for leg in fact.legs} == {BY_WORD["C105"].symbol, BY_WORD["C110"].symbol}
    assert not floor.own.structures
    assert not floor.own.exits
    assert not floor.own.positions
    order = next(event for event in floor.facts(e.OrderAccepted) if event.order_no == fact.by_order_no)
    assert (order.type, order.time_in_force, order.structure_no, len(order.legs)) == ("market", "day", 1, 2)
    assert order.client_order_id.startswith("exit-1-")
    check(floor)


def test_a_target_is_a_limit_order_at_its_level() -> None:
    floor = guarded()
    level = floor.own.exits[1].take_profit
    assert level is not None
    net(floor, level / 10_000 - 0.03)
    floor.wait(5)
    (fact,) = triggers(floor)
    assert fact.exit == "take_profit"
    order = next(event for event in floor.facts(e.OrderAccepted) if event.order_no == fact.by_order_no)
    assert (order.type, order.limit_price) == ("limit", level)
    told = why_ended(accepted_record(order, 0))
    assert (told["placed_by"], told["explanation"][:28]) == ("house", "A profit target or stop of t")
    mine = msgspec.structs.replace(order, client_order_id="exit-mine")
    assert "placed_by" not in why_ended(accepted_record(mine, 0))
    assert not floor.own.structures
    check(floor)


def test_the_level_must_hold_without_a_break() -> None:
    floor = guarded()
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    for _ in range(6):
        net(floor, level + 0.05)
        floor.wait(1)
        net(floor, level - 0.05)
        floor.wait(1)
    assert not triggers(floor)


@pytest.mark.parametrize("bad", ["no_bid", "no_ask", "crossed", "halted", "wide"])
def test_a_leg_without_a_good_quote_holds_it_back(bad: str) -> None:
    floor = guarded()
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    symbol = BY_WORD["C105"].symbol
    spoil = {
        "no_bid": lambda: floor.quote(symbol, 0, 3.0),
        "no_ask": lambda: floor.quote(symbol, 3.0, 0),
        "crossed": lambda: floor.quote(symbol, 3.5, 3.0),
        "halted": lambda: floor.send(Status(symbol, "halted", floor.now + 1)),
        "wide": lambda: floor.quote(symbol, 0.60, 9.0),
    }[bad]
    net(floor, level + 0.05)
    spoil()
    floor.wait(30)
    assert not triggers(floor)
    assert floor.own.watch[-1].reason.startswith(f"leg:{symbol}:")
    assert floor.own.structures


def test_nothing_acts_outside_the_session_and_everything_does_the_next_morning() -> None:
    floor = guarded("-C105' +C110'")
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    floor.go("2026-12-17 16:30")
    floor.mid("C110'", 0.50)
    floor.mid("C105'", 0.50 + level + 0.10)
    floor.go("2026-12-18 09:00")
    assert not triggers(floor)
    assert floor.own.exits
    floor.go("2026-12-18 09:31")
    floor.mid("C110'", 0.50)
    floor.mid("C105'", 0.50 + level + 0.10)
    floor.wait(5)
    assert len(triggers(floor)) == 1
    assert not floor.own.structures


def test_what_is_sent_gives_way_to_nothing_but_takes_other_closes_off() -> None:
    floor = guarded()
    placed(floor.command(CloseStructure(structure_id="1", limit_price="0.02")))
    assert floor.own.orders
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    net(floor, level + 0.05)
    floor.wait(5)
    assert [fact.reason for fact in floor.facts(e.OrderCanceled)] == ["structure_exit"]
    assert not floor.own.structures


def test_a_stop_acts_while_the_order_of_the_target_rests() -> None:
    floor = guarded()
    target = (floor.own.exits[1].take_profit or 0) / 10_000
    stop = (floor.own.exits[1].stop_loss or 0) / 10_000
    floor.mid("C110", 0.50, half=0.05)
    floor.mid("C105", 0.50 + target - 0.01, half=0.05)
    floor.wait(3)
    assert [fact.exit for fact in triggers(floor)] == ["take_profit"]
    assert floor.own.orders
    net(floor, stop + 0.05)
    floor.wait(4)
    assert [fact.exit for fact in triggers(floor)] == ["take_profit", "stop_loss"]
    assert not floor.own.structures
    check(floor)


def test_an_order_that_ends_unfilled_leaves_the_exits_as_they_were() -> None:
    floor = guarded("-C105' +C110'")
    target = (floor.own.exits[1].take_profit or 0) / 10_000
    floor.mid("C110'", 0.50, half=0.05)
    floor.mid("C105'", 0.50 + target - 0.01, half=0.05)
    floor.wait(3)
    assert floor.own.orders
    floor.go("2026-12-18 09:45")
    assert not floor.own.orders
    assert floor.own.exits[1].take_profit is not None
    floor.mid("C110'", 0.50)
    floor.mid("C105'", 0.50 + target - 0.02)
    floor.wait(4)
    assert len(triggers(floor)) == 2
    assert not floor.own.structures


def test_a_roll_takes_the_exits_off_and_says_so() -> None:
    floor = guarded()
    placed(floor.command(RollStructure(structure_id="1", expiration_date="2027-01-15")))
    assert not floor.own.exits
    fact = floor.facts(e.StructureExitSet)[-1]
    assert (fact.exit, fact.reason) == (None, "rolled")


def test_closing_a_part_keeps_the_exits() -> None:
    floor = guarded()
    placed(floor.command(CloseStructure(structure_id="1", qty="1")))
    assert floor.own.exits
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    net(floor, level + 0.05)
    floor.wait(4)
    assert not floor.own.positions
    check(floor)


def test_a_cleared_exit_is_gone() -> None:
    floor = guarded()
    floor.command(ClearStructureExit(structure_id="1"))
    assert not floor.own.exits
    net(floor, 4.0)
    floor.wait(5)
    assert not triggers(floor)
    assert refused(floor.command(ClearStructureExit(structure_id="9"))) == "structure_not_found"


def test_an_exit_that_is_refused_leaves_the_orders_that_it_would_replace() -> None:
    floor = guarded()
    alone = placed(floor.single("C105", "buy", limit="0.01")).order_no
    opening = placed(floor.single("C110", "buy", limit="0.01"))
    assert opening.terms is not None
    before = floor.own.reserved_money
    net(floor, 4.0)
    floor.wait(5)
    (refusal,) = triggers(floor)
    assert (refusal.by_order_no, refusal.reason) == (0, "wash_trade")
    assert list(floor.own.orders) == [alone, opening.order_no], "in the order in which they came"
    assert floor.own.reserved_money == before
    assert not floor.facts(e.OrderCanceled)
    check(floor)
    floor.command(CancelOrder(order_id=opening.terms.order_id))
    floor.wait(60)
    net(floor, 4.0)
    floor.wait(5)
    assert triggers(floor)[-1].by_order_no
    assert [fact.order_no for fact in floor.facts(e.OrderCanceled) if fact.reason == "structure_exit"] == [alone]
    assert not floor.own.structures
    check(floor)


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ({}, "structure_exit_required"),
        ({"take_profit_percent": "0"}, "structure_exit_percent"),
        ({"take_profit_percent": "x"}, "structure_exit_percent"),
        ({"take_profit_percent": "120"}, "structure_exit_percent"),
        ({"take_profit": TakeProfit(limit_price="0.005")}, "sub_penny_price"),
        ({"take_profit": TakeProfit(limit_price="abc")}, "invalid_limit_price"),
        ({"take_profit": TakeProfit(limit_price="2.00")}, "structure_exit_reached"),
        ({"stop_loss": StopLoss(stop_price="0.01")}, "structure_exit_reached"),
        ({"take_profit": TakeProfit(limit_price="-0.10")}, "structure_exit_unreachable"),
        ({"stop_loss": StopLoss(stop_price="5.00")}, "structure_exit_unreachable"),
        (
            {"take_profit": TakeProfit(limit_price="2.10"), "stop_loss": StopLoss(stop_price="2.00")},
            "structure_exits_crossed",
        ),
        ({"stop_loss": StopLoss(stop_price="2.00", limit_price="1.00")}, "structure_exits_crossed"),
    ],
)
def test_levels_that_cannot_be_meant_are_refused(levels: dict[str, object], reason: str) -> None:
    floor = Floor()
    placed(floor.unit(SPREAD, qty="2"))
    assert refused(floor.command(SetStructureExit(structure_id="1", **levels))) == reason  # type: ignore[arg-type]
    assert not floor.own.exits
    assert floor.facts(e.CommandRefused)[-1].reason == reason


def test_a_debit_is_guarded_with_credits() -> None:
    floor = Floor()
    placed(floor.unit("+C100 -C105"))
    floor.command(SetStructureExit(structure_id="1", take_profit_percent="50", stop_loss_percent="50"))
    held = floor.own.exits[1]
    assert held.take_profit is not None
    assert held.stop_loss is not None
    assert held.take_profit < held.stop_loss < 0


@pytest.mark.parametrize(("percent", "reason"), [("50", "structure_exit_unreachable"), ("3", "")])
def test_a_covered_call_brings_at_most_its_strike(percent: str, reason: str) -> None:
    floor = Floor()
    legs = (OrderLeg(symbol="XYZ", ratio_qty="100", side="buy"), *floor.legs("-C105"))
    placed(floor.do(floor.no, PlaceOrder(qty="1", type="market", order_class="mleg", legs=legs)))
    floor.wait(5)
    assert floor.shape() == {"XYZ": 100, "C105": -1}
    outcome = floor.command(SetStructureExit(structure_id="1", take_profit_percent=percent))
    assert (refused(outcome) if reason else "") == reason
    assert bool(floor.own.exits) != bool(reason)


def test_an_account_wakes_only_for_quotes_of_its_own_legs() -> None:
    floor = guarded()
    other = floor.account(100_000)
    seen = floor.engine.world.board.slots
    assert {symbol for symbol, slot in seen.items() if (floor.no, -1) in slot.near} == {
        BY_WORD["C105"].symbol, BY_WORD["C110"].symbol,
    }  # fmt: skip
    assert not any(key[0] == other for slot in seen.values() for key in slot.near)
    floor.command(CloseStructure(structure_id="1"))
    assert not any(slot.near for slot in seen.values())


def _restarted(floor: Floor) -> Engine:
    """Another engine that got the account's book from the disk and the tape again."""
    engine = Engine(b"x" * 32, Profiles(QUICK), instruments=floor.instruments, days=TradeDays(CALENDAR))
    engine.world.now = floor.now
    for message in floor.tape:
        engine.refeed(message)
    stored = msgspec.msgpack.encode(floor.own)
    book = msgspec.msgpack.decode(stored, type=Book)
    moved = msgspec.msgpack.decode(msgspec.msgpack.encode(Moved(floor.no, dict(floor.own.watch), {})), type=Moved)
    book.watch.clear()
    engine.books[floor.no] = book
    engine.restore_moved(moved)
    engine.admit(book)
    return engine


def test_exits_survive_a_restart_with_the_time_that_they_have_held() -> None:
    floor = guarded()
    level = (floor.own.exits[1].stop_loss or 0) / 10_000
    net(floor, level + 0.05)
    floor.wait(1)
    engine = _restarted(floor)
    engine.run_timers_through(floor.now + 3 * SECOND)
    floor.wait(3)
    assert len(triggers(floor)) == 1
    twin = engine.books[floor.no]
    assert twin == floor.own
    assert not twin.structures


@example([("halted", 48, 1), ("good", 48, 1)])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("good", "no_bid", "no_ask", "crossed", "halted")),
            st.integers(0, 400),
            st.integers(1, 4),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_it_acts_if_and_only_if_a_plain_reading_of_the_tape_says_so(moves: list[tuple[str, int, int]]) -> None:
    """Judge: walk over the moments and count how long the middle stood beyond with good quotes."""
    floor = guarded(stop_loss_percent="100")
    level = floor.own.exits[1].stop_loss or 0
    symbol = BY_WORD["C105"].symbol
    floor.mid("C110", 0.50)
    floor.mid("C105", 0.60)
    since, expected, halted = 0, False, False
    for state, cents, seconds in moves:
        if halted:
            floor.send(Status(symbol, "trading", floor.now + 1))
            halted = False
        price = 0.60 + cents / 100
        if state == "good" or state == "halted":
            floor.mid("C105", price)
        elif state == "no_bid":
            floor.quote(symbol, 0, price)
        elif state == "no_ask":
            floor.quote(symbol, price, 0)
        else:
            floor.quote(symbol, price + 0.5, price)
        if state == "halted":
            floor.send(Status(symbol, "halted", floor.now + 1))
            halted = True
        beyond = state == "good" and round((price - 0.50) * 10_000) >= level
        if not beyond:
            since = 0
        elif not since:
            since = floor.now
        floor.wait(seconds)
        if since and floor.now - since >= 2 * SECOND:
            expected = True
            break
    assert bool(triggers(floor)) == expected
    check(floor)


def test_a_structure_without_exits_costs_nothing_on_a_quote() -> None:
    floor = Floor()
    placed(floor.unit(CONDOR))
    assert not floor.own.exits
    assert not any(slot.near for slot in floor.engine.world.board.slots.values())


def test_an_account_that_is_out_of_work_waits_for_nothing() -> None:
    floor = guarded()
    floor.engine.turn(floor.book(floor.no), lambda draft: 1 // 0)  # type: ignore[arg-type, return-value]
    assert floor.book(floor.no).quarantined
    assert not any(slot.near for slot in floor.engine.world.board.slots.values())
    other = guarded()
    other.engine.drop_books([other.no])
    assert not any(slot.near for slot in other.engine.world.board.slots.values())


def test_reasons_keep_their_numbers() -> None:
    numbers = {name: reason.code for name, reason in REASONS.items() if 3660 <= reason.code < 3680}
    assert numbers == {
        "structure_not_found": 3660,
        "structure_qty": 3661,
        "roll_opens_nothing": 3662,
        "roll_leg_not_held": 3663,
        "structure_exit_required": 3664,
        "structure_exits_crossed": 3665,
        "structure_exit_reached": 3666,
        "structure_shares": 3667,
        "structure_exit_percent": 3668,
        "structure_exit_unreachable": 3669,
    }
