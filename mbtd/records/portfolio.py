"""The moments and the arrays of a portfolio history (alpaca-api §4.4).

Invariants: no point lies in the future or before the account; arrays are parallel and hold no null; profit and
loss leave out money that came from or went outside. A daily point carries midnight New York of its trade
date and stands for its end. Known limit: past prices come from the bars that are kept; where there is none, the
last known price stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any, Final, Literal

from msgspec import Struct

from actors.book.units import MONEY_PER_CENT, NS_PER_SECOND, divide_half_even
from mbtd.market.calendar import Calendar, TradingDay, new_york_ns, to_date, to_int
from mbtd.records.equity import Change

Timeframe = Literal["1Min", "5Min", "15Min", "1H", "1D"]
_STEP_NS: Final = {
    "1Min": 60 * NS_PER_SECOND,
    "5Min": 300 * NS_PER_SECOND,
    "15Min": 900 * NS_PER_SECOND,
    "1H": 3600 * NS_PER_SECOND,
}
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,3})([DWMA])\Z")
_DAYS: Final = {"D": 1, "W": 7, "M": 30, "A": 365}
_MINUTE_DAYS: Final = 7
_INTRADAY_DAYS: Final = 30
POINTS_MAX: Final = 12_000


class BadRequest(ValueError):
    """A parameter that cannot be served: its name and one sentence."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class Span(Struct, frozen=True):
    """What a request asks for, in dates and steps."""

    timeframe: Timeframe
    first: int
    """Trade date of the first day."""
    from_at: int
    until_at: int
    reporting: Literal["market_hours", "extended_hours", "continuous"] = "market_hours"
    per_day: bool = True


class Point(Struct, frozen=True):
    """One moment: what clients see as its time, and the instant that is valued."""

    timestamp: int
    """Seconds."""
    at: int
    trade_date: int


