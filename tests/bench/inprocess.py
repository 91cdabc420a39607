"""The order path in one process, without sockets and disk: reading, deciding, answering, encoding.

One connection a client, all sending at once and waiting for the answers, as a loaded daemon sees them; everything
that the daemon does with a step is done, except that the group is not written. Processor time, and of many short
rounds the median and ``low``, the fifth percentile, which other work on the machine moves least. ``read`` is from bytes to the mailbox,
``turn`` engine and answer, ``after`` following the steps, cutting the group and letting answers go.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from actors.engine import Engine
from actors.mailbox import Mailroom
from actors.market.messages import FeedState
from actors.timers import NEVER
from mbtd.core import Core
from mbtd.groups import GroupCutter
from mbtd.interest import Interest
from mbtd.journal import Journal
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar, TradeDays
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from mbtd.residency import Residency
from mbtd.rpc.connection import Connection
from mbtd.rpc.session import Peer
from mbtd.seeds import partition_seed
from mbtd.service.app import App
from storage.records import Group, Head
from tests.bench.built import open_accounts
from tests.bench.contracts import contract_quotes
from tests.bench.feed import BenchFeed, frames, symbol_of
from tests.bench.load import Script
from tests.bench.running import BenchError

STAGES = ("read", "turn", "after")
START = 1_795_446_000_000_000_000
"""A Monday of November 2026, under the intraday margin rule as daemons of today are."""
TODAY = datetime.fromtimestamp(START // 10**9, UTC).date()
WARM = 20
"""Rounds before the measured ones."""
STRUCTURES = 4
"""Condors that an account opens; then it is the next account's turn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--kind", choices=["market", "limit_cancel", "condor", "both"], default="both")
    parser.add_argument("--profile", default="alpaca-parity")
    parser.add_argument("--rounds", type=int, default=150)


class NoDisk:
    """Takes the place of the journal: everything is durable at once."""

    ballast_held = True

    def __init__(self) -> None:
        self.bytes = 0

    def commit(self, group: Group, now: int) -> None:
        """Count it."""
        self.bytes += len(group.body) + len(group.moved)

    def pass_on(self, now: int, *, at_once: bool = False) -> None:
        """There is no writer."""


class Desk:
    """A daemon without its ends."""

    def __init__(self, clients: int, accounts: int, symbols: int, profile: str, *, options: bool = False) -> None:
        names = [symbol_of(i) for i in range(symbols)]
        calendar = Calendar(always_open=True)
        feed = BenchFeed(symbols, options=options, today=TODAY)
        self.engine = engine = Engine(partition_seed(7), instruments=feed.reference(), days=TradeDays(calendar))
        assert engine.world.instruments.by_symbol[names[0]].asset_id == asset_id(names[0])
        self.core = core = Core(
            engine, Mailroom(), now=self._now, monotonic=time.monotonic_ns, slice_ns=10**9, tape_max=10**6
        )
        self.journal = NoDisk()
        core._journal = cast(Journal, self.journal)
        core._cutter = GroupCutter(engine, Head(1, 0, 0, 0, 0, b"", b"", ""))
        core.residency = Residency(engine, cast(Any, None), chunk=200)
        core.interest = Interest(engine, feed, tuple, time.monotonic_ns, max_symbols=10_000, max_contracts=10_000)
        self._at, self._frame = START, 0
        engine.tape(calendar.session_at(START))
        engine.tape(FeedState("up", START, "bench", received_at=START))
        self._decoder = StreamDecoder("stocks")
        self._frames = frames(symbols, START, symbols // 8 + 8)
        for _ in self._frames:
            self.quote()
        for quote in contract_quotes(feed.chain, START):
            engine.tape(quote)
        open_accounts(engine, 0, accounts, profile)
        core.hand_on()
        self.app = App(core, cast(Any, None), lambda work: None)
        peer = Peer(0, 0, 0, "service")
        self.connections = [Connection(self.app, peer, time.monotonic, number=i) for i in range(clients)]

    def quote(self) -> None:
        """One more frame of stock quotes: prices move between the rounds, as they do in a market."""
        frame = self._frames[self._frame % len(self._frames)]
        self._frame += 1
        for message in self._decoder.decode(frame, START)[0]:
            self.engine.tape(message)

    def _now(self) -> int:
        self._at += 1_000
        return self._at


def _round(desk: Desk, scripts: list[Script], request_id: int, spent: dict[str, list[float]]) -> None:
    """Every client sends one request and gets its answer."""
    clock = time.process_time_ns
    desk.quote()
    requests = [script.next(request_id) for script in scripts]
    connections, pump, after = desk.connections, desk.core.pump, desk.core.hand_on
    begin = clock()
    for connection, request in zip(connections, requests, strict=True):
        connection.feed(request)
    read = clock()
    while pump._round(NEVER):
        pass
    turned = clock()
    after()
    answers = [connection.take_output() for connection in connections]
    end = clock()
    for answer in answers:
        if b'"error"' in answer or not answer:
            raise BenchError(f"refused: {answer!r}")
    for stage, took in (("read", read - begin), ("turn", turned - read), ("after", end - turned)):
        spent[stage].append(took / len(connections) / 1e3)


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object a kind and stage."""
    kinds = ("market", "limit_cancel") if options.kind == "both" else (options.kind,)
    for kind in kinds:
        condor = kind == "condor"
        accounts = options.clients * (-(-(options.rounds + WARM) // STRUCTURES) if condor else 1)
        desk = Desk(options.clients, accounts, options.symbols, options.profile, options=condor)
        settings = {
            "kind": kind, "symbols": options.symbols, "run": 1, "accounts": accounts, "clients": options.clients,
            "today": TODAY.isoformat(),
        }  # fmt: skip
        scripts = [Script(settings, client) for client in range(options.clients)]
        spent: dict[str, list[float]] = {stage: [] for stage in STAGES}
        gc.collect()
        gc.freeze()
        gc.set_threshold(2_000, 10, 1_000)
        for number in range(options.rounds + WARM):
            if number == WARM:
                for stage in STAGES:
                    spent[stage].clear()
                before = desk.journal.bytes
            _round(desk, scripts, number + 1, spent)
        orders = options.rounds * options.clients
        common = {"kind": kind, "clients": options.clients, "profile": options.profile}
        spent["all"] = [sum(parts) for parts in zip(*(spent[stage] for stage in STAGES), strict=True)]
        # A script's two requests take turns, so two rounds are one value.
        for stage, values in spent.items():
            pairs = [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=False)]
            yield {
                "name": f"{stage}_us", "value": round(statistics.median(pairs), 2), "unit": "us/request",
                "low": round(sorted(pairs)[len(pairs) // 20], 2),
            } | common  # fmt: skip
        yield {
            "name": "journal_bytes", "value": round((desk.journal.bytes - before) / orders, 1), "unit": "bytes/request"
        } | common  # fmt: skip
