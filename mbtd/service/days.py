"""Trading days in Alpaca's calendar shape (alpaca-api §4.7)."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from actors.book.units import format_time
from mbtd.market.calendar import Calendar, to_int
from mbtd.rpc.errors import refuse

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
DAYS_MAX = 500


def _day(text: str, field: str) -> int:
    try:
        day = date.fromisoformat(text) if _DATE.match(text) else None
    except ValueError:
        day = None
    if day is None:
        refuse("invalid_params", f"{field} is not a date such as 2026-11-24", field=field)
    return to_int(day)


def _text(day: int) -> str:
    return f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def trading_days(calendar: Calendar, start: str, end: str) -> list[dict[str, Any]]:
    """Trading days from ``start`` to ``end``; at most 500.

    ``open`` and ``close`` are the hours of the official auctions, ``session_open`` and ``session_close`` the bounds
    of trading: in a market that never closes those of the trade date, from the close of the eve to its own.
    """
    first, last = _day(start, "start"), _day(end, "end")
    try:
        day = first if calendar.is_trading_day(first) else calendar.next_trading_day(first)
        days: list[dict[str, Any]] = []
        while day <= last and len(days) < DAYS_MAX:
            trading = calendar.trading_day(day)
            text = _text(day)
            days.append(
                {
                    "date": text,
                    "open": format_time(calendar.opening_auction_at(day)),
                    "close": format_time(trading.core_closes_at),
                    "session_open": format_time(trading.pre_opens_at),
                    "session_close": format_time(trading.post_closes_at),
                    "settlement_date": _text(calendar.settlement_date(day)),
                }
            )
            day = calendar.next_trading_day(day)
    except ValueError as error:
        refuse("invalid_params", str(error), field="start")
    return days
