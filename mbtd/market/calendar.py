"""When the market is open: phases, trade dates, settlement dates and expiries of US stocks and options.

Invariants: every instant lies in exactly one phase; starts are inclusive, ends exclusive; wall times are
America/New_York converted with the time-zone database, never a fixed offset; the trade date rolls at 20:00
New York (corporate-actions-and-market-rules §1, §10). Dates are integers YYYYMMDD, instants nanoseconds UTC.

The closed days and early closes are data (``xnys.json``), generated from the exchange-calendars library by
``python -m mbtd.market.make_calendar``: importing that library costs a second that a start cannot spare.

Known limits: the data ends in 2037, and a closure that nobody announced yet is not in it. Options on broad
indexes that trade to 16:15 follow the stock market's hours.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from actors.book.units import NS_PER_SECOND
from actors.market.days import TradeDay
from actors.market.messages import Session

NEW_YORK: Final = ZoneInfo("America/New_York")
Phase = Literal["pre", "core", "post", "overnight", "closed"]

_ONE_DAY: Final = timedelta(days=1)
_ROLL: Final = time(20)
_PRE_OPENS: Final = time(4)
_CORE_OPENS: Final = time(9, 30)
CORE_CLOSES: Final = time(16)
_POST_HOURS: Final = timedelta(hours=4)
_T2_FROM: Final = 20170905
_T1_FROM: Final = 20240528
_SATURDAY_EXPIRIES_BEFORE: Final = 20150201
_SATURDAY: Final = 5
_FRIDAY: Final = 4


class CalendarError(ValueError):
    """A date that the calendar does not know: not a date at all, or outside its data."""


class CalendarData(Struct, frozen=True):
    """The content of ``xnys.json``: what a rule cannot say about the exchange's days."""

    source: str
    first: int
    last: int
    holidays: tuple[int, ...]
    """Weekdays on which the exchange is closed."""
    early_closes: dict[str, str]
    """YYYYMMDD to HH:MM New York."""


class TradingDay(Struct, frozen=True):
    """The instants of one trade date, in order."""

    trade_date: int
    overnight_opens_at: int
    pre_opens_at: int
    core_opens_at: int
    core_closes_at: int
    post_closes_at: int


@lru_cache(maxsize=1)
def load_data() -> CalendarData:
    """The packaged calendar data."""
    text = files("mbtd.market").joinpath("xnys.json").read_bytes()
    return msgspec.json.decode(text, type=CalendarData)


def to_date(day: int) -> date:
    """YYYYMMDD as a date. Raises :class:`CalendarError`."""
    try:
        return date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError:
        raise CalendarError(f"{day} is not a date") from None


def to_int(day: date) -> int:
    """A date as YYYYMMDD."""
    return day.year * 10_000 + day.month * 100 + day.day


def new_york_ns(day: date, at: time) -> int:
    """A New York wall time as nanoseconds UTC."""
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * NS_PER_SECOND


