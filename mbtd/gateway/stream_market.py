"""Market data streams: ``/v2/{iex,sip,delayed_sip}`` and ``/v1beta1/{indicative,opra}`` (alpaca-api §5.1–5.4).

Invariants: the greeting comes first; encoding is msgpack for whoever asked for it at the upgrade, always on option
feeds; which lane is served follows from the tier alone, and changes with it while connected. Every client has its own
line: a quote is replaced by a newer one of its symbol while it waits, prints are kept up to a bound, beyond which the
client is told ``slow client`` and closed. One message is prepared once for all its readers of one encoding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket

from actors.book.units import format_time
from actors.market.messages import Quote, Status, TapeMessage, Trade
from mbtd.gateway.endpoint import Daemon
from mbtd.gateway.errors import ApiError
from mbtd.gateway.login import Credentials, Door, credentials_of, of_token
from mbtd.gateway.sockets import Connections, Live, close, receive
from mbtd.logs import get_logger
from mbtd.market.bars import Bar
from mbtd.records.data import bar_at
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

log = get_logger(subsystem="gateway")
LOGIN_MAX_S: Final = 10.0
SEND_EVERY_S: Final = 0.01
PRINTS_WAITING_MAX: Final = 10_000
FRAME_MAX_MESSAGES: Final = 1_000
LINGER_S: Final = 0.5
STOCK_CHANNELS: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
OPTION_CHANNELS: Final = ("trades", "quotes")
IMPLIED: Final = ("corrections", "cancelErrors")
SYMBOLS_MAX: Final = {"free": 30, "pro": 1_000, "pro_plus": 10_000}
"""Symbols of trades and quotes together, by tier."""
OPTIONS_MAX: Final = {"free": 200, "pro": 1_000, "pro_plus": 1_000}
STOCK_FEEDS: Final = ("iex", "sip", "delayed_sip")
OPTION_FEEDS: Final = ("indicative", "opra")
_OPTION_LENGTH: Final = 13
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_TAPE: Final = "C"
_ERRORS: Final = {
    400: "invalid syntax", 401: "not authenticated", 402: "auth failed", 403: "already authenticated",
    404: "auth timeout", 405: "symbol limit exceeded", 406: "connection limit exceeded", 407: "slow client",
    409: "insufficient subscription", 410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes", 500: "internal error",
}  # fmt: skip


class _Batch(Struct):
    """What the daemon sends of a lane."""

    topic: str
    m: list[TapeMessage]
    b: list[tuple[str, Bar]]
    d: list[tuple[str, Bar]]


_read_batch: Final = msgspec.json.Decoder(_Batch).decode


class Item:
    """One message to clients, rendered when first needed and once for each encoding."""

    __slots__ = ("_json", "_msgpack", "channel", "symbol", "what")

    def __init__(self, channel: str, symbol: str, what: Any) -> None:
        self.channel = channel
        self.symbol = symbol
        self.what = what
        self._json: bytes | None = None
        self._msgpack: bytes | None = None

    def encoded(self, msgpack: bool) -> bytes:
        """As bytes."""
        if msgpack:
            if self._msgpack is None:
                self._msgpack = _encode_msgpack(render(self.channel, self.symbol, self.what, msgpack=True))
            return self._msgpack
        if self._json is None:
            self._json = _encode_json(render(self.channel, self.symbol, self.what, msgpack=False))
        return self._json


def render(channel: str, symbol: str, what: Any, *, msgpack: bool) -> dict[str, Any]:
    """A message in Alpaca's shape. msgpack carries times as timestamps, JSON as text."""
    option = len(symbol) > _OPTION_LENGTH
    at = bar_at(what.at)
    time: Any = timestamp(at) if msgpack else format_time(at)
    if isinstance(what, Quote):
        shown: dict[str, Any] = {
            "T": "q", "S": symbol, "bx": what.bid_exchange or "V", "bp": what.bid / 10_000, "bs": what.bid_size,
            "ax": what.ask_exchange or "V", "ap": what.ask / 10_000, "as": what.ask_size,
            "c": (what.condition or "A") if option else [what.condition or "R"], "t": time,
        }  # fmt: skip
        return shown if option else shown | {"z": _TAPE}
    if isinstance(what, Trade):
        shown = {
            "T": "t", "S": symbol, "x": what.exchange or "V", "p": what.price / 10_000, "s": what.size,
            "c": (what.conditions or "a") if option else list(what.conditions) or ["@"], "t": time,
        }  # fmt: skip
        return shown if option else shown | {"i": what.trade_id, "z": _TAPE}
    if isinstance(what, Status):
        halted = what.state != "trading"
        return {
            "T": "s", "S": symbol, "sc": "H" if halted else "T",
            "sm": "Trading Halt" if halted else "Trading Resumption", "rc": what.reason, "rm": what.reason,
            "t": time, "z": _TAPE,
        }  # fmt: skip
    return {
        "T": {"bars": "b", "updatedBars": "u"}.get(channel, "d"), "S": symbol, "o": what.open / 10_000,
        "h": what.high / 10_000, "l": what.low / 10_000, "c": what.close / 10_000, "v": what.volume,
        "n": what.count, "vw": what.vwap / 10_000, "t": time,
    }  # fmt: skip


