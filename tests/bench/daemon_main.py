"""The daemon of ``mbtd serve`` with the measuring feed: ``python -m tests.bench.daemon_main STATE SYMBOLS``,
with ``options`` after it for contracts on some of the symbols.

Everything but the feed is the real thing: configuration, lock, recovery, writer process, sockets, pump. On
standard input it takes, beside what the feed takes, ``create`` (accounts, made through the engine and awaited
until durable), ``settle`` (until every snapshot due is stored) and ``wake`` (time to bring accounts back).
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import anyio

from actors.book.rules.matching.profiles import Profiles
from actors.commands import CreateAccount
from actors.inputs import Envelope, Issued
from mbtd import logs
from mbtd.config import Config
from mbtd.daemon import UPKEEP_S, Daemon
from storage.lock import StateLock
from tests.bench.feed import BenchFeed, rss_bytes

_CHUNK = 200


class Actions:
    """What the measuring side can ask of the daemon from inside."""

    feed: BenchFeed

    def __init__(self) -> None:
        self.handlers = {"create": self.create, "settle": self.settle, "wake": self.wake, "rss": self.rss}

    async def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """``count`` margin accounts named ``PREFIX0`` and on, without API keys."""
        core = self.feed.sink
        prefix, first = request.get("prefix", "a"), int(request.get("first", 0))
        for begin in range(first, first + int(request["count"]), _CHUNK):
            for number in range(begin, min(begin + _CHUNK, first + int(request["count"]))):
                action = CreateAccount(
                    name=f"{prefix}{number}", cash="900000000", profile=request.get("profile"),
                    options_level=int(request.get("options_level", 3)),
                )  # fmt: skip
                core.engine.command(0, action, core.now(), Envelope(), Issued(os.urandom(32)))
            core.pump.wake()
            while core.outbox.durable_seq < core.engine.seq:
                core.pump.wake()
                await asyncio.sleep(0.001)
        return {"seq": core.engine.seq, "accounts": len(core.engine.house.names)}

    async def settle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until snapshots and history have caught up, at most ``seconds``."""
        core, begin = self.feed.sink, time.perf_counter()
        residency = core.residency
        while time.perf_counter() - begin < float(request.get("seconds", 30)):
            waiting = len(residency._dirty) + len(residency._sent)
            if request.get("history_only"):
                waiting = 0
            if waiting <= 1 and core.projected_seq >= core.engine.seq:
                break
            await asyncio.sleep(0.01)
        return {
            "settle_s": time.perf_counter() - begin,
            "behind_events": core.engine.seq - core.projected_seq,
            "dirty": len(residency._dirty),
            "resident": len(core.engine.books),
        }

    async def rss(self, request: dict[str, Any]) -> dict[str, Any]:
        """Resident set after a collection, when upkeep has been round once more."""
        await asyncio.sleep(2 * UPKEEP_S)
        gc.collect()
        core = self.feed.sink
        return {
            "rss_bytes": rss_bytes(),
            "resident": len(core.engine.books),
            "accounts": len(core.engine.house.names),
        }

    async def wake(self, request: dict[str, Any]) -> dict[str, Any]:
        """Microseconds to bring each of ``count`` accounts back that are not in memory."""
        core = self.feed.sink
        asleep = [no for no in core.engine.house.names.values() if no not in core.engine.books]
        random.Random(1).shuffle(asleep)
        times = []
        for account_no in asleep[: int(request["count"])]:
            begin = time.perf_counter()
            core.residency.bring(account_no)
            times.append((time.perf_counter() - begin) * 1e6)
        return {"wake_us": times, "asleep": len(asleep)}


def main() -> None:
    """Serve until told to stop, as ``mbtd serve`` does."""
    directory, symbols = Path(sys.argv[1]), int(sys.argv[2])
    config = Config.load(None, os.environ, {"storage.directory": str(directory)}).config
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = StateLock.acquire(directory, wait_s=10, inheritable=True)
    logs.set_up(config.log.level, config.log.format, stream=sys.stderr.buffer)
    actions = Actions()
    feed = actions.feed = BenchFeed(symbols, actions.handlers, options="options" in sys.argv[3:])
    profiles = Profiles({name: dict(numbers) for name, numbers in config.profiles.items()})
    daemon = Daemon(config, directory, lock, profiles, 7, feed)
    status = anyio.run(daemon.run, backend="asyncio", backend_options={"use_uvloop": True})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
