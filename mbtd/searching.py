"""Searches for pairings in a process of their own, so that no account waits for another's margin (ADR 22, 37).

Invariants: one search at a time; the process is begun with the first one, ends with the daemon, and gives way to
everything else on the host; a search that cannot be made there, for whatever reason, or takes far too long gives null
and is then made where it is needed; whoever is cancelled does not wait for its end. Known limit: the first search,
and the first after one that failed, also waits for a process to begin, about half a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

import anyio
import anyio.to_process

from actors.book.rules.margin.outside import Found, Search
from actors.book.rules.margin.requirement import search
from mbtd.logs import get_logger

log = get_logger(subsystem="core")
NICENESS: Final = 10
LONGEST_S: Final = 30.0
"""A search takes less than half a second: a process that says nothing for so long is given up."""
_ONE: Final = anyio.CapacityLimiter(1)


async def search_outside(wanted: Search) -> Found | None:
    """What a search found; null when it could not be made."""
    error = "TimeoutError"
    async with _ONE:
        try:
            with anyio.move_on_after(LONGEST_S):
                return await anyio.to_process.run_sync(_search, wanted, cancellable=True)
        except (Exception, KeyboardInterrupt) as failed:
            # Whatever went wrong over there comes back as if it had been raised here.
            error = type(failed).__name__
    log.warning("margin.search_failed", error=error)
    return None


def _search(wanted: Search) -> Found:
    # The terminal's interrupt is for the daemon, which ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))
    return search(wanted)
