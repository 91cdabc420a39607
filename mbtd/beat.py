"""The daemon's beat: how late the loop wakes, what the watchdog is told, and the line that systemd shows.

Invariant: the watchdog hears nothing while the loop is late, the writer has failed or the pump stands still, so
systemd ends a process that only looks alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import anyio

from mbtd.clock import SystemClock
from mbtd.core import Core
from mbtd.logs import get_logger
from mbtd.memory import MemoryWatch
from mbtd.metrics import Metrics
from mbtd.passing import LAG_MAX_NS, Passing
from mbtd.systemd import Notifier

log = get_logger(subsystem="daemon")
BEAT_S: Final = 0.25
STATUS_NS: Final = 10_000_000_000


class Beat:
    """One daemon's beat."""

    def __init__(
        self,
        core: Core,
        clock: SystemClock,
        notifier: Notifier,
        metrics: Metrics,
        passing: Passing,
        memory: MemoryWatch,
        say_health: Callable[[], dict[str, Any]],
        say_overdue: Callable[[], None],
    ) -> None:
        self._core = core
        self._monotonic = clock.monotonic_ns
        self._notifier = notifier
        self._metrics = metrics
        self._passing = passing
        self._memory = memory
        self._say_health = say_health
        self._say_overdue = say_overdue

    async def run(self) -> None:
        """Beat until cancelled."""
        interval = min(BEAT_S, (self._notifier.watchdog_us or 0) / 2e6 or BEAT_S)
        said = 0
        while True:
            due = self._monotonic() + round(interval * 1e9)
            await anyio.sleep(interval)
            self._look(max(0, self._monotonic() - due))
            if self._monotonic() - said > STATUS_NS:
                said = self._monotonic()
                self._tell()

    def _look(self, lag: int) -> None:
        self._metrics.lag.note(lag)
        self._passing.look(lag)
        if lag < LAG_MAX_NS and self._core.failed is None and self._core.pump_moves():
            self._notifier.watchdog()
        if self._memory.look():
            log.warning("memory.changed", low=self._memory.low, resident_bytes=self._memory.resident)

    def _tell(self) -> None:
        self._notifier.status(self._one_line())
        if self._core.readers is not None:
            self._core.readers.retry()
        self._say_overdue()

    def _one_line(self) -> str:
        health = self._say_health()
        self._passing.tell(health["reasons"])
        why = f" ({', '.join(health['reasons'])})" if health["reasons"] else ""
        engine = health["engine"]
        return f"{health['status']}{why}; {engine['accounts']} accounts, {engine['live_orders']} live orders"
