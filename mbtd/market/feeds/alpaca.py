"""Live market data from Alpaca: stocks over one connection, options over another.

Invariants: what is delivered is what is subscribed, and what is subscribed follows the interest
(:meth:`AlpacaFeed.subscribe`) while the feed runs. Each stream fails, waits and comes back alone; where both
run, a :class:`FeedState` names the symbols of the stream it speaks of. The feed reads no clock and draws no
number but through its ports; its keys leave it only inside the authentication message.

Known limits: the IEX feed quotes that exchange only, not the national best; sessions come from the calendar,
not from this feed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime, time
from typing import Final, Literal
from zoneinfo import ZoneInfo

import anyio
from msgspec import Struct

from actors.book.units import NS_PER_SECOND
from actors.market.messages import DataClass
from mbtd.market.alpaca_credentials import AlpacaCredentials
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
_NEW_YORK: Final = ZoneInfo("America/New_York")
_CORE_OPENS, _CORE_CLOSES = time(9, 30), time(16)
_SATURDAY: Final = 5
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


class AlpacaFeedStatus(Struct, frozen=True):
    """The graver of the two streams' states, and each of them."""

    state: LinkState
    since: int
    """Nanoseconds UTC of the change into this state."""
    last_message_at: int
    """Nanoseconds UTC; 0 before the first."""
    messages: int
    reason: str
    streams: tuple[LinkStatus, ...]

    def message_age_ns(self, now: int) -> int | None:
        """Age of the newest message; ``None`` before the first."""
        return now - self.last_message_at if self.last_message_at else None


def is_option_symbol(symbol: str) -> bool:
    """Whether a symbol has the compact OSI form."""
    return _OPTION_SYMBOL.match(symbol) is not None


def weekday_core_hours(at: int) -> bool:
    """Whether silence at an instant may mean a dead feed: weekdays 9:30 to 16:00 New York.

    It knows no holidays; a deployment passes its calendar instead.
    """
    moment = datetime.fromtimestamp(at // NS_PER_SECOND, _NEW_YORK)
    return moment.weekday() < _SATURDAY and _CORE_OPENS <= moment.time() < _CORE_CLOSES


class AlpacaFeed:
    """The feed; see the module's head. ``primary_exchange`` gives the exchange code (``N``, ``Q``, …) of a
    symbol's primary exchange, or an empty text; ``speaks`` says when silence means a dead feed."""

    name: Final = "alpaca"

    def __init__(
        self,
        settings: AlpacaSettings,
        credentials: AlpacaCredentials,
        *,
        primary_exchange: Callable[[str], str] = lambda _symbol: "",
        speaks: Callable[[int], bool] = weekday_core_hours,
        connect: Connector = open_websocket,
        clock: FeedClock | None = None,
        draw: Draw = system_draw,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._links: dict[Kind, StreamLink] = {}
        urls: dict[Kind, tuple[str, str]] = {}
        if settings.stock_feed != "off":
            path = f"{STREAM_BASE}/v2/{settings.stock_feed}"
            urls["stocks"] = settings.stock_feed, settings.stock_url or path
        if settings.option_feed != "off":
            path = f"{STREAM_BASE}/v1beta1/{settings.option_feed}"
            urls["options"] = settings.option_feed, settings.option_url or path
        for kind, (name, url) in urls.items():
            decoder = StreamDecoder(
                kind, primary_exchange=primary_exchange, size_multiplier=settings.size_multiplier
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
                speaks=speaks,
            )

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
            return AlpacaFeedStatus("stopped", 0, 0, 0, "both streams are switched off", ())
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
            for link in self._links.values():
                tasks.start_soon(link.run, sink)


def _kind(symbol: str) -> Kind:
    return "options" if is_option_symbol(symbol) else "stocks"
