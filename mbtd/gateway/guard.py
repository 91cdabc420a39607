"""The server's protocol with bounds that it lacks: all headers of a request together, and the time they take.

Invariant: a connection that sends headers without end, or without ever ending them, is answered and closed.
Rule source: operations §2.6.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def guarded(header_max_bytes: int, header_max_s: float) -> type[asyncio.Protocol]:
    """The protocol with these bounds."""

    class GuardedProtocol(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._in_headers = False
            self._header_bytes = self._named_bytes = 0
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)  # type: ignore[arg-type]
            self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_headers:
                self._header_bytes += len(data)
                if self._header_bytes > header_max_bytes and b"\r\n\r\n" not in data[: header_max_bytes + 4]:
                    self._refuse(431, "request headers are too large")
                    return
            super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._named_bytes = 0
            self._begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._named_bytes += len(name) + len(value) + 4
            if self._named_bytes > header_max_bytes:
                raise ValueError("too many headers")

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def _begin(self) -> None:
            if not self._in_headers:
                self._in_headers = True
                self._header_bytes = 0
                self._timer = self.loop.call_later(header_max_s, self._late)

        def _end(self) -> None:
            self._in_headers = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            self._refuse(408, "the request did not arrive in time")

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "request is malformed")

        def _refuse(self, status: int, message: str) -> None:
            self._end()
            if self.transport.is_closing():
                return
            phrase = {400: "Bad Request", 408: "Request Timeout"}.get(status, "Request Header Fields Too Large")
            body = b'{"code":%d,"message":"%b"}' % (status * 100_000 + 10_000, message.encode())
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (status, phrase.encode(), len(body), body)
            )
            self.transport.close()

    return GuardedProtocol
