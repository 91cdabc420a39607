"""A stand-in for Alpaca's market-data streams and a little of its REST API, for tests on real sockets.

It speaks the documented protocol (alpaca-api §5) and encodes with the ``msgpack`` package, not with the
library that mbtd decodes with. That it speaks like the real thing is proved by letting alpaca-py's own
clients consume it (``test_alpaca_standin.py``). Times in published messages are nanoseconds under ``t``.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgpack  # type: ignore[import-untyped]
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from actors.book.units import format_time

KEY: Final = "PKSTANDIN0000000TEST"
SECRET: Final = "standin/secret+for-tests-only"
MESSAGES: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    408: "v2 not enabled",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes",
    500: "internal error",
}
CHANNEL_OF_TYPE: Final = {
    "t": "trades",
    "q": "quotes",
    "b": "bars",
    "u": "updatedBars",
    "d": "dailyBars",
    "s": "statuses",
    "l": "lulds",
    "c": "corrections",
    "x": "cancelErrors",
}
STOCK_CHANNELS: Final = tuple(CHANNEL_OF_TYPE.values())
OPTION_CHANNELS: Final = ("trades", "quotes")
IMPLIED: Final = ("corrections", "cancelErrors")


class Client:
    """One connection as the server sees it."""

    def __init__(self, connection: ServerConnection, path: str) -> None:
        self.connection = connection
        self.options = "/v1beta1/" in path
        self.feed = path.rsplit("/", 1)[-1]
        content_type = connection.request.headers.get("Content-Type", "") if connection.request else ""
        self.binary = content_type == "application/msgpack"
        self.authenticated = False
        self.closing = False
        channels = OPTION_CHANNELS if self.options else STOCK_CHANNELS
        self.channels: dict[str, list[str]] = {name: [] for name in channels}
        self.requests: list[dict[str, Any]] = []

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> bytes | str:
        """An array of messages in this client's encoding."""
        if self.binary:
            stamped = [
                {**m, "t": msgpack.Timestamp.from_unix_nano(m["t"])} if isinstance(m.get("t"), int) else m
                for m in messages
            ]
            return bytes(msgpack.packb(stamped))
        return json.dumps([{**m, "t": format_time(m["t"])} if isinstance(m.get("t"), int) else m for m in messages])

    def wants(self, message: Mapping[str, Any]) -> bool:
        """Whether a message belongs to what is subscribed."""
        names = self.channels.get(CHANNEL_OF_TYPE.get(message["T"], ""), [])
        return "*" in names or message.get("S") in names

    async def send(self, *messages: Mapping[str, Any]) -> None:
        """Send control or data messages in one frame."""
        with suppress(ConnectionClosed):
            await self.connection.send(self.encode(messages))

    async def fail(self, code: int, text: str | None = None) -> None:
        """Send an error."""
        await self.send({"T": "error", "code": code, "msg": MESSAGES.get(code, "?") if text is None else text})


