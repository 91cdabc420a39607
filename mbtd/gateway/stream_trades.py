"""``/stream``: trade updates as Alpaca's TradingStream expects them (alpaca-api §3.2, §3.3).

Invariants: the first frame is the authorization's answer; frames are binary with JSON inside, msgpack for whoever
asked for it at the upgrade; updates of an account leave in their order, none twice. One stream of the daemon serves
all clients of an account, and goes on from its last number when the daemon was away; when what was missed is gone,
clients are closed and connect again. A client that does not read is closed, never waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket

from mbtd.gateway import schemas as s
from mbtd.gateway.endpoint import Daemon, Who
from mbtd.gateway.errors import ApiError
from mbtd.gateway.login import Credentials, Door, credentials_of, of_token
from mbtd.gateway.sockets import Connections, Live, close, receive
from mbtd.logs import get_logger
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

log = get_logger(subsystem="gateway")
LOGIN_MAX_S: Final = 10.0
WAITING_MAX: Final = 10_000
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
KNOWN: Final = ("trade_updates",)


class _Update(Struct):
    """What the daemon sends."""

    topic: str
    n: int
    update: dict[str, Any]


_read_update: Final = msgspec.json.Decoder(_Update).decode


class _Client:
    """One client's way out."""

    def __init__(self, socket: WebSocket, *, msgpack: bool) -> None:
        self.socket = socket
        self._encode = _encode_msgpack if msgpack else _encode_json
        self.listening = False
        self.waiting: deque[bytes] = deque()
        self.more = asyncio.Event()
        self.ended = False

    async def send(self, message: Any) -> None:
        """Send now, before anything that waits is sent by the sender's task."""
        await self.socket.send_bytes(self._encode(message))

    def put(self, message: Any) -> None:
        """Have a message wait its turn; too many end the connection."""
        if len(self.waiting) >= WAITING_MAX:
            self.end()
            return
        self.waiting.append(self._encode(message))
        self.more.set()

    def end(self) -> None:
        """Close as soon as possible."""
        self.ended = True
        self.more.set()

    async def run(self) -> None:
        """Send what waits until the end."""
        while True:
            await self.more.wait()
            self.more.clear()
            while self.waiting and not self.ended:
                await self.socket.send_bytes(self.waiting.popleft())
            if self.ended:
                await close(self.socket)
                return


class _Feed:
    """The daemon's updates of one account."""

    __slots__ = ("clients", "n")

    def __init__(self) -> None:
        self.clients: dict[_Client, None] = {}
        self.n: int | None = None


