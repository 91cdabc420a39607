"""Clients of the daemon: :class:`Client` for ordinary programs, ``AsyncClient`` for anyio ones.

Invariants: an order sent through :meth:`Client.place_order` always carries a client order id, so repeating it
after a lost connection never does it twice; what is not repeatable is never sent again by itself; numbers are
decimal texts and times RFC 3339 texts, as they came. Importing this module costs about as much as msgspec;
``AsyncClient`` (and with it anyio) is loaded when it is first asked for.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from mbtd.rpc.errors import RpcError
from mbtd.rpc.wire import (
    ConnectionLost,
    Gap,
    LineSplitter,
    NoDaemon,
    Progress,
    ProtocolFault,
    Reply,
    RpcRefusal,
    StreamMessage,
    closing_error,
    find_socket,
    is_repeatable,
    new_client_order_id,
    parse_reply,
    request_line,
    unanswered,
)

if TYPE_CHECKING:
    from mbtd.rpc.async_client import AsyncClient

__all__ = [
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "NoDaemon",
    "ProtocolFault",
    "RpcRefusal",
    "StreamMessage",
    "find_socket",
    "new_client_order_id",
]

_WINDOW_REQUESTS: Final = 32
_EVENTS_MAX_BUFFERED: Final = 65_536
_RECEIVE_BYTES: Final = 256 * 1024
_BACKOFF_FIRST_S: Final = 0.02
_BACKOFF_MAX_S: Final = 1.0


def __getattr__(name: str) -> Any:
    if name == "AsyncClient":
        from mbtd.rpc.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(name)


class Client:
    """A connection to the daemon, for one thread. Connects at the first call; use it as a context manager."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        timeout_s: float = 30.0,
        reconnect_max_s: float = 10.0,
    ) -> None:
        self.path: Path = find_socket(path)
        self.timeout_s = timeout_s
        """How long a call waits for its answer."""
        self.reconnect_max_s = reconnect_max_s
        """How long a lost connection is tried again before giving up."""
        self._socket: socket.socket | None = None
        self._splitter = LineSplitter()
        self._replies: dict[int, Reply] = {}
        self._events: deque[dict[str, Any]] = deque()
        self._next_id = 0
        self._generation = 0
        self._said: RpcError | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._splitter = LineSplitter()
        self._replies.clear()
        self._events.clear()
        self._said = None

    def connect(self) -> None:
        """Connect now. Raises :class:`NoDaemon`, or PermissionError."""
        self.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout_s)
            connection.connect(str(self.path))
        except PermissionError as error:
            connection.close()
            raise PermissionError(error.errno, error.strerror, str(self.path)) from None
        except OSError as error:
            connection.close()
            raise NoDaemon(f"no daemon at {self.path}: {error.strerror or error}") from error
        self._socket = connection
        self._generation += 1

    def reconnect(self, give_up_s: float | None = None) -> None:
        """Connect, trying for ``give_up_s`` seconds (a restart takes about two)."""
        deadline = time.monotonic() + (self.reconnect_max_s if give_up_s is None else give_up_s)
        pause_s = _BACKOFF_FIRST_S
        while True:
            try:
                self.connect()
                return
            except NoDaemon:
                if time.monotonic() + pause_s > deadline:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _BACKOFF_MAX_S)

    def call(self, method: str, /, *, deadline_ms: int | None = None, **params: Any) -> Any:
        """Ask and wait for the result. Raises :class:`RpcRefusal`, :class:`ConnectionLost`, TimeoutError.

        A request that cannot do anything twice is sent again once when the connection is lost.
        """
        try:
            return self._call(method, params, deadline_ms)
        except NoDaemon:
            raise
        except ConnectionLost:
            if not is_repeatable(method, params):
                raise
        self.reconnect()
        return self._call(method, params, deadline_ms)

    def call_many(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """Ask many things without waiting in between: results in order, a refusal as an object among them."""
        results: list[Any] = []
        sent: deque[int] = deque()
        for begin in range(0, len(calls), _WINDOW_REQUESTS):
            block = calls[begin : begin + _WINDOW_REQUESTS]
            lines = []
            for method, params in block:
                sent.append(self._new_id())
                lines.append(request_line(sent[-1], method, params))
            self._send(b"".join(lines))
            while sent:
                reply = self._wait_for(sent.popleft())
                results.append(reply.result if reply.error is None else RpcRefusal(reply.error))
        return results

    def place_order(
        self, account: str, *, client_order_id: str | None = None, give_up_s: float = 30.0, **fields: Any
    ) -> Any:
        """Place an order so that it is done once, whatever happens to the connection.

        Gives ``{order, seq, duplicate}``. After a lost connection, or an answer that the outcome is unknown,
        the same client order id is sent again, until ``give_up_s`` have passed; then an ``RpcRefusal`` with
        reason ``outcome_unknown`` names the id.
        Raises :class:`NoDaemon` only when the order was certainly not sent.
        """
        order_id = client_order_id or new_client_order_id()
        deadline = time.monotonic() + give_up_s
        params = {"account": account, **fields, "client_order_id": order_id}
        sent = unknown = False
        pause_s = _BACKOFF_FIRST_S
        while True:
            refused: RpcRefusal | None = None
            try:
                if self._socket is None:
                    self.connect()
                sent = True
                return self._call("order.place", params, None)
            except RpcRefusal as refusal:
                if refusal.reason not in {"outcome_unknown", "shutting_down"}:
                    raise
                unknown = unknown or refusal.reason == "outcome_unknown"
                refused = refusal
                pause_s = max(pause_s, refusal.retry_after_s)
            except (ConnectionLost, TimeoutError):
                self.close()
                if not sent:
                    raise
                unknown = True
            if time.monotonic() + pause_s > deadline:
                if refused is not None and not unknown:
                    raise refused
                raise unanswered(order_id, give_up_s)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _BACKOFF_MAX_S)

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        from_n: Mapping[str, int] | None = None,
        seconds: float | None = None,
    ) -> Generator[StreamMessage, None, None]:
        """The state of each topic, then its events, through reconnections; ends after ``seconds`` if given.

        ``from_n`` names the last number seen of topics to continue; those give no snapshot, unless events in
        between are gone: then a snapshot with ``resync`` set. Other calls may be made between two messages.
        """
        progress = Progress(topics, from_n)
        deadline = None if seconds is None else time.monotonic() + seconds
        fresh = True
        while True:
            try:
                if not fresh:
                    time.sleep(_BACKOFF_FIRST_S)
                    self.reconnect()
                yield from self._begin(progress)
                generation = self._generation
                while (params := self._next_event(deadline)) is not None:
                    message = progress.event(params)
                    if message is not None:
                        yield message
                    if generation != self._generation:
                        raise ConnectionLost("another call connected anew")
                return
            except Gap:
                continue
            except NoDaemon:
                raise
            except ConnectionLost:
                fresh = False

    def _begin(self, progress: Progress) -> Iterator[StreamMessage]:
        for _ in range(2):
            for request in progress.requests():
                try:
                    yield from progress.started(request, self._call("stream.subscribe", request, None))
                except RpcRefusal as refusal:
                    progress.refused(request, refusal.error)
            if progress.complete:
                return
        raise ProtocolFault("the daemon gives no snapshot of a topic")

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _call(self, method: str, params: Mapping[str, Any], deadline_ms: int | None) -> Any:
        request_id = self._new_id()
        self._renew()
        self._send(request_line(request_id, method, params, deadline_ms))
        reply = self._wait_for(request_id)
        if reply.error is not None:
            raise RpcRefusal(reply.error)
        return reply.result

    def _renew(self) -> None:
        """Before a request: drop a connection that the daemon closed while it was idle."""
        try:
            while self._socket is not None and self._receive(0.0):
                pass
        except ConnectionLost:
            self.close()

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self.connect()
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except TimeoutError:
            self.close()
            raise
        except OSError as error:
            self._drain()
            said = self._said
            self.close()
            raise closing_error(said, f"the connection was lost: {error.strerror}") from error

    def _drain(self) -> None:
        """Read what the daemon said before it closed."""
        try:
            while self._receive(0.0):
                pass
        except (ConnectionLost, RpcRefusal, TimeoutError, ProtocolFault):
            pass

    def _wait_for(self, request_id: int) -> Reply:
        deadline = time.monotonic() + self.timeout_s
        while request_id not in self._replies:
            if not self._receive(deadline - time.monotonic()):
                self.close()
                raise TimeoutError(f"no answer within {self.timeout_s:g} s")
        return self._replies.pop(request_id)

    def _next_event(self, deadline: float | None) -> dict[str, Any] | None:
        while not self._events:
            if self._socket is None:
                raise ConnectionLost("the connection was closed")
            if not self._receive(None if deadline is None else deadline - time.monotonic()):
                return None
        return self._events.popleft()

    def _receive(self, wait_s: float | None) -> bool:
        """Take what arrives within ``wait_s``; False when nothing did. Raises at the connection's end."""
        if self._socket is None:
            raise ConnectionLost("the connection was closed")
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(None if wait_s is None else max(0.0, wait_s * 1000)):
            return False
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            said = self._said
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            raise closing_error(said, "the daemon closed the connection")
        for line in self._splitter.feed(data):
            self._take(parse_reply(line))
        return True

    def _take(self, reply: Reply) -> None:
        if reply.method == "stream.event":
            if len(self._events) >= _EVENTS_MAX_BUFFERED:
                self.close()
                raise ConnectionLost("too many events were not read")
            self._events.append(reply.params or {})
        elif isinstance(reply.id, int):
            self._replies[reply.id] = reply
        elif reply.error is not None:
            self._said = reply.error
