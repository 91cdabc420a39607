"""The one place where time is read.

Timers use ``monotonic_ns``; ``wall_ns`` is for timestamps and the market calendar only (operations §13).
Invariant: neither ever steps back. Known limit: after a leap of the wall clock far ahead that is then put
right, ``wall_ns`` stands still for as long as the leap was; ``held_back_ns`` says so. Read a clock from one
thread.
"""

from __future__ import annotations

import time
from typing import Protocol

SECOND_NS = 1_000_000_000


class Clock(Protocol):
    """Wall and monotonic time in nanoseconds; wall time counts from 1970 UTC."""

    def wall_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class _HeldClock:
    """Holds wall time still while its source is behind what was already told."""

    def __init__(self) -> None:
        self._told_ns = 0
        self._held_back_ns = 0

    def _tell(self, source_ns: int) -> int:
        self._held_back_ns = max(0, self._told_ns - source_ns)
        self._told_ns = max(self._told_ns, source_ns)
        return self._told_ns

    @property
    def held_back_ns(self) -> int:
        """How far the source was behind at the last reading; 0 in good order."""
        return self._held_back_ns


class SystemClock(_HeldClock):
    """The host's clocks. ``not_before_ns`` is the newest time on disk: wall time starts no earlier."""

    def __init__(self, not_before_ns: int = 0) -> None:
        super().__init__()
        self._told_ns = not_before_ns

    def wall_ns(self) -> int:
        return self._tell(time.time_ns())

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock(_HeldClock):
    """A clock that moves when told, for tests and simulation; it keeps the same promise as the real one."""

    def __init__(self, wall_ns: int = 1_700_000_000 * SECOND_NS, monotonic_ns: int = 0) -> None:
        super().__init__()
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns

    def wall_ns(self) -> int:
        return self._tell(self._wall_ns)

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def advance(self, nanoseconds: int) -> None:
        """Let time pass on both clocks. Raises ``ValueError`` for a negative span."""
        if nanoseconds < 0:
            raise ValueError("time does not pass backwards; set_wall moves the wall clock alone")
        self._wall_ns += nanoseconds
        self._monotonic_ns += nanoseconds

    def set_wall(self, wall_ns: int) -> None:
        """Step the wall clock, as an administrator or NTP would; the monotonic clock does not notice."""
        self._wall_ns = wall_ns
