"""Whose margin has to be looked at when the paced instant comes: those whose prices left their band.

One timer serves all accounts that have a band; at its instant each symbol's mark is compared with the tightest ends
of the bands on it, so an account whose prices stay inside costs nothing. Invariants: a band is dropped as soon as its
book changes; whoever has no band has a timer of his own. Which looks are left out shows nowhere, because a look that
changes nothing leaves no trace (:mod:`actors.book.margin_band` promises that it would not).
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from actors.book.margin_band import Range
from actors.market.world import World

_COMPACT_AT = 256


class _Ends:
    """The bands' ends on one symbol, tightest first, with lazy removal."""

    __slots__ = ("highs", "lows")

    def __init__(self) -> None:
        self.lows: list[tuple[int, int, int]] = []
        """``(-lowest mark, account_no, ticket)``"""
        self.highs: list[tuple[int, int, int]] = []


class MarginSweep:
    """The bands of all resident accounts that have one."""

    __slots__ = ("_symbols", "_ticket", "_tickets")

    def __init__(self) -> None:
        self._symbols: dict[str, _Ends] = {}
        self._tickets: dict[int, int] = {}
        """Of each account the band that holds."""
        self._ticket = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, account_no: int) -> bool:
        return account_no in self._tickets

    def put(self, account_no: int, band: Mapping[str, Range]) -> None:
        """Watch an account by its band, in place of any that it has."""
        self.drop(account_no)
        self._ticket += 1
        self._tickets[account_no] = self._ticket
        for symbol, (low, high) in band.items():
            ends = self._symbols.get(symbol)
            if ends is None:
                ends = self._symbols[symbol] = _Ends()
            heappush(ends.lows, (-low, account_no, self._ticket))
            heappush(ends.highs, (high, account_no, self._ticket))
            if len(ends.lows) + len(ends.highs) > _COMPACT_AT + 4 * len(self._tickets):
                self._compact(ends)

    def drop(self, account_no: int) -> None:
        """Watch an account no longer."""
        self._tickets.pop(account_no, None)

    def clear(self) -> list[int]:
        """Watch nobody; who was watched, in order."""
        found = sorted(self._tickets)
        self._tickets.clear()
        self._symbols.clear()
        return found

    def crossed(self, world: World) -> list[int]:
        """Accounts with a mark outside its range; they are watched no longer."""
        found: list[int] = []
        for symbol in list(self._symbols):
            ends = self._symbols[symbol]
            mark = world.mark(symbol)
            self._take(ends.lows, -mark, found)
            self._take(ends.highs, mark, found)
            if not ends.lows and not ends.highs:
                del self._symbols[symbol]
        return sorted(found)

    def _take(self, heap: list[tuple[int, int, int]], mark: int, found: list[int]) -> None:
        while heap and (heap[0][0] < mark or not self._holds(heap[0])):
            entry = heappop(heap)
            if self._holds(entry):
                del self._tickets[entry[1]]
                found.append(entry[1])

    def _holds(self, entry: tuple[int, int, int]) -> bool:
        return self._tickets.get(entry[1]) == entry[2]

    def _compact(self, ends: _Ends) -> None:
        for heap in (ends.lows, ends.highs):
            heap[:] = [entry for entry in heap if self._holds(entry)]
            heapify(heap)
