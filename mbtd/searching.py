"""Searches for pairings in a process of their own, so that no account waits for another's margin (ADR 22, 37).

Invariants: one search at a time; the process is begun with the first one, ends some minutes after the last and with
the daemon, and gives way to everything else on the host; a search that cannot be made there gives null and is then
made where it is needed. Known limit: the first search after a pause also waits for the process to begin, about half
a second.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

import anyio
import anyio.to_process
from anyio import BrokenWorkerProcess

from actors.book.rules.margin.outside import Found, Search
from actors.book.rules.margin.requirement import search
from mbtd.logs import get_logger

log = get_logger(subsystem="core")
NICENESS: Final = 10
_ONE: Final = anyio.CapacityLimiter(1)


async def search_outside(wanted: Search) -> Found | None:
    """What a search found; null when its process failed."""
    try:
        return await anyio.to_process.run_sync(_search, wanted, limiter=_ONE)
    except (BrokenWorkerProcess, OSError) as error:
        log.warning("margin.search_failed", error=type(error).__name__)
        return None


def _search(wanted: Search) -> Found:
    with contextlib.suppress(OSError):
        os.nice(max(0, NICENESS - os.nice(0)))
    return search(wanted)
