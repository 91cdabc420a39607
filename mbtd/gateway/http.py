"""HTTP as the gateway speaks it: requests from bytes, answers to bytes, and the bounds that the server lacks.

uvicorn owns the sockets, the shutdown and the WebSockets; a plain request does not go through its application
interface: there each costs several times what answering it does. Invariants: requests of one connection are answered
in their order and one at a time; an answer is one write; a connection that sends headers without end, never ends them
or its body, or more of a body than it may, is answered and closed. Nothing here knows what a request means.
Rule source: operations §2.6.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_ODD_ESCAPE: Final = re.compile(rb"%(?:2[ef]|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
_LINES: Final = {code.value: f"HTTP/1.1 {code.value} {code.phrase}\r\n".encode() for code in HTTPStatus}
_LARGE: Final = (431, "request headers are too large")
_MALFORMED: Final = (400, "request is malformed")
IDLE_MAX_S: Final = 75.0
QUEUED_MAX: Final = 16
"""Requests of one connection that wait behind the one being answered before no more is read."""


class Exchange:
    """One request as it came."""

    __slots__ = ("body", "early", "headers", "keep_alive", "method", "path", "query", "source")

    def __init__(
        self, method: str, path: str, query: bytes, headers: dict[str, str], keep_alive: bool, source: str
    ) -> None:
        self.method = method
        self.path = path
        """Decoded; ``/`` for one with an escaped slash, dot, backslash or control character, which leads nowhere."""
        self.query = query
        self.headers = headers
        """Names in small letters; of a repeated one the first counts, cookies are joined."""
        self.keep_alive = keep_alive
        self.source = source
        self.body = bytearray()
        self.early: Reply | None = None
        """Its answer, when that was clear before all of it was read."""


class Reply(Struct):
    """One answer."""

    status: int
    body: bytes | None = None
    """JSON; ``None`` for an answer without one."""
    headers: Mapping[str, str] = {}
    head: bytes = b""
    """Header lines made ready beforehand."""
    close: bool = False
    stream: AsyncGenerator[bytes, None] | None = None
    """In place of a body: pieces that are sent as they come; the connection ends with them."""


class Site(Struct):
    """What answers."""

    answer: Callable[[Exchange], Awaitable[Reply]]
    """Never raises."""
    early: Callable[[Exchange, bool], Reply | None]
    """An answer from headers alone; told whether a body comes."""
    plain_error: Callable[[int, str], Reply]


def protocol(
    site: Site, *, header_max_bytes: int, body_max_bytes: int, request_max_s: float
) -> type[HttpToolsProtocol]:
    """The server's protocol with these bounds, serving ``site``."""

    class GatewayProtocol(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._message = 0
            self._in_headers = True
            self._header_bytes = self._named_bytes = 0
            self._arriving: Exchange | None = None
            self._answering: Exchange | None = None
            self._queue: deque[Exchange] = deque()
            self._task: asyncio.Task[None] | None = None
            self._ending = False
            self._streaming = False
            self._slow: asyncio.TimerHandle | None = None
            self._slow_of = (-1, True)
            self._idle: asyncio.TimerHandle | None = None
            self._quiet_since = 0.0
            self._source = ""

        # ── the connection ───────────────────────────────────────────────────────────────────────────────

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)  # type: ignore[arg-type]
            self._source = self.client[0] if self.client else ""
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._slow, self._idle):
                if timer is not None:
                    timer.cancel()
            self._slow = self._idle = None
            self._queue.clear()
            if self._streaming and self._task is not None:
                self._task.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._ending or self.transport.is_closing():
                return
            if self._in_headers:
                self._header_bytes += len(data)
                if self._header_bytes > header_max_bytes and b"\r\n\r\n" not in data[: header_max_bytes + 4]:
                    self._refuse(*_LARGE)
                    return
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                if self._should_upgrade():
                    self._stop_watching()
                    self.handle_websocket_upgrade()
                return
            except httptools.HttpParserError:
                if not self._ending:
                    self._refuse(*(_LARGE if self._named_bytes > header_max_bytes else _MALFORMED))
                return
            self._watch()

        def shutdown(self) -> None:
            """Close when the answer being made has left."""
            if self._answering is None:
                self.transport.close()
            else:
                self._ending = True
                self._queue.clear()
                if self._streaming and self._task is not None:
                    self._task.cancel()

        # ── the parser's calls ───────────────────────────────────────────────────────────────────────────

        def on_message_begin(self) -> None:
            self.url = b""
            self.headers = []
            self._message += 1
            self._in_headers = True
            self._header_bytes = self._named_bytes = 0

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def _count(self, length: int) -> None:
            self._named_bytes += length
            if self._named_bytes > header_max_bytes:
                raise ValueError("too many headers")

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(len(name) + len(value) + 4)
            self.headers.append((name.lower(), value))

        def on_headers_complete(self) -> None:
            self._in_headers = False
            method = self.parser.get_method().decode("ascii")
            upgrade = self.parser.should_upgrade()
            if upgrade and self._should_upgrade():
                self.scope = {"method": method, "headers": self.headers}  # type: ignore[typeddict-item]
                return
            path, query = _target(self.url)
            headers = _named(self.headers)
            keep_alive = self.parser.should_keep_alive() and not upgrade
            exchange = self._arriving = Exchange(method, path, query, headers, keep_alive, self._source)
            length = headers.get("content-length", "0")
            comes = length != "0" or "transfer-encoding" in headers
            crowd = self.limit_concurrency
            if crowd is not None and len(self.connections) >= crowd:
                exchange.early = site.plain_error(503, "service is busy, try again")
            elif (early := site.early(exchange, comes)) is not None:
                exchange.early = early
            elif comes and length.isdigit() and int(length[:20]) > body_max_bytes:
                exchange.early = site.plain_error(413, "request body is too large")
            if exchange.early is not None:
                exchange.keep_alive = False
                self._submit(exchange)
            elif headers.get("expect", "").lower() == "100-continue" and self._answering is None:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        def on_body(self, body: bytes) -> None:
            exchange = self._arriving
            if exchange is None or exchange.early is not None:
                return
            exchange.body += body
            if len(exchange.body) > body_max_bytes:
                exchange.body.clear()
                exchange.early = site.plain_error(413, "request body is too large")
                exchange.keep_alive = False
                self._submit(exchange)

        def on_message_complete(self) -> None:
            exchange, self._arriving = self._arriving, None
            if exchange is not None and exchange.early is None:
                self._submit(exchange)

        # ── answers ──────────────────────────────────────────────────────────────────────────────────────

        def _submit(self, exchange: Exchange) -> None:
            if self._ending:
                return
            if self._answering is None:
                self._begin(exchange)
            else:
                self._queue.append(exchange)
                if len(self._queue) >= QUEUED_MAX:
                    self.flow.pause_reading()

        def _begin(self, exchange: Exchange) -> None:
            self._answering = exchange
            if exchange.early is not None:
                self._finish(exchange, exchange.early)
                return
            self._task = self.loop.create_task(self._answer(exchange))
            self.tasks.add(self._task)

        async def _answer(self, exchange: Exchange) -> None:
            try:
                reply = await site.answer(exchange)
                if reply.stream is not None:
                    await self._send_pieces(exchange, reply, reply.stream)
                else:
                    self._finish(exchange, reply)
            finally:
                self.tasks.discard(self._task)

        def _finish(self, exchange: Exchange, reply: Reply) -> None:
            transport = self.transport
            if not transport.is_closing():
                close = reply.close or self._ending or not exchange.keep_alive
                transport.write(self._bytes(exchange, reply, close))
                if close:
                    self._end()
            self._answering = None
            self._quiet_since = self.loop.time()
            if self._queue and not self._ending:
                following = self._queue.popleft()
                if len(self._queue) < QUEUED_MAX:
                    self.flow.resume_reading()
                if self.flow.write_paused:
                    self.tasks.add(self.loop.create_task(self._begin_when_read(following)))
                else:
                    self._begin(following)

        async def _send_pieces(self, exchange: Exchange, reply: Reply, pieces: AsyncGenerator[bytes, None]) -> None:
            """Send what comes until there is no more, or nobody who hears it."""
            self._streaming = True
            lines = [_LINES[reply.status], _default_lines(self.server_state.default_headers), reply.head]
            lines.append(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")
            try:
                self.transport.write(b"".join(lines))
                async with aclosing(pieces):
                    async for piece in pieces:
                        if exchange.method == "HEAD" or self.transport.is_closing():
                            break
                        self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                        await self.flow.drain()
            except asyncio.CancelledError:
                pass
            finally:
                self._streaming = False
                self._answering = None
                if not self.transport.is_closing():
                    if exchange.method != "HEAD":
                        self.transport.write(b"0\r\n\r\n")
                    self._end()

        async def _begin_when_read(self, exchange: Exchange) -> None:
            """The client does not read what it asked for: it gets no more until it does."""
            self._answering = exchange
            await self.flow.drain()
            self.tasks.discard(asyncio.current_task())
            self._begin(exchange)

        def _bytes(self, exchange: Exchange, reply: Reply, close: bool) -> bytes:
            line = _LINES.get(reply.status) or b"HTTP/1.1 %d \r\n" % reply.status
            pieces = [line, _default_lines(self.server_state.default_headers), reply.head]
            for name, value in reply.headers.items():
                pieces.append(f"{name}: {value}\r\n".encode("latin-1"))
            if close:
                pieces.append(b"connection: close\r\n")
            if reply.body is None:
                pieces.append(b"\r\n" if reply.status == 204 else b"content-length: 0\r\n\r\n")
            else:
                pieces.append(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply.body))
                if exchange.method != "HEAD":
                    pieces.append(reply.body)
            return b"".join(pieces)

        def _refuse(self, status: int, message: str) -> None:
            """What came is no request: answer behind those that were, and close."""
            self._arriving = None
            self._in_headers = False
            exchange = Exchange("", "/", b"", {}, False, self._source)
            exchange.early = site.plain_error(status, message)
            self._submit(exchange)
            self.flow.pause_reading()

        def _end(self) -> None:
            self._ending = True
            self._stop_watching()
            self._queue.clear()
            self.transport.close()

        # ── time ─────────────────────────────────────────────────────────────────────────────────────────

        def _watch(self) -> None:
            """Time what has begun to arrive; when nothing has, see to it that a quiet connection ends some day."""
            if self._in_headers or (self._arriving is not None and self._arriving.early is None):
                now = (self._message, self._in_headers)
                if self._slow is None or now != self._slow_of:
                    if self._slow is not None:
                        self._slow.cancel()
                    self._slow_of = now
                    self._slow = self.loop.call_later(request_max_s, self._late)
                return
            if self._slow is not None:
                self._slow.cancel()
                self._slow = None
            if self._idle is None and not self._ending:
                self._quiet_since = self.loop.time()
                self._idle = self.loop.call_later(IDLE_MAX_S, self._quiet)

        def _stop_watching(self) -> None:
            for timer in (self._slow, self._idle):
                if timer is not None:
                    timer.cancel()
            self._slow = self._idle = None

        def _late(self) -> None:
            self._slow = None
            if not self._ending:
                self._refuse(408, "the request did not arrive in time")

        def _quiet(self) -> None:
            self._idle = None
            if self.transport.is_closing():
                return
            left = IDLE_MAX_S - (self.loop.time() - self._quiet_since)
            if left <= 0 and self._answering is None and not self._in_headers and self._arriving is None:
                self.transport.close()
            else:
                self._idle = self.loop.call_later(max(left, 1.0), self._quiet)

    return GatewayProtocol


def _target(url: bytes) -> tuple[str, bytes]:
    """Path and query of a request's target. Raises ValueError."""
    if url[:1] == b"/":
        raw, _, query = url.partition(b"#")[0].partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw, query = parsed.path or b"/", parsed.query or b""
    if b"%" not in raw:
        return raw.decode("ascii"), query
    return ("/" if _ODD_ESCAPE.search(raw) else unquote(raw.decode("ascii"))), query


def _named(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        if name not in found:
            found[name] = text
        elif name == "cookie":
            found[name] += "; " + text
    return found


_known: tuple[Any, bytes] = (None, b"")


def _default_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The server's own header lines; it makes a new list of them every second."""
    global _known
    if _known[0] is not headers:
        _known = headers, b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return _known[1]
