"""Named states that come and pass by themselves (operations §2.4): seen by the beat, told by health, log and metrics.

Each holds while its cause is seen and for ``HOLD_NS`` after that, so that somebody who looks after an alarm still
finds it; then it is only counted. Backups, drills and the disk's space are looked at when health is asked.
Invariant: looking changes nothing and costs a few comparisons; the set of names is fixed, and each has a page in
``docs/runbook``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from actors.book.units import format_time
from mbtd.core import Core
from mbtd.jobs.marks import Marks
from mbtd.limits import BACKUP_MAX_AGE_S, DISK_FILLING_BYTES, DISK_FILLING_PERCENT, DRILL_MAX_AGE_S
from mbtd.logs import get_logger
from mbtd.market.feed import Feed
from mbtd.rpc.server import Server
from mbtd.seeds import SEED_FILE

log = get_logger(subsystem="health")

PASSING: Final = (
    "loop_slow", "durable_lag", "tape_overflowed", "accounts_overloaded", "slow_consumer", "clock_jumped",
)  # fmt: skip
HOLD_NS: Final = 60 * 10**9
LAG_MAX_NS: Final = 2 * 10**9
"""A loop that is later than this no longer tells the watchdog that all is well."""
COMMIT_MAX_NS: Final = 10**9
JUMP_NS: Final = 10**9
"""A wall clock that parted from the monotonic one by more than this since the last look has jumped."""


class WallClock(Protocol):
    """What is needed of :class:`mbtd.clock.SystemClock`."""

    @property
    def held_back_ns(self) -> int: ...

    def wall_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class Passing:
    """What one daemon has seen of these states."""

    def __init__(self, core: Core, servers: Sequence[Server], clock: WallClock, directory: Path, feed: Feed) -> None:
        self._core = core
        self._feed = feed
        self._feed_state = ""
        self._servers = servers
        self._clock = clock
        self._directory = directory
        self._marks = Marks(directory)
        self.counts = dict.fromkeys(PASSING, 0)
        """How often each was seen since the start."""
        self._last_at: dict[str, int] = {}
        """Wall time of the last sight, for people."""
        self._until: dict[str, int] = {}
        """Monotonic time until which each holds."""
        self._apart = self._between_clocks()
        self._told: frozenset[str] = frozenset()
        self._seen = self._totals()

    def look(self, lag_ns: int) -> None:
        """Look at everything; called by the beat, which was so late."""
        if lag_ns >= LAG_MAX_NS:
            self._note("loop_slow")
        for name, total in self._totals().items():
            if total > self._seen[name]:
                self._note(name, total - self._seen[name])
                self._seen[name] = total
        apart = self._between_clocks()
        if abs(apart - self._apart) >= JUMP_NS:
            self._note("clock_jumped")
            by_ms = (apart - self._apart) // 1_000_000
            log.warning("clock.jumped", by_ms=by_ms, reason=f"the wall clock jumped by {by_ms} ms")
        self._apart = apart
        status = self._feed.status()
        if status.state != self._feed_state:
            self._feed_state = status.state
            log.info("feed.changed", feed=self._feed.name, state=status.state, reason=status.reason)

    def reasons(self, draining: bool) -> list[str]:
        """The states that hold now."""
        now = self._clock.monotonic_ns()
        found = ["draining"] if draining else []
        found += [name for name in PASSING if now < self._until.get(name, 0)]
        # Times stand still until the clock has caught up, however long that takes.
        if self._clock.held_back_ns >= JUMP_NS and "clock_jumped" not in found:
            found.append("clock_jumped")
        if self._core.storage_state == "ok" and self._disk_is_filling():
            found.append("disk_filling")
        return found + self._overdue()

    def lately(self) -> dict[str, Any]:
        """Each state that was seen since the start: how often, and when last."""
        return {
            name: {"times": self.counts[name], "last": format_time(self._last_at[name])}
            for name in PASSING
            if name in self._last_at
        }

    def tell(self, reasons: Iterable[str]) -> None:
        """Log what began and what ended since the last call."""
        now = frozenset(reasons)
        if now != self._told:
            # Not a warning: those that repeat are held back, and each of these says something else.
            log.info("health.changed", began=sorted(now - self._told), ended=sorted(self._told - now))
            self._told = now

    def _note(self, name: str, times: int = 1) -> None:
        self.counts[name] += times
        self._last_at[name] = self._clock.wall_ns()
        self._until[name] = self._clock.monotonic_ns() + HOLD_NS

    def _totals(self) -> dict[str, int]:
        core = self._core
        return {
            "durable_lag": core.commits.over(COMMIT_MAX_NS),
            "tape_overflowed": core.overflows,
            "accounts_overloaded": core.mailroom.refused,
            "slow_consumer": sum(server.slow_consumers for server in self._servers),
        }

    def _between_clocks(self) -> int:
        """What the host's wall clock says, held back or not, less the monotonic one."""
        told = self._clock.wall_ns()
        return told - self._clock.held_back_ns - self._clock.monotonic_ns()

    def _disk_is_filling(self) -> bool:
        space = shutil.disk_usage(self._directory)
        return space.free < min(DISK_FILLING_BYTES, space.total * DISK_FILLING_PERCENT // 100)

    def _overdue(self) -> list[str]:
        """Backups and drills whose last good one, or else the state's beginning, is too long ago."""
        marks, now_s = self._marks.read(), self._clock.wall_ns() / 1e9
        try:
            begun_s = (self._directory / SEED_FILE).stat().st_mtime
        except OSError:
            begun_s = now_s
        ages = (("backup", BACKUP_MAX_AGE_S), ("drill", DRILL_MAX_AGE_S))
        return [f"{kind}_old" for kind, most in ages if now_s - marks.get(kind, begun_s) > most]
