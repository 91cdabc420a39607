"""The gateway's line to the daemon: calls of many requests at once, and the events of all its streams.

Invariants: an answer wakes exactly its caller; a call fails with :class:`ConnectionLost` when the line is lost, and
is sent again once if that cannot do anything twice; events are handed on in their order, synchronously. One line
serves the whole process. Built on the wire rules of :mod:`mbtd.rpc.wire`; unlike the general client it has one place
for the events of thousands of streams and no task for a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mbtd.logs import get_logger
from mbtd.rpc.wire import (
    ConnectionLost,
    LineSplitter,
    NoDaemon,
    ProtocolFault,
    RpcRefusal,
    closing_error,
    is_repeatable,
    parse_reply,
    request_line,
)

log = get_logger(subsystem="gateway")
CALL_MAX_S: Final = 20.0
RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MOST_S: Final = 1.0
RECONNECT_WAIT_S: Final = 5.0
"""How long a call waits for a line that is being made again."""

EventHandler = Callable[[Mapping[str, Any]], None]


class _Protocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, on_event: EventHandler, on_end: Callable[[], None]) -> None:
        self._splitter = LineSplitter()
        self._on_event = on_event
        self._on_end = on_end
        self._said: Any = None
        self.transport: asyncio.Transport | None = None
        self.waiters: dict[int, asyncio.Future[Any]] = {}
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def wait_for_room(self) -> None:
        """Until the daemon reads again."""
        await self._room.wait()

    def data_received(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            try:
                reply = parse_reply(line)
            except ProtocolFault:
                log.error("link.unreadable")
                assert self.transport is not None
                self.transport.abort()
                return
            if reply.method == "stream.event":
                self._on_event(reply.params or {})
            elif isinstance(reply.id, int):
                waiter = self.waiters.pop(reply.id, None)
                if waiter is not None and not waiter.done():
                    if reply.error is not None:
                        waiter.set_exception(RpcRefusal(reply.error))
                    else:
                        waiter.set_result(reply.result)
            elif reply.error is not None:
                self._said = reply.error

    def connection_lost(self, exc: Exception | None) -> None:
        failure = closing_error(self._said, "the daemon closed the connection")
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters.values():
            if not waiter.done():
                waiter.set_exception(failure)
        self._room.set()
        self._on_end()


class Link:
    """The line, made again whenever it is lost."""

    def __init__(self, path: Path, on_event: EventHandler, on_connected: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._on_event = on_event
        self._on_connected = on_connected
        self._protocol: _Protocol | None = None
        self._next_id = 0
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._greeting: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def up(self) -> bool:
        """The daemon can be asked."""
        return self._up.is_set()

    @property
    def stopping(self) -> bool:
        """The gateway is about to end: nobody waits for a line that is not there."""
        return self._stopping

    def stop(self) -> None:
        """From now on nobody waits for a line that is not there."""
        self._stopping = True

    async def run(self) -> None:
        """Hold the line until cancelled."""
        pause_s = RECONNECT_FIRST_S
        loop = asyncio.get_running_loop()
        while True:
            self._down.clear()
            try:
                _, protocol = await loop.create_unix_connection(
                    lambda: _Protocol(self._on_event, self._lost), str(self._path)
                )
            except OSError:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RECONNECT_MOST_S)
                continue
            pause_s = RECONNECT_FIRST_S
            self._protocol = protocol
            self._up.set()
            log.info("link.connected")
            self._greeting = asyncio.create_task(self._greet())
            try:
                await self._down.wait()
            finally:
                self._greeting.cancel()
                if protocol.transport is not None:
                    protocol.transport.abort()

    async def _greet(self) -> None:
        try:
            await self._on_connected()
        except (ConnectionLost, RpcRefusal, TimeoutError) as error:
            log.warning("link.streams_not_resumed", error=str(error))

    def _lost(self) -> None:
        if self._up.is_set():
            log.warning("link.lost")
        self._up.clear()
        self._down.set()

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask and wait. Raises :class:`RpcRefusal`, :class:`ConnectionLost`, TimeoutError."""
        try:
            return await self._once(method, params)
        except RpcRefusal:
            raise
        except ConnectionLost:
            if not is_repeatable(method, params):
                raise
        return await self._once(method, params)

    async def _once(self, method: str, params: Mapping[str, Any]) -> Any:
        if not self._up.is_set():
            if self._stopping:
                raise NoDaemon(f"no daemon at {self._path}")
            try:
                await asyncio.wait_for(self._up.wait(), RECONNECT_WAIT_S)
            except TimeoutError:
                raise NoDaemon(f"no daemon at {self._path}") from None
        protocol = self._protocol
        assert protocol is not None
        assert protocol.transport is not None
        await protocol.wait_for_room()
        if protocol.transport.is_closing():
            raise ConnectionLost("the connection was lost")
        self._next_id += 1
        request_id = self._next_id
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        protocol.waiters[request_id] = waiter
        late = loop.call_later(CALL_MAX_S, _expire, waiter)
        try:
            protocol.transport.write(request_line(request_id, method, params))
            return await waiter
        finally:
            late.cancel()
            protocol.waiters.pop(request_id, None)


def _expire(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("the daemon did not answer in time"))
