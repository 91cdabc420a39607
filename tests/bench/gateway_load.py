"""The load on the gateway: REST clients at their limits and stream subscribers, in a process of its own.

Speaks lines of JSON: ``{"url", "keys": {tier: [[key, secret] …]}, "streams", "seconds", "again"}`` in, the figures
out; with ``again`` whoever is cut off comes back, and sends again what was not answered. What is
sent is made ready beforehand and what comes is hardly looked at: on two processors the measuring must not be what is
measured. Requests leave at evenly spaced moments and latency counts from the moment at which one should have left;
a client whose last answer is missing waits for it, as one with a single connection does.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
import uvloop

from tests.bench.running import percentile

RATES = {"free": 1.0, "pro": 10.0, "pro_plus": 50.0}
"""Requests a second: the limits of a minute."""
PATHS = ("/v2/account", "/v2/positions", "/v2/orders", "/v2/clock", "/v2/stocks/quotes/latest?symbols=SPY,AAPL")
NAMES = ("SPY", "AAPL", "MSFT", "QQQ", "NVDA")
WARM_S = 1.0
RETRY_S, RETRY_MAX_S = 0.02, 30.0
LAG_EVERY = 16
_QUOTE = b"\xa1T\xa1q"
_TIME = b"\xd7\xff"
_LENGTH = b"content-length: "


class Figures:
    """What was measured."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.lags: list[float] = []
        self.statuses: dict[str, int] = {}
        self.messages = 0
        self.frames = 0
        self.lost = 0
        """Connections that ended before their time."""


async def _come_back(address: tuple[str, int], client: Callable[[], asyncio.Protocol], end: float) -> None:
    """Connect once more, as soon as somebody listens."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        try:
            await loop.create_connection(client, *address)
            return
        except OSError:
            await asyncio.sleep(RETRY_S)


class Rest(asyncio.Protocol):
    """One client at its rate on one connection."""

    def __init__(
        self,
        requests: list[bytes],
        rate: float,
        number: int,
        end: float,
        figures: Figures,
        again: tuple[str, int] | None,
    ) -> None:
        self._requests = requests
        self._again = again
        self._turn = number
        self._rate = rate
        self._end = end
        self._figures = figures
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + (number % 100) / 100 / rate
        self._waiting = False
        self._part = b""
        self._measured = self._loop.time() + WARM_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._waiting:
            self._transport.write(self._requests[self._turn % len(self._requests)])
        else:
            self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        if self._due < self._end:
            self._turn += 1
            self._waiting = True
            self._transport.write(self._requests[self._turn % len(self._requests)])
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._part:
            data = self._part + data
        head = data.find(b"\r\n\r\n")
        place = data.find(_LENGTH, 0, head) if head >= 0 else -1
        whole = head + 4 + int(data[place + len(_LENGTH) : data.index(b"\r", place)]) if place >= 0 else 0
        if not whole or len(data) < whole:
            self._part = data
            return
        self._part = b""
        self._waiting = False
        now = self._loop.time()
        figures = self._figures
        status = data[9:12].decode()
        figures.statuses[status] = figures.statuses.get(status, 0) + 1
        if self._due >= self._measured:
            figures.latencies.append(now - self._due)
        self._due = max(self._due + 1 / self._rate, now - 1)
        if self._due <= now:
            self._send()
        else:
            self._loop.call_at(self._due, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due >= self._end:
            return
        self._figures.lost += 1
        self._part = b""
        if self._again is not None:
            self._coming = asyncio.ensure_future(_come_back(self._again, lambda: self, self._end))


class Stream(asyncio.Protocol):
    """One subscriber; the lag is the age of a frame's last quote on arrival."""

    def __init__(
        self,
        key: list[str],
        symbols: list[str],
        figures: Figures,
        ready: asyncio.Event,
        again: tuple[str, int] | None,
    ) -> None:
        self._words = [
            msgpack.packb({"action": "auth", "key": key[0], "secret": key[1]}),
            msgpack.packb({"action": "subscribe", "quotes": symbols}),
        ]
        self._hello: list[bytes] = []
        self._figures = figures
        self._again = again
        self._ready = ready
        self._measured = time.monotonic() + 1e9
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._hello = [*self._words]
        self._transport.write(
            b"GET /v2/sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Content-Type: application/msgpack\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        if self._hello:
            if b"connected" in data or b"authenticated" in data:
                self._transport.write(_masked(self._hello.pop(0)))
            if not self._hello:
                self._measured = time.monotonic() + WARM_S
                self._ready.set()
            return
        figures = self._figures
        figures.messages += data.count(_QUOTE)
        figures.frames += 1
        if figures.frames % LAG_EVERY == 0 and time.monotonic() > self._measured:
            place = data.rfind(_TIME)
            if place >= 0:
                packed = int.from_bytes(data[place + 2 : place + 10], "big")
                figures.lags.append(time.time() - (packed & (1 << 34) - 1) - (packed >> 34) / 1e9)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ready.set()
        if self.ended:
            return
        self._figures.lost += 1
        if self._again is not None:
            loop = asyncio.get_running_loop()
            self._coming = asyncio.ensure_future(_come_back(self._again, lambda: self, loop.time() + RETRY_MAX_S))

    def end(self) -> None:
        """Enough."""
        self.ended = True
        self._transport.close()


def _masked(payload: bytes) -> bytes:
    """A client's binary frame, with a mask of zeros."""
    assert len(payload) < 65_536
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x82" + size + bytes(4) + payload


async def run(order: dict[str, Any]) -> dict[str, Any]:
    """All clients for so long."""
    loop = asyncio.get_running_loop()
    host, _, port = order["url"].rpartition("/")[2].rpartition(":")
    address = (host, int(port))
    again = address if order["again"] else None
    figures = Figures()
    paid = order["keys"]["pro_plus"]
    streams = []
    for number in range(order["streams"]):
        ready = asyncio.Event()
        symbols = list(NAMES[: 1 + number % len(NAMES)])
        made = partial(Stream, paid[number % len(paid)], symbols, figures, ready, again)
        _, stream = await loop.create_connection(made, *address)
        streams.append(stream)
        await ready.wait()
    figures.messages = figures.frames = 0
    begun = _cpu_s()
    end = loop.time() + order["seconds"]
    print(json.dumps({"ready": True}), flush=True)
    number = 0
    for tier, keys in order["keys"].items():
        for key in keys:
            number += 1
            login = f"Host: x\r\nAPCA-API-KEY-ID: {key[0]}\r\nAPCA-API-SECRET-KEY: {key[1]}\r\n\r\n"
            requests = [f"GET {path} HTTP/1.1\r\n{login}".encode() for path in PATHS]
            client = partial(Rest, requests, RATES[tier], number, end, figures, again)
            await loop.create_connection(client, *address)
    await asyncio.sleep(end - loop.time() + 0.2)
    for stream in streams:
        stream.end()
    return {
        "latencies": _percentiles(figures.latencies),
        "lags": _percentiles(figures.lags),
        "statuses": figures.statuses,
        "messages": figures.messages,
        "frames": figures.frames,
        "lost": figures.lost,
        "cpu_s": _cpu_s() - begun,
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {name: round(percentile(ordered, share) * 1e3, 2) for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Hear the order, do it, say what came of it.

    The load stands for other hosts, which take no processor from this one: it runs where nobody else wants to. What
    it waits for that counts as latency, since that is counted from the moment at which a request was due.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    order = json.loads(sys.stdin.readline())
    print(json.dumps(uvloop.run(run(order))), flush=True)


if __name__ == "__main__":
    main()
