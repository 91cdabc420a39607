"""The synthetic market as a feed: keeps pace with the wall clock (``mbtd serve --feed synthetic``).

Invariants: only *when* messages are pushed depends on the wall clock; what they say depends on the seed and
the instant at which the market began. A jump of the clock (a suspended host) begins the market anew at the
present instant, behind a ``gap``; prices go on at their levels. So does a split or stock dividend, which it follows
from its instant on: prices in new units, contracts listed around them, those of before listed no more.

Known limits: no other corporate action changes anything here: a new name, or an adjusted contract, is never quoted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import anyio
from msgspec.structs import replace

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_SECOND
from actors.market.messages import DataClass, FeedState
from mbtd.market.calendar import Calendar
from mbtd.market.feed import FeedSink, FeedStatus
from mbtd.market.synthetic.figures import Figures
from mbtd.market.synthetic.market import SyntheticMarket, SyntheticSettings
from mbtd.market.synthetic.prices import NO_UNITS, Units
from mbtd.market.synthetic.universe import STOCKS

_WAKE_SECONDS_MAX: Final = 0.025
_JUMP_NS: Final = 10 * NS_PER_SECOND
_STOCKS: Final = frozenset(spec.symbol for spec in STOCKS)
_STOCK_ATTRIBUTES: Final = ("fractional_eh_enabled", "overnight_tradable")


class SyntheticFeed:
    """A seeded market as a feed. ``wall_ns`` reads the wall clock."""

    name: Final = "synthetic"
    data_class: Final[DataClass] = "real_time"

    def __init__(
        self,
        seed: int,
        settings: SyntheticSettings | None = None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._seed = seed
        self._wall_ns = wall_ns
        self._begun_at = wall_ns()
        self._market = SyntheticMarket(seed, self._begun_at, settings)
        self._units_at: Callable[[int], Units] = lambda at: NO_UNITS
        self._units: Units = NO_UNITS
        self._figures = Figures(seed, self._market.calendar, NO_UNITS)
        self._status = FeedStatus("connecting", since=self._begun_at, reason="the market has not begun")

    @property
    def calendar(self) -> Calendar:
        """The market's own calendar."""
        return self._market.calendar

    def reference(self) -> list[Instrument]:
        """Everything that is listed now."""
        return self._market.reference()

    def attributes(self, symbol: str) -> tuple[str, ...]:
        """Every stock is quoted at any hour, and the rules take orders in its fractions at any hour."""
        return _STOCK_ATTRIBUTES if symbol in _STOCKS else ()

    def with_figures(self, contracts: Sequence[Instrument]) -> list[Instrument]:
        """With what the market makes up for the trade date; see :mod:`mbtd.market.synthetic.figures`."""
        figures, today = self._figures, self.calendar.session_at(self._wall_ns()).trade_date
        return [figures.of(contract, today) for contract in contracts]

    def subscribe(self, symbols: Collection[str]) -> None:
        """Ignored: the whole market is sent."""

    def unsubscribe(self, symbols: Collection[str]) -> None:
        """Ignored: the whole market is sent."""

    def status(self) -> FeedStatus:
        """Live, once it has begun."""
        return self._status

    def now(self) -> int:
        """The wall clock."""
        return self._wall_ns()

    def follow(self, units_at: Callable[[int], Units]) -> None:
        """Whom to ask for the units of prices at an instant."""
        self._units_at = units_at

    async def run(self, sink: FeedSink) -> None:
        """Deliver until cancelled."""
        first = True
        while True:
            now = self._wall_ns()
            if now - self._begun_at > _JUMP_NS and (first or now - self._status.last_message_at > _JUMP_NS):
                self._begin_anew(sink, now, "" if first else "the clock jumped")
            if (units := self._units_at(now)) != self._units:
                self._units = units
                self._figures = Figures(self._seed, self._market.calendar, units)
                self._begin_anew(sink, now, "" if first else "prices are in new units")
            self._deliver(sink, now, first)
            first = False
            await anyio.sleep(min(_WAKE_SECONDS_MAX, self._market.piece_ns / NS_PER_SECOND))

    def _begin_anew(self, sink: FeedSink, now: int, gap: str) -> None:
        """Make the market again as of ``now``; ``gap`` says why messages are missing, if any are."""
        before = self._market.reference()
        self._begun_at = now
        self._market = SyntheticMarket(self._seed, now, self._market.settings, self._units)
        listed = self._market.reference()
        symbols = {instrument.symbol for instrument in listed}
        gone = [replace(old, active=False, tradable=False) for old in before if old.symbol not in symbols]
        sink.push_reference([*gone, *listed])
        if gap:
            sink.push([FeedState("gap", now, self.name, (), gap, now)])

    def _deliver(self, sink: FeedSink, now: int, first: bool) -> None:
        # The instant itself is included, so that a session change is on the tape when it is due.
        messages = self._market.advance(now + 1)
        listed = self._market.take_listings()
        if listed:
            sink.push_reference(listed)
        if first:
            messages.insert(1, FeedState("up", messages[0].at, self.name, received_at=messages[0].at))
        if messages:
            sink.push(messages)
        old = self._status
        since = old.since if old.state == "live" else now
        self._status = FeedStatus("live", since, now, old.messages + len(messages))
