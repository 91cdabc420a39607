"""Commands that a running daemon has done beside itself, in a process of their own: backup and verify.

Invariant: they read the state directory only, so the daemon goes on; one at a time.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from mbtd.rpc.errors import refuse

_busy = asyncio.Lock()
OUTPUT_MAX_BYTES = 1 << 20


async def run_beside(words: list[str], directory: str) -> dict[str, Any]:
    """Run ``mbtd <words> --state DIRECTORY --json``; its answer with its exit status. Raises a refusal."""
    if _busy.locked():
        refuse("overloaded", "A backup or verification is under way")
    async with _busy:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mbtd.cli", *words, "--state", directory, "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        out, err = await process.communicate()
    try:
        answer: dict[str, Any] = msgspec.json.decode(out[:OUTPUT_MAX_BYTES] or b"{}")
    except msgspec.DecodeError:
        answer = {}
    return {
        "exit_status": process.returncode,
        **answer,
        **({"error": err.decode()[-500:]} if err and not answer else {}),
    }