class AlpacaStandIn:
    """The server. Attributes may be changed while it runs."""

    def __init__(
        self,
        *,
        auth_timeout: float = 10.0,
        close_delay: float = 0.0,
        connection_limit: int = 10,
        symbol_limit: int | None = None,
        slow_client_bytes: int = 1 << 20,
        fragment_bytes: int | None = None,
    ) -> None:
        self.auth_timeout = auth_timeout
        self.close_delay = close_delay
        self.connection_limit = connection_limit
        self.symbol_limit = symbol_limit
        self.slow_client_bytes = slow_client_bytes
        self.fragment_bytes = fragment_bytes
        self.answers: dict[str, list[int]] = {"auth": [], "subscribe": [], "unsubscribe": [], "connect": []}
        """Error codes with which the next requests of a kind are answered."""
        self.upgrade_answers: list[tuple[int, dict[str, str]]] = []
        """HTTP status and headers with which the next upgrades are refused."""
        self.mute = False
        """Accept connections, but say nothing at all."""
        self.clients: list[Client] = []
        self.history: list[Client] = []
        """Every client that ever connected, in order."""
        self._server: Server | None = None
        self._closing: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> AlpacaStandIn:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            process_request=self._upgrade,
            close_timeout=2,
            ping_interval=None,
            write_limit=1 << 30,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        for client in list(self.clients):
            client.connection.transport.abort()
        await asyncio.gather(*self._closing)
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def url(self, path: str = "/v2/iex") -> str:
        """The URL of a stream."""
        return f"ws://127.0.0.1:{self.port}{path}"

    async def until(self, condition: Any) -> None:
        """Wait until ``condition(self)`` holds; checked whenever a client does something."""
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def subscribed(self, symbol: str, channel: str = "quotes", after: int = 0) -> Client:
        """Wait for a client, beyond the first ``after`` ones, that subscribed a symbol."""

        def find() -> Client | None:
            for client in self.history[after:]:
                if client in self.clients and symbol in client.channels.get(channel, ()):
                    return client
            return None

        async with self._changed:
            await self._changed.wait_for(find)
        found = find()
        assert found is not None
        return found

    async def publish(self, *messages: Mapping[str, Any]) -> None:
        """Send data to every client that subscribed it, in one frame each."""
        for client in list(self.clients):
            wanted = [message for message in messages if client.wants(message)]
            if not wanted or client.closing:
                continue
            if client.connection.transport.get_write_buffer_size() > self.slow_client_bytes:
                await client.fail(407)
                client.closing = True
                self._closing.append(asyncio.create_task(client.connection.close()))
                continue
            data = client.encode(wanted)
            if self.fragment_bytes and isinstance(data, bytes):
                step = self.fragment_bytes
                await client.connection.send([data[i : i + step] for i in range(0, len(data), step)])
            else:
                await client.connection.send(data)

    async def send_raw(self, data: bytes | str) -> None:
        """Send a frame as it is to every client."""
        for client in list(self.clients):
            await client.connection.send(data)

    async def send_error(self, code: int, *, close: bool = False) -> None:
        """Send an error to every client."""
        for client in list(self.clients):
            await client.fail(code)
            if close:
                await client.connection.close()

    def drop(self) -> None:
        """Break every connection in mid-stream."""
        for client in list(self.clients):
            client.connection.transport.abort()

    def _upgrade(self, connection: ServerConnection, _request: Request) -> Response | None:
        if not self.upgrade_answers:
            return None
        status, headers = self.upgrade_answers.pop(0)
        response = connection.respond(status, "")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        client = Client(connection, connection.request.path)
        self.clients.append(client)
        self.history.append(client)
        await self._announce()
        try:
            if self.mute:
                await connection.wait_closed()
                return
            await self._converse(client)
        except ConnectionClosed:
            pass
        finally:
            self.clients.remove(client)
            await self._announce()

    async def _converse(self, client: Client) -> None:
        if client.options and not client.binary:
            await client.fail(412)
            return
        if self.answers["connect"]:
            await client.fail(self.answers["connect"].pop(0))
            return
        await client.send({"T": "success", "msg": "connected"})
        headers = client.connection.request.headers if client.connection.request else {}
        if "APCA-API-KEY-ID" in headers:
            pair = headers["APCA-API-KEY-ID"], headers.get("APCA-API-SECRET-KEY", "")
            if not await self._authenticate(client, pair):
                return
        try:
            async with asyncio.timeout(None if client.authenticated else self.auth_timeout) as patience:
                while True:
                    if not await self._request(client, await client.connection.recv()):
                        return
                    if client.authenticated:
                        patience.reschedule(None)
                    await self._announce()
        except TimeoutError:
            await client.fail(404)

    async def _authenticate(self, client: Client, pair: tuple[str, str]) -> bool:
        if self.answers["auth"]:
            code = self.answers["auth"].pop(0)
        elif pair != (KEY, SECRET):
            code = 402
        elif sum(c.authenticated and c.feed == client.feed for c in self.clients) >= self.connection_limit:
            code = 406
        else:
            client.authenticated = True
            await client.send({"T": "success", "msg": "authenticated"})
            return True
        await client.fail(code)
        await asyncio.sleep(self.close_delay)
        return False

    async def _request(self, client: Client, data: bytes | str) -> bool:
        """Serve one request; whether the connection stays."""
        try:
            request = msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data)
            action = request["action"]
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            await client.fail(400)
            return True
        client.requests.append(request)
        if action == "auth":
            if client.authenticated:
                await client.fail(403)
                return True
            return await self._authenticate(client, (request.get("key", ""), request.get("secret", "")))
        if action not in ("subscribe", "unsubscribe"):
            await client.fail(400)
        elif not client.authenticated:
            await client.fail(401)
        elif self.answers[action]:
            await client.fail(self.answers[action].pop(0))
        else:
            await self._subscribe(client, action == "subscribe", request)
        return True

    async def _subscribe(self, client: Client, adding: bool, request: dict[str, Any]) -> None:
        asked = {name: symbols for name, symbols in request.items() if name != "action" and symbols}
        if any(name not in client.channels for name in asked):
            await client.fail(410)
            return
        if client.options and "*" in asked.get("quotes", ()):
            await client.fail(413)
            return
        after = {name: list(symbols) for name, symbols in client.channels.items()}
        for name, symbols in asked.items():
            rest = [symbol for symbol in after[name] if symbol not in symbols]
            after[name] = rest + list(dict.fromkeys(symbols)) if adding else rest
        if not client.options:
            for name in IMPLIED:
                after[name] = list(after["trades"])
        counted = max(len(after["trades"]), len(after["quotes"]))
        if adding and self.symbol_limit is not None and counted > self.symbol_limit:
            await client.fail(405)
            return
        client.channels = after
        await client.send({"T": "subscription", **after})


