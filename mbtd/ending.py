"""How the daemon ends when it cannot go on: one sentence on stderr and a status (contracts §1, operations §6)."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from mbtd import logs
from mbtd.rpc.server import ListenError
from storage.errors import DISK_ERRNOS, Corrupt, StorageError, WrongDatabase
from storage.frames import EXIT_STATUS, kind_of

log = logs.get_logger(subsystem="daemon")


def status_of(error: BaseException) -> int:
    """Say what ended the daemon; a task group's only exception counts as itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, ListenError):
        return say(str(error), 78)
    if isinstance(error, Corrupt | WrongDatabase):
        return say(str(error), 65)
    if isinstance(error, StorageError):
        log.error("daemon.ended", error=type(error).__name__, exc_info=error)
        return say(str(error), EXIT_STATUS[kind_of(error)])
    if isinstance(error, MemoryError):
        return say("out of memory; what was acknowledged is on disk (docs/runbook/out_of_memory.md)", 70)
    log.critical("daemon.failed", exc_info=error)
    return 74 if isinstance(error, OSError) and error.errno in DISK_ERRNOS else 70


def say(text: str, status: int) -> int:
    """Say why; gives the status."""
    sys.stderr.write(f"mbtd serve: {text}\n")
    return status


def on_callback_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception in a callback, where nobody waits for it. Without memory nothing can be right any more."""
    error = context.get("exception")
    if isinstance(error, MemoryError):
        os._exit(status_of(error))
    loop.default_exception_handler(context)
