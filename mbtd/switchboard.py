"""The kill switches of a running daemon: their sources, and the gate of the feed (architecture §11).

Invariants: each of environment, configuration and console throws and clears only its own; a change is sequenced and
durable like a command, with who and why in the house's events; it takes effect before the caller hears of it.
A recording is no live feed: under ``market_data_disabled`` it plays on and nothing is matched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from actors.book.rules.admission.switches import MARKET_DATA, SWITCHES
from actors.book.units import format_time
from actors.inputs import SwitchInput
from actors.market.messages import FeedState
from actors.switching import switch
from mbtd.config import Switches, environment_switches
from mbtd.config.report import ENVIRONMENT_SWITCHES
from mbtd.core import Core
from mbtd.logs import get_logger
from mbtd.market.feed import Feed

log = get_logger(subsystem="switches")


class Switchboard:
    """Throws, clears and shows the switches of one daemon."""

    def __init__(self, core: Core, feed: Feed) -> None:
        self._core = core
        self._feed = feed
        self._changed = anyio.Event()
        self._running: anyio.CancelScope | None = None

    def reconcile(self, configured: Switches, environ: Mapping[str, str] | None = None) -> None:
        """Bring the sources of configuration and (at a start) environment to what they say now."""
        for name in SWITCHES:
            self.set(name, "configuration", getattr(configured, name), "configuration", f"switches.{name}")
        if environ is not None:
            thrown = environment_switches(environ)
            for variable, name in ENVIRONMENT_SWITCHES.items():
                self.set(name, "environment", getattr(thrown, name), "environment", variable)

    def set(self, name: str, source: str, on: bool, by: str, why: str) -> bool:
        """Throw or clear a switch for one source, at once; whether that changed anything."""
        core = self._core
        if not switch(core.engine, SwitchInput(name, source, on, by, why), core.now()):
            return False
        log.info("switch.changed", switch=name, source=source, on=on, by=by, why=why)
        core.hand_on()
        core.pump.wake()
        self._changed.set()
        self._changed = anyio.Event()
        if self._running is not None and self._closed and self._live:
            self._running.cancel()
        return True

    def describe(self) -> dict[str, Any]:
        """Every switch: whether it is thrown, and by whom, when and why."""
        house = self._core.engine.house
        return {
            name: {
                "on": bool(house.switches.get(name)),
                "sources": {
                    source: {"by": held.by, "why": held.why, "since": format_time(held.at)}
                    for source, held in sorted(house.switches.get(name, {}).items())
                },
            }
            for name in SWITCHES
        }

    @property
    def thrown(self) -> list[str]:
        """Names of the switches in effect."""
        return [name for name in SWITCHES if name in self._core.engine.world.switches]

    @property
    def feed_closed(self) -> bool:
        """Whether the live feed is closed by its switch."""
        return self._closed and self._live

    @property
    def _closed(self) -> bool:
        return MARKET_DATA in self._core.engine.world.switches

    @property
    def _live(self) -> bool:
        return self._feed.name != "replay"

    async def run_feed(self) -> None:
        """Run the feed while market data is not switched off, again and again."""
        while True:
            while self._closed and self._live:
                await self._changed.wait()
            with anyio.CancelScope() as scope:
                self._running = scope
                try:
                    await self._feed.run(self._core)
                except MemoryError:
                    raise
                except Exception:
                    log.exception("feed.failed", feed=self._feed.name)
            self._running = None
            if not scope.cancelled_caught:
                return
            self._core.push([FeedState("down", self._core.now(), self._feed.name, (), MARKET_DATA)])
