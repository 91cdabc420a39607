"""What somebody's cold margin costs everybody else: acknowledgements of stock orders with and without it.

One account holds ``--legs`` random contracts of one underlying and opens a condor ``--rate-cold`` times a second, each at
prices and positions that no cache has seen. The others send market orders in stock at a fixed rate. Windows with and
without that account alternate; figures are medians. ``--thin`` gives it so little money that bounds are not enough, so
that its margin is searched for every order (``searches`` says how often).
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from random import Random
from typing import Any, Final

from mbtd.rpc.client import Client, RpcRefusal
from tests.bench.contracts import WIDE_STRIKES, condor_legs, contract_symbol, expiries
from tests.bench.feed import symbol_of
from tests.bench.running import BenchError, Child, StateDirectory, start_daemon

HEAVY: Final = "h0"
SYMBOLS: Final = 16
THIN_DOLLARS: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--legs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=400.0, help="stock orders a second")
    parser.add_argument("--rate-cold", type=float, default=5.0, help="condors a second of the large account")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured time, all windows together")
    parser.add_argument("--reps", type=int, default=2, help="windows with, and as many without")
    parser.add_argument("--quotes-per-s", type=float, default=2_000)
    parser.add_argument("--thin", action="store_true")
    parser.add_argument("--seed", type=int, default=1)


class Heavy:
    """The large account, working in a thread of its own while a window asks for it."""

    def __init__(self, socket: Any, rate: float) -> None:
        self._socket, self._rate = socket, rate
        self.times_us: list[float] = []
        self.refused = 0
        self._stop = threading.Event()

    def work(self) -> None:
        """Open condors until told to stop."""
        today = datetime.now(UTC).date()
        wings = ((180, 175, 195, 200), (170, 165, 205, 210), (178, 174, 196, 199), (172, 168, 202, 206))
        number = 0
        with Client(self._socket) as client:
            while not self._stop.wait(1 / self._rate):
                legs = condor_legs(symbol_of(0), expiries(today)[number % 3], wings[number % 4])
                number += 1
                begin = time.perf_counter()
                try:
                    client.call("order.place", account=HEAVY, order_class="mleg", type="market", qty="1", legs=legs)
                except RpcRefusal:
                    self.refused += 1
                self.times_us.append((time.perf_counter() - begin) * 1e6)

    def __enter__(self) -> Heavy:
        self._stop.clear()
        self._thread = threading.Thread(target=self.work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def fill_up(socket: Any, legs: int, seed: int, today: date) -> int:
    """Give the account its random legs; how many it got."""
    dice = Random(seed)
    held: set[str] = set()
    with Client(socket) as client:
        for _ in range(legs * 4):
            symbol = contract_symbol(
                symbol_of(0), dice.choice(expiries(today)), dice.choice(("put", "call")), dice.choice(WIDE_STRIKES)
            )
            if len(held) >= legs or symbol in held:
                continue
            side = dice.choice(("buy", "sell"))
            qty = str(dice.randint(1, 5))
            client.call("order.place", account=HEAVY, symbol=symbol, side=side, qty=qty, type="market")
            held.add(symbol)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            got = len(client.call("position.list", account=HEAVY, limit=100)["items"])
            if got >= len(held):
                return got
            time.sleep(0.05)
    raise BenchError("the large account did not get its legs")


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per figure."""
    today = datetime.now(UTC).date()
    with StateDirectory(None) as state, start_daemon(state, SYMBOLS, options=True) as daemon:
        daemon.ask("create", count=32, profile="alpaca-parity")
        daemon.ask("create", count=1, profile="alpaca-parity", prefix="h", options_level=4)
        daemon.ask("settle", seconds=10)
        socket = state / "mbtd.sock"
        legs = fill_up(socket, options.legs, options.seed, today)
        settings = {
            "socket": str(socket), "clients": 8, "accounts": 32, "symbols": SYMBOLS, "kind": "market",
            "rate": options.rate, "run": time.time_ns(), "realtime": True,
        }  # fmt: skip
        heavy = Heavy(socket, options.rate_cold)
        searched = _searches(socket)
        found: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
        with Child("tests.bench.load", json.dumps(settings)) as load:
            load.hear()
            for _ in range(options.reps):
                for name in ("without", "with"):
                    if options.thin:
                        _thin_out(socket)
                    daemon.ask("settle", seconds=20, history_only=True)
                    daemon.ask("rate", rate=options.quotes_per_s)
                    load.say(do="run", warm_s=0.3, seconds=options.seconds / options.reps / 2)
                    if name == "with":
                        with heavy:
                            window = load.hear()
                    else:
                        window = load.hear()
                    window["slice_us_max"] = daemon.ask("rate", rate=0)["slice_us_max"]
                    found[name].append(window)
        searches = _searches(socket) - searched
    for share in ("p50", "p99"):
        alone, beside = (statistics.median(w[f"{share}_us"] for w in found[name]) for name in ("without", "with"))
        yield {
            "name": f"others_ack_{share}_us", "value": round(beside), "unit": "us", "anchor": "without",
            "anchor_value": round(alone), "ratio": round(beside / alone, 3), "legs": legs, "thin": options.thin,
            "rate_cold": options.rate_cold, "slice_us_max": round(max(w["slice_us_max"] for w in found["with"])),
            "slice_us_max_without": round(max(w["slice_us_max"] for w in found["without"])),
        }  # fmt: skip
    times = sorted(heavy.times_us)
    yield {
        "name": "cold_order_us", "value": round(statistics.median(times)), "unit": "us", "orders": len(times),
        "worst": round(times[-1]), "refused": heavy.refused, "thin": options.thin, "searches": searches,
    }  # fmt: skip


def _thin_out(socket: Any) -> None:
    """Leave the large account too little money for bounds to be enough."""
    with Client(socket) as client:
        free = float(client.call("account.get", account=HEAVY)["withdrawable"]) - THIN_DOLLARS
        if free > 0:
            with suppress(RpcRefusal):  # prices have moved since
                client.call("account.withdraw", account=HEAVY, amount=f"{free:.2f}")


def _searches(socket: Any) -> int:
    """How many the daemon has made outside of turns."""
    with Client(socket) as client:
        return int(client.call("health.get")["engine"]["searches"])
