"""One trial of the fault campaign: orders under a fault, a start without it, and what must hold then.

The client notes what was acknowledged. Afterwards every acknowledged order must be there exactly once, every order
without an answer is repeated under its own id (done once, whatever happened before), and ``mbtd verify`` must find
nothing: chains, ledger, replay of the books.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from mbtd.jobs.verify import verify
from mbtd.rpc.client import Client
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
SYMBOLS = ("AAPL", "MSFT", "NVDA")
BALLAST_BYTES = 262_144


class Outcome(Struct):
    """Sums over the trials of one kind."""

    fault: str
    trials: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    refused: int = 0
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


class Trial:
    """A state directory, its daemon, and a client's memory."""

    def __init__(self, state: Path, outcome: Outcome, seed: int) -> None:
        self.state = state
        self.outcome = outcome
        self.random = Random(seed)
        self.acknowledged: dict[str, str] = {}
        self.unanswered: dict[str, dict[str, Any]] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._log = state.with_suffix(".log")
        self._numbers = 0

    def start(self, *wrap: str, **environ: str) -> None:
        """Start the daemon, under another program if given, and wait for its answer (or its end)."""
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MBT", "ALPACA"))},
            "MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": "300",
            "MBTD_STORAGE__BALLAST_BYTES": str(BALLAST_BYTES),
            **environ,
        }
        command = [*wrap, sys.executable, "-m", "mbtd.cli", "serve", "--state", str(self.state), "--gateway", "off"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*command, "--seed", "7"], cwd=ROOT, env=env, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with self.client() as client:
                    client.call("health.get")
                    return
            except (ConnectionLost, OSError):
                time.sleep(0.02)
        assert self.process.poll() is not None, f"the daemon does not answer:\n{self._log.read_text()[-2000:]}"

    def client(self) -> Client:
        return Client(self.state / "mbtd.sock", timeout_s=5.0, reconnect_max_s=0.1)

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
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def open_account(self) -> None:
        """The account of all trials of a directory."""
        with self.client() as client:
            try:
                client.call("account.create", name="ann", cash="100000000")
            except RpcRefusal as refusal:
                if refusal.reason != "account_name_taken":
                    raise
            deadline = time.monotonic() + PATIENCE_S
            while client.call("health.get")["engine"]["tape_seq"] < 100:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def trade(self, orders: int, until: float | None = None) -> None:
        """Send orders one after another; the daemon's death ends it."""
        try:
            with self.client() as client:
                for _ in range(orders):
                    if until is not None and time.monotonic() > until:
                        return
                    self._place(client)
        except (ConnectionLost, OSError, TimeoutError):
            return

    def _place(self, client: Client) -> None:
        self._numbers += 1
        name = f"t{self.outcome.trials}-{self._numbers}-{self.random.getrandbits(32):x}"
        order: dict[str, Any] = {
            "account": "ann", "symbol": self.random.choice(SYMBOLS), "side": "buy", "qty": "1", "type": "limit",
            "limit_price": "1.00", "client_order_id": name,
        }  # fmt: skip
        self.unanswered[name] = order
        try:
            answer = client.call("order.place", **order)
        except RpcRefusal as refusal:
            if refusal.reason == "outcome_unknown":
                return
            self.outcome.refused += 1
            del self.unanswered[name]
            return
        self.acknowledged[name] = answer["order"]["id"]
        del self.unanswered[name]
        if self.random.random() < 0.3:
            with contextlib.suppress(RpcRefusal):
                client.call("order.cancel", account="ann", client_order_id=name)

    def ended(self) -> int | None:
        """The exit status, once the daemon and its writer are gone."""
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.poll() is None:
            for pid in reversed(self.pids()):
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
            self.process.wait()

    def note_exit(self) -> None:
        """Count how it ended."""
        status = str(self.ended())
        self.outcome.exits[status] = self.outcome.exits.get(status, 0) + 1

    def settle(self) -> None:
        """Start without faults, repeat what has no answer, look for everything, verify."""
        self.start()
        with self.client() as client:
            for name, order in list(self.unanswered.items()):
                self.outcome.unanswered += 1
                self.acknowledged[name] = client.call("order.place", **order)["order"]["id"]
            self.unanswered.clear()
            self._look(client)
        assert self.process is not None
        self.process.terminate()
        assert self.ended() == 0, self._log.read_text()[-2000:]
        report = verify(self.state)
        if not report.ok:
            self.outcome.verify_failed += 1
            self.outcome.notes += report.wrong[:3]

    def _look(self, client: Client) -> None:
        found: dict[str, list[str]] = {}
        token: str | None = None
        while True:
            page = client.call("order.list", account="ann", status="all", limit=500, page_token=token)
            for order in page["items"]:
                found.setdefault(order["client_order_id"], []).append(order["id"])
            token = page["next_page_token"]
            if token is None:
                break
        for name, order_id in self.acknowledged.items():
            here = found.get(name, [])
            self.outcome.lost += order_id not in here
            self.outcome.duplicates += len(here) > 1
        self.outcome.acknowledged += len(self.acknowledged)
        self.acknowledged.clear()
