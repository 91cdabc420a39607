"""Do two hundred clients that misbehave slow down the others? Measured with and without them in turns.

A third never reads (and asks for quotes and long answers), a third sends one byte a second, a third dies in the
middle of a line and comes back. They live in a process of their own: ``python -m tests.fuzz hostile SOCKET``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.processes import PATIENCE_S, ROOT, DaemonProcess, Wire

CLIENTS = 200


async def never_read(path: Path, number: int) -> None:
    """Ask for much and never read."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            for index in range(60):
                method, params = (
                    ("asset.list", {"limit": 500}) if index else ("stream.subscribe", {"topics": ["quotes:AAPL"]})
                )
                line = {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
                writer.write(json.dumps(line).encode() + b"\n")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(60):
                    await writer.drain()
                    await asyncio.sleep(60)
            writer.transport.abort()
        await asyncio.sleep(1)


async def one_byte_a_second(path: Path, number: int) -> None:
    """Send a request a byte at a time; the daemon hangs up, and it begins again."""
    line = b'{"jsonrpc":"2.0","id":1,"method":"health.get"}\n'
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(str(path))
            for index in range(len(line)):
                writer.write(line[index : index + 1])
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()
        await asyncio.sleep(1)


async def die_mid_line(path: Path, number: int) -> None:
    """Begin an order and vanish."""
    dice = Random(number)
    line = b'{"jsonrpc":"2.0","id":1,"method":"order.place","params":{"account":"quick-0","symbol":"AAPL"'
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(str(path))
            writer.write(line[: dice.randint(1, len(line))])
            await writer.drain()
            await asyncio.sleep(dice.uniform(0.5, 1.5))
            writer.transport.abort()
        await asyncio.sleep(dice.uniform(0.5, 1.5))


async def misbehave(path: Path, clients: int = CLIENTS) -> None:
    """All of them, until killed."""
    kinds = (never_read, one_byte_a_second, die_mid_line)
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(kinds[number % len(kinds)](path, number))


async def latencies(path: Path, seconds: float, clients: int = 4, gap_s: float = 0.004) -> list[float]:
    """Round trips of well-behaved clients that place and cancel orders, in seconds."""
    out: list[float] = []
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        wire = await Wire.connect(path)
        params: dict[str, Any] = {"account": f"quick-{number}", "symbol": "SPY", "qty": "1", "side": "buy"}
        params |= {"type": "limit", "limit_price": "1.00"}
        while time.monotonic() < until:
            started = time.perf_counter()
            answer = await wire.call("order.place", **params)
            out.append(time.perf_counter() - started)
            await wire.call("order.cancel", account=params["account"], order_id=answer["result"]["order"]["id"])
            await asyncio.sleep(gap_s)
        await wire.close()

    await asyncio.gather(*(one(number) for number in range(clients)))
    return out


async def served_beside(state: Path, pairs: int, clients: int = CLIENTS) -> dict[str, Any]:
    """Well-behaved clients do a fixed amount of work while all the others misbehave; what became of it.

    Nothing here depends on how fast the machine is: the crowd is waited for, and each answer has its patience.
    """
    daemon = DaemonProcess(state, quotes_per_s=500)
    others: subprocess.Popen[bytes] | None = None
    try:
        await daemon.ready()
        wire = await Wire.connect(daemon.socket)
        for number in range(4):
            await wire.call("account.create", name=f"quick-{number}", cash="1000000")
        others = _start(daemon.socket, clients)
        connected = 0
        async with asyncio.timeout(PATIENCE_S):
            while connected < clients // 2:
                shown = (await wire.call("admin.show", what="clients", limit=1_000))["result"]
                connected = len(shown["clients"])
                await asyncio.sleep(0.05)
        done = await asyncio.gather(*(_pairs(daemon.socket, number, pairs) for number in range(4)))
        health = (await wire.call("health.get"))["result"]
        await wire.close()
        return {"connected": connected, "answered": sum(done), "health": health, "crowd_lives": others.poll() is None}
    finally:
        if others is not None:
            others.kill()
            others.wait()
        daemon.close()


async def _pairs(path: Path, number: int, pairs: int) -> int:
    """Orders placed and cancelled one after another; how many answers were results."""
    wire = await Wire.connect(path)
    account = f"quick-{number}"
    order: dict[str, Any] = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.00"}
    good = 0
    for _ in range(pairs):
        answer = await wire.call("order.place", account=account, **order)
        good += "result" in answer
        answer = await wire.call("order.cancel", account=account, order_id=answer["result"]["order"]["id"])
        good += "result" in answer
    await wire.close()
    return good


def quantile(values: list[float], part: float) -> float:
    """In microseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1e6


async def measure(state: Path, turns: int, seconds: float, clients: int = CLIENTS) -> dict[str, Any]:
    """Turns without and with the misbehaving, and the ratio of the two p99."""
    daemon = DaemonProcess(state, quotes_per_s=500)
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    try:
        await daemon.ready()
        wire = await Wire.connect(daemon.socket)
        for number in range(4):
            await wire.call("account.create", name=f"quick-{number}", cash="1000000")
        await latencies(daemon.socket, 1.0)
        for turn in range(2 * turns):
            hostile = turn % 2 == 1
            others = _start(daemon.socket, clients) if hostile else None
            try:
                # Both kinds of turn wait: the crowd needs a moment to connect.
                await asyncio.sleep(2.0)
                found[hostile].append(await latencies(daemon.socket, seconds))
            finally:
                if others is not None:
                    others.kill()
                    others.wait()
            await asyncio.sleep(0.5)
        health = (await wire.call("health.get"))["result"]
        await wire.close()
    finally:
        daemon.close()
    calm = statistics.median(quantile(values, 0.99) for values in found[False])
    crowd = statistics.median(quantile(values, 0.99) for values in found[True])
    return {
        "clients": clients,
        "orders": sum(map(len, found[False] + found[True])),
        "p50_us": round(statistics.median(quantile(values, 0.5) for values in found[False])),
        "p50_with_us": round(statistics.median(quantile(values, 0.5) for values in found[True])),
        "p99_us": round(calm),
        "p99_with_us": round(crowd),
        "p99_turns_us": [round(quantile(values, 0.99)) for values in found[False]],
        "p99_with_turns_us": [round(quantile(values, 0.99)) for values in found[True]],
        "ratio": round(crowd / calm, 3),
        "status": health["status"],
    }


def _start(path: Path, clients: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fuzz", "hostile", str(path), "--clients", str(clients)]
    return subprocess.Popen(command, cwd=ROOT)
