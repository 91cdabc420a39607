"""Things that fall due: a heap of distinct instants with a bucket of entries each.

Invariants: entries of one instant come out in the order ``(account_no, order_no, purpose)``, never in the order
they were put in, so the history of memory does not show. Taking an entry out costs nothing but a lookup.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

LIVE, DWELL, CANCEL, REPLACE, EXPIRE = range(5)
"""What a timer is for; equal instants run in this order for one order."""
DUE, MARGIN, ACTION = 32, 33, 34
"""Timers of an account, with ``order_no`` 0: what is due for it, and the paced look at its margin; of account 0: a
corporate action's instant."""

Entry = tuple[int, int, int]
"""``(account_no, order_no, purpose)``"""

NEVER = 1 << 63


class Timers:
    """All timers of one engine, in nanoseconds UTC."""

    __slots__ = ("_buckets", "_current", "_current_due", "_heap", "next_due")

    def __init__(self) -> None:
        self._heap: list[int] = []
        self._buckets: dict[int, dict[Entry, None]] = {}
        self._current: deque[Entry] = deque()
        """What is left of the instant that is being worked off."""
        self._current_due = 0
        self.next_due = NEVER
        """Instant of the earliest bucket; :data:`NEVER` when there is none."""

    def __len__(self) -> int:
        return len(self._current) + sum(len(bucket) for bucket in self._buckets.values())

    def add(self, due: int, entry: Entry) -> None:
        """Have ``entry`` fall due at ``due``."""
        bucket = self._buckets.get(due)
        if bucket is None:
            self._buckets[due] = {entry: None}
            heappush(self._heap, due)
            if due < self.next_due:
                self.next_due = due
        else:
            bucket[entry] = None

    def remove(self, due: int, entry: Entry) -> None:
        """Forget an entry, if it is there."""
        bucket = self._buckets.get(due)
        if bucket is not None:
            bucket.pop(entry, None)

    def at(self, due: int) -> list[Entry]:
        """The entries of an instant that is not being worked off yet."""
        return list(self._buckets.get(due, ()))

    def take(self, most: int) -> tuple[int, list[Entry]]:
        """The earliest instant and up to ``most`` of its entries, in order; only while ``next_due`` is not NEVER.

        The others come with the next calls, before anything that was added meanwhile for the same instant.
        """
        if not self._current:
            self._current_due = heappop(self._heap)
            self._current = deque(sorted(self._buckets.pop(self._current_due)))
        due, current = self._current_due, self._current
        entries = [current.popleft() for _ in range(min(most, len(current)))]
        self.next_due = due if current else self._heap[0] if self._heap else NEVER
        return due, entries