def read_span(
    calendar: Calendar,
    now: int,
    *,
    period: str | None,
    timeframe: str | None,
    start: int | None,
    end: int | None,
    reporting: str,
    pnl_reset: str,
) -> Span:
    """The days and steps that a request means. Raises :class:`BadRequest`."""
    if start is not None and end is not None and period is not None:
        raise BadRequest("period", "give at most two of start, end and period")
    until_at = min(now, end) if end is not None else now
    if start is not None and period is not None:
        until_at = min(now, start + _length(period) * 86_400 * NS_PER_SECOND)
    if start is None:
        first = _first_day(calendar, until_at, period or "1M")
        from_at = calendar.trading_day(first).overnight_opens_at
        days = _length(period or "1M")
    else:
        if start > until_at:
            raise BadRequest("start", "start lies after the end")
        first = _trade_date(calendar, start)
        from_at = start
        days = max(1, -(-(until_at - start) // (86_400 * NS_PER_SECOND)))
    frame = timeframe or ("1Min" if days < _MINUTE_DAYS else "15Min" if days < _INTRADAY_DAYS else "1D")
    if frame not in (*_STEP_NS, "1D"):
        raise BadRequest("timeframe", "timeframe is one of 1Min, 5Min, 15Min, 1H and 1D")
    if frame == "1Min" and days > _MINUTE_DAYS:
        raise BadRequest("timeframe", "1Min is served for at most 7 days")
    if frame != "1D" and days > _INTRADAY_DAYS:
        raise BadRequest("timeframe", "intraday timeframes are served for at most 30 days")
    return Span(
        frame,  # type: ignore[arg-type]
        first,
        from_at,
        until_at,
        reporting,  # type: ignore[arg-type]
        frame != "1D" and pnl_reset == "per_day",
    )


def _length(period: str) -> int:
    match = _PERIOD.match(period)
    if match is None:
        raise BadRequest("period", "period is a number with D, W, M or A, such as 1M")
    return int(match[1]) * _DAYS[match[2]]


def _trade_date(calendar: Calendar, at: int) -> int:
    return calendar.session_at(at).trade_date


def _first_day(calendar: Calendar, until_at: int, period: str) -> int:
    """``nD`` counts trading days; the others count on the calendar, by whole months and years."""
    days = _length(period)
    last = _trade_date(calendar, until_at)
    unit = period[-1]
    if unit == "D":
        first = last
        for _ in range(days - 1):
            first = calendar.previous_trading_day(first)
        return first
    day = to_date(last)
    if unit == "W":
        day -= timedelta(days=days)
    else:
        day = _months_before(day, int(period[:-1]) * (1 if unit == "M" else 12))
    return calendar.next_trading_day(to_int(day))


def _months_before(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 - months
    year, month = divmod(count, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise BadRequest("period", "the period reaches before the calendar")


def points(span: Span, calendar: Calendar, created_at: int) -> list[Point]:
    """The moments of a span, oldest first, none before the account existed.

    An account too young for any of them has one: the end of the span.
    """
    found = _regular(span, calendar, created_at)
    if not found and span.from_at < created_at <= span.until_at:
        at = span.until_at
        return [Point(at // NS_PER_SECOND, at, _trade_date(calendar, at))]
    return found


def _regular(span: Span, calendar: Calendar, created_at: int) -> list[Point]:
    found: list[Point] = []
    day = span.first
    if created_at > span.from_at:
        day = max(day, _trade_date(calendar, created_at))
    while True:
        trading = calendar.trading_day(day)
        if trading.overnight_opens_at > span.until_at or len(found) > POINTS_MAX:
            return found[:POINTS_MAX]
        if span.timeframe == "1D":
            at = min(trading.post_closes_at, span.until_at)
            found.append(Point(new_york_ns(to_date(day), time()) // NS_PER_SECOND, at, day))
        else:
            found += _within(span, trading.trade_date, *_hours(span, trading), created_at)
        day = calendar.next_trading_day(day)


def _hours(span: Span, trading: TradingDay) -> tuple[int, int]:
    if span.reporting == "market_hours":
        return trading.core_opens_at, trading.core_closes_at
    if span.reporting == "extended_hours":
        return trading.pre_opens_at, trading.post_closes_at
    return trading.overnight_opens_at, trading.post_closes_at


def _within(span: Span, day: int, opens: int, closes: int, created_at: int) -> list[Point]:
    step = _STEP_NS[span.timeframe]
    begin = max(opens, span.from_at, created_at)
    first = opens + -(-(begin - opens) // step) * step
    return [Point(at // NS_PER_SECOND, at, day) for at in range(first, min(closes, span.until_at) + 1, step)]


class Start(Struct, frozen=True):
    """What profit is counted from: an instant and the equity then."""

    at: int
    equity: int


def render_history(
    span: Span,
    moments: Sequence[Point],
    equities: Sequence[int],
    base: Start,
    base_date: int,
    flows_after: int,
    starts: Mapping[int, Start],
    changes: Sequence[Change],
    flow_types: Sequence[str],
) -> dict[str, Any]:
    """Alpaca's answer. ``base`` is where profit is counted from, ``starts`` the same for each trade date, no earlier
    than the account; cash flows are those after ``flows_after``, so what it was opened with is among them."""
    flows = sorted((c for c in changes if c.flow), key=lambda c: c.at)
    losses, shares = [], []
    for point, equity in zip(moments, equities, strict=True):
        start = starts[point.trade_date] if span.per_day else base
        came = sum(c.cash for c in flows if start.at < c.at <= point.at)
        profit = equity - start.equity - came
        whole = start.equity if start.equity > 0 else came
        losses.append(profit)
        shares.append(profit / whole if whole > 0 else 0.0)
    return {
        "timestamp": [point.timestamp for point in moments],
        "equity": [_dollars(value) for value in equities],
        "profit_loss": [_dollars(value) for value in losses],
        "profit_loss_pct": [round(share, 8) for share in shares],
        "base_value": _dollars(base.equity),
        "base_value_asof": to_date(base_date).isoformat() if base_date else None,
        "timeframe": span.timeframe,
        "cashflow": {kind: _flow_array(moments, flows, kind, flows_after) for kind in flow_types},
    }


def _flow_array(moments: Sequence[Point], flows: Sequence[Change], kind: str, before: int) -> list[float]:
    found = []
    for point in moments:
        found.append(_dollars(sum(c.cash for c in flows if c.flow == kind and before < c.at <= point.at)))
        before = point.at
    return found


def _dollars(money: int) -> float:
    return divide_half_even(money, MONEY_PER_CENT) / 100
