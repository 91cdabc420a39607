"""The load generator: one uvloop process, one Unix-socket connection a client, requests made ready beforehand.

``python -m tests.bench.load SETTINGS`` with a JSON object. Without ``rate`` every client sends its next request
when the answer to the last one came, and latency counts from that send. With ``rate`` requests are sent at
evenly spaced moments whatever was answered, and latency counts from the moment at which one *should* have been
sent, so a stall is charged to every request behind it. With ``realtime`` it takes precedence on the processor, so that
what it measures is the daemon's lateness and not its own. Each ``{"do": "run"}`` on standard input is one window.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from datetime import UTC, date, datetime
from typing import Any

import uvloop

from mbtd.precedence import take_precedence
from tests.bench.contracts import UNDERLYINGS, structures
from tests.bench.feed import symbol_of
from tests.bench.running import percentile

_PLACE = (
    ',"method":"order.place","params":{"account":"%s","symbol":"%s","side":"%s",'
    '"type":"%s","qty":"1","time_in_force":"day",%s"client_order_id":"'
)
_UNIT = (
    ',"method":"order.place","params":{"account":"%s","order_class":"mleg","type":"market","qty":"1",'
    '"time_in_force":"day","legs":%s,"client_order_id":"'
)
_CANCEL = ',"method":"order.cancel","params":{"account":"%s","client_order_id":"'
_BEGIN = b'{"jsonrpc":"2.0","id":'
_END = b'"}}\n'


class Script:
    """The endless row of requests of one client, over the accounts that are its own."""

    def __init__(self, settings: dict[str, Any], client: int) -> None:
        kind, symbols = settings["kind"], settings["symbols"]
        self._tag = b"%x-%x-" % (int(settings["run"]), client)
        self._number = 0
        mine = range(client, settings["accounts"], settings["clients"])
        accounts = [f"{settings.get('prefix', 'a')}{no}" for no in mine]
        row: list[tuple[bytes, bool]] = []
        """Beginning of a request, and whether it is about the order before it."""
        for side in ("buy", "sell"):
            for offset, account in enumerate(accounts):
                symbol = symbol_of((client + offset) % symbols)
                market = (_PLACE % (account, symbol, side, "market", "")).encode()
                price = '"limit_price":"100",'
                limit = (_PLACE % (account, symbol, "buy", "limit", price)).encode()
                cancel = (_CANCEL % account).encode()
                if kind in ("market", "mixed"):
                    row.append((market, False))
                if kind in ("limit_cancel", "mixed"):
                    row += [(limit, False), (cancel, True)]
        if kind == "condor":
            today = date.fromisoformat(settings["today"]) if "today" in settings else datetime.now(UTC).date()
            row += [(begin, False) for begin in _condors(accounts, client, symbols, today)]
        self._row = row
        self._place = 0

    def next(self, request_id: int) -> bytes:
        """The next request."""
        begin, same = self._row[self._place]
        self._place = (self._place + 1) % len(self._row)
        if not same:
            self._number += 1
        return _BEGIN + b"%d" % request_id + begin + self._tag + b"%x" % self._number + _END


def _condors(accounts: list[str], client: int, symbols: int, today: date) -> list[bytes]:
    """Beginnings of market orders for condors: for every account its four structures, one after the other."""
    mine = [
        structures(symbol_of((client + offset) % min(symbols, UNDERLYINGS)), today) for offset in range(len(accounts))
    ]
    return [
        (_UNIT % (account, json.dumps(four[number]))).encode()
        for number in range(4)
        for account, four in zip(accounts, mine, strict=True)
    ]


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: Run, script: Script) -> None:
        self._run = run
        self._script = script
        self._sent_at: dict[int, float] = {}
        """Since when each unanswered request counts, by its id."""
        self._last_id = 0
        self._tail = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost += 1

    def send(self, counts_from: float) -> None:
        """Send the next request; its latency counts from the given moment."""
        self._last_id += 1
        self._sent_at[self._last_id] = counts_from
        assert self.transport is not None
        self.transport.write(self._script.next(self._last_id))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        run = self._run
        if self._tail:
            data = self._tail + data
        *lines, self._tail = data.split(b"\n")
        for line in lines:
            end = line.index(b",", len(_BEGIN))
            sent_at = self._sent_at.pop(int(line[len(_BEGIN) : end]))
            if line.startswith(b'"error"', end + 1):
                run.note_error(line)
            else:
                run.note(sent_at, now)
            if run.closed_loop and now < run.until:
                self.send(now)

    @property
    def waiting(self) -> int:
        return len(self._sent_at)


class Run:
    """All clients and the window that is being measured."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self.clients = [Client(self, Script(settings, i)) for i in range(settings["clients"])]
        self.closed_loop = not settings.get("rate")
        self.until = self._from = 0.0
        self._latencies = array("d")
        self._late = 0
        self.answered = 0
        """In the whole run, warming up included."""
        self.errors = self.lost = 0
        self.error = ""

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for client in self.clients:
            await loop.create_unix_connection(lambda client=client: client, self._settings["socket"])

    def note(self, counts_from: float, now: float) -> None:
        self.answered += 1
        if self._from <= counts_from and (not self.closed_loop or now <= self.until):
            self._latencies.append(now - counts_from)

    def note_error(self, data: bytes) -> None:
        self.errors += 1
        self.error = data[:300].decode(errors="replace")

    async def window(self, warm_s: float, seconds: float) -> dict[str, Any]:
        """Run once: warm up, measure, wait for what is still out."""
        self._latencies = array("d")
        self.errors = self.answered = 0
        begin = time.perf_counter()
        begun_at = time.time_ns()
        self._from, self.until = begin + warm_s, begin + warm_s + seconds
        if self.closed_loop:
            for client in self.clients:
                client.send(time.perf_counter())
            await asyncio.sleep(self.until - time.perf_counter())
        else:
            await self._pace(begin)
        drain_until = time.perf_counter() + 10
        while any(c.waiting for c in self.clients) and time.perf_counter() < drain_until and not self.lost:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        drained_s = time.perf_counter() - self.until
        ordered = sorted(self._latencies)
        return {
            "acks": len(ordered),
            "acks_per_s": len(ordered) / (seconds if self.closed_loop else max(seconds, seconds + drained_s)),
            "p50_us": percentile(ordered, 0.5) * 1e6,
            "p99_us": percentile(ordered, 0.99) * 1e6,
            "p999_us": percentile(ordered, 0.999) * 1e6,
            "max_us": (ordered[-1] if ordered else 0.0) * 1e6,
            "sent": self.answered,
            "errors": self.errors,
            "error": self.error,
            "lost": self.lost,
            "unanswered": sum(client.waiting for client in self.clients),
            "from_ns": begun_at + int(warm_s * 1e9),
            "to_ns": begun_at + int((warm_s + seconds) * 1e9),
        }

    async def _pace(self, begin: float) -> None:
        gap, number, clients = 1 / self._settings["rate"], 0, self.clients
        while (now := time.perf_counter()) < self.until:
            while (due := begin + number * gap) <= now:
                clients[number % len(clients)].send(due)
                number += 1
            # Whole milliseconds are all that the loop's timers can do.
            await asyncio.sleep(0.001)


async def serve(settings: dict[str, Any]) -> None:
    """Windows, one for each line of standard input."""
    run = Run(settings)
    await run.connect()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        request = json.loads(line)
        print(json.dumps(await run.window(request["warm_s"], request["seconds"])), flush=True)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    if settings.get("realtime"):
        take_precedence()
    uvloop.run(serve(settings))