def new_york_date(at: int) -> date:
    """The New York calendar date of an instant."""
    return datetime.fromtimestamp(at // NS_PER_SECOND, NEW_YORK).date()


class Calendar:
    """Sessions of the US stock market (XNYS), or of a market that never closes.

    With ``always_open`` every calendar day is a trade date and the phase is always ``core``: a core session
    runs from 16:00 New York to 16:00 the next day, where day orders end and the next session starts.
    Settlement and expiry dates stay those of the exchange. ``overnight_opens`` is the overnight session's
    start on the eve; the roll of the trade date does not depend on it.
    """

    def __init__(self, *, always_open: bool = False, overnight_opens: time = _ROLL) -> None:
        data = load_data()
        self.always_open = always_open
        self._overnight_opens = overnight_opens
        self._first = to_date(data.first)
        self._last = to_date(data.last)
        self._holidays = frozenset(data.holidays)
        self._early = {int(day): time.fromisoformat(text) for day, text in data.early_closes.items()}
        self._days: dict[int, TradingDay] = {}
        self._sessions: tuple[int, list[int], list[Session]] = (0, [], [])

    def is_trading_day(self, day: int) -> bool:
        """Whether ``day`` is a trade date."""
        return self._is_trading(self._known(to_date(day)))

    def is_exchange_day(self, day: int) -> bool:
        """Whether the exchange itself trades on ``day``, also when this market never closes."""
        return self._is_exchange(self._known(to_date(day)))

    def is_market_holiday(self, day: int) -> bool:
        """Whether ``day`` is a weekday on which the exchange is closed."""
        return day in self._holidays

    def is_half_day(self, day: int) -> bool:
        """Whether the core session of trade date ``day`` ends early."""
        return not self.always_open and day in self._early

    def next_trading_day(self, day: int) -> int:
        """The first trade date after ``day``."""
        return to_int(self._next(to_date(day)))

    def previous_trading_day(self, day: int) -> int:
        """The last trade date before ``day``."""
        return to_int(self._previous(to_date(day)))

    def trading_day(self, day: int) -> TradingDay:
        """The instants of trade date ``day``. Raises :class:`CalendarError` when it is none."""
        if not self.is_trading_day(day):
            raise CalendarError(f"{day} is not a trade date")
        return self._trading_day(to_date(day))

    def opening_auction_at(self, day: int) -> int:
        """When the opening auctions of trade date ``day`` are held: 09:30, also in a market that never closes.

        Raises :class:`CalendarError` when ``day`` is no trade date.
        """
        trading = self.trading_day(day)
        return new_york_ns(to_date(day), _CORE_OPENS) if self.always_open else trading.core_opens_at

    def session_at(self, at: int) -> Session:
        """The phase in force at ``at``, stamped ``at``."""
        starts, sessions = self._around(at)
        return msgspec.structs.replace(sessions[bisect.bisect_right(starts, at) - 1], at=at)

    def next_change(self, at: int) -> Session:
        """The first phase change after ``at``, stamped with its instant."""
        starts, sessions = self._around(at)
        index = bisect.bisect_right(starts, at)
        if index < len(sessions):
            return sessions[index]
        return self._changes_of(self._next(self._trade_date_at(at)))[0]

    def changes(self, from_ns: int, to_ns: int) -> Iterator[Session]:
        """Every phase change at or after ``from_ns`` and before ``to_ns``, each stamped with its instant."""
        at = from_ns - 1
        while (session := self.next_change(at)).at < to_ns:
            yield session
            at = session.at

    def settlement_cycle(self, trade_date: int, asset_class: str = "us_equity") -> int:
        """Days from trade to settlement (§9): options always 1; stocks 1, 2 or 3 by era."""
        if asset_class != "us_equity" or trade_date >= _T1_FROM:
            return 1
        return 2 if trade_date >= _T2_FROM else 3

    def settlement_date(self, trade_date: int, cycle: int | None = None) -> int:
        """The settlement date ``cycle`` settlement days after ``trade_date``; by default the stock cycle."""
        day = to_date(trade_date)
        for _ in range(self.settlement_cycle(trade_date) if cycle is None else cycle):
            day += _ONE_DAY
            while not self._is_settlement(day):
                day += _ONE_DAY
        return to_int(day)

    def is_settlement_day(self, day: int) -> bool:
        """Whether securities settle on ``day``: exchange days but Columbus Day and Veterans Day (§9)."""
        return self._is_settlement(to_date(day))

    def last_trading_day(self, osi_date: int) -> int:
        """The last trading day of a contract whose OSI symbol says ``osi_date``.

        A Saturday of an old contract means the Friday before; a holiday means the exchange day before it.
        """
        day = to_date(osi_date)
        while not self._is_exchange(self._known(day)):
            day -= _ONE_DAY
        return to_int(day)

    def monthly_expiry(self, year: int, month: int) -> tuple[int, int]:
        """Last trading day and OSI date of a standard monthly series (third Friday; §10)."""
        first = date(year, month, 1)
        friday = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
        last = self.last_trading_day(to_int(friday))
        if to_int(friday) < _SATURDAY_EXPIRIES_BEFORE:
            return last, to_int(friday + _ONE_DAY)
        return last, last

    def _known(self, day: date) -> date:
        if not self._first <= day <= self._last:
            raise CalendarError(
                f"{to_int(day)} is outside the calendar, {to_int(self._first)} to {to_int(self._last)}"
            )
        return day

    def _is_exchange(self, day: date) -> bool:
        return day.weekday() < _SATURDAY and to_int(day) not in self._holidays

    def _is_trading(self, day: date) -> bool:
        return self.always_open or self._is_exchange(day)

    def _is_settlement(self, day: date) -> bool:
        return self._is_exchange(self._known(day)) and not _is_bank_holiday(day)

    def _next(self, day: date) -> date:
        day = self._known(day + _ONE_DAY)
        while not self._is_trading(day):
            day = self._known(day + _ONE_DAY)
        return day

    def _previous(self, day: date) -> date:
        day = self._known(day - _ONE_DAY)
        while not self._is_trading(day):
            day = self._known(day - _ONE_DAY)
        return day

    def _trading_day(self, day: date) -> TradingDay:
        key = to_int(day)
        known = self._days.get(key)
        if known is None:
            if len(self._days) > 64:
                self._days.clear()
            known = self._days[key] = self._make_trading_day(day)
        return known

    def _make_trading_day(self, day: date) -> TradingDay:
        key, eve = to_int(day), day - _ONE_DAY
        if self.always_open:
            opens, closes = new_york_ns(eve, CORE_CLOSES), new_york_ns(day, CORE_CLOSES)
            return TradingDay(key, opens, opens, opens, closes, closes)
        close = self._early.get(key, CORE_CLOSES)
        post_close = (datetime.combine(day, close) + _POST_HOURS).time()
        return TradingDay(
            key,
            new_york_ns(eve, self._overnight_opens),
            new_york_ns(day, _PRE_OPENS),
            new_york_ns(day, _CORE_OPENS),
            new_york_ns(day, close),
            new_york_ns(day, post_close),
        )

    def _trade_date_at(self, at: int) -> date:
        """The first trade date whose post session ends after ``at``."""
        day = self._known(new_york_date(at))
        while not (self._is_trading(day) and self._trading_day(day).post_closes_at > at):
            day = self._next(day)
        return day

    def _around(self, at: int) -> tuple[list[int], list[Session]]:
        """Starts and sessions of the trade date that covers ``at``, the first one no later than ``at``."""
        until, starts, sessions = self._sessions
        if not (sessions and starts[0] <= at < until):
            day = self._trade_date_at(at)
            sessions = self._changes_of(day)
            starts = [session.at for session in sessions]
            self._sessions = (self._trading_day(day).post_closes_at, starts, sessions)
        return starts, sessions

    def _changes_of(self, day: date) -> list[Session]:
        """The phases of one trade date, from the end of the previous date's post session."""
        this = self._trading_day(day)
        following = self._trading_day(self._next(day))
        before = self._trading_day(self._previous(day))

        def session(phase: Phase, at: int) -> Session:
            return Session(
                phase=phase,
                at=at,
                trade_date=this.trade_date,
                core_opens_at=this.core_opens_at,
                core_closes_at=this.core_closes_at,
                post_closes_at=this.post_closes_at,
                next_core_opens_at=following.core_opens_at,
                next_core_closes_at=following.core_closes_at,
                next_trade_date=following.trade_date,
            )

        if self.always_open:
            return [session("core", this.core_opens_at)]
        closed = [session("closed", before.post_closes_at)] if before.post_closes_at < this.overnight_opens_at else []
        return [
            *closed,
            session("overnight", this.overnight_opens_at),
            session("pre", this.pre_opens_at),
            session("core", this.core_opens_at),
            session("post", this.core_closes_at),
        ]


class TradeDays:
    """The calendar as the engine's rules see it (:class:`actors.market.days.Days`)."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days: dict[int, TradeDay] = {}

    @property
    def always_open(self) -> bool:
        """Whether every calendar day is a trade date, and always open."""
        return self._calendar.always_open

    def at(self, at: int) -> TradeDay:
        """The trade date that an instant belongs to."""
        return self.day(self._calendar.session_at(at).trade_date)

    def day(self, trade_date: int) -> TradeDay:
        """A trade date by its number. Raises :class:`CalendarError` when it is none."""
        known = self._days.get(trade_date)
        if known is None:
            if len(self._days) > 4096:
                self._days.clear()
            known = self._days[trade_date] = self._make(trade_date)
        return known

    def _make(self, trade_date: int) -> TradeDay:
        calendar = self._calendar
        this = calendar.trading_day(trade_date)
        previous = calendar.previous_trading_day(trade_date)
        following = calendar.next_trading_day(trade_date)
        return TradeDay(
            trade_date,
            calendar.trading_day(previous).post_closes_at,
            this.core_opens_at,
            this.core_closes_at,
            this.post_closes_at,
            previous,
            following,
            calendar.settlement_date(trade_date),
            calendar.settlement_date(trade_date, 1),
            (to_date(following) - to_date(trade_date)).days,
        )


def _is_bank_holiday(day: date) -> bool:
    """Columbus Day, or Veterans Day (Monday if it falls on a Sunday): stocks trade, nothing settles (§9)."""
    if day.month == 10:
        return day.weekday() == 0 and 8 <= day.day <= 14
    if day.month == 11:
        return day.day == 11 or (day.day == 12 and day.weekday() == 0)
    return False
