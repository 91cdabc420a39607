"""A real daemon in a process of its own, and the state directory that it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mbtd.failpoints import VARIABLE
from storage.lock import StateLock

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
"""Upper bound of any wait for a condition; nothing takes so long unless it hangs."""
STORAGE_FAULT = 74


class Died(Exception):
    """The daemon is gone."""


class Wire:
    """A plain connection: lines out, answers by id in, and every other line by ``on_event``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, path: Path) -> Wire:
        """Connect. Raises :class:`Died`."""
        try:
            return cls(*await asyncio.open_unix_connection(str(path), limit=1 << 22))
        except OSError as error:
            raise Died(str(error)) from None

    async def _read(self) -> None:
        with contextlib.suppress(OSError):
            while line := await self._reader.readline():
                if not line.endswith(b"\n"):
                    break
                found = json.loads(line)
                if "method" in found:
                    self.events.put_nowait(found["params"])
                elif (future := self._waiting.pop(found["id"], None)) is not None and not future.done():
                    future.set_result(found)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Died("the connection ended"))
        self._waiting.clear()
        self.events.put_nowait(None)

    def send(self, method: str, params: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Send a request; the future gets the whole answer or :class:`Died`."""
        self._next += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            future.set_exception(Died("the connection ended"))
            return future
        self._waiting[self._next] = future
        line = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        self.writer.write(json.dumps(line).encode() + b"\n")
        return future

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request, one answer. A silence is a failure of the daemon."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.send(method, params)

    async def rest(self) -> list[dict[str, Any]]:
        """The events that nobody took, once the other end is gone."""
        async with asyncio.timeout(PATIENCE_S):
            await self._reading
        left = []
        while not self.events.empty():
            event = self.events.get_nowait()
            if event is not None:
                left.append(event)
        return left

    async def close(self) -> None:
        """Hang up."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class DaemonProcess:
    """``mbtd serve`` over a state directory, with the synthetic market."""

    def __init__(self, state: Path, *, quotes_per_s: int = 2_000, fail_point: str = "", seed: int = 11) -> None:
        self.state = state
        environ = {**os.environ, "MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": str(quotes_per_s)}
        environ.pop(VARIABLE, None)
        if fail_point:
            environ[VARIABLE] = fail_point
        self._log = (state.parent / f"{state.name}.log").open("ab")
        command = [sys.executable, "-m", "mbtd.cli", "serve", "--state", str(state), "--feed", "synthetic"]
        command += ["--gateway", "off", "--seed", str(seed)]
        self.log_path = Path(self._log.name)
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=self._log, stderr=self._log)

    @property
    def socket(self) -> Path:
        return self.state / "mbtd.sock"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    async def ready(self) -> None:
        """Wait until it answers. Raises :class:`Died` when it ends instead."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if not self.alive:
                raise Died(f"ended with {self.process.returncode}")
            with contextlib.suppress(Died):
                wire = await Wire.connect(self.socket)
                try:
                    await wire.call("health.get")
                    return
                finally:
                    await wire.close()
            assert time.monotonic() < deadline, f"the daemon does not answer; see {self._log.name}"
            await asyncio.sleep(0.01)

    def writer_pid(self) -> int | None:
        """The writer's process id, from the kernel."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])
        return None

    def kill_writer(self) -> None:
        """Kill the writer process alone."""
        pid = self.writer_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Wait until the process is gone; its exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while self.alive:
            assert time.monotonic() < deadline, "the daemon does not end"
            await asyncio.sleep(0.005)
        return self.process.returncode

    def close(self) -> None:
        """Leave nothing behind."""
        if self.alive:
            self.process.kill()
        self.process.wait()
        self._log.close()

    def log_tail(self) -> str:
        """The last lines that the daemon wrote."""
        return self.log_path.read_text(errors="replace")[-3000:]


def copy_when_free(state: Path, target: Path) -> Path:
    """A copy of the database as the dead left it, once the last holder of the lock is gone.

    The copy is read, so that the daemon itself meets the log that was left and not one that a reader tidied.
    """
    with StateLock.acquire(state, wait_s=PATIENCE_S):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for path in state.rglob("mbtd.sqlite3*"):
            if not path.name.endswith("-shm"):
                there = target / path.relative_to(state)
                there.parent.mkdir(exist_ok=True)
                shutil.copy2(path, there)
    return target
