"""The gateway under load: REST clients at their limits, stream subscribers, and the daemon's orders meanwhile.

Figures: ``rest_per_s`` (asked for: 100 free, 60 pro and 40 pro_plus clients, 2,700 a second), ``rest_p50_ms``,
``rest_p99_ms``, ``stream_lag_p99_ms`` (age of a quote on arrival), ``order_p99_ratio`` (an order over the socket with
the load to one without; anchor: without). Everything runs on this host, the load generator included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mbtd.rpc.client import Client
from tests.bench.running import ROOT, BenchError, StateDirectory, percentile
from tests.gateway.running import Served

CLIENTS = {"free": 100, "pro": 60, "pro_plus": 40}
ORDERS_PER_S = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the clients and subscribers")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--quotes-per-s", type=int, default=20_000)
    parser.add_argument("--state", type=Path, default=None, help="parent of the state directory")


class Orders(threading.Thread):
    """Places and cancels over the socket at a steady pace."""

    def __init__(self, served: Served, account: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._served = served
        self._account = account
        self._seconds = seconds
        self.latencies: list[float] = []

    def run(self) -> None:
        order = {"symbol": "AAPL", "side": "buy", "qty": "1", "type": "limit", "limit_price": "1.00"}
        with Client(self._served.socket) as client:
            due = time.monotonic()
            end = due + self._seconds
            while due < end:
                time.sleep(max(0.0, due - time.monotonic()))
                started = time.perf_counter()
                made = client.call("order.place", account=self._account, **order)["order"]
                self.latencies.append(time.perf_counter() - started)
                client.call("order.cancel", account=self._account, order_id=made["id"])
                due += 1 / ORDERS_PER_S
        self.latencies.sort()


def run(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure."""
    with StateDirectory(arguments.state) as directory:
        quotes = {"MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": str(arguments.quotes_per_s)}
        more = {"MBTD_SERVER__CONNECTIONS_MAX": "1000", "MBTD_STORAGE__TAPE_MAX_DAYS": "0"}
        served = Served(directory / "state", **quotes, **more)
        served.environ["PYTHONPATH"] = str(ROOT)
        served.start()
        try:
            yield from _measure(served, arguments)
        finally:
            served.stop()
            served.end()


def _measure(served: Served, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    keys = {tier: _accounts(served, tier, max(1, int(n * arguments.share))) for tier, n in CLIENTS.items()}
    account = served.open("orders", cash="1000000000").name
    quiet = _orders(served, account, min(4.0, arguments.seconds))
    order = {
        "url": served.url,
        "keys": keys,
        "streams": int(arguments.streams * arguments.share),
        "seconds": arguments.seconds + 2,
    }
    load = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.gateway_load"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert load.stdin is not None
    load.stdin.write(json.dumps(order) + "\n")
    load.stdin.flush()
    time.sleep(2)
    busy = _orders(served, account, arguments.seconds - 1)
    said, _ = load.communicate(timeout=arguments.seconds + 60)
    found = json.loads(said)
    if found["failures"]:
        raise BenchError(f"clients failed: {found['failures']}")
    asked = sum(count * {"free": 1, "pro": 10, "pro_plus": 50}[tier] for tier, count in CLIENTS.items())
    served_per_s = len(found["latencies"]) / order["seconds"]
    yield {"name": "rest_per_s", "value": round(served_per_s), "unit": "1/s", "asked": round(asked * arguments.share)}
    yield {"name": "rest_statuses", "value": found["statuses"], "unit": "requests"}
    for name, share in (("rest_p50_ms", 0.5), ("rest_p99_ms", 0.99)):
        yield {"name": name, "value": round(percentile(found["latencies"], share) * 1e3, 2), "unit": "ms"}
    yield {"name": "stream_messages_per_s", "value": round(found["messages"] / order["seconds"]), "unit": "1/s"}
    yield {"name": "stream_lag_p99_ms", "value": round(percentile(found["lags"], 0.99) * 1e3, 2), "unit": "ms"}
    with_load, without = percentile(busy, 0.99) * 1e6, percentile(quiet, 0.99) * 1e6
    yield {
        "name": "order_p99_ratio", "value": round(with_load), "unit": "us",
        "anchor": "order_p99_without_load", "anchor_value": round(without), "ratio": round(with_load / without, 2),
    }  # fmt: skip


def _accounts(served: Served, tier: str, count: int) -> list[list[str]]:
    users = [served.open(f"{tier} {number}", tier=tier) for number in range(count)]
    return [[user.key, user.secret] for user in users]


def _orders(served: Served, account: str, seconds: float) -> list[float]:
    placer = Orders(served, account, seconds)
    placer.start()
    placer.join(seconds + 30)
    return placer.latencies
