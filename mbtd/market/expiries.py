"""Which dates options expire on, when they trade last, and until when a holder decides.

Invariants: every date follows from a rule and the calendar's closed days, never from a stored list; a date that
falls on a holiday moves to the exchange day before it, only a Monday weekly moves on to the next one
(margin-and-options §5.2). An expiry of an AM-settled class trades last on the exchange day before it.

Known limits: what a feed lists is the truth; these rules generate the synthetic chains and check the feed. A
Wednesday that is skipped for a company's earnings is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, Literal

from msgspec import Struct

from actors.book.units import NS_PER_SECOND
from mbtd.market.calendar import Calendar, to_date, to_int
from mbtd.market.contracts import INDEX_CLASSES, RootClass, root_class

Kind = Literal["monthly", "weekly", "daily", "month_end", "quarterly"]

_ONE_DAY: Final = timedelta(days=1)
_MONDAY, _WEDNESDAY, _FRIDAY = 0, 2, 4
_VOLATILITY_DAYS: Final = 30
_DECISION_NS: Final = 90 * 60 * NS_PER_SECOND
_LATE_NS: Final = 15 * 60 * NS_PER_SECOND
CLOSEOUT_NS: Final = 30 * 60 * NS_PER_SECOND
"""Under the expiry policy ``closeout``: so long before the close it begins, so long after it instructions end."""
QUARTERLY_FUNDS: Final = frozenset({"SPY", "QQQ", "IWM", "DIA"})


class Expiry(Struct, frozen=True, order=True):
    """One expiry of a class; sorts by date."""

    settles_on: int
    """YYYYMMDD of the price that settles it."""
    last_trading_day: int
    osi_date: int
    """As symbols say it."""
    kind: Kind = "weekly"


def monthly(calendar: Calendar, year: int, month: int, kind: RootClass | None = None) -> Expiry:
    """The standard expiry of a month: the third Friday, of volatility classes a Wednesday 30 days before one."""
    if kind is not None and kind.programme == "volatility":
        return _volatility_expiry(calendar, year, month)
    last, osi_date = calendar.monthly_expiry(year, month)
    if kind is not None and kind.settles == "am":
        return Expiry(last, _before(calendar, last), osi_date, "monthly")
    return Expiry(last, last, osi_date, "monthly")


def expiries_between(root: str, first: int, last: int, calendar: Calendar) -> list[Expiry]:
    """Every expiry of a root that settles between two dates, both included; of two kinds on a date the higher."""
    kind = root_class(root)
    found: dict[int, Expiry] = {}
    for expiry in _all(root, kind, to_date(first), to_date(last), calendar):
        if first <= expiry.settles_on <= last:
            found.setdefault(expiry.settles_on, expiry)
    return sorted(found.values())


def expiry_of(root: str, osi_date: int, calendar: Calendar) -> Expiry:
    """The dates of a contract whose symbol says ``osi_date``; raises :class:`CalendarError` outside the calendar."""
    settles_on = calendar.last_trading_day(osi_date)
    kind = INDEX_CLASSES.get(root)
    if kind is not None and kind.settles == "am":
        return Expiry(settles_on, _before(calendar, settles_on), osi_date, "monthly")
    return Expiry(settles_on, settles_on, osi_date)


def decision_cutoff(calendar: Calendar, day: int) -> int:
    """Until when a holder decides on contracts that expire on ``day``: 90 minutes after the close (FINRA 2360)."""
    return _close(calendar, day) + _DECISION_NS


def trading_ends(calendar: Calendar, day: int, last_trading_day: int, trades_late: bool) -> int:
    """When a contract stops trading on ``day``: at the close, or 15 minutes later on days other than its last."""
    late = trades_late and day != last_trading_day and not calendar.is_half_day(day)
    return _close(calendar, day) + (_LATE_NS if late else 0)


def _close(calendar: Calendar, day: int) -> int:
    return calendar.trading_day(day).core_closes_at


def _all(root: str, kind: RootClass, first: date, last: date, calendar: Calendar) -> Iterator[Expiry]:
    """Candidates from a little before ``first`` to a little after ``last``, the higher kinds first."""
    months = list(_months(first - timedelta(days=40), last + timedelta(days=40)))
    for year, month in months:
        if kind.programme != "index_daily":
            yield monthly(calendar, year, month, kind)
    if kind.programme in ("index_monthly", "volatility"):
        return
    if root in QUARTERLY_FUNDS or kind.programme == "index_daily":
        for year, month in months:
            if kind.programme == "index_daily" or month % 3 == 0:
                end = _month_end(calendar, year, month)
                yield Expiry(end, end, end, "quarterly" if month % 3 == 0 else "month_end")
    day = first - timedelta(days=7)
    while day <= last + timedelta(days=7):
        weekly = _weekly(kind, day, calendar)
        if weekly is not None:
            yield weekly
        day += _ONE_DAY


def _weekly(kind: RootClass, day: date, calendar: Calendar) -> Expiry | None:
    weekday = day.weekday()
    if weekday > _FRIDAY:
        return None
    if weekday != _FRIDAY:
        daily = kind.programme in ("index_daily", "fund_daily")
        midweek = kind.programme == "stock_daily" and weekday in (_MONDAY, _WEDNESDAY)
        if not (daily or midweek):
            return None
    settles = _after(calendar, day) if weekday == _MONDAY else calendar.last_trading_day(to_int(day))
    return Expiry(settles, settles, settles, "weekly" if weekday == _FRIDAY else "daily")


def _volatility_expiry(calendar: Calendar, year: int, month: int) -> Expiry:
    """30 days before the third Friday of the month after; a holiday on either day moves it back by one."""
    following = date(year + month // 12, month % 12 + 1, 1)
    friday = following + timedelta(days=(_FRIDAY - following.weekday()) % 7 + 14)
    wednesday = friday - timedelta(days=_VOLATILITY_DAYS)
    settles = to_int(wednesday)
    if calendar.is_market_holiday(settles) or calendar.is_market_holiday(to_int(friday)):
        settles = _before(calendar, settles)
    return Expiry(settles, _before(calendar, settles), settles, "monthly")


def _month_end(calendar: Calendar, year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return calendar.last_trading_day(to_int(following - _ONE_DAY))


def _months(first: date, last: date) -> Iterator[tuple[int, int]]:
    number = first.year * 12 + first.month - 1
    while number <= last.year * 12 + last.month - 1:
        year, month = divmod(number, 12)
        yield year, month + 1
        number += 1


def _before(calendar: Calendar, day: int) -> int:
    return calendar.last_trading_day(to_int(to_date(day) - _ONE_DAY))


def _after(calendar: Calendar, day: date) -> int:
    while not calendar.is_exchange_day(to_int(day)):
        day += _ONE_DAY
    return to_int(day)
