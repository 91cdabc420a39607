"""The gateway under load: REST clients at their limits, stream subscribers, and the daemon's orders meanwhile.

Figures: ``rest_per_s`` (asked for: 100 free, 60 pro and 40 pro_plus clients, 2,700 a second), ``rest_p50_ms``,
``rest_p99_ms``, ``stream_lag_p99_ms`` (age of a quote on arrival), ``processors`` (what each process used),
``order_p99_ratio`` (an order over the socket with the load to one without; anchor: without). Everything runs on this
host, the load generator included. The thread that measures orders runs real-time where it may, as the daemon does, or
the figure would be how late a busy host wakes that thread.

With ``--kills N`` the gateway is killed so often meanwhile, while ``PLACERS`` programs place orders through it and repeat
each until it is answered; ``orders_lost`` and ``orders_doubled`` are counted over the socket afterwards, and
``back_ms`` is how long nobody answered.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mbtd.precedence import take_precedence
from mbtd.rpc.client import Client
from tests.bench.running import ROOT, BenchError, Child, StateDirectory, percentile
from tests.gateway.running import Served
from tests.gateway.test_limits import gateway_pid
from tests.gateway.test_restart import Placer, placed

CLIENTS = {"free": 100, "pro": 60, "pro_plus": 40}
ORDERS_PER_S = 50
PLACERS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the clients and subscribers")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--quotes-per-s", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=0, help="of the gateway, under the load")
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
        take_precedence()
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
    if arguments.kills:
        yield from _killed(served, arguments)
        return
    keys = {tier: _accounts(served, tier, max(1, int(n * arguments.share))) for tier, n in CLIENTS.items()}
    account = served.open("orders", cash="1000000000").name
    quiet = _orders(served, account, arguments.seconds)
    seconds = arguments.seconds + 1.5
    order = {
        "url": served.url,
        "keys": keys,
        "streams": int(arguments.streams * arguments.share),
        "seconds": seconds,
        "again": False,
    }
    with Child("tests.bench.gateway_load") as load:
        load.say(**order)
        load.hear()
        before = _cpu_s(served)
        time.sleep(0.75)
        busy = _orders(served, account, arguments.seconds)
        found = load.hear()
        used = {name: now - before[name] for name, now in _cpu_s(served).items()} | {"load": found["cpu_s"]}
    if found["lost"]:
        raise BenchError(f"{found['lost']} connections ended before their time")
    asked = sum(
        int(n * arguments.share) * {"free": 1, "pro": 10, "pro_plus": 50}[tier] for tier, n in CLIENTS.items()
    )
    answered = sum(found["statuses"].values())
    yield {"name": "rest_per_s", "value": round(answered / seconds), "unit": "1/s", "asked": asked}
    yield {"name": "rest_statuses", "value": found["statuses"], "unit": "requests"}
    for name, value in found["latencies"].items():
        yield {"name": f"rest_{name}", "value": value, "unit": "ms"}
    yield {"name": "stream_messages_per_s", "value": round(found["messages"] / seconds), "unit": "1/s"}
    yield {"name": "stream_frames_per_s", "value": round(found["frames"] / seconds), "unit": "1/s"}
    for name, value in found["lags"].items():
        yield {"name": f"stream_lag_{name}", "value": value, "unit": "ms"}
    scheduling = served.call("health.get")["engine"]["scheduling"]
    shares = {name: round(value / seconds, 2) for name, value in used.items()}
    yield {"name": "processors", "value": shares, "unit": "of one processor"}
    for name, share in (("order_p50_ratio", 0.5), ("order_p99_ratio", 0.99)):
        with_load, without = percentile(busy, share) * 1e6, percentile(quiet, share) * 1e6
        yield {
            "name": name, "value": round(with_load), "unit": "us", "scheduling": scheduling,
            "anchor": name.replace("ratio", "without_load"), "anchor_value": round(without),
            "ratio": round(with_load / without, 2),
        }  # fmt: skip


def _killed(served: Served, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Kill the gateway again and again, and count what became of the orders."""
    keys = {tier: _accounts(served, tier, max(1, int(n * arguments.share))) for tier, n in CLIENTS.items()}
    placers = [Placer(served.open(f"placer {number}", cash="1000000000")) for number in range(PLACERS)]
    order = {
        "url": served.url, "keys": keys, "streams": int(arguments.streams * arguments.share),
        "seconds": arguments.seconds, "again": True,
    }  # fmt: skip
    gaps: list[float] = []
    with Child("tests.bench.gateway_load") as load:
        load.say(**order)
        load.hear()
        for placer in placers:
            placer.start()
        for number in range(arguments.kills):
            time.sleep(max(0.0, arguments.seconds / arguments.kills - (gaps[-1] if number else 0.0)))
            old = gateway_pid(served)
            since = time.monotonic()
            os.kill(old, signal.SIGKILL)
            while gateway_pid(served) in (0, old):
                time.sleep(0.01)
            served.wait_for_gateway()
            gaps.append(time.monotonic() - since)
        found = load.hear()
    for placer in placers:
        placer.going = False
        placer.join(30)
    lost = doubled = answered = unknown = 0
    for placer in placers:
        there = placed(served, placer.user.name)
        answered += len(placer.answered)
        lost += sum(order_id not in there.get(name, ()) for name, order_id in placer.answered.items())
        doubled += sum(len(ids) > 1 for ids in there.values())
        unknown += len(there.keys() - placer.answered.keys())
    wrong = [text for placer in placers for text in placer.wrong]
    kills = {"kills": len(gaps), "cut_off": found["lost"], "statuses": found["statuses"], "wrong": wrong}
    yield {
        "name": "orders_lost",
        "value": lost,
        "unit": "orders",
        "answered": answered,
        "unanswered": unknown,
    } | kills
    yield {"name": "orders_doubled", "value": doubled, "unit": "orders"}
    gaps.sort()
    yield {
        "name": "back_ms", "value": round(percentile(gaps, 0.5) * 1e3), "max": round(gaps[-1] * 1e3), "unit": "ms"
    }  # fmt: skip


def _cpu_s(served: Served) -> dict[str, float]:
    """Processor time of the daemon, of its writer and of the gateway so far."""
    found = {"daemon": _used(served.process.pid), "gateway": 0.0, "writer": 0.0}
    for child in Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes()
        found["gateway" if b"gateway" in words else "writer"] += _used(int(child))
    return found


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _accounts(served: Served, tier: str, count: int) -> list[list[str]]:
    users = [served.open(f"{tier} {number}", tier=tier) for number in range(count)]
    return [[user.key, user.secret] for user in users]


def _orders(served: Served, account: str, seconds: float) -> list[float]:
    placer = Orders(served, account, seconds)
    placer.start()
    placer.join(seconds + 30)
    return placer.latencies
