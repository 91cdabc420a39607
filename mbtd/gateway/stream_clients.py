"""Readers of market data: one client, and the crowd of all who want the same.

Invariants: what a crowd gathers is rendered and framed once; a client that does not take what it is sent falls out of
step for itself alone, quotes merged and prints kept up to a bound, beyond which it is told so and closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Protocol

from starlette.websockets import WebSocket

from mbtd.gateway.sockets import close
from mbtd.gateway.stream_items import Item, encode_json, encode_msgpack, frame
from mbtd.gateway.websocket import framed

BEHIND_BYTES: Final = 256 * 1024
"""With more than this untaken a client waits by itself."""
PRINTS_WAITING_MAX: Final = 10_000
FRAME_MAX_MESSAGES: Final = 1_000
STOCK_CHANNELS: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
OPTION_CHANNELS: Final = ("trades", "quotes")
IMPLIED: Final = ("corrections", "cancelErrors")
SYMBOLS_MAX: Final = {"free": 30, "pro": 1_000, "pro_plus": 10_000}
"""Symbols of trades and quotes together, by tier."""
OPTIONS_MAX: Final = {"free": 200, "pro": 1_000, "pro_plus": 1_000}
STOCK_FEEDS: Final = ("iex", "sip", "delayed_sip")
OPTION_FEEDS: Final = ("indicative", "opra")
ERRORS: Final = {
    400: "invalid syntax", 401: "not authenticated", 402: "auth failed", 403: "already authenticated",
    404: "auth timeout", 405: "symbol limit exceeded", 406: "connection limit exceeded", 407: "slow client",
    409: "insufficient subscription", 410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes", 500: "internal error",
}  # fmt: skip


class Out(Protocol):
    """Where frames go."""

    @property
    def waiting_bytes(self) -> int: ...

    def write(self, frames: bytes) -> None: ...

    async def drain(self) -> None: ...


class Crowd:
    """Clients that want the same things in the same encoding, and what has come for them."""

    __slots__ = ("key", "members", "msgpack", "options", "others", "quotes")

    def __init__(self, key: object, *, options: bool, msgpack: bool) -> None:
        self.key = key
        self.options = options
        self.msgpack = msgpack
        self.members: dict[Client, None] = {}
        self.quotes: dict[str, Item] = {}
        self.others: list[Item] = []

    def put(self, item: Item) -> bool:
        """Something that these want; whether it is the first since the last round."""
        first = not self.quotes and not self.others
        if item.channel == "quotes":
            self.quotes[item.symbol] = item
        else:
            self.others.append(item)
        return first

    def take(self) -> list[Item]:
        """What has come; then nothing has."""
        if not self.quotes:
            items, self.others = self.others, []
            return items
        items = [*self.others, *self.quotes.values()]
        self.others, self.quotes = [], {}
        return items


def frames(items: list[Item], msgpack: bool) -> bytes:
    """Messages as they go over the wire."""
    encoded = [item.encoded(msgpack) for item in items]
    if len(encoded) <= FRAME_MAX_MESSAGES:
        return framed(frame(encoded, msgpack), text=not msgpack)
    pieces = [encoded[start : start + FRAME_MAX_MESSAGES] for start in range(0, len(encoded), FRAME_MAX_MESSAGES)]
    return b"".join(framed(frame(piece, msgpack), text=not msgpack) for piece in pieces)


class Client:
    """One client: what it wants, and what waits for it alone."""

    def __init__(self, socket: WebSocket, wire: Out, *, options: bool, msgpack: bool) -> None:
        self.socket = socket
        self.wire = wire
        self.options = options
        self.msgpack = msgpack
        self.lane = "delayed"
        self.wants: dict[str, set[str]] = {name: set() for name in (OPTION_CHANNELS if options else STOCK_CHANNELS)}
        self.crowd: Crowd | None = None
        self._quotes: dict[str, Item] = {}
        self._others: list[Item] = []
        self._closing: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether something waits for this client alone."""
        return bool(self._quotes or self._others)

    @property
    def behind(self) -> bool:
        """Whether the client has not taken what it was sent."""
        return self.wire.waiting_bytes > BEHIND_BYTES

    def keep(self, items: Iterable[Item]) -> None:
        """Have messages wait for this client."""
        for item in items:
            if item.channel == "quotes":
                self._quotes[item.symbol] = item
            else:
                self._others.append(item)
        if len(self._others) > PRINTS_WAITING_MAX:
            self.forget()
            self.fail(407)
            self.end()

    def catch_up(self) -> None:
        """Send what waits."""
        items = [*self._others, *self._quotes.values()]
        self.forget()
        self.wire.write(frames(items, self.msgpack))

    def say(self, message: dict[str, Any]) -> None:
        """A control message; goes out before data that waits."""
        encode = encode_msgpack if self.msgpack else encode_json
        self.wire.write(framed(encode([message]), text=not self.msgpack))

    def fail(self, code: int) -> None:
        """Say an error."""
        self.say({"T": "error", "code": code, "msg": ERRORS[code]})

    def end(self) -> None:
        """Close after what was said."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(close(self.socket))

    async def ended(self) -> None:
        """Until the connection is closed, if it is to be."""
        if self._closing is not None:
            await self._closing

    def forget(self) -> None:
        """Drop what waits."""
        self._quotes.clear()
        self._others.clear()

    def subscription(self) -> dict[str, Any]:
        """The full set now in force."""
        shown: dict[str, Any] = {"T": "subscription"} | {name: sorted(have) for name, have in self.wants.items()}
        if not self.options:
            shown |= dict.fromkeys(IMPLIED, shown["trades"])
        return shown
