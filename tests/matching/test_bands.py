"""Price bands and the short-sale restriction computed from prints (rules §11, §12)."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.book import events as e
from actors.inputs import Step
from actors.market.bands import Bands, limits
from actors.market.messages import FeedState, Status, Trade
from tests.money.rig import CALENDAR, INSTRUMENTS, SECOND, Bench

DAY = 20260803


def opened(at: str = "2026-08-03 10:00", close_date: int = 20260731) -> tuple[Bench, int]:
    bench = Bench(at)
    bench.engine.reference((replace(INSTRUMENTS[0], previous_close_date=close_date),), bench.now)
    bench.quote("AAA", 100.00, 100.02)
    return bench, bench.account("10000000", profile="realistic")


def printed(bench: Bench, price: float, **more: Any) -> None:
    bench.now += 1
    bench.engine.tape(Trade("AAA", round(price * 10_000), 100, bench.now, **more))


def bands(bench: Bench) -> tuple[int, int]:
    status = bench.engine.world.board.slots["AAA"].status
    return (status.luld_lower // 100, status.luld_upper // 100) if status is not None else (0, 0)


def wait(bench: Bench, seconds: int) -> None:
    bench.now += seconds * SECOND
    bench.engine.run_timers_through(bench.now)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(9_000, 11_000)), min_size=1, max_size=60))
def test_the_reference_is_the_mean_of_five_minutes_and_moves_by_a_hundredth(steps: list[tuple[int, int]]) -> None:
    found, at, seen, reference = Bands(DAY), 0, [], Fraction(0)
    for wait_s, price in steps:
        at += wait_s * SECOND
        seen.append((at, price))
        found.note(at, price)
        window = [p for t, p in seen if t > at - 300 * SECOND]
        mean = floor(Fraction(sum(window), len(window)) + Fraction(1, 2))
        if not reference or abs(mean - reference) / reference >= Fraction(1, 100):
            reference = Fraction(mean)
        assert found.reference == reference


@pytest.mark.parametrize(
    ("reference", "close", "leverage", "last_part", "expected"),
    [
        (1_000_000, 1_000_000, 1, False, (900_000, 1_100_000)),
        (1_000_000, 1_000_000, 1, True, (900_000, 1_100_000)),  # not doubled above $3 in the second tier
        (1_000_000, 1_000_000, 3, False, (700_000, 1_300_000)),
        (20_000, 30_000, 1, False, (16_000, 24_000)),
        (20_000, 30_000, 1, True, (12_000, 28_000)),
        (5_000, 7_000, 1, False, (3_500, 6_500)),  # 15 cents are less than 75 %
        (1_000, 1_000, 1, False, (300, 1_800)),
    ],
)
def test_bands_by_price(
    reference: int, close: int, leverage: int, last_part: bool, expected: tuple[int, int]
) -> None:
    assert limits(reference, close, leverage, last_part) == expected


def test_a_purchase_waits_outside_the_band_and_fills_inside() -> None:
    bench, no = opened()
    printed(bench, 100)
    assert bands(bench) == (9_000, 11_000)
    bench.quote("AAA", 110.50, 110.60)
    bench.order(no, "buy", "100")
    wait(bench, 1)
    book = bench.book(no)
    (order_no,) = book.orders
    assert book.watch[order_no].reason == "luld"
    # A sale there is none of the band's business.
    bench.order(no, "sell", "50", type="limit", limit_price="110.50", time_in_force="ioc")
    # The market stays up there: after five minutes the mean has followed it.
    for _ in range(7):
        wait(bench, 60)
        printed(bench, 110.50)
    bench.quote("AAA", 110.51, 110.60)
    assert not bench.book(no).orders
    assert bench.events(no, e.OrderFilled)[-1].price <= 1_106_000


@pytest.mark.parametrize(
    "why", ["undated", "stale date", "told", "before the open", "gap", "halt", "after the close"]
)
def test_where_nothing_is_computed(why: str) -> None:
    start = "2026-08-03 09:00" if why == "before the open" else "2026-08-03 10:00"
    bench, _ = opened(start, {"undated": 0, "stale date": DAY}.get(why, 20260731))
    if why == "told":
        bench.engine.tape(Status("AAA", "trading", bench.now, "", 500_000, 2_000_000))
    printed(bench, 100)
    if why == "gap":
        assert bands(bench) == (9_000, 11_000)
        bench.engine.tape(FeedState("gap", bench.now, reason="restart"))
    if why == "halt":
        bench.engine.tape(Status("AAA", "halted", bench.now))
    if why == "after the close":
        bench.go("2026-08-03 16:01")
    assert bands(bench) == ((5_000, 20_000) if why == "told" else (0, 0))


def test_a_tenth_below_the_close_restricts_short_sales_today_and_tomorrow() -> None:
    bench, no = opened()
    bench.quote("AAA", 89.99, 90.05)
    printed(bench, 90.01)
    assert short_sale(bench, no) == "take"
    printed(bench, 90.00)
    printed(bench, 89.90)
    assert short_sale(bench, no) == "ssr"
    for date, reason in (("2026-08-04", "ssr"), ("2026-08-05", "take")):
        bench.go(f"{date} 10:00")
        bench.quote("AAA", 95.00, 95.05)
        assert short_sale(bench, no) == reason
    facts = [event for event in house_events(bench) if isinstance(event, e.OfficialPriced)]
    assert [(fact.trade_date, fact.kind) for fact in facts] == [
        (DAY, "short_restricted"),
        (20260804, "short_restricted"),
    ]


def test_the_restriction_outlives_a_restart() -> None:
    bench, no = opened()
    bench.quote("AAA", 89.99, 90.05)
    printed(bench, 89.00)
    again = Bench("2026-08-03 10:00")
    for step in bench.engine.take_steps():
        again.engine.restore_step(step)
    again.engine.refeed(CALENDAR.session_at(bench.now))
    again.now = bench.now
    again.quote("AAA", 95.00, 95.05)
    assert short_sale(again, no) == "ssr"


def house_events(bench: Bench) -> list[Any]:
    steps: list[Step] = bench.engine.steps
    return [
        event for step in steps for section in step.sections if not section.account_no for event in section.events
    ]


def short_sale(bench: Bench, no: int) -> str:
    """How a short sale at the market fares: the fill's reason, or why it waits."""
    before = len(bench.events(no, e.OrderFilled))
    outcome = bench.order(no, "sell", "1", position_intent="sell_to_open")
    wait(bench, 1)
    fills = bench.events(no, e.OrderFilled)
    if len(fills) > before:
        bench.order(no, "buy", "1")
        wait(bench, 1)
        return str(fills[-1].reason)
    reason = str(bench.book(no).watch[outcome.order_no].reason)
    assert bench.book(no).watch[outcome.order_no].place.price == bench.engine.world.board.slots["AAA"].quote.bid + 100
    from actors.commands import CancelAll

    bench.do(no, CancelAll())
    wait(bench, 1)
    return reason
