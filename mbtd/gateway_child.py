"""The gateway as a child of ``mbtd serve``: started when the sockets answer, started again when it ends.

Invariants: the daemon never waits for it and goes on without it; it inherits no descriptor but the standard ones; it
is told to stop before the daemon says goodbye, and the kernel ends it with the daemon in any case.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

from mbtd.logs import get_logger

log = get_logger(subsystem="daemon")
PAUSE_FIRST_S: Final = 0.5
PAUSE_MOST_S: Final = 5.0
"""A start costs about a second of processor time; longer pauses would only keep programs waiting."""
STEADY_S: Final = 3.0
"""Longer than a start takes: what ended after that had served."""
STOP_MAX_S: Final = 6.0


def command(config: Path | None, socket: Path, address: str) -> list[str]:
    """How it is started."""
    words = [sys.executable, "-m", "mbtd.cli", "gateway", "--child", "--socket", str(socket), "--listen", address]
    return words if config is None else [*words, "--config", str(config)]


async def keep_gateway(words: Sequence[str]) -> None:
    """Run it until cancelled; then stop it."""
    pause_s = PAUSE_FIRST_S
    while True:
        started = anyio.current_time()
        async with await anyio.open_process(words, stdin=subprocess.DEVNULL, stdout=None, stderr=None) as process:
            try:
                status = await process.wait()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await _stop(process)
                raise
        if anyio.current_time() - started > STEADY_S:
            pause_s = PAUSE_FIRST_S
        log.warning("gateway.ended", status=status, again_in_s=pause_s)
        await anyio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_MOST_S)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(STOP_MAX_S):
        await process.wait()
        return
    process.kill()
    await process.wait()
