"""The load on the gateway: REST clients at their limits and stream subscribers, in a process of its own.

Speaks lines of JSON: ``{"url", "keys": {tier: [[key, secret] …]}, "streams", "seconds"}`` in, the figures out.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime, timezone
from typing import Any

import msgpack
from websockets.asyncio.client import connect

RATES = {"free": 1.0, "pro": 10.0, "pro_plus": 50.0}
"""Requests a second: the limits of a minute."""
PATHS = ("/v2/account", "/v2/positions", "/v2/orders", "/v2/clock", "/v2/stocks/quotes/latest?symbols=SPY,AAPL")
WARM_S = 1.0


class Figures:
    """What was measured."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.statuses: dict[int, int] = {}
        self.messages = 0


async def rest(host: str, port: int, key: list[str], rate: float, end: float, figures: Figures, number: int) -> None:
    """One client at its rate on one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    login = f"Host: x\r\nAPCA-API-KEY-ID: {key[0]}\r\nAPCA-API-SECRET-KEY: {key[1]}\r\n\r\n"
    due = time.monotonic() + (number % 100) / 100 / rate
    turn = number
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        turn += 1
        started = time.perf_counter()
        writer.write(f"GET {PATHS[turn % len(PATHS)]} HTTP/1.1\r\n{login}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        await reader.readexactly(length)
        figures.latencies.append(time.perf_counter() - started)
        status = int(head.split(b" ", 2)[1])
        figures.statuses[status] = figures.statuses.get(status, 0) + 1
        due = max(due + 1 / rate, time.monotonic() - 1)
    writer.close()


async def stream(
    url: str, key: list[str], symbols: list[str], ready: asyncio.Semaphore, end: float, figures: Figures
) -> None:
    """One subscriber; the lag is the age of a quote on arrival, of those in the present lane."""
    async with ready:
        socket = await connect(url, additional_headers={"Content-Type": "application/msgpack"}, compression=None)
        await socket.recv()
        await socket.send(msgpack.packb({"action": "auth", "key": key[0], "secret": key[1]}))
        await socket.recv()
        await socket.send(msgpack.packb({"action": "subscribe", "quotes": symbols}))
    measured = time.monotonic() + WARM_S
    try:
        while (left := end - time.monotonic()) > 0:
            frame = await asyncio.wait_for(socket.recv(), left)
            now = time.time()
            for message in msgpack.unpackb(frame):
                if message["T"] == "q":
                    figures.messages += 1
                    if time.monotonic() > measured and figures.messages % 7 == 0:
                        figures.lags.append(now - message["t"].to_unix())
    except TimeoutError:
        pass
    await socket.close()


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """All clients for so long."""
    host, _, port = order["url"].rpartition("/")[2].rpartition(":")
    figures = Figures()
    end = time.monotonic() + order["seconds"]
    paid = order["keys"]["pro_plus"]
    ready = asyncio.Semaphore(20)
    names = ["SPY", "AAPL", "MSFT", "QQQ", "NVDA"]
    url = order["url"].replace("http", "ws") + "/v2/sip"
    work = [
        stream(url, paid[number % len(paid)], names[: 1 + number % 5], ready, end, figures)
        for number in range(order["streams"])
    ]
    number = 0
    for tier, keys in order["keys"].items():
        for key in keys:
            number += 1
            work.append(rest(host, int(port), key, RATES[tier], end, figures, number))
    failures = [repr(found) for found in await asyncio.gather(*work, return_exceptions=True) if found is not None]
    return {
        "latencies": sorted(figures.latencies),
        "lags": sorted(figures.lags),
        "statuses": figures.statuses,
        "messages": figures.messages,
        "failures": failures[:3],
        "at": datetime.now(timezone.utc).isoformat(),
    }


def main() -> None:
    """Hear the order, do it, say what came of it."""
    order = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(run(order))), flush=True)


if __name__ == "__main__":
    main()
