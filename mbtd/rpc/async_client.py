"""The client for anyio programs (asyncio or trio): many calls at once on one connection, streams beside them.

Invariants as in :mod:`mbtd.rpc.client`. One task reads; answers wake exactly the caller they are for. Streams
have bounded buffers: a consumer that falls behind is resubscribed from the last number it saw.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import anyio
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

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

_EVENTS_MAX_BUFFERED: Final = 4_096
_RECEIVE_BYTES: Final = 256 * 1024
_BACKOFF_FIRST_S: Final = 0.02
_BACKOFF_MAX_S: Final = 1.0


class _Waiter:
    """One unanswered call."""

    __slots__ = ("done", "failure", "reply")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.reply: Reply | None = None
        self.failure: Exception | None = None


class _Link:
    """One connection: its stream, its unanswered calls, its subscriptions."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.waiters: dict[int, _Waiter] = {}
        self.feeds: dict[MemoryObjectSendStream[dict[str, Any]], frozenset[str]] = {}
        self.sending = anyio.Lock()
        self.alive = True

    async def read(self) -> None:
        """Take lines until the end, then fail whoever waits."""
        splitter = LineSplitter()
        said: RpcError | None = None
        failure: Exception | None = None
        try:
            while True:
                for line in splitter.feed(await self.stream.receive(_RECEIVE_BYTES)):
                    reply = parse_reply(line)
                    if reply.id is None and reply.error is not None:
                        said = reply.error
                    else:
                        self._take(reply)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            failure = closing_error(said, "the daemon closed the connection")
        except ProtocolFault as fault:
            failure = fault
        finally:
            self._end(failure or ConnectionLost("the client was closed"))
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self.stream)

    def _take(self, reply: Reply) -> None:
        if reply.method == "stream.event":
            params = reply.params or {}
            for feed, topics in list(self.feeds.items()):
                if params.get("topic") in topics:
                    try:
                        feed.send_nowait(params)
                    except anyio.WouldBlock:
                        self._drop(feed)
        elif isinstance(reply.id, int) and (waiter := self.waiters.pop(reply.id, None)) is not None:
            waiter.reply = reply
            waiter.done.set()

    def _drop(self, feed: MemoryObjectSendStream[dict[str, Any]]) -> None:
        self.feeds.pop(feed, None)
        feed.close()

    def _end(self, failure: Exception) -> None:
        self.alive = False
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters.values():
            waiter.failure = failure
            waiter.done.set()
        for feed in list(self.feeds):
            self._drop(feed)


