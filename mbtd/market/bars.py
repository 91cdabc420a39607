"""Bars of prices and volume, built from the tape as it passes.

Invariants: pure and incremental: the bars are a function of the messages applied, whatever the pieces they
came in; memory is bounded by the number of bars kept for each symbol; prices and sums are integers.

Regular-way prints alone make a bar. An odd lot of stock adds its size but sets no price, as on the public
tape. Daily bars hold the prints of the core session of a trade date, as the tape's session messages say;
on a tape without session messages everything counts towards the New York date.

Known limits: on recordings a print stands for a whole source bar, so open, high and low are those of the
source bars' ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from actors.book.units import NS_PER_SECOND, divide_half_even
from actors.market.messages import Quote, Session, TapeMessage, Trade
from mbtd.market.calendar import new_york_date, to_int

MINUTE_NS: Final = 60 * NS_PER_SECOND
_ODD_LOT: Final = "I"
_NOT_REGULAR_STOCK: Final = frozenset("BCGHMNPQRUVWZ4789")
"""Average price, cash, bunched sold, price variation, official open and close, next day, prior reference,
seller, out of sequence, contingent, derivatively priced, corrected."""
_NOT_REGULAR_OPTION: Final = frozenset("ABCDEGH")
"""Cancelled, late and out of sequence, by OPRA's codes."""
_LONGEST_STOCK_SYMBOL: Final = 12


class Bar(Struct, frozen=True, gc=False, array_like=True):
    """Prices and volume of one span; Alpaca's ``t o h l c v n vw``."""

    at: int
    """Start of the span in nanoseconds UTC; of a daily bar, its trade date as YYYYMMDD."""
    open: int
    high: int
    low: int
    close: int
    """Price units."""
    volume: int
    count: int
    """Prints."""
    turnover: int
    """Sum of price x size in price units; what ``vwap`` is made of."""

    @property
    def vwap(self) -> int:
        """Volume-weighted average price in price units, half-even; the close when nothing was counted."""
        return divide_half_even(self.turnover, self.volume) if self.volume else self.close


class _Growing:
    """A bar in the making. It has no price until the first print that sets one."""

    __slots__ = ("at", "close", "count", "high", "low", "open", "turnover", "volume")

    def __init__(self, at: int) -> None:
        self.at = at
        self.open = self.high = self.low = self.close = 0
        self.volume = self.count = self.turnover = 0

    def add(self, price: int, size: int, sets_price: bool) -> None:
        if sets_price:
            if not self.open:
                self.open = self.high = self.low = price
            elif price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
            self.close = price
        self.volume += size
        self.count += 1
        self.turnover += price * size

    def bar(self) -> Bar | None:
        """The bar so far; ``None`` while no print has set a price."""
        if not self.open:
            return None
        return Bar(self.at, self.open, self.high, self.low, self.close, self.volume, self.count, self.turnover)


class _Series:
    """Finished bars of one symbol in a ring, and the one in the making."""

    __slots__ = ("done", "growing")

    def __init__(self, at: int, kept: int) -> None:
        self.done: deque[Bar] = deque(maxlen=kept)
        self.growing = _Growing(at)

    def roll(self, at: int) -> None:
        """Begin the span at ``at``."""
        bar = self.growing.bar()
        if bar is not None:
            self.done.append(bar)
        self.growing = _Growing(at)

    def bars(self) -> list[Bar]:
        bar = self.growing.bar()
        return [*self.done, bar] if bar is not None else list(self.done)


class Bars:
    """Minute and daily bars of all symbols; it keeps so many finished minutes and days of each."""

    def __init__(self, minutes_kept: int = 1_000, days_kept: int = 30) -> None:
        self._minutes_kept = minutes_kept
        self._days_kept = days_kept
        self._minutes: dict[str, _Series] = {}
        self._days: dict[str, _Series] = {}
        self._trade_date = 0
        self._core = True

    def apply(self, messages: Iterable[TapeMessage]) -> None:
        """Take the next messages of the tape, in order."""
        for message in messages:
            if type(message) is Quote:
                continue  # Nearly every message is one.
            if type(message) is Trade:
                self._trade(message)
            elif type(message) is Session:
                self._trade_date = message.trade_date
                self._core = message.phase == "core"

    def minutes(self, symbol: str) -> list[Bar]:
        """Minute bars of a symbol, oldest first, the running minute last."""
        series = self._minutes.get(symbol)
        return series.bars() if series else []

    def days(self, symbol: str) -> list[Bar]:
        """Daily bars of a symbol, oldest first, the running day last."""
        series = self._days.get(symbol)
        return series.bars() if series else []

    def symbols(self) -> list[str]:
        """Symbols that have minute bars."""
        return list(self._minutes)

    def latest_minute(self, symbol: str) -> Bar | None:
        """The newest minute bar that has a price."""
        series = self._minutes.get(symbol)
        if series is None:
            return None
        return series.growing.bar() or (series.done[-1] if series.done else None)

    def forget(self, symbols: Iterable[str]) -> None:
        """Drop the bars of symbols that are no longer traded."""
        for symbol in symbols:
            self._minutes.pop(symbol, None)
            self._days.pop(symbol, None)

    def _trade(self, trade: Trade) -> None:
        sets_price = True
        if trade.conditions:
            option = len(trade.symbol) > _LONGEST_STOCK_SYMBOL
            codes = frozenset(trade.conditions)
            if codes & (_NOT_REGULAR_OPTION if option else _NOT_REGULAR_STOCK):
                return
            sets_price = option or _ODD_LOT not in codes
        minute = trade.at // MINUTE_NS * MINUTE_NS
        self._add(self._minutes, self._minutes_kept, trade, minute, sets_price)
        if self._core:
            day = self._trade_date or to_int(new_york_date(trade.at))
            self._add(self._days, self._days_kept, trade, day, sets_price)

    def _add(self, table: dict[str, _Series], kept: int, trade: Trade, at: int, sets_price: bool) -> None:
        series = table.get(trade.symbol)
        if series is None:
            series = table[trade.symbol] = _Series(at, kept)
        elif series.growing.at < at:
            series.roll(at)
        series.growing.add(trade.price, trade.size, sets_price)


def aggregate(bars: Sequence[Bar], span_of: Callable[[int], int]) -> list[Bar]:
    """Join neighbouring bars whose ``span_of(at)`` is the same; it names the start of the joined bar."""
    found: list[Bar] = []
    for bar in bars:
        at = span_of(bar.at)
        if found and found[-1].at == at:
            found[-1] = _join(found[-1], bar)
        else:
            found.append(Bar(at, *_figures(bar)))
    return found


def spans_of_minutes(minutes: int) -> Callable[[int], int]:
    """Spans of so many minutes, counted from midnight UTC, for :func:`aggregate`."""
    if not 1 <= minutes <= 1_440:
        raise ValueError("a span must be from 1 to 1440 minutes")
    size = minutes * MINUTE_NS
    return lambda at: at // size * size


def _figures(bar: Bar) -> tuple[int, int, int, int, int, int, int]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count, bar.turnover


def _join(first: Bar, second: Bar) -> Bar:
    return Bar(
        first.at,
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume + second.volume,
        first.count + second.count,
        first.turnover + second.turnover,
    )
