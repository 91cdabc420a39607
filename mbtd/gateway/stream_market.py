"""Market data streams: ``/v2/{iex,sip,delayed_sip}`` and ``/v1beta1/{indicative,opra}`` (alpaca-api §5.1–5.4).

Invariants: the greeting comes first; encoding is msgpack for whoever asked for it at the upgrade, always on option
feeds; which lane is served follows from the tier alone, and changes with it while connected. Clients that want the
same form a crowd: what comes is gathered, rendered and framed once for all of them. A client that does not keep up
falls out of step, for itself: a quote is replaced by a newer one of its symbol while it waits, prints are kept up to
a bound, beyond which the client is told ``slow client`` and closed. Sending takes at most a fifth of the time; with
more readers than that suffices for, quotes are merged over longer spans.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket

from actors.market.messages import Quote, Status, TapeMessage, Trade
from mbtd.gateway.endpoint import Daemon
from mbtd.gateway.errors import ApiError
from mbtd.gateway.login import Credentials, Door, credentials_of, of_token
from mbtd.gateway.sockets import Connections, Live, receive
from mbtd.gateway.stream_clients import OPTION_FEEDS, OPTIONS_MAX, SYMBOLS_MAX, Client, Crowd, frames
from mbtd.gateway.stream_items import OPTION_LENGTH, Item
from mbtd.gateway.websocket import wire_of
from mbtd.logs import get_logger
from mbtd.market.bars import Bar
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

log = get_logger(subsystem="gateway")
LOGIN_MAX_S: Final = 10.0
SEND_EVERY_S: Final = 0.01
SEND_LATEST_S: Final = 0.1
SEND_PAUSE: Final = 4
"""A pause between rounds is at least so many times what the last round took."""
_NONE: Final = frozenset[str]()


class _Batch(Struct):
    """What the daemon sends of a lane."""

    topic: str
    m: list[TapeMessage]
    b: list[tuple[str, Bar]]
    d: list[tuple[str, Bar]]


_read_batch: Final = msgspec.json.Decoder(_Batch).decode


class MarketStreams:
    """All clients of market data, and what is asked of the daemon for them."""

    def __init__(self, daemon: Daemon, door: Door, connections: Connections) -> None:
        self._daemon = daemon
        self._door = door
        self._connections = connections
        self._clients: dict[str, dict[Client, None]] = {"real_time": {}, "delayed": {}}
        self._crowds: dict[object, Crowd] = {}
        self._readers: dict[tuple[str, str, str], dict[Crowd, None]] = {}
        """By lane, channel and symbol; ``*`` for all."""
        self._fresh: list[Crowd] = []
        """Something has come for these."""
        self._waiting: dict[Client, None] = {}
        """Something waits for these alone."""
        self._round: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._followed: dict[str, tuple[frozenset[str], bool]] = {}
        self._changed = asyncio.Event()

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
        if self._fresh:
            self._soon()

    def _hand(self, channel: str, lane: str, symbol: str, what: Any) -> None:
        readers = self._readers
        named = readers.get((lane, channel, symbol))
        star = readers.get((lane, channel, "*"))
        if named is None and star is None:
            return
        item = Item(channel, symbol, what)
        if named is not None:
            for crowd in named:
                if crowd.put(item):
                    self._fresh.append(crowd)
        if star is not None:
            option = len(symbol) > OPTION_LENGTH
            for crowd in star:
                if crowd.options == option and (named is None or crowd not in named) and crowd.put(item):
                    self._fresh.append(crowd)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────

    def _soon(self) -> None:
        """See to it that there is a round."""
        if self._round is None:
            loop = asyncio.get_running_loop()
            self._round = loop.call_at(max(loop.time(), self._not_before), self._send_all)

    def _send_all(self) -> None:
        """One round: everybody gets what has come for them, or has it wait."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for client in list(self._waiting):
            if not client.behind:
                del self._waiting[client]
                client.catch_up()
        fresh, self._fresh = self._fresh, []
        for crowd in fresh:
            self._deliver(crowd)
        # What was written goes out behind this call, so the round ends with the next turn of the loop.
        loop.call_soon(self._sent, started)

    def _deliver(self, crowd: Crowd) -> None:
        """Its members get what has come for them, or have it wait."""
        items = crowd.take()
        if not items:
            return
        ready = frames(items, crowd.msgpack)
        for client in crowd.members:
            if client in self._waiting or client.behind:
                client.keep(items)
                self._waiting[client] = None
            else:
                client.wire.write(ready)

    def _sent(self, started: float) -> None:
        loop = asyncio.get_running_loop()
        pause_s = min(SEND_LATEST_S, max(SEND_EVERY_S, SEND_PAUSE * (loop.time() - started)))
        self._not_before = loop.time() + pause_s
        self._round = None
        if self._fresh or self._waiting:
            self._soon()

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
        client = Client(socket, wire_of(socket), options=options, msgpack=msgpack)
        live: Live | None = None
        try:
            if options and not msgpack:
                client.fail(412)
                client.end()
                return
            client.say({"T": "success", "msg": "connected"})
            live = await self._login(client)
            if live is None:
                client.end()
                return
            await self._serve(client, live)
        finally:
            if live is not None:
                self._connections.drop(live)
            self._want(client, {name: set() for name in client.wants})
            self._clients[client.lane].pop(client, None)
            self._waiting.pop(client, None)
            await client.ended()

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
            await client.wire.drain()

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
        self._want(client, wanted)
        client.say(client.subscription())

    def _want(self, client: Client, wanted: Mapping[str, set[str]]) -> None:
        """Bring a client into the crowd of what it wants; what had come for it in the old one waits for it."""
        old = client.crowd
        if old is not None:
            client.crowd = None
            del old.members[client]
            kept = [
                item
                for item in (*old.others, *old.quotes.values())
                if not wanted.get(item.channel, _NONE).isdisjoint((item.symbol, "*"))
            ]
            if kept:
                client.keep(kept)
                self._waiting[client] = None
                self._soon()
            if not old.members:
                self._dissolve(old, client.lane, client.wants)
        client.wants = {channel: set(symbols) for channel, symbols in wanted.items()}
        if any(wanted.values()):
            key = (client.lane, client.options, client.msgpack, *map(frozenset, wanted.values()))
            crowd = self._crowds.get(key)
            if crowd is None:
                crowd = self._crowds[key] = Crowd(key, options=client.options, msgpack=client.msgpack)
                for channel, symbols in wanted.items():
                    for symbol in symbols:
                        self._readers.setdefault((client.lane, channel, symbol), {})[crowd] = None
            # What has come before is not for who joins now.
            self._deliver(crowd)
            crowd.members[client] = None
            client.crowd = crowd
        self._changed.set()

    def _dissolve(self, crowd: Crowd, lane: str, wants: Mapping[str, Iterable[str]]) -> None:
        del self._crowds[crowd.key]
        for channel, symbols in wants.items():
            for symbol in symbols:
                readers = self._readers[lane, channel, symbol]
                readers.pop(crowd, None)
                if not readers:
                    del self._readers[lane, channel, symbol]

    def _move(self, client: Client, lane: str) -> None:
        """The client's tier has changed: from now on another lane, and nothing that waits of the old one."""
        if lane == client.lane:
            return
        wanted = client.wants
        self._want(client, {name: set() for name in wanted})
        self._clients[client.lane].pop(client, None)
        self._waiting.pop(client, None)
        client.forget()
        client.lane = lane
        self._clients[lane][client] = None
        self._want(client, wanted)


def _read(raw: bytes | str, msgpack: bool) -> dict[str, Any] | None:
    try:
        if isinstance(raw, str):
            found = msgspec.json.decode(raw)
        else:
            found = msgspec.msgpack.decode(raw) if msgpack else msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
