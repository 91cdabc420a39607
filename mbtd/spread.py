"""Durations in fixed buckets: what the metrics and the service levels are made of."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BUCKETS_NS: Final = tuple(round(ms * 1e6) for ms in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000))


class Spread:
    """A histogram of durations in fixed buckets."""

    __slots__ = ("counts", "sum_ns", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_NS) + 1)
        self.sum_ns = 0
        self.total = 0

    def note(self, duration_ns: int) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS_NS, duration_ns)] += 1
        self.sum_ns += duration_ns
        self.total += 1

    def share_within(self, limit_ns: int) -> float:
        """Share of durations within a limit that is one of the buckets' bounds; 1 when there are none."""
        if not self.total:
            return 1.0
        return sum(self.counts[: bisect_left(BUCKETS_NS, limit_ns) + 1]) / self.total

    def over(self, limit_ns: int) -> int:
        """How many were longer than a limit that is one of the buckets' bounds."""
        return sum(self.counts[bisect_left(BUCKETS_NS, limit_ns) + 1 :])

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        rows, so_far = [], 0
        for bound, count in zip((*BUCKETS_NS, None), self.counts, strict=True):
            so_far += count
            rows.append(("+Inf" if bound is None else str(bound / 1e9), float(so_far)))
        return rows
