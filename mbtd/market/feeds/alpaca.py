"""Live market data from Alpaca: stocks over one connection, options over another.

Invariants: what is delivered is what is subscribed, and what is subscribed follows the interest
(:meth:`AlpacaFeed.subscribe`) while the feed runs. Each stream fails, waits and comes back alone; where both
run, a :class:`FeedState` names the symbols of the stream it speaks of. The feed reads no clock and draws no
number but through its ports; its keys leave it only inside the authentication message. Session changes come
from the calendar, each at its instant, the one in force first.

Known limits: the IEX feed quotes that exchange only, not the national best.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, Protocol, TypeVar

import anyio
from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_SECOND
from actors.market.messages import DataClass, Session
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.feed import FeedStatus
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from mbtd.market.feeds.alpaca_link import LinkSettings, LinkState, LinkStatus, StreamLink, TapeSink
from mbtd.market.feeds.alpaca_protocol import Kind, StreamProtocol
from mbtd.market.feeds.alpaca_socket import (
    Connector,
    Draw,
    FeedClock,
    SystemClock,
    open_websocket,
    system_draw,
)

STREAM_BASE: Final = "wss://stream.data.alpaca.markets"
StockFeed = Literal["iex", "sip", "delayed_sip", "test", "off"]
OptionFeed = Literal["indicative", "opra", "off"]

_OPTION_SYMBOL: Final = re.compile(r"[A-Z]{1,5}[0-9]?[0-9]{6}[CP][0-9]{8}\Z")
_NAP_S: Final = 60.0
"""The longest sleep towards a session change: the wall clock may be set meanwhile."""
_GRAVITY: Final[dict[LinkState, int]] = {
    "live": 0,
    "limited": 1,
    "connecting": 2,
    "stale": 3,
    "down": 4,
    "stopped": 5,
    "refused": 6,
    "auth_failed": 7,
}
EXCHANGE_CODES: Final[dict[str, str]] = {
    "NYSE": "N",
    "NASDAQ": "Q",
    "ARCA": "P",
    "NYSEARCA": "P",
    "AMEX": "A",
    "BATS": "Z",
}
"""Exchange code on prints, by Alpaca's name of an asset's listing exchange."""


class AlpacaSettings(Struct, frozen=True):
    """What the feed connects to."""

    stock_feed: StockFeed = "iex"
    option_feed: OptionFeed = "indicative"
    stock_url: str = ""
    """Replaces the whole URL of the stock stream."""
    option_url: str = ""
    size_multiplier: int = 1
    """Shares in one unit of a stock quote's size: 1 since 2025-11, 100 before."""
    link: LinkSettings = LinkSettings()


class AlpacaFeedStatus(FeedStatus, frozen=True):
    """The graver of the two streams' states, and each of them."""

    streams: tuple[LinkStatus, ...] = ()


def is_option_symbol(symbol: str) -> bool:
    """Whether a symbol has the compact OSI form."""
    return _OPTION_SYMBOL.match(symbol) is not None


class MarketCalendar(Protocol):
    """When the market is in which phase."""

    def session_at(self, at: int) -> Session:
        """The phase in force at ``at``, stamped ``at``."""

    def next_change(self, at: int) -> Session:
        """The first phase change after ``at``, stamped with its instant."""


CalendarT = TypeVar("CalendarT", bound=MarketCalendar)


