"""Trade dates as the engine sees them: what a day is called, when it begins and ends, when its trades settle.

Invariants: every instant belongs to exactly one trade date, the first whose last session ends after it (the roll,
corporate-actions-and-market-rules §1); dates are integers YYYYMMDD, instants nanoseconds UTC. The engine is handed
a :class:`Days` when it is made and never changes it, so what it answers is as fixed as the code.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Protocol

from msgspec import Struct

from actors.market.messages import FULL_DAY_NS


class TradeDay(Struct, frozen=True, gc=False):
    """One trade date."""

    trade_date: int
    begins_at: int
    """End of the trade date before: from here on, what happens belongs to this one."""
    core_opens_at: int
    core_closes_at: int
    ends_at: int
    """End of its last session; what happens then belongs to the following trade date."""
    previous: int
    following: int
    settles_on: int
    """Settlement date of stock traded on this date (§9)."""
    option_settles_on: int
    nights: int
    """Calendar days to the following trade date: how many days of interest its balance earns or owes (§13)."""

    @property
    def exchange_opens_at(self) -> int:
        """09:30 New York of its own calendar day.

        The core session's open, save in a market that never closes: there a core session begins on the eve.
        """
        if self.begins_at == self.core_opens_at:
            return self.core_closes_at - FULL_DAY_NS
        return self.core_opens_at


class Days(Protocol):
    """The calendar as a pure function."""

    def at(self, at: int) -> TradeDay:
        """The trade date that an instant belongs to."""

    def day(self, trade_date: int) -> TradeDay:
        """A trade date by its number."""


def window_start(days: Days, trade_date: int, count: int) -> int:
    """First of the ``count`` trade dates that end with ``trade_date``."""
    for _ in range(count - 1):
        trade_date = days.day(trade_date).previous
    return trade_date


def after(days: Days, trade_date: int, count: int) -> int:
    """The ``count``-th trade date after ``trade_date``."""
    for _ in range(count):
        trade_date = days.day(trade_date).following
    return trade_date


def plus_days(day: int, count: int) -> int:
    """A date so many calendar days later (or earlier)."""
    moved = date(day // 10_000, day // 100 % 100, day % 100) + timedelta(days=count)
    return moved.year * 10_000 + moved.month * 100 + moved.day


def nights_between(first: int, last: int) -> int:
    """Calendar days from one date to another."""
    return (
        date(last // 10_000, last // 100 % 100, last % 100) - date(first // 10_000, first // 100 % 100, first % 100)
    ).days