def timestamp(at: int) -> msgspec.msgpack.Ext:
    """msgpack's timestamp, with nanoseconds, in its 96-bit form or the shorter 64-bit one."""
    seconds, nanos = divmod(at, 1_000_000_000)
    if seconds >> 34 == 0:
        return msgspec.msgpack.Ext(-1, ((nanos << 34) | seconds).to_bytes(8, "big"))
    return msgspec.msgpack.Ext(-1, nanos.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True))


def frame(items: list[bytes], msgpack: bool) -> bytes:
    """Messages as one array."""
    if not msgpack:
        return b"[" + b",".join(items) + b"]"
    count = len(items)
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(items)


class Client:
    """One client: what it wants and what waits for it."""

    def __init__(self, socket: WebSocket, *, options: bool, msgpack: bool) -> None:
        self.socket = socket
        self.options = options
        self.msgpack = msgpack
        self.lane = "delayed"
        self.wants: dict[str, set[str]] = {name: set() for name in (OPTION_CHANNELS if options else STOCK_CHANNELS)}
        self._quotes: dict[str, Item] = {}
        self._others: list[Item] = []
        self._said: list[bytes] = []
        self._ready = asyncio.Event()
        self.ended = False
        self._slow = False

    def put(self, item: Item) -> None:
        """Something that this client wants."""
        if item.channel == "quotes":
            self._quotes[item.symbol] = item
        elif len(self._others) < PRINTS_WAITING_MAX:
            self._others.append(item)
        else:
            self._slow = True
            self.ended = True
        if not self._ready.is_set():
            self._ready.set()

    def say(self, message: dict[str, Any]) -> None:
        """A control message; goes out before data."""
        encode = _encode_msgpack if self.msgpack else _encode_json
        self._said.append(encode([message]))
        self._ready.set()

    def fail(self, code: int) -> None:
        """Say an error."""
        self.say({"T": "error", "code": code, "msg": _ERRORS[code]})

    def end(self) -> None:
        """Close after what was said."""
        self.ended = True
        self._ready.set()

    def forget(self) -> None:
        """Drop the data that waits: it belongs to another lane."""
        self._quotes.clear()
        self._others.clear()

    def subscription(self) -> dict[str, Any]:
        """The full set now in force."""
        shown: dict[str, Any] = {"T": "subscription"} | {name: sorted(have) for name, have in self.wants.items()}
        if not self.options:
            shown |= dict.fromkeys(IMPLIED, shown["trades"])
        return shown

    async def run(self) -> None:
        """Send what waits until the end."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            said, self._said = self._said, []
            for message in said:
                await self._send(message)
            if self.ended:
                if self._slow:
                    encode = _encode_msgpack if self.msgpack else _encode_json
                    await self._send(encode([{"T": "error", "code": 407, "msg": _ERRORS[407]}]))
                await close(self.socket)
                return
            others, self._others = self._others, []
            quotes, self._quotes = self._quotes, {}
            items = [item.encoded(self.msgpack) for item in (*others, *quotes.values())]
            for start in range(0, len(items), FRAME_MAX_MESSAGES):
                await self._send(frame(items[start : start + FRAME_MAX_MESSAGES], self.msgpack))
            if items:
                await asyncio.sleep(SEND_EVERY_S)

    async def _send(self, message: bytes) -> None:
        if self.msgpack:
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_text(message.decode())


class MarketStreams:
    """All clients of market data, and what is asked of the daemon for them."""

    def __init__(self, daemon: Daemon, door: Door, connections: Connections) -> None:
        self._daemon = daemon
        self._door = door
        self._connections = connections
        self._clients: dict[str, dict[Client, None]] = {"real_time": {}, "delayed": {}}
        self._readers: dict[tuple[str, str, str], dict[Client, None]] = {}
        """By lane, channel and symbol; ``*`` for all."""
        self._followed: dict[str, tuple[frozenset[str], bool]] = {}
        self._changed = asyncio.Event()
        self._decode = msgspec.convert

    # ── the daemon's side ────────────────────────────────────────────────────────────────────────────────

    def heard(self, event: msgspec.Raw) -> None:
        """A batch of one lane."""
        found = _read_batch(event)
        lane = found.topic.partition(":")[2]
        if not self._clients[lane]:
            return
        for message in found.m:
            if isinstance(message, Quote):
                self._hand("quotes", lane, message.symbol, message)
            elif isinstance(message, Trade):
                self._hand("trades", lane, message.symbol, message)
            elif isinstance(message, Status):
                self._hand("statuses", lane, message.symbol, message)
        for channel, rows in (("bars", found.b), ("dailyBars", found.d)):
            for symbol, bar in rows:
                self._hand(channel, lane, symbol, bar)

    def _hand(self, channel: str, lane: str, symbol: str, what: Any) -> None:
        readers = self._readers
        named = readers.get((lane, channel, symbol))
        star = readers.get((lane, channel, "*"))
        if named is None and star is None:
            return
        item = Item(channel, symbol, what)
        if named is not None:
            for client in named:
                client.put(item)
        if star is not None:
            option = len(symbol) > _OPTION_LENGTH
            for client in star:
                if client.options == option and (named is None or client not in named):
                    client.put(item)

    async def run(self) -> None:
        """Tell the daemon what is wanted whenever that has changed, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._follow()
            await asyncio.sleep(0.02)

    async def resume(self) -> None:
        """The daemon is back and knows nothing of us."""
        self._followed.clear()
        self._changed.set()

    async def _follow(self) -> None:
        for lane in ("real_time", "delayed"):
            named: set[str] = set()
            everything = False
            for reader_lane, _, symbol in self._readers:
                if reader_lane == lane:
                    if symbol == "*":
                        everything = True
                    else:
                        named.add(symbol)
            wanted = (frozenset(named), everything)
            if self._followed.get(lane, (frozenset(), False)) == wanted:
                continue
            try:
                params = {"lane": lane, "symbols": sorted(named), "everything": everything}
                await self._daemon.call("tape.follow", params)
                self._followed[lane] = wanted
            except (RpcRefusal, ConnectionLost, TimeoutError) as error:
                log.warning("tape.not_followed", lane=lane, error=str(error))

    # ── the client's side ────────────────────────────────────────────────────────────────────────────────

    async def endpoint(self, socket: WebSocket) -> None:
        """One connection."""
        options = socket.path_params["feed"] in OPTION_FEEDS
        await socket.accept()
        msgpack = socket.headers.get("content-type", "") == "application/msgpack"
        client = Client(socket, options=options, msgpack=msgpack)
        sender = asyncio.create_task(client.run())
        live: Live | None = None
        try:
            if options and not msgpack:
                client.fail(412)
                client.end()
                await asyncio.wait((sender,), timeout=LINGER_S)
                return
            client.say({"T": "success", "msg": "connected"})
            live = await self._login(client)
            if live is not None:
                await self._serve(client, live)
            else:
                client.end()
                await asyncio.wait((sender,), timeout=LINGER_S)
        finally:
            if live is not None:
                self._connections.drop(live)
            self._set(client, {name: set() for name in client.wants})
            self._clients[client.lane].pop(client, None)
            sender.cancel()

    async def _login(self, client: Client) -> Live | None:
        given = credentials_of(client.socket.headers)
        loop = asyncio.get_running_loop()
        until = loop.time() + LOGIN_MAX_S
        if given is not None and given.by_cookie:
            given = None
        while given is None:
            try:
                raw = await receive(client.socket, until - loop.time())
            except TimeoutError:
                client.fail(404)
                return None
            if raw is None:
                return None
            message = _read(raw, client.msgpack)
            if message is None:
                client.fail(400)
                continue
            if message.get("action") != "auth":
                client.fail(401)
                continue
            key, secret = message.get("key"), message.get("secret")
            if not isinstance(key, str) or not isinstance(secret, str):
                client.fail(400)
                continue
            given = of_token(secret) if key == "oauth" else Credentials({"key_id": key[:256], "secret": secret[:256]})
        source = client.socket.client.host if client.socket.client is not None else ""
        try:
            who = await self._door.verify(given, source)
        except ApiError as error:
            client.fail(402 if error.status in (401, 429) else 500)
            return None
        live = Live(who, client.end, lambda lane: self._move(client, lane))
        if not self._connections.admit(live):
            client.fail(406)
            return None
        client.lane = who.lane
        self._clients[who.lane][client] = None
        client.say({"T": "success", "msg": "authenticated"})
        return live

    async def _serve(self, client: Client, live: Live) -> None:
        while (raw := await receive(client.socket)) is not None:
            message = _read(raw, client.msgpack)
            action = message.get("action") if message is not None else None
            if message is None or not isinstance(action, str):
                client.fail(400)
            elif action == "auth":
                client.fail(403)
            elif action in ("subscribe", "unsubscribe"):
                self._subscribe(client, live, message, remove=action == "unsubscribe")
            else:
                client.fail(400)

    def _subscribe(self, client: Client, live: Live, message: dict[str, Any], *, remove: bool) -> None:
        wanted = {name: set(have) for name, have in client.wants.items()}
        for name, symbols in message.items():
            if name == "action":
                continue
            if name not in wanted:
                if client.options and symbols:
                    client.fail(410)
                    return
                continue
            if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
                client.fail(400)
                return
            if remove:
                wanted[name] -= set(symbols)
            else:
                wanted[name] |= {symbol[:24] for symbol in symbols}
        if client.options and "*" in wanted["quotes"]:
            client.fail(413)
            return
        count = len(wanted["trades"] - {"*"}) + len(wanted["quotes"] - {"*"})
        most = (OPTIONS_MAX if client.options else SYMBOLS_MAX).get(live.who.tier, 30)
        if count > most:
            client.fail(405)
            return
        self._set(client, wanted)
        client.say(client.subscription())

    def _set(self, client: Client, wanted: Mapping[str, Iterable[str]]) -> None:
        """Make the readers' table follow from what a client wants."""
        for channel, symbols in wanted.items():
            old, new = client.wants[channel], set(symbols)
            for symbol in old - new:
                key = (client.lane, channel, symbol)
                readers = self._readers.get(key)
                if readers is not None:
                    readers.pop(client, None)
                    if not readers:
                        del self._readers[key]
            for symbol in new - old:
                self._readers.setdefault((client.lane, channel, symbol), {})[client] = None
            client.wants[channel] = new
        self._changed.set()

    def _move(self, client: Client, lane: str) -> None:
        """The client's tier has changed: from now on another lane."""
        if lane == client.lane:
            return
        wanted = {name: set(have) for name, have in client.wants.items()}
        self._set(client, {name: set() for name in wanted})
        self._clients[client.lane].pop(client, None)
        client.forget()
        client.lane = lane
        self._clients[lane][client] = None
        self._set(client, wanted)


def _read(raw: bytes | str, msgpack: bool) -> dict[str, Any] | None:
    try:
        if isinstance(raw, str):
            found = msgspec.json.decode(raw)
        else:
            found = msgspec.msgpack.decode(raw) if msgpack else msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