class AsyncClient:
    """A connection to the daemon for many tasks. Use as an async context manager; it connects when needed."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        timeout_s: float = 30.0,
        reconnect_max_s: float = 10.0,
    ) -> None:
        self.path: Path = find_socket(path)
        self.timeout_s = timeout_s
        self.reconnect_max_s = reconnect_max_s
        self._link: _Link | None = None
        self._connecting: anyio.Lock | None = None
        self._tasks: TaskGroup | None = None
        self._stack = AsyncExitStack()
        self._next_id = 0

    async def __aenter__(self) -> AsyncClient:
        self._connecting = anyio.Lock()
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        # without the body's exception, so that it leaves as it is and not in an ExceptionGroup
        await self._stack.__aexit__(None, None, None)

    async def _connect_once(self) -> ByteStream:
        """The transport; replaced in tests."""
        return await anyio.connect_unix(str(self.path))

    async def connect(self, give_up_s: float = 0.0) -> _Link:
        """The living connection, or a new one; tried for ``give_up_s``. Raises :class:`NoDaemon`."""
        assert self._connecting is not None, "use `async with AsyncClient(…)`"
        assert self._tasks is not None
        async with self._connecting:
            if self._link is not None and self._link.alive:
                return self._link
            deadline = anyio.current_time() + give_up_s
            pause_s = _BACKOFF_FIRST_S
            while True:
                try:
                    self._link = _Link(await self._connect_once())
                    break
                except PermissionError:
                    raise
                except OSError as error:
                    if anyio.current_time() + pause_s > deadline:
                        raise NoDaemon(f"no daemon at {self.path}: {error.strerror or error}") from error
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, _BACKOFF_MAX_S)
            self._tasks.start_soon(self._link.read)
            return self._link

    async def call(self, method: str, /, *, deadline_ms: int | None = None, **params: Any) -> Any:
        """Ask and wait for the result. Raises :class:`RpcRefusal`, :class:`ConnectionLost`, TimeoutError.

        A request that cannot do anything twice is sent again once when the connection is lost.
        """
        link = await self.connect()
        try:
            return await self._call(link, method, params, deadline_ms)
        except ConnectionLost:
            if not is_repeatable(method, params):
                raise
        return await self._call(await self.connect(self.reconnect_max_s), method, params, deadline_ms)

    async def place_order(
        self, account: str, *, client_order_id: str | None = None, give_up_s: float = 30.0, **fields: Any
    ) -> Any:
        """Place an order so that it is done once; see :meth:`mbtd.rpc.client.Client.place_order`."""
        order_id = client_order_id or new_client_order_id()
        deadline = anyio.current_time() + give_up_s
        params = {"account": account, **fields, "client_order_id": order_id}
        sent = False
        pause_s = _BACKOFF_FIRST_S
        while True:
            try:
                link = await self.connect()
                sent = True
                return await self._call(link, "order.place", params, None)
            except RpcRefusal as refusal:
                if refusal.reason not in {"outcome_unknown", "shutting_down"}:
                    raise
                pause_s = max(pause_s, refusal.retry_after_s)
            except (ConnectionLost, TimeoutError):
                if not sent:
                    raise
            if anyio.current_time() + pause_s > deadline:
                raise unanswered(order_id, give_up_s)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _BACKOFF_MAX_S)

    async def subscribe(
        self, topics: Sequence[str], *, from_n: Mapping[str, int] | None = None
    ) -> AsyncIterator[StreamMessage]:
        """The state of each topic, then its events, through reconnections; see ``Client.subscribe``."""
        progress = Progress(topics, from_n)
        give_up_s = 0.0
        while True:
            link = await self.connect(give_up_s)
            give_up_s = self.reconnect_max_s
            send, receive = anyio.create_memory_object_stream[dict[str, Any]](_EVENTS_MAX_BUFFERED)
            link.feeds[send] = frozenset(topics)
            try:
                for message in await self._begin(link, progress):
                    yield message
                async for event in receive:
                    following = progress.event(event)
                    if following is not None:
                        yield following
            except NoDaemon:
                raise
            except (Gap, ConnectionLost):
                pass
            finally:
                link.feeds.pop(send, None)
                send.close()
                receive.close()
            await anyio.sleep(_BACKOFF_FIRST_S)

    async def _begin(self, link: _Link, progress: Progress) -> list[StreamMessage]:
        messages: list[StreamMessage] = []
        for _ in range(2):
            for request in progress.requests():
                try:
                    result = await self._call(link, "stream.subscribe", request, None)
                    messages += progress.started(request, result)
                except RpcRefusal as refusal:
                    progress.refused(request, refusal.error)
            if progress.complete:
                return messages
        raise ProtocolFault("the daemon gives no snapshot of a topic")

    async def _call(self, link: _Link, method: str, params: Mapping[str, Any], deadline_ms: int | None) -> Any:
        self._next_id += 1
        request_id = self._next_id
        waiter = _Waiter()
        if not link.alive:
            raise ConnectionLost("the connection was lost")
        link.waiters[request_id] = waiter
        try:
            with anyio.fail_after(self.timeout_s if self.timeout_s else math.inf):
                await self._send(link, request_line(request_id, method, params, deadline_ms))
                await waiter.done.wait()
        finally:
            link.waiters.pop(request_id, None)
        if waiter.failure is not None:
            raise waiter.failure
        assert waiter.reply is not None
        if waiter.reply.error is not None:
            raise RpcRefusal(waiter.reply.error)
        return waiter.reply.result

    async def _send(self, link: _Link, line: bytes) -> None:
        """Send a whole line, also when the caller is cancelled meanwhile: a torn one would end the link."""
        try:
            async with link.sending:
                with anyio.CancelScope(shield=True, deadline=anyio.current_time() + self.timeout_s):
                    await link.stream.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the reader hears it too, with the daemon's last word, and fails the waiter
