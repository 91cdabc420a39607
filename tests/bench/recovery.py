"""How long a start takes to have its books again: a journal of real events, and a table of snapshots.

The journal is what the engine says about real market and limit orders, cut into groups of about 64 events and
stored as the writer does. The snapshots are of accounts with live orders, which is what a start must load. Each is
read by :func:`mbtd.core.recover` in a new process, and every live order is armed, as the daemon does.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from actors.book.outcome import Placed
from actors.commands import CancelOrder, PlaceOrder
from actors.engine import Engine
from mbtd.groups import GroupCutter
from mbtd.journal import open_front
from mbtd.recovery import recover
from mbtd.residency import snapshot_of, snapshot_of_house
from storage.sqlite import SqliteStore
from tests.bench.built import ENVELOPE, engine_of, open_accounts, rest_orders
from tests.bench.feed import symbol_of
from tests.bench.running import ROOT, BenchError, StateDirectory

_EVENTS_PER_GROUP: Final = 64
_ACCOUNTS: Final = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--snapshots", type=int, default=5_000)
    parser.add_argument("--orders", type=int, default=2, help="live orders of each account with a snapshot")
    parser.add_argument("--positions", type=int, default=3, help="positions of each such account")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--state-in", type=Path, help="where the state directory is made")


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per figure."""
    subjects = []
    if options.events:
        subjects.append(("events_s", options.events, write_events))
    if options.snapshots:
        subjects.append(("snapshots_s", options.snapshots, write_snapshots))
    for name, count, write in subjects:
        with StateDirectory(options.state_in) as state:
            gc.disable()
            facts = write(state, options)
            gc.enable()
            runs = [_recover_apart(state) for _ in range(options.reps)]
        total = statistics.median(found["recover_s"] + found["arm_s"] for found in runs)
        unit = 1_000_000 if name == "events_s" else 100_000
        yield {
            "name": name, "value": round(total, 3), "unit": "s", "count": count,
            "arm_s": round(statistics.median(found["arm_s"] for found in runs), 3),
            "per_count": unit, "value_per_count": round(total / count * unit, 2), "accounts": runs[0]["accounts"],
            "steps": runs[0]["steps"], "rss_bytes": runs[0]["rss_bytes"], "reps": options.reps,
            "load_average": round(os.getloadavg()[0], 2),
        } | facts  # fmt: skip


def write_events(state: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A store whose journal holds that many events and no snapshot."""
    store, front = SqliteStore.open(state), open_front(state, take_epoch=True)
    engine = engine_of(100)
    cutter = GroupCutter(engine, store.head())
    accounts = min(_ACCOUNTS, max(1, options.events // 20))
    size = 0

    def cut() -> None:
        nonlocal size
        group = cutter.cut()
        size += len(group.body)
        store.append(group)
        front.append(group)

    # Every engine-side helper takes steps away now and then, so accounts are opened group by group.
    for number in range(accounts):
        open_accounts(engine, number, 1)
        if len(engine.steps) >= _EVENTS_PER_GROUP // 3:
            cut()
    number = first = 0
    while engine.seq < options.events:
        _place(engine, number % accounts + 1, number)
        number += 1
        if engine.seq - first >= _EVENTS_PER_GROUP:
            cut()
            first = engine.seq
    cut()
    store.checkpoint(truncate=True)
    store.close()
    front.close()
    return {"bytes_per_event": round(size / engine.seq)}


def _place(engine: Engine, account_no: int, number: int) -> None:
    """Two market orders that fill, then a limit that is cancelled, over and over."""
    symbol, at = symbol_of(number % 100), engine.world.now + 1_000
    kind = number // 1_000 % 3
    if kind < 2:
        side = "buy" if kind == 0 else "sell"
        order = PlaceOrder(symbol=symbol, qty="1", side=side, type="market", client_order_id=f"c{number}")
    else:
        order = PlaceOrder(
            symbol=symbol, qty="1", side="buy", type="limit", limit_price="100", client_order_id=f"c{number}"
        )
    placed = engine.command(account_no, order, at, ENVELOPE)
    if not isinstance(placed, Placed):
        raise BenchError(f"an order was refused: {placed}")
    if kind == 2:
        engine.command(account_no, CancelOrder(client_order_id=f"c{number}"), at + 500, ENVELOPE)


def write_snapshots(state: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A store with that many snapshots of accounts with live orders, and an empty journal behind them."""
    store, front = SqliteStore.open(state), open_front(state, take_epoch=True)
    engine = engine_of(100)
    cutter = GroupCutter(engine, store.head())
    open_accounts(engine, 0, options.snapshots)
    for round_no in range(options.positions):
        for number in range(options.snapshots):
            order = PlaceOrder(symbol=symbol_of((number + round_no) % 100), qty="2", side="buy", type="market")
            engine.command(number + 1, order, engine.world.now, ENVELOPE)
            if number % 1_000 == 0:
                engine.take_steps()
    for _ in rest_orders(engine, options.snapshots, 100, options.snapshots * options.orders, only_buys=True):
        pass
    engine.take_steps()
    group = cutter.cut(steps=[])
    store.append(group)
    front.append(group)
    size = 0
    books = list(engine.books.values())
    for begin in range(0, len(books), 500):
        chunk = [snapshot_of(book, engine.seq) for book in books[begin : begin + 500]]
        size += sum(len(snapshot.body) for snapshot in chunk)
        store.put_snapshots(chunk)
    store.put_snapshots([snapshot_of_house(engine.house, engine.seq)])
    store.checkpoint(truncate=True)
    store.close()
    front.close()
    return {
        "bytes_per_snapshot": round(size / len(books)), "orders_each": options.orders,
        "positions_each": options.positions,
    }  # fmt: skip


def _recover_apart(state: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.recovery", str(state)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _recover(state: Path) -> dict[str, Any]:
    from tests.bench.feed import rss_bytes

    engine = engine_of(100)
    gc.disable()  # as the daemon does while it starts
    begin = time.perf_counter()
    found, _covered = recover(engine, state)
    middle = time.perf_counter()
    for account_no in sorted(engine.books):
        engine.waits.arm_all(engine.books[account_no])
    end = time.perf_counter()
    return {
        "recover_s": middle - begin, "arm_s": end - middle, "accounts": found.accounts, "steps": found.steps,
        "rss_bytes": rss_bytes(),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_recover(Path(sys.argv[1]))))
