"""A backup of a large state under load: ``python -m tests.operations.backup_load [--megabytes 1000]``.

The state is made by an engine in this process, through the same store and projections as a daemon's. Then a daemon
serves it while clients place orders at a fixed rate: without a backup, and during one. The backup is restored
elsewhere and both are hashed; a user is erased and every byte is searched, and again after a restore of the backup
from before. One JSON line in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from actors.book.rules.matching.profiles import Profiles
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.house.decide import Defaults
from actors.inputs import Envelope, Issued
from actors.market.messages import Quote
from mbtd.groups import GroupCutter
from mbtd.jobs.verify import verify
from mbtd.journal import open_front
from mbtd.market.calendar import TradeDays
from mbtd.market.feeds.synthetic import SyntheticFeed
from mbtd.market.synthetic.market import SyntheticSettings
from mbtd.records.projection import project
from mbtd.residency import snapshot_of, snapshot_of_house
from mbtd.rpc.client import Client
from mbtd.rpc.wire import RpcRefusal
from mbtd.seeds import keep_seed, partition_seed
from storage.erasure import find_bytes
from storage.sqlite import SqliteStore
from tests.service.running import ENVIRON, Daemon, printed

SEED = 7
MS = 1_000_000
ACCOUNTS = 200
SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY", "QQQ")
ORDERS_A_ROUND = 2_000
CLIENTS, ORDERS_PER_SECOND = 4, 200
QUIET_S = 15.0
PATIENCE_S = 900.0


class PatientDaemon(Daemon):
    """One whose state is large."""

    def start(self) -> PatientDaemon:
        with self.log.open("ab") as log:
            words = [sys.executable, "-m", "mbtd.cli", "serve", "--state", str(self.state), *self.flags]
            self.process = subprocess.Popen(words, env=self.environ, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()[-3_000:]
            time.sleep(0.1)
        return self

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


def run_cli(*words: str, socket: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``mbtd …`` with all the time that a large state needs, as low in priority as the backup's unit."""
    named = {"MBTD_SOCKET": str(socket)} if socket is not None else {}
    command = ["nice", "-n", "10", sys.executable, "-m", "mbtd.cli", *words]
    return subprocess.run(
        command, env={**ENVIRON, **named}, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


class Builder:
    """Fills a state directory with the history of many orders."""

    def __init__(self, state: Path) -> None:
        feed = SyntheticFeed(SEED, SyntheticSettings(options=False))
        self.state = state
        self.engine = Engine(partition_seed(SEED), Profiles(), Defaults(), feed.reference(), TradeDays(feed.calendar))
        # The history ends before the present, so that the daemon's clock is never behind it.
        self.now = time.time_ns() - 20 * 3_600 * 10**9
        self.engine.tape(feed.calendar.session_at(self.now))
        self.random = Random(SEED)
        self.orders = 0
        for number in range(1, ACCOUNTS + 1):
            action = CreateAccount(name=f"account-{number}", user_id=f"user-{number}", cash="100000000",
                                   profile="alpaca-parity")  # fmt: skip
            issued = Issued(blake2b(b"%d" % number, digest_size=32).digest())
            self.engine.command(0, action, self.now, Envelope(), issued)

    def round(self) -> None:
        """Some thousand orders, about half of them filled."""
        random, engine = self.random, self.engine
        for _ in range(ORDERS_A_ROUND):
            self.now += 2 * MS
            symbol = random.choice(SYMBOLS)
            if self.orders % 5 == 0:
                engine.tape(Quote(symbol, 1_000_000, 10_000, 1_000_100, 10_000, self.now, received_at=self.now))
            side, kind = random.choice(("buy", "sell")), random.choice(("market", "limit"))
            order = PlaceOrder(symbol=symbol, qty="1", side=side, type=kind, time_in_force="ioc" if kind == "limit" else "day",
                               limit_price="1.00" if kind == "limit" else None, client_order_id=f"b{self.orders}")  # fmt: skip
            engine.command(random.randint(1, ACCOUNTS), order, self.now, Envelope())
            self.orders += 1

    def build(self, size: int) -> None:
        """Until the database is as large as wanted."""
        self.state.mkdir(mode=0o700)
        with contextlib.closing(SqliteStore.open(self.state, ballast_bytes=0)) as store:
            store.relax()
            cutter = GroupCutter(self.engine, store.head())
            while (self.state / "mbtd.sqlite3").stat().st_size < size:
                self.round()
                store.append(cutter.cut())
                while store.projection_backlog():
                    store.project(project, 64)
                store.checkpoint(truncate=False)
            self.engine.run_timers_through(self.now + 10**9)
            store.append(cutter.cut())
            while store.projection_backlog():
                store.project(project, 64)
            seq, world = self.engine.seq, self.engine.world
            rows = [snapshot_of(book, seq, world) for _, book in sorted(self.engine.books.items())]
            store.put_snapshots([snapshot_of_house(self.engine.house, seq), *rows])
            store.trim(seq + 1)
            store.checkpoint(truncate=True)
            head = store.head()
        with contextlib.closing(open_front(self.state, take_epoch=False)) as front:
            front.plant(head)
        keep_seed(self.state, SEED)


class Load:
    """Clients that place orders at a fixed rate; latencies count from when each order was due."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.taken: list[tuple[float, float]] = []
        """When an order was due (monotonic), and how long it took from then on."""
        self.refused = 0

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        gap = CLIENTS / ORDERS_PER_SECOND
        due = time.monotonic() + number * gap / CLIENTS
        with Client(self._socket) as client:
            while not self._stop.is_set():
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    client.call("order.place", account=f"account-{number + 1}", symbol="AAPL", side="buy", qty="1",
                                type="limit", limit_price="1.00", time_in_force="ioc")  # fmt: skip
                except RpcRefusal:
                    self.refused += 1
                self.taken.append((due, time.monotonic() - due))
                due += gap

    def figures(self, begin: float, end: float) -> dict[str, Any]:
        """Milliseconds of the orders due within a span."""
        found = sorted(took * 1e3 for due, took in self.taken if begin <= due < end)

        def part(share: float) -> float:
            return round(found[min(len(found) - 1, int(len(found) * share))], 2)

        return {"orders": len(found), "p50_ms": part(0.5), "p99_ms": part(0.99), "max_ms": round(found[-1], 2)}


def built(directory: Path, megabytes: int) -> None:
    """A state directory of that size, unless it is there already."""
    if not (directory / "seed").exists():
        shutil.rmtree(directory, ignore_errors=True)
        Builder(directory).build(megabytes * 1_000_000)


def measure(directory: Path, quiet_s: float) -> dict[str, Any]:
    """Everything; what was found, by name."""
    state, elsewhere = directory / "state", directory / "elsewhere"
    found: dict[str, Any] = {"state_bytes": (state / "mbtd.sqlite3").stat().st_size}
    daemon = PatientDaemon(state, "--seed", str(SEED), MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND="300").start()
    try:
        with Load(daemon.socket) as load:
            time.sleep(2.0)
            calm = time.monotonic()
            time.sleep(quiet_s)
            begin = time.monotonic()
            made = printed(run_cli("backup", "--state", str(state), "--json", socket=daemon.socket))
            end = time.monotonic()
            time.sleep(1.0)
        found |= {"backup_bytes": made["bytes"], "copy_s": made["seconds"], "backup_s": round(end - begin, 1)}
        found |= {"refused": load.refused}
        found |= {"without": load.figures(calm, begin), "during": load.figures(begin, end)}
        os.nice(10)
        restored = printed(run_cli("restore", made["backup"], "--state", str(elsewhere), "--json"))
        backup_hash = verify(Path(made["backup"])).state_hash
        found |= {"hashes_equal": restored["state_hash"] == backup_hash, "restored_ok": restored["ok"]}
        found |= _erase(daemon, state)
    finally:
        daemon.stop()
    again = printed(run_cli("restore", made["backup"], "--state", str(state), "--json"))
    found["erased_again_after_restore"] = again["erased_again"]
    found["bytes_after_restore"] = _bytes_of(state)
    found["verified"] = verify(state).ok
    return found


def _erase(daemon: Daemon, state: Path) -> dict[str, Any]:
    started = time.monotonic()
    before = _bytes_of(state)
    printed(run_cli("user", "erase", "user-7", "--yes", "--json", socket=daemon.socket))
    found = {"files_with_user_before": before, "files_with_user_after": _bytes_of(state)}
    return found | {"erase_s": round(time.monotonic() - started, 1)}


def _bytes_of(state: Path) -> int:
    """Files of the state that still have the user's name or account, backups and what a restore moved aside apart."""
    aside = [path.name for path in state.glob("before-*")]
    return len(
        find_bytes(state, [b"user-7\xa4", b"user-7\xa5", b"account-7\xce", b"user-7\xd9"], ["backups", *aside])
    )


def main() -> int:
    """Run it in a directory that is deleted afterwards; 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.operations.backup_load")
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--quiet-seconds", type=float, default=QUIET_S)
    parser.add_argument("--built", type=Path, help="keep the state that was made here, and use it again")
    parser.add_argument("--build-only", action="store_true", help="only make it")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="mbtd-backup-"))
    try:
        kept = args.built or directory / "built"
        built(kept, args.megabytes)
        if args.build_only:
            return 0
        shutil.copytree(kept, directory / "state")
        found = measure(directory, args.quiet_seconds)
    finally:
        shutil.rmtree(directory)
    print(json.dumps(found))
    good = found["hashes_equal"] and found["restored_ok"] and found["verified"]
    return 0 if good and not found["files_with_user_after"] and not found["bytes_after_restore"] else 1


if __name__ == "__main__":
    sys.exit(main())