class TradeStreams:
    """All clients of trade updates."""

    def __init__(self, daemon: Daemon, door: Door, connections: Connections) -> None:
        self._daemon = daemon
        self._door = door
        self._connections = connections
        self._feeds: dict[str, _Feed] = {}

    # ── the daemon's side ────────────────────────────────────────────────────────────────────────────────

    def heard(self, event: msgspec.Raw) -> None:
        """An update of some account."""
        found = _read_update(event)
        feed = self._feeds.get(found.topic.partition(":")[2])
        if feed is None or (feed.n is not None and found.n < feed.n):
            return
        feed.n = found.n
        update = found.update
        update["order"] = msgspec.convert(update["order"], s.Order, strict=False)
        message = {"stream": "trade_updates", "data": update}
        for client in feed.clients:
            if client.listening:
                client.put(message)

    async def resume(self) -> None:
        """The daemon is back: go on with every account."""
        for account in list(self._feeds):
            try:
                await self._begin(account)
            except (RpcRefusal, ConnectionLost, TimeoutError):
                feed = self._feeds.pop(account, None)
                for client in feed.clients if feed is not None else ():
                    client.end()

    async def _begin(self, account: str) -> None:
        feed = self._feeds[account]
        params: dict[str, Any] = {"account": account}
        if feed.n is not None:
            params["from_n"] = feed.n
        found = await self._daemon.call("updates.follow", params)
        if feed.n is None:
            feed.n = found["n"]

    async def _join(self, account: str, client: _Client) -> None:
        feed = self._feeds.get(account)
        if feed is not None:
            feed.clients[client] = None
            return
        feed = self._feeds[account] = _Feed()
        feed.clients[client] = None
        await self._begin(account)

    async def _leave(self, account: str, client: _Client) -> None:
        feed = self._feeds.get(account)
        if feed is None:
            return
        feed.clients.pop(client, None)
        if not feed.clients:
            del self._feeds[account]
            try:
                await self._daemon.call("updates.leave", {"account": account})
            except (RpcRefusal, ConnectionLost, TimeoutError) as error:
                log.debug("updates.not_left", error=str(error))

    # ── the client's side ────────────────────────────────────────────────────────────────────────────────

    async def endpoint(self, socket: WebSocket) -> None:
        """One connection."""
        await socket.accept()
        msgpack = socket.headers.get("content-type", "") == "application/msgpack"
        client = _Client(socket, msgpack=msgpack)
        try:
            who = await self._login(client, msgpack)
        except TimeoutError:
            who = None
        if who is None:
            await close(socket)
            return
        live = Live(who, client.end, lambda lane: None)
        if not self._connections.admit(live):
            await client.send({"stream": "error", "data": {"error_message": "connection limit exceeded"}})
            await close(socket)
            return
        sender = asyncio.create_task(client.run())
        try:
            await self._serve(client, who, msgpack)
        finally:
            self._connections.drop(live)
            sender.cancel()
            await self._leave(who.account, client)

    async def _login(self, client: _Client, msgpack: bool) -> Who | None:
        """Wait for the authentication; answer it."""
        until = asyncio.get_running_loop().time() + LOGIN_MAX_S
        source = client.socket.client.host if client.socket.client is not None else ""
        while True:
            raw = await receive(client.socket, until - asyncio.get_running_loop().time())
            if raw is None:
                return None
            message = _read(raw, msgpack)
            action = message.get("action") if isinstance(message, dict) else None
            if action not in ("authenticate", "auth"):
                refusal = {"status": "unauthorized", "action": action if action == "listen" else "authenticate"}
                await client.send({"stream": "authorization", "data": refusal})
                if action != "listen":
                    return None
                continue
            try:
                who = await self._door.verify(_credentials(message, client.socket), source)
            except ApiError:
                data = {
                    "status": "unauthorized",
                    "action": "authenticate",
                    "message": "access key verification failed",
                }
                await client.send({"stream": "authorization", "data": data})
                return None
            await client.send({"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}})
            return who

    async def _serve(self, client: _Client, who: Who, msgpack: bool) -> None:
        while (raw := await receive(client.socket)) is not None:
            message = _read(raw, msgpack)
            action = message.get("action") if isinstance(message, dict) else None
            if action == "listen":
                data = message.get("data")
                wanted = data.get("streams") if isinstance(data, dict) else None
                streams = [name for name in KNOWN if isinstance(wanted, list) and name in wanted]
                if streams and not client.listening:
                    try:
                        await self._join(who.account, client)
                    except (RpcRefusal, ConnectionLost, TimeoutError):
                        await self._fail(client)
                        return
                client.listening = bool(streams)
                client.put({"stream": "listening", "data": {"streams": streams}})
            elif action in ("authenticate", "auth"):
                client.put({"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}})
            else:
                client.put({"action": "error", "data": {"error_message": "invalid action"}})

    async def _fail(self, client: _Client) -> None:
        client.put({"action": "error", "data": {"error_message": "internal server error"}})
        client.end()


def _credentials(message: dict[str, Any], socket: WebSocket) -> Credentials | None:
    """Of the older and the newer form of the message; else of the upgrade's headers."""
    data = message.get("data")
    given = data if isinstance(data, dict) else message
    key = given.get("key_id", given.get("key"))
    secret = given.get("secret_key", given.get("secret"))
    if given.get("oauth_token"):
        return of_token(str(given["oauth_token"]))
    if isinstance(key, str) and isinstance(secret, str):
        return of_token(secret) if key == "oauth" else Credentials({"key_id": key[:256], "secret": secret[:256]})
    return credentials_of(socket.headers)


def _read(raw: bytes | str, msgpack: bool) -> Any:
    """A client's message; ``None`` when it cannot be read. The SDK sends JSON whatever it asked for."""
    for decode in (msgspec.json.decode, msgspec.msgpack.decode) if msgpack else (msgspec.json.decode,):
        try:
            return decode(raw.encode() if isinstance(raw, str) else raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
            continue
    return None
