"""How the writer's process is scheduled: behind every ordinary program of the host, or among them (ADR 39).

The kernel lets an ordinary program that has begun run up to its next tick, one or several milliseconds, however nice
it is; only one of SCHED_IDLE makes way at once for whoever wakes. Invariants: nobody goes behind who could not come
back; a kernel or a service manager that refuses leaves everything as it is; nothing here raises. Known limit: on a
host whose processors are all busy, whoever is behind notices that it has to come back only when it gets some time,
about a second.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_ORDINARY_NICE: Final = 20
"""The kernel's ``RLIMIT_NICE`` of nice 0: who may have that may leave SCHED_IDLE."""
_CAP_SYS_NICE: Final = 23


class Background:
    """Puts the calling thread behind the others and back."""

    def __init__(self) -> None:
        self.able = _may_come_back()
        """Whether it may go behind at all."""
        self.behind = False

    def put(self, behind: bool) -> None:
        """Be behind, or ordinary; nothing happens where it is so already."""
        if behind is self.behind or not self.able:
            return
        policy = os.SCHED_IDLE if behind else os.SCHED_OTHER
        try:
            os.sched_setscheduler(0, policy, os.sched_param(0))
        except OSError:
            self.able = False
            return
        self.behind = behind


def _may_come_back() -> bool:
    try:
        if os.sched_getscheduler(0) != os.SCHED_OTHER:
            return False
        soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
        wanted = _ORDINARY_NICE - min(0, os.getpriority(os.PRIO_PROCESS, 0))
    except (OSError, ValueError):
        # A filter of system calls forbids even to ask.
        return False
    return soft == resource.RLIM_INFINITY or soft >= wanted or _has_capability()


def _has_capability() -> bool:
    try:
        lines = Path("/proc/self/status").read_bytes().splitlines()
    except OSError:
        return False
    found = [line.split()[1] for line in lines if line.startswith(b"CapEff:")]
    return bool(found) and bool(int(found[0], 16) >> _CAP_SYS_NICE & 1)


__all__ = ["Background"]
