"""Bars: a naive computation agrees, pieces do not matter, memory is bounded, prints that set no price."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.units import NS_PER_SECOND, parse_time
from actors.market.messages import Quote, Trade
from mbtd.market.bars import MINUTE_NS, Bar, Bars, aggregate, spans_of_minutes
from mbtd.market.calendar import Calendar

START = parse_time("2026-11-24T15:00:00Z")
CALENDAR = Calendar()

trades = st.lists(
    st.builds(
        Trade,
        symbol=st.sampled_from(["A", "B"]),
        price=st.integers(1, 10**7),
        size=st.integers(1, 10**6),
        at=st.integers(START, START + 10 * MINUTE_NS),
        conditions=st.sampled_from(["", "@", "@I", "@F", "W", "@4"]),
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda trade: trade.at))


def naive(tape: list[Trade], symbol: str, size: int) -> list[Bar]:
    found = []
    for start in sorted({trade.at // size * size for trade in tape}):
        counted = [
            t
            for t in tape
            if t.symbol == symbol and t.at // size * size == start and not set(t.conditions) & set("W4")
        ]
        prices = [t.price for t in counted if "I" not in t.conditions]
        if prices:
            turnover = sum(t.price * t.size for t in counted)
            volume = sum(t.size for t in counted)
            found.append(Bar(start, prices[0], max(prices), min(prices), prices[-1], volume, len(counted), turnover))
    return found


@given(trades, st.integers(0, 40))
def test_minutes_agree_with_a_naive_computation(tape: list[Trade], cut: int) -> None:
    bars = Bars()
    bars.apply(tape[:cut])
    bars.apply(tape[cut:])
    for symbol in ("A", "B"):
        expected = naive(tape, symbol, MINUTE_NS)
        assert bars.minutes(symbol) == expected
        assert bars.latest_minute(symbol) == (expected[-1] if expected else None)


@given(trades.map(lambda found: [t for t in found if "I" not in t.conditions]), st.integers(1, 7))
def test_aggregates_agree_with_a_naive_computation(tape: list[Trade], minutes: int) -> None:
    bars = Bars()
    bars.apply(tape)
    assert aggregate(bars.minutes("A"), spans_of_minutes(minutes)) == naive(tape, "A", minutes * MINUTE_NS)


def test_average_price_is_weighted_and_rounds_half_even() -> None:
    bar = Bar(0, 1, 1, 1, 1, 2, 2, 5)
    assert bar.vwap == round(Fraction(5, 2)) == 2
    assert Bar(0, 1, 1, 1, 9, 0, 1, 0).vwap == 9


def test_daily_bars_hold_the_core_session_of_the_trade_date() -> None:
    day = CALENDAR.trading_day(20261124)
    bars = Bars()
    for at in (day.pre_opens_at, day.core_opens_at, day.core_closes_at - 1, day.core_closes_at):
        bars.apply([CALENDAR.session_at(at), Trade("A", at % 997 + 1, 10, at)])
    (daily,) = bars.days("A")
    assert (daily.at, daily.volume) == (20261124, 20)
    assert daily.close == (day.core_closes_at - 1) % 997 + 1
    assert len(bars.minutes("A")) == 4


def test_without_sessions_a_day_is_the_new_york_date() -> None:
    bars = Bars()
    bars.apply(
        [
            Trade("A", 5, 1, parse_time("2026-11-25T04:59:59Z")),
            Trade("A", 6, 1, parse_time("2026-11-25T05:00:00Z")),
        ]
    )
    assert [bar.at for bar in bars.days("A")] == [20261124, 20261125]


def test_memory_is_bounded_and_symbols_can_be_forgotten() -> None:
    bars = Bars(minutes_kept=5, days_kept=2)
    bars.apply(Trade("A", 1 + n, 1, START + n * MINUTE_NS) for n in range(10_000))
    assert [bar.open for bar in bars.minutes("A")] == [9995, 9996, 9997, 9998, 9999, 10000]
    assert len(bars.days("A")) == 3
    bars.forget(["A", "B"])
    assert bars.minutes("A") == bars.days("A") == []
    assert bars.latest_minute("A") is None


def test_option_prints_follow_their_own_codes() -> None:
    symbol = "AAPL261218C00200000"
    bars = Bars()
    bars.apply([Trade(symbol, 500, 2, START, conditions="I"), Trade(symbol, 900, 2, START + 1, conditions="D")])
    bars.apply([Quote(symbol, 1, 1, 2, 1, START + 2)])
    (bar,) = bars.minutes(symbol)
    assert (bar.high, bar.volume) == (500, 2)


@pytest.mark.parametrize("minutes", [0, 1441])
def test_spans_have_limits(minutes: int) -> None:
    with pytest.raises(ValueError, match="a span must be"):
        spans_of_minutes(minutes)
    assert spans_of_minutes(60)(START + 61 * NS_PER_SECOND) == START
