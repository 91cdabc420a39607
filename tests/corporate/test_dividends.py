"""Cash dividends: who is owed what at the roll, when it is paid, and what orders become (rules §4.1, §5)."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.commands import ReplaceOrder
from tests.corporate.rig import CALENDAR, Stage
from tests.money.rig import DOLLAR

SHARE = 10**9


def opened(side: str = "buy", qty: str = "100") -> tuple[Stage, int]:
    bench = Stage("2026-08-03 10:00", ("AAA",))
    bench.quote("AAA", 100)
    no = bench.account("100000")
    if qty != "0":
        bench.order(no, side, qty)
    return bench, no


def announce(bench: Stage, **more: Any) -> Refusal | None:
    terms = {"id": "ca-1", "symbol": "AAA", "rate": "0.25", "ex_date": "2026-08-05", "payable_date": "2026-08-10"}
    return bench.announce(type="cash_dividend", **{**terms, **more})


def paid(bench: Stage, no: int) -> list[tuple[str, int]]:
    booked = [event for event in bench.events(no, e.ActivityBooked) if event.activity_type == "DIV"]
    return [(event.activity_sub_type, event.net_money) for event in booked]


@pytest.mark.parametrize(("side", "expected"), [("buy", ("CDIV", 25 * DOLLAR)), ("sell", ("CDIV", -25 * DOLLAR))])
def test_who_holds_at_the_roll_is_paid_and_who_is_short_pays(side: str, expected: tuple[str, int]) -> None:
    bench, no = opened(side)
    announce(bench)
    bench.go("2026-08-04 19:59")
    assert not bench.book(no).actions
    bench.go("2026-08-04 20:01")
    assert [pay.money for pay in bench.book(no).actions["ca-1"].pays] == [expected[1]]
    cash = bench.book(no).cash
    bench.go("2026-08-10 03:59")
    assert (paid(bench, no), bench.book(no).cash) == ([], cash)
    bench.go("2026-08-10 04:01")
    assert paid(bench, no) == [expected]
    assert bench.book(no).cash == cash + expected[1]


def test_selling_on_the_ex_date_keeps_it_and_buying_then_does_not_earn_it() -> None:
    bench, no = opened()
    late = bench.account("100000")
    announce(bench)
    bench.go("2026-08-05 10:00")
    bench.quote("AAA", 100)
    bench.order(no, "sell", "100")
    bench.order(late, "buy", "100")
    bench.go("2026-08-11 10:00")
    assert paid(bench, no) == [("CDIV", 25 * DOLLAR)]
    assert paid(bench, late) == []


def test_one_id_happens_once_and_a_late_one_takes_what_was_held_at_its_roll() -> None:
    bench, no = opened()
    announce(bench)
    announce(bench)
    bench.go("2026-08-11 10:00")
    announce(bench)
    assert paid(bench, no) == [("CDIV", 25 * DOLLAR)]
    bench.quote("AAA", 100)
    bench.order(no, "sell", "50")
    announce(bench, id="ca-2", rate="0.10", confirmed=True)
    bench.engine.run_timers_through(bench.now + 1)
    assert paid(bench, no)[1:] == [("CDIV", 10 * DOLLAR)]


def test_it_outlives_a_restart() -> None:
    bench, no = opened()
    announce(bench)
    bench.go("2026-08-05 10:00")
    again = Stage("2026-08-03 10:00", ("AAA",))
    for step in bench.engine.take_steps():
        again.engine.restore_step(step)
    again.engine.refeed(CALENDAR.session_at(bench.now))
    again.engine.waits.arm_all(again.book(no))
    again.now = bench.now
    again.go("2026-08-10 05:00")
    assert paid(again, no) == [("CDIV", 25 * DOLLAR)]


def prices(bench: Stage, no: int) -> list[tuple[str, str, int]]:
    orders = bench.book(no).orders.values()
    return sorted((o.terms.side, o.terms.type, o.limit_price or o.terms.stop_price) for o in orders)


def test_buy_limits_and_sell_stops_follow_and_others_stay() -> None:
    bench, no = opened()
    other = bench.account("100000")
    bench.order(other, "buy", "100")
    gtc = {"time_in_force": "gtc"}
    for side, qty, terms in (
        ("buy", "10", {"type": "limit", "limit_price": "90.10"}),
        ("buy", "10", {"type": "stop", "stop_price": "130.00"}),
        ("buy", "1", {"type": "limit", "limit_price": "0.20"}),
        ("sell", "10", {"type": "stop", "stop_price": "80.00"}),
        ("sell", "10", {"type": "limit", "limit_price": "120.00"}),
    ):
        assert not isinstance(bench.order(no if side == "buy" else other, side, qty, **terms, **gtc), Refusal)
    held, reserved = dict(bench.book(other).held), bench.book(no).reserved_money
    announce(bench)
    bench.go("2026-08-04 21:00")
    assert prices(bench, no) == [("buy", "limit", 898_500), ("buy", "stop", 1_300_000)]
    assert prices(bench, other) == [("sell", "limit", 1_200_000), ("sell", "stop", 797_500)]
    assert [event.reason for event in bench.events(no, e.OrderCanceled)] == ["corporate_action"]
    assert bench.book(other).held == held
    assert 0 < bench.book(no).reserved_money < reserved
    # What was adjusted is an order like any other: it can be changed, and fills at its new price.
    bench.go("2026-08-05 10:00")
    buy = next(order for order in bench.book(no).orders.values() if order.limit_price == 898_500)
    assert not isinstance(bench.do(no, ReplaceOrder(order_id=buy.terms.order_id, qty="12")), Refusal)
    bench.quote("AAA", 89.85)
    bench.engine.run_timers_through(bench.now + 10**10)
    assert bench.book(no).positions["AAA"].qty == 112 * SHARE


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"rate": "0"}, "rate"),
        ({"rate": "x"}, "rate"),
        ({"ex_date": "2026-08-08"}, "ex_date"),  # a Saturday
        ({"ex_date": "20260805"}, "ex_date"),
        ({"payable_date": "2099-13-45"}, "payable_date"),
        ({"id": ""}, "id"),
    ],
)
def test_what_cannot_be_is_refused(more: dict[str, Any], field: str) -> None:
    bench, no = opened()
    outcome = announce(bench, **more)
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.field) == ("invalid_corporate_action", field)
    assert not bench.book(no).actions


@pytest.mark.parametrize(
    ("qty", "rate", "money"),
    [
        (2_607_144_585, "0.3", 780_000),
        (-SHARE, "0.005", -10_000),
    ],  # 0.782 dollars; half a cent goes away from nothing
)
def test_money_is_whole_cents(qty: int, rate: str, money: int) -> None:
    bench = Stage("2026-08-03 10:00", ("AAA",))
    no = bench.account("100000")
    bench.hold(no, "AAA", qty, qty // 10)
    announce(bench, rate=rate)
    bench.go("2026-08-10 05:00")
    assert paid(bench, no) == [("CDIV", money)]


def test_a_lowered_price_is_rounded_down_to_the_cent() -> None:
    bench, no = opened()
    bench.order(no, "buy", "10", type="limit", limit_price="90.00", time_in_force="gtc")
    announce(bench, rate="0.125")
    bench.go("2026-08-04 21:00")
    assert ("buy", "limit", 898_700) in prices(bench, no)
