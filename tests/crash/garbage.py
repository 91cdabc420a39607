"""A live feed that breaks off, goes silent and sends rubbish, while orders are placed and the daemon is killed.

The daemon is the real one on ``--feed alpaca``; the far end is the stand-in for Alpaca's streams, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgpack  # type: ignore[import-untyped]

from tests.crash.template import Template
from tests.crash.trial import Outcome, Trial
from tests.standin.alpaca_server import KEY, SECRET, AlpacaRestStandIn, AlpacaStandIn

SYMBOLS = ("AAPL", "MSFT", "NVDA")
PUBLISH_S = 0.01
EDGES = (float("nan"), float("inf"), -1.0, 0.0, 1e300, 1e-12, "x", None, [], {}, True, 2**63, -(2**63))


def garbage(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """Loss, silence, errors and rubbish from the feed, a kill after each."""
    outcome, random = Outcome("feed garbage"), Random(seed)
    with _Exchange(random) as exchange, AlpacaRestStandIn() as rest:
        rest.assets = [_asset(symbol, number) for number, symbol in enumerate(SYMBOLS, 1)]
        config = directory / "mbtd.toml"
        config.write_text(_config(exchange, rest))
        trial = Trial(
            directory / "state", outcome, seed, template,
            serve=("--feed", "alpaca", "--config", str(config)), APCA_API_KEY_ID=KEY, APCA_API_SECRET_KEY=SECRET,
        )  # fmt: skip
        trial.start()
        trial.open_accounts(tape=0)
        for _ in range(count):
            outcome.trials += 1
            trial.wait_for_assets(len(SYMBOLS))
            threads = trial.begin_trading(150, time.monotonic() + 2.0)
            for _ in range(4):
                exchange.trouble()
                time.sleep(random.uniform(0.01, 0.1))
            for thread in threads:
                thread.join()
            exchange.calm()
            status = trial.health().get("status")
            if status is None:
                outcome.note(f"no answer after the feed's trouble: {trial.log_tail()[-500:]}")
            trial.leave()
            trial.settle()
        trial.finish()
    return outcome


def _config(exchange: _Exchange, rest: AlpacaRestStandIn) -> str:
    return f"""
        [market]
        feed_dead_ms = 500
        [market.alpaca]
        stocks_url = "{exchange.url}"
        trading_url = "{rest.url}"
        data_url = "{rest.url}"
        session = "always"
        option_underlyings = []
        reconnect_least_ms = 20
        reconnect_most_ms = 100
        """


def _asset(symbol: str, number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("tradable", "marginable", "shortable", "easy_to_borrow", "fractionable"), True)
    names = {"id": f"00000000-0000-4000-8000-{number:012}", "class": "us_equity", "exchange": "NASDAQ"}
    return {**names, "symbol": symbol, "name": symbol, "status": "active", **flags}


def _quote(symbol: str, ask: float) -> dict[str, Any]:
    sides = {"bx": "V", "bp": round(ask - 0.02, 2), "bs": 300, "ax": "Q", "ap": ask, "as": 200}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": time.time_ns()}


class _Exchange:
    """The stand-in in a thread with an event loop: it publishes quotes all the time, and trouble on request."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._server = AlpacaStandIn()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.url = ""

    def __enter__(self) -> _Exchange:
        self._thread.start()
        assert self._listening.wait(10.0)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        async with self._server:
            self.url = self._server.url("/v2/iex")
            self._listening.set()
            while not self._stop.is_set():
                with contextlib.suppress(Exception):
                    await self._server.publish(*(_quote(symbol, 100.0 + i) for i, symbol in enumerate(SYMBOLS)))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), PUBLISH_S)

    def trouble(self) -> None:
        """One thing that a feed may do to us."""
        self._do(self._one_trouble())

    def calm(self) -> None:
        """No more of it."""
        self._server.mute = False
        self._server.answers = {name: [] for name in self._server.answers}
        self._server.upgrade_answers = []

    def _do(self, work: Any) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        with contextlib.suppress(Exception):
            future.result(5.0)

    async def _one_trouble(self) -> None:
        random, server = self._random, self._server
        draw = random.randrange(9)
        if draw == 0:
            server.drop()
        elif draw == 1:
            await server.send_error(random.choice((405, 406, 407, 500)), close=random.random() < 0.5)
        elif draw == 2:
            server.answers["auth"] = [random.choice((402, 406))]
            server.drop()
        elif draw == 3:
            server.mute = random.random() < 0.5
            server.drop()
        elif draw == 4:
            server.upgrade_answers = [(random.choice((429, 500, 503)), {"Retry-After": "0"})]
            server.drop()
        else:
            for frame in self._frames():
                await server.send_raw(frame)

    def _frames(self) -> Iterator[bytes | str]:
        random = self._random
        yield random.randbytes(random.randrange(200))
        yield "[" * random.randrange(1, 5_000)
        broken = _quote(random.choice(SYMBOLS), 100.0)
        for _ in range(random.randrange(1, 4)):
            broken[random.choice(sorted(broken))] = random.choice(EDGES)
        yield bytes(msgpack.packb([broken, _quote("AAPL", 100.5)], default=str))
        short = _quote(random.choice(SYMBOLS), 100.0)
        del short[random.choice(sorted(short))]
        yield bytes(msgpack.packb([short]))
        yield bytes(msgpack.packb([_quote("NOSUCH", 3.0), {"T": "zz"}, 7, None]))
        old = _quote("AAPL", 50.0) | {"t": msgpack.Timestamp(random.choice((0, 1, 4_000_000_000)), 0)}
        yield bytes(msgpack.packb([old]))
