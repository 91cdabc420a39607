"""What an action does beside positions: orders under way, groups, structures, margin, buying power, settings."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.book.view import buying_power, withdrawable
from actors.commands import (
    CancelOrder,
    ConfigureAccount,
    OrderLeg,
    PlaceOrder,
    ReplaceOrder,
    SetStructureExit,
    StopLoss,
    TakeProfit,
)
from actors.market.messages import Quote, Trade
from mbtd.pricing.announced import with_dividends
from mbtd.pricing.inputs import PricingInputs
from mbtd.records.accounts import render_account
from mbtd.records.trade_updates import trade_update
from tests.corporate.rig import Stage
from tests.money.rig import DOLLAR, when

SHARE = 10**9
CALL, HIGHER = "AAA260918C00090000", "AAA260918C00110000"
SPLIT = {
    "id": "s",
    "type": "forward_split",
    "symbol": "AAA",
    "new_rate": "4",
    "old_rate": "1",
    "ex_date": "2026-08-06",
}
SPIN = {"id": "p", "type": "spin_off", "source_symbol": "AAA", "new_symbol": "SPUN", "new_rate": "0.3",
        "ex_date": "2026-08-06", "prices": {"SPUN": {"alloc_price": "20"}}}  # fmt: skip
GONE = {"id": "w", "type": "worthless_removal", "symbol": "AAA", "process_date": "2026-08-06"}


def begun(cash: str = "100000", kind: str = "margin") -> tuple[Stage, int]:
    stage = Stage("2026-08-05 10:00", ("AAA", "BBB", CALL, HIGHER))
    stage.quote("AAA", 100, 100)
    return stage, stage.account(cash, kind)


def night(stage: Stage) -> None:
    """Past the roll."""
    stage.go("2026-08-05 20:01")
    assert stage.engine.failures == []


def place(stage: Stage, no: int, **more: Any) -> Placed:
    given: dict[str, Any] = {"symbol": "AAA", "side": "buy", "qty": "10", "type": "limit", "time_in_force": "gtc"}
    outcome = stage.do(no, PlaceOrder(**{**given, **more}))
    assert isinstance(outcome, Placed), outcome
    stage.engine.run_timers_through(stage.now)
    return outcome


def live(stage: Stage, no: int) -> list[tuple[str, int, int, int]]:
    orders = stage.book(no).orders
    return [(orders[n].status, orders[n].terms.qty // SHARE, orders[n].terms.limit_price, orders[n].terms.stop_price)
            for n in sorted(orders)]  # fmt: skip


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bracket_goes_on_in_new_units_with_its_entry_and_its_held_exits() -> None:
    stage, no = begun()
    place(stage, no, limit_price="80.00", order_class="bracket", take_profit=TakeProfit(limit_price="120.02"),
          stop_loss=StopLoss(stop_price="70.01"))  # fmt: skip
    before = stage.book(no).reserved_money
    stage.announce(**SPLIT)
    night(stage)
    assert live(stage, no) == [("new", 40, 200_000, 0), ("held", 40, 300_100, 0), ("held", 40, 0, 175_000)]
    assert stage.book(no).reserved_money == before
    stage.go("2026-08-06 10:00")
    stage.quote("AAA", 19.5, 19.5)
    stage.go("2026-08-06 10:01")
    assert stage.book(no).positions["AAA"].qty == 40 * SHARE
    assert [row[1] for row in live(stage, no)] == [40, 40]
    assert stage.book(no).held == {"AAA": 40 * SHARE}
    stage.quote("AAA", 30.05, 30.05)
    stage.go("2026-08-06 10:02")
    assert "AAA" not in stage.book(no).positions
    assert not stage.book(no).orders


def test_an_adjusted_order_keeps_its_client_id_and_a_repeat_hears_of_the_first() -> None:
    stage, no = begun()
    first = place(stage, no, limit_price="80.00", client_order_id="mine")
    stage.announce(**SPLIT)
    night(stage)
    repeat = place(stage, no, limit_price="80.00", client_order_id="mine")
    assert (repeat.duplicate, repeat.order_no) == (True, first.order_no)
    (order,) = stage.book(no).orders.values()
    assert (order.terms.client_order_id, order.terms.replaces) == ("mine", first.order_no)
    assert not isinstance(stage.do(no, CancelOrder(client_order_id="mine")), Refusal)
    stage.engine.run_timers_through(stage.now + SHARE)
    assert not stage.book(no).orders
    updates = [trade_update(event) for event in stage.events(no) if hasattr(event, "order_no")]
    assert [name for name in updates if name] == ["accepted", "new", "replaced", "pending_cancel", "canceled"]


def test_what_is_being_changed_or_cancelled_gives_way() -> None:
    stage, no = begun()
    for profile in ("slow",):
        assert profile
    changing = place(stage, no, limit_price="80.00")
    leaving = place(stage, no, limit_price="79.00")
    stage.announce(**SPLIT)
    stage.go("2026-08-05 19:59")
    book = stage.book(no)
    terms = book.orders[changing.order_no].terms
    stage.told(no, e.OrderReplacePending(changing.order_no, 1 << 62, terms.reserved_money, 0, terms.__class__(
        **{name: getattr(terms, name) for name in terms.__struct_fields__} | {
            "order_no": book.next_order_no, "client_key": 7, "client_order_id": "new"})))  # fmt: skip
    stage.told(no, e.OrderCancelPending(leaving.order_no, 1 << 62))
    night(stage)
    assert [row[1:3] for row in live(stage, no)] == [(40, 200_000)]
    refused = stage.events(no, e.OrderReplaceRejected)
    assert [(event.order_no, event.reason) for event in refused] == [(changing.order_no, "corporate_action")]
    assert [event.order_no for event in stage.events(no, e.OrderCanceled)] == [leaving.order_no]


@pytest.mark.parametrize(("dnr", "price"), [(False, 795_000), (True, 800_000)])
def test_do_not_reduce_is_an_order_s_word(dnr: bool, price: int) -> None:
    stage, no = begun()
    place(stage, no, limit_price="80.00", do_not_reduce=dnr)
    stage.announce(id="d", type="cash_dividend", symbol="AAA", rate="0.5", ex_date="2026-08-06")
    night(stage)
    assert live(stage, no) == [("new", 10, price, 0)]
    replaced = stage.do(no, ReplaceOrder(client_order_id=next(iter(stage.book(no).by_client)), qty="12"))
    assert isinstance(replaced, Placed)
    assert replaced.terms is not None
    assert replaced.terms.do_not_reduce == dnr


def test_round_lots_and_what_is_left_of_a_partly_filled_order() -> None:
    stage, no = begun()
    stage.do(no, ConfigureAccount(order_size_rounding="round_lot"))
    place(stage, no, limit_price="80.00", qty="137")
    stage.announce(**SPLIT)
    night(stage)
    assert live(stage, no) == [("new", 500, 200_000, 0)]


# ── structures and contracts ─────────────────────────────────────────────────────────────────────────────


def spread() -> tuple[Stage, int]:
    stage, no = begun()
    for symbol, cents in ((CALL, 1_500), (HIGHER, 500)):
        stage.now += 1
        stage.engine.tape(Quote(symbol, cents * 100, 900, cents * 100, 900, stage.now))
    legs = (OrderLeg(symbol=CALL, ratio_qty="1", side="buy"), OrderLeg(symbol=HIGHER, ratio_qty="1", side="sell"))
    outcome = stage.do(no, PlaceOrder(order_class="mleg", qty="2", type="limit", limit_price="10.05",
                                      time_in_force="day", legs=legs))  # fmt: skip
    assert isinstance(outcome, Placed), outcome
    stage.engine.run_timers_through(stage.now + SHARE)
    assert len(stage.book(no).structures) == 1
    return stage, no


def test_a_structure_stays_itself_with_the_contracts_that_its_legs_became() -> None:
    stage, no = spread()
    ((number, before),) = stage.book(no).structures.items()
    exits = SetStructureExit(structure_id=before.structure_id, take_profit_percent="50")
    assert not isinstance(stage.do(no, exits), Refusal)
    stage.announce(**SPLIT)
    night(stage)
    after = stage.book(no).structures[number]
    assert [(leg.symbol, leg.qty) for leg in after.legs] == [
        ("AAA260918C00022500", 8 * SHARE), ("AAA260918C00027500", -8 * SHARE)
    ]  # fmt: skip
    assert [leg.basis_money for leg in after.legs] == [leg.basis_money for leg in before.legs]
    assert (after.net_money, after.premium_money, after.realized_money) == (
        before.net_money, before.premium_money, before.realized_money
    )  # fmt: skip
    assert not stage.book(no).exits
    assert [event.reason for event in stage.events(no, e.StructureExitSet)][-1] == "corporate_action"
    assert {s: p.qty // SHARE for s, p in stage.book(no).positions.items()} == {
        "AAA260918C00022500": 8, "AAA260918C00027500": -8
    }  # fmt: skip
    stage.go("2026-08-06 09:00")
    stage.withdraw("s")
    stage.go("2026-08-06 09:01")
    assert stage.book(no).structures[number].legs == before.legs


def test_shares_behind_a_call_cover_it_in_new_units() -> None:
    stage, no = begun()
    place(stage, no, qty="100", type="market", time_in_force="day")
    stage.now += SHARE
    stage.engine.tape(Quote(CALL, 150_000, 900, 150_000, 900, stage.now))
    place(stage, no, symbol=CALL, side="sell", qty="1", type="market", time_in_force="day")
    stage.engine.run_timers_through(stage.now + SHARE)
    ((number, before),) = stage.book(no).structures.items()
    assert (before.name, before.cover_qty) == ("covered_call", 100 * SHARE)
    stage.announce(**SPLIT)
    night(stage)
    after = stage.book(no).structures[number]
    assert [leg.qty for leg in after.legs] == [-4 * SHARE]
    assert (after.name, after.cover_qty) == ("covered_call", 400 * SHARE)
    stage.go("2026-08-06 09:00")
    stage.withdraw("s")
    stage.go("2026-08-06 09:01")
    again = stage.book(no).structures[number]
    assert (again.name, again.cover_qty, again.legs) == ("covered_call", 100 * SHARE, before.legs)


def test_adjusted_contracts_trade_on_and_outlive_a_restart() -> None:
    stage, no = spread()
    stage.announce(**SPIN)
    night(stage)
    root = stage.engine.house.actions.by_id["p"].action.roots
    assert root == (("AAA", "AAA1"),)
    again = Stage("2026-08-05 10:00", ("AAA", "BBB", CALL, HIGHER))
    for step in stage.engine.steps:
        again.engine.restore_step(step)
    again.engine.waits.arm_all(again.book(no))
    contract = again.engine.world.instruments.by_symbol["AAA1260918C00090000"]
    assert [(part.kind, part.symbol, part.amount // SHARE) for part in contract.deliverables] == [
        ("equity", "AAA", 100), ("equity", "SPUN", 30)
    ]  # fmt: skip
    assert contract.is_adjusted
    stage.go("2026-08-06 10:00")
    stage.now += 1
    stage.engine.tape(Quote(contract.symbol, 160_000, 900, 160_000, 900, stage.now))
    outcome = stage.do(no, PlaceOrder(symbol=contract.symbol, side="buy", qty="1", type="limit",
                                      limit_price="16.00", time_in_force="day"))  # fmt: skip
    assert isinstance(outcome, Placed), outcome
    stage.engine.run_timers_through(stage.now + SHARE)
    assert stage.book(no).positions[contract.symbol].qty == 3 * SHARE


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────


def test_margin_is_looked_at_in_the_same_step() -> None:
    stage, no = begun("30000")
    stage.quote("BBB", 100, 100)
    stage.order(no, "buy", "200")
    stage.order(no, "buy", "380", "BBB")
    stage.announce(**GONE)
    night(stage)
    step = next(
        step for step in stage.engine.steps for section in step.sections for event in section.events
        if isinstance(event, e.PositionAdjusted)
    )  # fmt: skip
    changed = [event for section in step.sections for event in section.events if isinstance(event, e.MarginChanged)]
    assert [event.before for event in changed] == ["ok"]
    assert stage.book(no).ledger().call.state != "ok"


def test_what_a_short_owes_lowers_buying_power_until_it_is_paid() -> None:
    stage, no = begun("30000")
    stage.order(no, "sell", "100")
    stage.announce(
        id="d", type="cash_dividend", symbol="AAA", rate="2", ex_date="2026-08-06", payable_date="2026-08-10"
    )
    stage.go("2026-08-05 19:59")
    world = stage.engine.world
    before = buying_power(stage.book(no), world), withdrawable(stage.book(no), world)
    stage.go("2026-08-05 20:01")
    book = stage.book(no)
    assert (buying_power(book, world), withdrawable(book, world)) == (
        before[0] - 200 * DOLLAR,
        before[1] - 200 * DOLLAR,
    )
    shown = render_account(book, "n", "free", world)
    assert [(row["receivable"], row["payable_date"]) for row in shown["dividends"]] == [("-200", "2026-08-10")]
    stage.go("2026-08-10 04:01")
    assert render_account(book, "n", "free", world)["dividends"] == []
    assert book.cash == 30_000 * DOLLAR + 10_000 * DOLLAR - 200 * DOLLAR


POWERS = ("buying_power", "regt_buying_power", "options_buying_power", "non_marginable_buying_power", "withdrawable")
OWN = POWERS[2:]
"""What an account does with its own money only."""


@pytest.mark.parametrize("most", ["1", "2"])
@pytest.mark.parametrize("covered", [False, True])
def test_what_a_short_owes_is_subtracted_once_and_paying_it_takes_nothing_of_own_money(
    most: str, covered: bool
) -> None:
    stage, no = begun("30000")
    stage.do(no, ConfigureAccount(max_margin_multiplier=most))
    stage.order(no, "sell", "100")
    stage.announce(
        id="d", type="cash_dividend", symbol="AAA", rate="2", ex_date="2026-08-06", payable_date="2026-08-10"
    )
    shown = []
    for moment in ("2026-08-05 19:59:59", "2026-08-05 20:00:01", "2026-08-10 03:59:59", "2026-08-10 04:00:01"):
        stage.go(moment)
        account = render_account(stage.book(no), "n", "free", stage.engine.world)
        shown.append({name: float(account[name]) for name in POWERS})
        if covered and len(shown) == 2:
            stage.go("2026-08-07 10:00")
            stage.quote("AAA", 100, 100)
            stage.order(no, "buy", "100")
    assert stage.book(no).cash == (29_800 if covered else 39_800) * DOLLAR
    before, owing, last, paid = shown
    assert {name: before[name] - owing[name] for name in POWERS} == dict.fromkeys(POWERS, 200)
    # What leverage had lent on the money that is gone now goes with it.
    lent = 200 * (int(most) - 1)
    assert {name: last[name] - paid[name] for name in POWERS} == {name: 0 if name in OWN else lent for name in POWERS}


def test_an_account_shows_what_is_to_come() -> None:
    stage, no = begun()
    stage.order(no, "buy", "10")
    stage.announce(**SPLIT)
    stage.announce(**{**SPLIT, "id": "other", "symbol": "BBB"})
    coming = render_account(stage.book(no), "n", "free", stage.engine.world)["corporate_actions_to_come"]
    assert coming == [{"ca_id": "s", "type": "forward_split", "symbol": "AAA", "effective_date": "2026-08-06"}]
    night(stage)
    assert render_account(stage.book(no), "n", "free", stage.engine.world)["corporate_actions_to_come"] == []


def test_a_correction_of_the_date_moves_the_action() -> None:
    stage, no = begun()
    stage.order(no, "buy", "10")
    stage.announce(**SPLIT)
    night(stage)
    assert stage.book(no).positions["AAA"].qty == 40 * SHARE
    stage.announce(**{**SPLIT, "ex_date": "2026-08-10"})
    stage.go("2026-08-07 10:00")
    assert stage.book(no).positions["AAA"].qty == 10 * SHARE
    stage.go("2026-08-09 20:01")
    assert stage.engine.failures == []
    assert stage.book(no).positions["AAA"].qty == 40 * SHARE
    assert stage.book(no).actions["s"].stage == "applied"


def test_a_reset_account_is_owed_nothing_of_before() -> None:
    from actors.commands import ResetAccount

    stage, no = begun()
    stage.order(no, "buy", "10")
    stage.announce(
        id="d", type="cash_dividend", symbol="AAA", rate="2", ex_date="2026-08-06", payable_date="2026-08-10"
    )
    night(stage)
    stage.do(no, ResetAccount(cash="500"))
    stage.go("2026-08-11 10:00")
    assert stage.book(no).cash == 500 * DOLLAR
    stage.announce(
        id="d", type="cash_dividend", symbol="AAA", rate="3", ex_date="2026-08-06", payable_date="2026-08-10"
    )
    stage.go("2026-08-11 11:00")
    assert stage.engine.failures == []
    assert stage.book(no).cash == 500 * DOLLAR


# ── calls before an ex-date ──────────────────────────────────────────────────────────────────────────────


def short_call(rate: str, *, special: bool = False) -> tuple[Stage, int]:
    stage, no = begun("1000000")
    for symbol, cents in ((CALL, 1_010), (HIGHER, 100)):
        stage.now += 1
        stage.engine.tape(Quote(symbol, cents * 100, 900, cents * 100 + 100, 900, stage.now))
    stage.hold(no, CALL, -20 * SHARE, -20_000 * DOLLAR)
    stage.announce(id="d", type="cash_dividend", symbol="AAA", rate=rate, special=special, ex_date="2026-08-07")
    return stage, no


def test_short_calls_are_warned_of_a_dividend_and_assigned_for_it_the_evening_before() -> None:
    stage, no = short_call("2")
    stage.go("2026-08-05 19:00")
    (warned,) = stage.events(no, e.OptionWarned)
    assert (warned.kind, warned.symbols, warned.numbers["ex_date"]) == (
        "dividend_assignment_risk", (CALL,), "2026-08-07"
    )  # fmt: skip
    assert not stage.events(no, e.OptionAssigned)
    stage.go("2026-08-06 19:00")
    (assigned,) = stage.events(no, e.OptionAssigned)
    assert assigned.rule == "dividend"
    count = assigned.qty // SHARE
    assert 10 <= count <= 20  # of 0.93 each
    stage.go("2026-08-07 05:00")
    assert stage.engine.failures == []
    # The shares left before the ex-date: whoever was assigned is short of them and owes the dividend.
    paid = [event.net_money for event in stage.events(no, e.ActivityBooked) if event.activity_type == "DIV"]
    assert paid == [-200 * count * DOLLAR]


@pytest.mark.parametrize(("rate", "special"), [("0.05", False), ("2", True)])
def test_small_and_special_dividends_call_nobody(rate: str, special: bool) -> None:
    stage, no = short_call(rate, special=special)
    stage.go("2026-08-06 19:00")
    assert not stage.events(no, e.OptionWarned)
    assert not stage.events(no, e.OptionAssigned)


def test_models_know_announced_dividends() -> None:
    stage, _ = begun()
    world = stage.engine.world
    assert with_dividends(PricingInputs(), world) == PricingInputs()
    for name, more in (
        ("a", {"rate": "0.25"}), ("b", {"rate": "0.5", "ex_date": "2026-08-20"}), ("c", {"rate": "3", "special": True}),
        ("d", {"rate": "7", "ex_date": "2026-08-13"}),
    ):  # fmt: skip
        words = {"id": name, "type": "cash_dividend", "symbol": "AAA", "ex_date": "2026-08-07", **more}
        assert stage.announce(**words) is None
    stage.withdraw("d")
    coming = with_dividends(PricingInputs(), world).dividends["AAA"]
    assert [(known.ex_at, known.amount) for known in coming] == [
        (when("2026-08-07 09:30"), 0.25), (when("2026-08-20 09:30"), 0.5)
    ]  # fmt: skip
    stage.go("2026-08-07 10:00")
    assert [known.amount for known in with_dividends(PricingInputs(), world).dividends["AAA"]] == [0.5]


def test_a_trailing_stop_keeps_its_mark_over_a_new_name_and_ends_with_a_split() -> None:
    stage, no = begun()
    stage.order(no, "buy", "10")
    trailing = {"side": "sell", "type": "trailing_stop", "trail_price": "5.00"}
    place(stage, no, qty="4", **trailing)
    place(stage, no, qty="3", limit_price="150.00", side="sell")
    for number in (104, 108, 107):
        stage.now += 1
        stage.engine.tape(Trade("AAA", number * 10_000, 100, stage.now))
    stage.announce(id="n", type="name_change", old_symbol="AAA", new_symbol="AAAD", process_date="2026-08-06")
    stage.announce(**{**SPLIT, "symbol": "AAAD", "ex_date": "2026-08-07"})
    night(stage)
    orders = [order.terms for order in stage.book(no).orders.values()]
    assert [(terms.symbol, terms.high_water_mark, terms.limit_price) for terms in orders] == [
        ("AAAD", 1_080_000, 0), ("AAAD", 0, 1_500_000)
    ]  # fmt: skip
    assert stage.engine.world.mark("AAAD") == 1_070_000
    stage.go("2026-08-06 20:01")
    assert [event.reason for event in stage.events(no, e.OrderCanceled)] == ["corporate_action"]
    assert live(stage, no) == [("new", 3, 1_500_000, 0)]
