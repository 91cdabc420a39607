"""A state directory of the fault campaign, its daemon, and what must hold after every fault.

The clients note what was acknowledged. After a fault every order ever acknowledged in the directory must be there
exactly once, every order without an answer is repeated under its own id (done once, whatever happened before), and
``mbtd verify`` must find nothing: chains, ledger, replay of the books. In the end the journal is read from its first
event on: numbers without a gap, times that never step back, books by the plain ledger and by recovery the same.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from mbtd.jobs.redecide import redecide
from mbtd.jobs.verify import verify
from mbtd.rpc.client import Client
from mbtd.rpc.wire import ConnectionLost, RpcRefusal
from storage.lock import StateLock
from tests.crash.journal import Journal
from tests.crash.shopper import Shopper
from tests.crash.template import Forked, Template
from tests.oracle.ledger import replay_events, same_books

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
SYMBOLS = ("AAPL", "MSFT", "NVDA")
ACCOUNTS = ("ann", "bob", "cat")
BALLAST_BYTES = 262_144
NOTES_MAX = 10
KEEP_EVENTS = 10_000_000
"""The journal is kept whole, so that it can be read from its first event on."""


class Outcome(Struct):
    """Sums over the trials of one kind."""

    fault: str
    trials: int = 0
    acknowledged: int = 0
    settled: int = 0
    """Orders without an answer, repeated after a start."""
    refused: int = 0
    looked_at: int = 0
    """Acknowledged orders looked up after a fault; each anew after every fault."""
    lost: int = 0
    duplicates: int = 0
    verify_failed: int = 0
    exits: dict[str, int] = {}
    notes: list[str] = []
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing twice, everything verified."""
        return not (self.lost or self.duplicates or self.verify_failed)

    def note(self, *texts: str) -> None:
        """Keep a few words."""
        self.notes += texts[: max(0, NOTES_MAX - len(self.notes))]

    def add(self, other: Outcome) -> None:
        """Sum up."""
        for name in ("trials", "acknowledged", "settled", "refused", "looked_at", "lost", "duplicates",
                     "verify_failed", "seconds"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for status, count in other.exits.items():
            self.exits[status] = self.exits.get(status, 0) + count
        self.note(*other.notes)


class Trial:
    """A state directory, its daemon, and its clients' memory."""

    def __init__(
        self,
        state: Path,
        outcome: Outcome,
        seed: int,
        template: Template,
        *,
        serve: tuple[str, ...] = ("--feed", "synthetic", "--seed", "7"),
        clock: Path | None = None,
        symbols: tuple[str, ...] = SYMBOLS,
        keep_events: int = KEEP_EVENTS,
        **environ: str,
    ) -> None:
        self.state = state
        self.outcome = outcome
        self.random = Random(seed)
        self.template = template
        self.shoppers = [Shopper(state / "mbtd.sock", name, symbols, seed) for name in ACCOUNTS]
        self.process: Forked | subprocess.Popen[bytes] | None = None
        self._serve = serve
        self._clock = clock
        self._keeps = keep_events == KEEP_EVENTS
        self._environ = {"MBTD_STORAGE__JOURNAL_KEEP_EVENTS": str(keep_events), **environ}
        self.log = state.with_suffix(".log")

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────

    def start(self, *wrap: str, **environ: str) -> None:
        """Start the daemon, under another program if given, and wait for its answer (or its end)."""
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MBT", "ALPACA", "APCA"))},
            "MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": "300",
            "MBTD_STORAGE__BALLAST_BYTES": str(BALLAST_BYTES),
            **self._environ,
            **environ,
        }
        args = ["serve", "--state", str(self.state), "--gateway", "off", *self._serve]
        if wrap:
            with self.log.open("ab") as log:
                command = [*wrap, sys.executable, "-m", "mbtd.cli", *args]
                self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        else:
            self.process = self.template.start(args, env, self.log, self._clock)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with self.client() as client:
                    client.call("health.get")
                    return
            except (ConnectionLost, OSError):
                time.sleep(0.01)
        assert self.process.poll() is not None, f"the daemon does not answer:\n{self.log_tail()}"

    def log_tail(self) -> str:
        """The last that the daemon wrote."""
        return self.log.read_text(errors="replace")[-2_000:]

    def client(self) -> Client:
        """A connection."""
        return Client(self.state / "mbtd.sock", timeout_s=20.0, reconnect_max_s=0.1)

    def pids(self) -> list[int]:
        """The daemon's process and its writer's, below whatever wraps it."""
        assert self.process is not None
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
        return found

    def limit_files(self, size: int) -> None:
        """No file of the daemon may grow beyond so many bytes (0: any size)."""
        limit = size or resource.RLIM_INFINITY
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def ended(self) -> int | None:
        """The exit status, once the daemon is gone."""
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return None

    def kill(self, *, daemon: bool = True, writer: bool = True) -> None:
        """End it at once: the daemon, its writer, or both."""
        assert self.process is not None
        if self.process.poll() is not None:
            return
        first, *others = self.pids()
        for pid in [*(others if writer else []), *([first] if daemon else [])]:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.ended()

    def leave(self) -> None:
        """The fault is over: whether the daemon lives on or ended with a status, it is gone afterwards."""
        assert self.process is not None
        self.kill()
        self.note_exit()

    def note_exit(self) -> None:
        """Count how it ended."""
        status = str(self.ended())
        self.outcome.exits[status] = self.outcome.exits.get(status, 0) + 1

    # ── its clients ──────────────────────────────────────────────────────────────────────────────────────

    def open_accounts(self, *, tape: int = 100) -> None:
        """The accounts of all trials of the directory, and a market to trade in."""
        with self.client() as client:
            for shopper in self.shoppers:
                shopper.open_account(client)
            deadline = time.monotonic() + PATIENCE_S
            while client.call("health.get")["engine"]["tape_seq"] < tape:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def wait_for_assets(self, count: int) -> None:
        """Until the daemon knows so many instruments: before that it refuses every order."""
        deadline = time.monotonic() + PATIENCE_S
        while self.health()["reference"]["instruments"] < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def trade(self, orders: int, until: float | None = None) -> None:
        """All clients trade at once until each has sent its orders, or the daemon is gone."""
        threads = self.begin_trading(orders, until)
        for thread in threads:
            thread.join()

    def begin_trading(self, orders: int, until: float | None = None) -> list[threading.Thread]:
        """The same, not waited for."""
        threads = [threading.Thread(target=shopper.trade, args=(orders, until)) for shopper in self.shoppers]
        for thread in threads:
            thread.start()
        return threads

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Start without faults, repeat what has no answer, look for everything, verify beside the daemon."""
        self.start()
        assert self.process is not None
        assert self.process.poll() is None, f"it does not start again:\n{self.log_tail()}"
        with self.client() as client:
            for shopper in self.shoppers:
                shopper.settle(client)
                looked = shopper.look(client)
                self.outcome.looked_at += len(shopper.acknowledged)
                self.outcome.lost += looked.lost
                self.outcome.duplicates += looked.duplicates
                self.outcome.note(*looked.wrong)
            client.call("admin.barrier")
        self._verify()

    def _verify(self) -> None:
        report = verify(self.state)
        if not report.ok:
            self.outcome.verify_failed += 1
            self.outcome.note(*report.wrong)

    def finish(self) -> None:
        """Stop, verify what is left, decide it again, and read the journal from its first event on."""
        assert self.process is not None
        self.process.terminate()
        status = self.ended()
        if status != 0:
            self.outcome.verify_failed += 1
            self.outcome.note(f"a clean stop ended with {status}: {self.log_tail()}")
        self._verify()
        decided = redecide(self.state)
        if not decided.ok:
            self.outcome.verify_failed += 1
            self.outcome.note(*decided.wrong)
        if self._keeps:
            self._read_journal()
        self.outcome.acknowledged += sum(len(each.acknowledged) for each in self.shoppers)
        self.outcome.settled += sum(each.settled for each in self.shoppers)
        self.outcome.refused += sum(each.refused for each in self.shoppers)

    def _read_journal(self) -> None:
        journal, copy = Journal(), self.state.with_name("read")
        shutil.rmtree(copy, ignore_errors=True)
        with StateLock.acquire(self.state, wait_s=PATIENCE_S):
            shutil.copytree(self.state, copy, ignore=shutil.ignore_patterns("*.sock", "*-shm", "tape", "filler"))
        try:
            journal.read(copy)
            same_books(replay_events(journal.steps), journal.engine.books)
            journal.check_recovery(copy)
            times = [step.at for step in journal.steps]
            assert times == sorted(times), "time steps back in the journal"
            for shopper in self.shoppers:
                for name, order_id in shopper.acknowledged.items():
                    assert journal.orders.get((shopper.name, name)) == [order_id], f"{name} in the journal"
        except AssertionError as error:
            self.outcome.verify_failed += 1
            self.outcome.note(f"the journal: {error}")
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def health(self) -> dict[str, Any]:
        """What it says of itself; empty when it says nothing."""
        try:
            with self.client() as client:
                answer: dict[str, Any] = client.call("health.get")
                return answer
        except (ConnectionLost, RpcRefusal, OSError, TimeoutError):
            return {}
