"""Past prices from the bars that are kept.

Invariant: never a price from after the instant asked for, unless nothing older is known at all.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable

from mbtd.market.bars import MINUTE_NS, Bars
from mbtd.market.calendar import CORE_CLOSES, new_york_ns, to_date


class PastPrices:
    """Answers by the mark from ``now`` on, before it by minute bars, then by daily bars, then by the mark."""

    def __init__(self, bars: Bars, mark: Callable[[str], int], now: int) -> None:
        self._bars = bars
        self._mark = mark
        self._now = now
        self._known: dict[str, tuple[list[int], list[int]]] = {}

    def __call__(self, symbol: str, at: int) -> int:
        """Price units at an instant; 0 when nothing is known."""
        if at >= self._now:
            return self._mark(symbol)
        known = self._known.get(symbol)
        if known is None:
            known = self._known[symbol] = self._read(symbol)
        ends, closes = known
        place = bisect.bisect_right(ends, at)
        if place:
            return closes[place - 1]
        return closes[0] if closes else self._mark(symbol)

    def _read(self, symbol: str) -> tuple[list[int], list[int]]:
        minutes = [(bar.at + MINUTE_NS, bar.close) for bar in self._bars.minutes(symbol)]
        first = minutes[0][0] if minutes else 1 << 62
        days = [(new_york_ns(to_date(bar.at), CORE_CLOSES), bar.close) for bar in self._bars.days(symbol)]
        found = [pair for pair in days if pair[0] < first] + minutes
        return [at for at, _ in found], [close for _, close in found]
