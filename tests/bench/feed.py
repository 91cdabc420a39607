"""A feed for measuring: frames of stock quotes at a wanted rate, through the decoder of the live feed.

Invariants: prices stay between 187 and 188 dollars, so that a limit of 100 dollars never trades and a market
order always does. The frames are made once and sent round and round; ``received_at`` is the real time. What the
feed is to do comes as lines of JSON on the process's standard input, and each is answered by one line.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from actors.book.instruments import Instrument
from actors.market.messages import DataClass, FeedState, TapeMessage
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar
from mbtd.market.feed import FeedSink, FeedStatus
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from tests.bench.contracts import contract_quotes, contracts

QUOTES_PER_FRAME: Final = 64
BACKLOG_MAX: Final = 1_024
"""A saturating feed waits while the engine is this far behind."""
_FRAMES_MAX: Final = 512
Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def symbol_of(number: int) -> str:
    """The name of the n-th symbol: letters only."""
    letters = ""
    for _ in range(4):
        letters = chr(65 + number % 26) + letters
        number //= 26
    return letters


def frames(symbols: int, at: int, count: int = _FRAMES_MAX) -> list[bytes]:
    """Frames of quotes as the stock stream sends them; prices wander by cents."""
    out = []
    for number in range(min(count, max(8, symbols * 8 // QUOTES_PER_FRAME))):
        quotes = []
        for i in range(QUOTES_PER_FRAME):
            place = (number * QUOTES_PER_FRAME + i) % symbols
            bid = 187.25 + (number * 7 + i * 3) % 50 / 100
            quotes.append(
                {"T": "q", "S": symbol_of(place), "bx": "V", "bp": bid, "bs": 100 * (1 + i % 9), "ax": "Q"}
                | {"ap": round(bid + 0.02, 2), "as": 200, "c": ["R"], "z": "C"}
                | {"t": msgpack.Timestamp.from_unix_nano(at + number * 1_000_000 + i)}
            )
        out.append(bytes(msgpack.packb(quotes)))
    return out


class BenchFeed:
    """Quotes at a wanted rate; 0 for none, negative for as fast as they decode."""

    name: Final = "bench"
    data_class: Final[DataClass] = "real_time"

    def __init__(
        self,
        symbols: int,
        handlers: dict[str, Handler] | None = None,
        *,
        options: bool = False,
        today: date | None = None,
    ) -> None:
        self.calendar = Calendar(always_open=True)
        self.symbols = [symbol_of(i) for i in range(symbols)]
        self._begun_at = time.time_ns()
        self._frames = frames(symbols, self._begun_at)
        self._place = 0
        self._decoder = StreamDecoder("stocks")
        self.rate = 0.0
        self.pushed = 0
        self.sink: Any = None
        """The daemon's core, once it runs."""
        self._handlers = handlers or {}
        self.chain: list[Instrument] = contracts(self.symbols, today or datetime.now(UTC).date()) if options else []
        """Contracts on some of the symbols, their expiries counted from ``today``."""

    def reference(self) -> list[Instrument]:
        """All symbols, and contracts on some of them."""
        return [Instrument(asset_id(symbol), symbol) for symbol in self.symbols] + self.chain

    def attributes(self, symbol: str) -> tuple[str, ...]:
        """None."""
        return ()

    def with_figures(self, contracts: Sequence[Instrument]) -> list[Instrument]:
        """As they are."""
        return list(contracts)

    def subscribe(self, symbols: Collection[str]) -> None:
        """Ignored."""

    def unsubscribe(self, symbols: Collection[str]) -> None:
        """Ignored."""

    def status(self) -> FeedStatus:
        """Always live."""
        return FeedStatus("live", self._begun_at, time.time_ns(), self.pushed)

    def now(self) -> int:
        """The wall clock."""
        return time.time_ns()

    async def run(self, sink: FeedSink) -> None:
        """Open the market, say that it is open, and deliver until cancelled."""
        self.sink = sink
        now = time.time_ns()
        opening: list[TapeMessage] = [
            self.calendar.session_at(now),
            FeedState("up", now, self.name, received_at=now),
        ]
        sink.push(opening)
        for frame in self._frames:
            sink.push(self._decoder.decode(frame, time.time_ns())[0])
        async with asyncio.TaskGroup() as tasks:
            if self.chain:
                tasks.create_task(self._quote_contracts(sink))
            tasks.create_task(self._listen())
            tasks.create_task(self._deliver(sink))

    async def _quote_contracts(self, sink: FeedSink) -> None:
        """Repeat the contracts' quotes before they are old."""
        while True:
            sink.push(list(contract_quotes(self.chain, time.time_ns())))
            await asyncio.sleep(20)

    async def _deliver(self, sink: FeedSink) -> None:
        due, before = 0.0, time.perf_counter()
        while True:
            rate = self.rate
            if rate < 0:
                while sink.backlog() < BACKLOG_MAX:
                    self._push(sink)
                await asyncio.sleep(0)
                before = time.perf_counter()
                continue
            await asyncio.sleep(0.001 if rate else 0.01)
            now = time.perf_counter()
            due = min(due + rate * (now - before), max(rate / 10, QUOTES_PER_FRAME)) if rate else 0.0
            before = now
            while due >= QUOTES_PER_FRAME:
                due -= QUOTES_PER_FRAME
                self._push(sink)

    def _push(self, sink: FeedSink) -> None:
        frame = self._frames[self._place]
        self._place = (self._place + 1) % len(self._frames)
        sink.push(self._decoder.decode(frame, time.time_ns())[0])
        self.pushed += QUOTES_PER_FRAME

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        _say({"ready": True})
        while line := await reader.readline():
            request = json.loads(line)
            what = request["do"]
            if what == "rate":
                self.rate = float(request["rate"])
            if what in self._handlers:
                _say(await self._handlers[what](request))
            else:
                _say(self._figures())

    def _figures(self) -> dict[str, Any]:
        core = self.sink
        usage = resource.getrusage(resource.RUSAGE_SELF)
        figures = {
            "at": time.time_ns(),
            "pushed": self.pushed,
            "backlog": core.backlog(),
            "taken": core.engine.world.tape_seq,
            "seq": core.engine.seq,
            "durable_seq": core.outbox.durable_seq,
            "projected_seq": core.projected_seq,
            "groups": core.groups,
            "commit_us_max": core.commit_ns_max / 1e3,
            "slice_us_max": core.pump.longest_slice_ns / 1e3,
            "resident": len(core.engine.books),
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss_bytes": rss_bytes(),
            "failures": len(core.engine.failures),
        }
        core.commit_ns_max = core.pump.longest_slice_ns = 0
        return figures


def rss_bytes() -> int:
    """Resident set of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def _say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
