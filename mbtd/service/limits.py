"""Request rates: so many a minute for an account, exactly, and failed logins slowed down per source.

The generic cell rate algorithm: one number an account, the time at which its bucket is full again. A burst of the
whole minute's allowance passes, the next request not before one emission interval has gone by; nothing is rounded.
Invariants: memory is bounded, since a full bucket is forgotten; a refused request takes nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MINUTE_NS: Final = 60_000_000_000
PER_MINUTE: Final = {"free": 60, "pro": 600, "pro_plus": 3_000}
"""Requests a minute by tier."""
FREE_FAILURES: Final = 3
SLOWEST_MS: Final = 4_000
FORGIVEN_AFTER_NS: Final = 5 * MINUTE_NS
SOURCES_MAX: Final = 4_096
_TIDY_AT: Final = 4_096


class Taken(Struct, frozen=True, gc=False):
    """What one request found."""

    allowed: bool
    limit: int
    remaining: int
    reset_ns: int
    """Until the whole allowance is there again."""
    retry_after_ns: int
    """Until one request fits; 0 when this one did."""


class Rates:
    """The buckets of all accounts."""

    def __init__(self) -> None:
        self._full_at: dict[int, tuple[int, int]] = {}
        """When each account's bucket is full again, and the interval by which that was reckoned."""

    def take(self, account_no: int, per_minute: int, now_ns: int, cost: int = 1) -> Taken:
        """Take ``cost`` requests, or nothing."""
        interval = MINUTE_NS // per_minute
        room = interval * per_minute
        full_at, before = self._full_at.get(account_no, (0, interval))
        full_at = max(full_at, now_ns)
        if before != interval:
            # Another tier: what was taken stays taken, at the new pace.
            full_at = now_ns + (full_at - now_ns) * interval // before
        after = full_at + cost * interval
        if after - now_ns > room:
            left = max(0, (room - (full_at - now_ns)) // interval)
            return Taken(False, per_minute, left, full_at - now_ns, after - now_ns - room)
        if cost:
            if account_no not in self._full_at and len(self._full_at) >= _TIDY_AT:
                self._tidy(now_ns)
            self._full_at[account_no] = after, interval
        return Taken(True, per_minute, (room - (after - now_ns)) // interval, after - now_ns, 0)

    def _tidy(self, now_ns: int) -> None:
        self._full_at = {no: at for no, at in self._full_at.items() if at[0] > now_ns}

    def __len__(self) -> int:
        return len(self._full_at)


class Failures:
    """Sources whose logins failed, and how long the next answer waits."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, int]] = {}

    def failed(self, source: str, now_ns: int) -> int:
        """Note a failure; milliseconds for which its answer is held back."""
        count, at = self._of.pop(source, (0, 0))
        count = 1 if now_ns - at > FORGIVEN_AFTER_NS else count + 1
        if len(self._of) >= SOURCES_MAX:
            del self._of[next(iter(self._of))]
        self._of[source] = (count, now_ns)
        over = count - FREE_FAILURES
        return int(min(SLOWEST_MS, 100 * 2 ** min(over - 1, 10))) if over > 0 else 0