class AlpacaFeed(Generic[CalendarT]):
    """The feed; see the module's head.

    ``instruments`` are what :meth:`reference` tells; their listing exchanges decide which prints are
    auctions. ``speaks`` says when silence means a dead feed; by default in the calendar's core sessions.
    """

    name: Final = "alpaca"

    def __init__(
        self,
        settings: AlpacaSettings,
        credentials: AlpacaCredentials,
        calendar: CalendarT,
        instruments: Iterable[Instrument] = (),
        *,
        speaks: Callable[[int], bool] | None = None,
        connect: Connector = open_websocket,
        clock: FeedClock | None = None,
        draw: Draw = system_draw,
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._clock = clock or SystemClock()
        self._instruments: dict[str, Instrument] = {}
        self._attributes: Mapping[str, tuple[str, ...]] = {}
        self.learn(instruments)
        self._links: dict[Kind, StreamLink] = {}
        urls = _urls(settings)
        for kind, (name, url) in urls.items():
            decoder = StreamDecoder(
                kind, primary_exchange=self._primary_exchange, size_multiplier=settings.size_multiplier
            )
            self._links[kind] = StreamLink(
                f"alpaca:{name}",
                url,
                StreamProtocol(kind, credentials, decoder),
                settings.link,
                credentials,
                alone=len(urls) == 1,
                connect=connect,
                clock=self._clock,
                draw=draw,
                speaks=speaks or self._in_core,
            )

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Add or replace reference data."""
        self._instruments.update((instrument.symbol, instrument) for instrument in instruments)

    def reference(self) -> list[Instrument]:
        """The instruments known now."""
        return list(self._instruments.values())

    def mark(self, attributes: Mapping[str, tuple[str, ...]]) -> None:
        """Replace what the source says of its assets, by symbol."""
        self._attributes = attributes

    def attributes(self, symbol: str) -> tuple[str, ...]:
        """As Alpaca's list of assets says."""
        return self._attributes.get(symbol, ())

    def with_figures(self, contracts: Sequence[Instrument]) -> list[Instrument]:
        """As Alpaca's list of contracts had them."""
        return list(contracts)

    def _primary_exchange(self, symbol: str) -> str:
        instrument = self._instruments.get(symbol)
        return EXCHANGE_CODES.get(instrument.exchange, "") if instrument else ""

    def _in_core(self, at: int) -> bool:
        return self._calendar.session_at(at).phase == "core"

    @property
    def calendar(self) -> CalendarT:
        """The calendar that the market keeps."""
        return self._calendar

    @property
    def data_class(self) -> DataClass:
        """What the stock quotes are; the option quotes' where there is no stock stream."""
        if self._settings.stock_feed == "off":
            return "real_time" if self._settings.option_feed == "opra" else "indicative"
        return "delayed" if self._settings.stock_feed == "delayed_sip" else "real_time"

    def now(self) -> int:
        """Wall time in nanoseconds UTC."""
        return self._clock.now()

    def subscribe(self, symbols: Collection[str]) -> None:
        """Add to the interest; sent at once, together with whatever else changed meanwhile."""
        for kind, link in self._links.items():
            link.want([symbol for symbol in symbols if _kind(symbol) == kind])

    def unsubscribe(self, symbols: Collection[str]) -> None:
        """Take from the interest."""
        for kind, link in self._links.items():
            link.forget([symbol for symbol in symbols if _kind(symbol) == kind])

    def status(self) -> AlpacaFeedStatus:
        """The present state; cheap."""
        streams = tuple(link.status() for link in self._links.values())
        if not streams:
            return AlpacaFeedStatus("stopped", 0, reason="both streams are switched off")
        worst = max(streams, key=lambda stream: _GRAVITY[stream.state])
        return AlpacaFeedStatus(
            state=worst.state,
            since=worst.since,
            last_message_at=max(stream.last_message_at for stream in streams),
            messages=sum(stream.counters.messages for stream in streams),
            reason=f"{worst.name}: {worst.reason}" if worst.reason else "",
            streams=streams,
        )

    async def run(self, sink: TapeSink) -> None:
        """Deliver until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._deliver_sessions, sink)
            for link in self._links.values():
                tasks.start_soon(link.run, sink)

    async def _deliver_sessions(self, sink: TapeSink) -> None:
        session = self._calendar.session_at(self._clock.now())
        while True:
            sink.push([session])
            session = self._calendar.next_change(session.at)
            while (wait := (session.at - self._clock.now()) / NS_PER_SECOND) > 0:
                await self._clock.sleep(min(wait, _NAP_S))


def _urls(settings: AlpacaSettings) -> dict[Kind, tuple[str, str]]:
    """Name and URL of each stream that is switched on."""
    urls: dict[Kind, tuple[str, str]] = {}
    if settings.stock_feed != "off":
        path = f"{STREAM_BASE}/v2/{settings.stock_feed}"
        urls["stocks"] = settings.stock_feed, settings.stock_url or path
    if settings.option_feed != "off":
        path = f"{STREAM_BASE}/v1beta1/{settings.option_feed}"
        urls["options"] = settings.option_feed, settings.option_url or path
    return urls


def _kind(symbol: str) -> Kind:
    return "options" if is_option_symbol(symbol) else "stocks"