class AlpacaRestStandIn:
    """``/v2/assets``, ``/v2/options/contracts``, ``/v2/calendar`` and ``/v2/stocks/snapshots`` over HTTP."""

    def __init__(self) -> None:
        self.assets: list[dict[str, Any]] = []
        self.contracts: list[dict[str, Any]] = []
        self.calendar: list[dict[str, Any]] = []
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.page_size = 2
        self.status = 200
        """Anything else is the answer to every request."""
        self.failing: set[str] = set()
        """Paths that answer with 500."""
        self.failure_text = '{"code": 50010000, "message": "internal server error occurred"}'
        self.requests: list[tuple[str, dict[str, str]]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = stand_in.answer(self.path, self.headers.get("APCA-API-SECRET-KEY", ""))
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> AlpacaRestStandIn:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What ``url_override`` takes."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, target: str, secret: str) -> tuple[int, str]:
        """Status and body for one request."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.requests.append((parts.path, query))
        if self.status != 200:
            return self.status, self.failure_text
        if parts.path in self.failing:
            return 500, self.failure_text
        if secret != SECRET:
            return 401, '{"message": "unauthorized."}'
        match parts.path:
            case "/v2/assets":
                return 200, json.dumps(self.assets)
            case "/v2/options/contracts":
                start = int(query.get("page_token", "0"))
                wanted = query.get("underlying_symbols", "").split(",")
                found = [c for c in self.contracts if c["underlying_symbol"] in wanted]
                end = start + self.page_size
                token = str(end) if end < len(found) else None
                return 200, json.dumps({"option_contracts": found[start:end], "next_page_token": token})
            case "/v2/calendar":
                return 200, json.dumps(self.calendar)
            case "/v2/stocks/snapshots":
                names = query.get("symbols", "").split(",")
                return 200, json.dumps({n: self.snapshots[n] for n in names if n in self.snapshots})
        return 404, '{"code": 40410000, "message": "endpoint not found"}'
