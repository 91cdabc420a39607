"""Daemons by fork: one process imports everything once, and every daemon after that is a copy of it.

A trial of the fault campaign costs what the daemon does, not what the interpreter does: imports are two thirds of a
start. The copy runs ``mbtd serve`` as the command line does, in a process of its own with its own writer. Only the
wall clock may be put out: with ``clock`` given, every reading of it adds the nanoseconds that stand in that file.

The protocol is a line of JSON each way over a socket pair: ``{"args", "environ", "log", "clock"}`` answered by
``{"pid"}``; and ``{"pid", "status"}`` unasked, when one has ended.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
CLOCK_BYTES = 8


class Forked:
    """One daemon, with what a trial needs of ``subprocess.Popen``."""

    def __init__(self, template: Template, pid: int) -> None:
        self._template = template
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status (a signal's number negated), or None while it runs."""
        self._template.hear(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises ``subprocess.TimeoutExpired``."""
        deadline = time.monotonic() + (PATIENCE_S if timeout is None else timeout)
        while self.returncode is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("mbtd serve", PATIENCE_S if timeout is None else timeout)
            self._template.hear(left)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


class Template:
    """The near end. Not for more than one thread."""

    def __init__(self, *, options: bool = False) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-m", "tests.crash.template", str(theirs.fileno()), str(int(options))]
            self._process = subprocess.Popen(words, cwd=ROOT, pass_fds=[theirs.fileno()])
        self._socket = ours
        self._waiting = b""
        self._daemons: dict[int, Forked] = {}
        self._begun: list[int] = []

    def start(self, args: list[str], environ: dict[str, str], log: Path, clock: Path | None = None) -> Forked:
        """Begin a daemon. It is on its way when this returns, not ready."""
        order = {"args": args, "environ": environ, "log": str(log), "clock": str(clock) if clock else ""}
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        deadline = time.monotonic() + PATIENCE_S
        while not self._begun:
            self.hear(deadline - time.monotonic())
            assert time.monotonic() < deadline, "the template does not answer"
        return self._daemons[self._begun.pop()]

    def hear(self, wait_s: float) -> None:
        """Take what the template says within so many seconds."""
        if not select.select([self._socket], [], [], max(0.0, wait_s))[0]:
            return
        data = self._socket.recv(65_536)
        assert data, "the template ended"
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            pid = said["pid"]
            if "status" in said:
                self._daemons.pop(pid).returncode = said["status"]
            else:
                self._daemons[pid] = Forked(self, pid)
                self._begun.append(pid)

    def kill_daemons(self) -> None:
        """End every daemon that still runs; its writer ends with it."""
        for daemon in list(self._daemons.values()):
            if daemon.poll() is None:
                os.kill(daemon.pid, signal.SIGKILL)
                daemon.wait()

    def close(self) -> None:
        """End it, and whatever it began."""
        self.kill_daemons()
        self._socket.close()
        self._process.wait(PATIENCE_S)


def _serve(connection: socket.socket) -> None:
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    waiting = b""
    while True:
        ready, _, _ = select.select([connection, wake], [], [])
        if wake in ready:
            os.read(wake, 4_096)
            _report(connection)
        if connection in ready:
            data = connection.recv(65_536)
            if not data:
                return
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                _begin(connection, json.loads(line), (wake, waker))


def _report(connection: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            said = {"pid": pid, "status": os.waitstatus_to_exitcode(status)}
            connection.sendall(json.dumps(said).encode() + b"\n")


def _begin(connection: socket.socket, order: dict[str, Any], descriptors: tuple[int, ...]) -> None:
    # Its end is reported by the loop, so never before its beginning.
    pid = os.fork()
    if pid:
        connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        return
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.close()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(order["environ"])
        if order["clock"]:
            _put_clock_out(order["clock"])
        from mbtd import failpoints
        from mbtd.cli import main

        if named := order["environ"].get(failpoints.VARIABLE):
            failpoints.armed = failpoints.FailPoint(named)
        status = main(order["args"])
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _put_clock_out(path: str) -> None:
    from mbtd.market.feeds.synthetic import SyntheticFeed

    with open(path, "rb") as file:
        offset = mmap.mmap(file.fileno(), CLOCK_BYTES, prot=mmap.PROT_READ)
    true_ns, true_s = time.time_ns, time.time

    def time_ns() -> int:
        return true_ns() + int.from_bytes(offset[:CLOCK_BYTES], "little", signed=True)

    time.time_ns = time_ns
    time.time = lambda: true_s() + int.from_bytes(offset[:CLOCK_BYTES], "little", signed=True) / 1e9
    assert SyntheticFeed.__init__.__kwdefaults__ is not None
    SyntheticFeed.__init__.__kwdefaults__["wall_ns"] = time_ns


def main() -> None:
    """Import what a daemon imports, then copy."""
    import mbtd.daemon
    import mbtd.market.feeds.synthetic
    import mbtd.market.synthetic.market
    from mbtd.market.calendar import load_data

    market: Any = mbtd.market.synthetic.market
    # A small world: usually no options in the synthetic market.
    market.SyntheticSettings = functools.partial(market.SyntheticSettings, options=sys.argv[2:] == ["1"])
    load_data()
    gc.collect()
    gc.freeze()
    assert mbtd.daemon
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _serve(connection)


if __name__ == "__main__":
    main()
