"""Decoding of quote frames: mbtd's against alpaca-py's raw dispatch, interleaved in one run.

Ours turns a frame into tape messages (integer prices, whole sizes, nanoseconds). The anchor does what
alpaca-py does with the same frame when it was asked for raw data: unpack it, then ``_dispatch`` each message
to one handler that does nothing. Its messages keep float prices and timestamp objects, so the anchor does
less. ``quotes_per_s_consume`` is against the whole of what its receiving loop does with a frame, and
``quotes_per_s_models`` against its default, models.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from mbtd.market.feeds.alpaca_decode import StreamDecoder

QUOTES_PER_FRAME: Final = 64
SYMBOLS: Final = 20
FRAMES: Final = 64
ROUNDS: Final = 15
_AT: Final = 1_760_000_000_123_456_789


def frames() -> list[bytes]:
    """Frames of quotes as the stock stream sends them; prices wander by cents."""
    out = []
    for number in range(FRAMES):
        quotes = []
        for i in range(QUOTES_PER_FRAME):
            bid = 187.25 + (number * 7 + i * 3) % 50 / 100
            quotes.append(
                {"T": "q", "S": f"SYM{i % SYMBOLS}", "bx": "V", "bp": bid, "bs": 100 * (1 + i % 9), "ax": "Q"}
                | {"ap": round(bid + 0.02, 2), "as": 200, "c": ["R"], "z": "C"}
                | {"t": msgpack.Timestamp.from_unix_nano(_AT + number * 1_000_000 + i)}
            )
        out.append(bytes(msgpack.packb(quotes)))
    return out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--reps", type=int, default=ROUNDS)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure; returns one object per figure."""
    return figures(options.reps)


def figures(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """The figures, as contracts §5 wants them."""
    data = frames()
    decoder = StreamDecoder("stocks")

    def ours() -> None:
        for frame in data:
            decoder.decode(frame, 1)

    runs: dict[str, Callable[[], None]] = {
        "decode": ours,
        "raw": _anchor(data, raw=True, consume=False),
        "consume": _anchor(data, raw=True, consume=True),
        "models": _anchor(data[:8], raw=False, consume=False),
    }
    quotes = {name: QUOTES_PER_FRAME * (8 if name == "models" else FRAMES) for name in runs}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            rates[name].append(quotes[name] / (time.perf_counter() - begin))
    value = statistics.median(rates["decode"])
    anchors = {
        "quotes_per_s": ("raw", "alpaca-py 0.44 StockDataStream._dispatch(raw_data=True)"),
        "quotes_per_s_consume": ("consume", "alpaca-py 0.44 receiving loop, raw_data=True"),
        "quotes_per_s_models": ("models", "alpaca-py 0.44 StockDataStream._dispatch, models"),
    }
    return [
        {
            "name": name,
            "value": round(value),
            "unit": "quotes/s",
            "anchor": text,
            "anchor_value": round(statistics.median(rates[anchor])),
            "ratio": round(statistics.median(a / b for a, b in zip(rates["decode"], rates[anchor], strict=True)), 2),
        }
        for name, (anchor, text) in anchors.items()
    ]


def _anchor(data: list[bytes], *, raw: bool, consume: bool) -> Callable[[], None]:
    from alpaca.data.live import StockDataStream
    from alpaca.data.live.websocket import _CHANNEL_TYPES, _is_market_data

    stream = StockDataStream("key", "secret", raw_data=raw)

    async def handler(_quote: object) -> None:
        pass

    stream.subscribe_quotes(handler, *(f"SYM{i}" for i in range(SYMBOLS)))

    async def dispatch() -> None:
        for frame in data:
            for message in msgpack.unpackb(frame):
                await stream._dispatch(message)

    async def loop() -> None:
        for frame in data:
            for message in msgpack.unpackb(frame):
                is_data = _is_market_data(message)
                if message.get("T") in _CHANNEL_TYPES and not is_data:
                    continue
                if is_data:
                    stream._data_received = True
                await stream._dispatch(message)
                if is_data:
                    time.monotonic()

    return lambda: asyncio.run(loop() if consume else dispatch())


if __name__ == "__main__":
    for figure in figures():
        print(json.dumps(figure))
