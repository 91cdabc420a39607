"""A daemon as a user starts it: a process, its socket, its command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbtd.rpc.client import Client, ConnectionLost, RpcRefusal

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("MBT", "APCA", "ALPACA"))}
PATIENCE_S = 20.0


def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait for something true; it is returned."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.005)
    return found


class Daemon:
    """``mbtd serve`` in a state directory."""

    def __init__(self, state: Path, *flags: str, **environ: str) -> None:
        self.state = state
        self.flags = flags
        self.environ = {**ENVIRON, "MBTD_GATEWAY__ADDRESS": "off", **environ}
        self.log = state.parent / f"{state.name}.log"
        self.process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return self.state / "mbtd.sock"

    def start(self) -> Daemon:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mbtd.cli", "serve", "--state", str(self.state), *self.flags],
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        until(self._answers, "the daemon")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            with Client(self.socket) as client:
                return bool(client.call("health.get"))
        except ConnectionLost:
            return False

    def client(self) -> Client:
        return Client(self.socket)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL, and wait until its writer has let go of the lock."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Whatever happened, leave nothing running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command typed by a person."""
        return run_cli(*words, socket=self.socket)


def run_cli(*words: str, socket: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """``mbtd …`` as a process."""
    named = {"MBTD_SOCKET": str(socket)} if socket is not None else {}
    return subprocess.run(
        [sys.executable, "-m", "mbtd.cli", *words],
        env={**ENVIRON, **named, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def printed(result: subprocess.CompletedProcess[str]) -> Any:
    """What a command with ``--json`` printed."""
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def refusal(call: Callable[[], Any]) -> dict[str, Any]:
    """The error that a call is refused with, as it stands on the wire."""
    try:
        result = call()
    except RpcRefusal as refused:
        return json.loads(_encode(refused.error))
    raise AssertionError(f"not refused: {result}")


def _encode(error: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(error)
