"""Quotes through the engine with many resting orders and idle accounts: decoded frames, applied one by one.

The engine runs in this process; decoding, with the live feed's decoder, is timed apart. With more than 1,000
accounts a second engine of 1,000 takes turns with the first, which gives what the other accounts cost a quote.
``--near`` re-arms so many orders to be looked at by their symbol's next quote before each round, and
``us_per_near`` is what one such look costs.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from actors.engine import Engine
from actors.market.messages import Quote
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from tests.bench.built import START, engine_of, open_accounts, rest_orders
from tests.bench.feed import QUOTES_PER_FRAME, frames

FEW: Final = 1_000
_FRAMES: Final = 800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--resting", type=int, default=20_000)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=FEW)
    parser.add_argument("--near", type=int, default=0)
    parser.add_argument("--reps", type=int, default=15)
    parser.add_argument("--frames", type=int, default=_FRAMES)


class Subject:
    """One engine with its resting orders."""

    def __init__(self, options: argparse.Namespace, accounts: int) -> None:
        self.engine = engine_of(options.symbols)
        open_accounts(self.engine, 0, accounts)
        owners = min(accounts, FEW)
        keys = list(rest_orders(self.engine, owners, options.symbols, options.resting))
        self.near = keys[: options.near]
        self.engine.take_steps()
        self.ns: list[float] = []
        self.near_ns: list[float] = []
        self.at = START + 1_000_000_000

    def round(self, data: list[bytes], decoder: StreamDecoder) -> float:
        """Apply every frame once; returns nanoseconds of decoding a quote."""
        self.at += 1_000_000_000
        begin = time.perf_counter_ns()
        batches = [decoder.decode(frame, self.at + place * 1_000)[0] for place, frame in enumerate(data)]
        decoded = time.perf_counter_ns() - begin
        count = len(data) * QUOTES_PER_FRAME
        self.ns.append(self._apply(batches) / count)
        if self.near:
            self.at += 1_000_000_000
            batches = [decoder.decode(frame, self.at + place * 1_000)[0] for place, frame in enumerate(data)]
            arm_near, books = self.engine.world.board.arm_near, self.engine.books
            for account_no, order_no in self.near:
                arm_near(books[account_no].orders[order_no].terms.symbol, (account_no, order_no))
            spent = self._apply(batches) - self.ns[-1] * count
            self.near_ns.append(spent / len(self.near))
        return decoded / count

    def _apply(self, batches: list[Any]) -> int:
        engine: Engine = self.engine
        quote = engine.quote
        begin = time.perf_counter_ns()
        for batch in batches:
            for message in batch:
                if type(message) is Quote:
                    quote(message)
                else:
                    engine.tape(message)
        spent = time.perf_counter_ns() - begin
        engine.take_moved()
        if engine.take_steps():
            raise RuntimeError("an order met the market, which these quotes must not do")
        return spent


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per figure."""
    subject = Subject(options, options.accounts)
    few = Subject(options, FEW) if options.accounts > FEW else None
    data = frames(options.symbols, START, options.frames)
    decoder = StreamDecoder("stocks")
    gc.collect()
    gc.freeze()
    decode_ns = []
    for _ in range(options.reps):
        decode_ns.append(subject.round(data, decoder))
        if few is not None:
            few.round(data, decoder)
    ns, decode = statistics.median(subject.ns), statistics.median(decode_ns)
    common: dict[str, Any] = {
        "resting": options.resting, "symbols": options.symbols, "accounts": options.accounts,
        "reps": options.reps, "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    yield (
        {"name": "quotes_per_s", "value": round(1e9 / ns), "unit": "quotes/s"}
        | common
        | {"with_decode": round(1e9 / (ns + decode))}
    )
    yield {
        "name": "ns_per_quote", "value": round(ns), "unit": "ns", "min": round(min(subject.ns)), "max": round(max(subject.ns)),
    } | common  # fmt: skip
    yield {"name": "decode_ns_per_quote", "value": round(decode), "unit": "ns"} | common
    if few is not None:
        yield {
            "name": "ns_per_quote_many_accounts", "value": round(ns), "unit": "ns",
            "anchor": f"ns_per_quote of {FEW} accounts", "anchor_value": round(statistics.median(few.ns)),
            "ratio": round(statistics.median(a / b for a, b in zip(subject.ns, few.ns, strict=True)), 3),
        } | common  # fmt: skip
    if subject.near_ns:
        yield {
            "name": "us_per_near", "value": round(statistics.median(subject.near_ns) / 1e3, 2), "unit": "us",
            "near": options.near,
        } | common  # fmt: skip
