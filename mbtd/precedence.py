"""Precedence on the processor: the thread that answers runs before ordinary programs of the host (ADR 34).

Invariants: only the calling thread gets it, no thread or process begun afterwards; asking changes nothing else and
never raises; a kernel that refuses leaves everything as it was. Known limits: it needs CAP_SYS_NICE or
RLIMIT_RTPRIO, and under systemd, which forbids the call, the unit does it from outside; the kernel keeps 5 % of each
processor for ordinary programs, so a loop that never rests slows a host of one processor down, but does not lock it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final, Literal

Precedence = Literal["realtime", "ordinary"]

_REALTIME: Final = (os.SCHED_RR, os.SCHED_FIFO)


def precedence() -> Precedence:
    """How the kernel schedules the calling thread."""
    return "realtime" if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK in _REALTIME else "ordinary"


def take_precedence() -> Precedence:
    """Ask for the lowest real-time priority, for the calling thread alone; what it has now."""
    if precedence() == "ordinary":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    return precedence()
