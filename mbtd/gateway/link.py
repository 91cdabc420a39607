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

import msgspec
from msgspec import Struct

from mbtd.logs import get_logger
from mbtd.rpc.errors import RpcError
from mbtd.rpc.wire import ConnectionLost, LineSplitter, NoDaemon, RpcRefusal, closing_error, is_repeatable

log = get_logger(subsystem="gateway")
CALL_MAX_S: Final = 20.0
RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MOST_S: Final = 1.0
RECONNECT_WAIT_S: Final = 5.0
"""How long a call waits for a line that is being made again."""

EventHandler = Callable[[msgspec.Raw], None]
_encode: Final = msgspec.json.Encoder().encode


class _Reply(Struct, gc=False):
    """One line from the daemon; what it carries is read by whoever asked."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: RpcError | None = None


_read: Final = msgspec.json.Decoder(_Reply).decode


class _Protocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, on_event: EventHandler, on_end: Callable[[], None]) -> None:
        self._splitter = LineSplitter()
        self._on_event = on_event
        self._on_end = on_end
        self._said: Any = None
        self.transport: asyncio.Transport | None = None
        self.waiters: dict[int, tuple[asyncio.Future[msgspec.Raw], float]] = {}
        """By request, oldest first, with the time until which they wait."""
        self.has_room = True
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def pause_writing(self) -> None:
        self.has_room = False
        self._room.clear()

    def resume_writing(self) -> None:
        self.has_room = True
        self._room.set()

    async def wait_for_room(self) -> None:
        """Until the daemon reads again."""
        await self._room.wait()

    def data_received(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            try:
                reply = _read(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                log.error("link.unreadable")
                assert self.transport is not None
                self.transport.abort()
                return
            if reply.method == "stream.event":
                self._on_event(reply.params)
            elif isinstance(reply.id, int):
                waiter, _ = self.waiters.pop(reply.id, (None, 0.0))
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
        for waiter, _ in waiters.values():
            if not waiter.done():
                waiter.set_exception(failure)
        self.resume_writing()
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
        self._loop: asyncio.AbstractEventLoop

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
        loop = self._loop = asyncio.get_running_loop()
        expiring = asyncio.create_task(self._expire())
        try:
            await self._hold(loop, pause_s)
        finally:
            expiring.cancel()

    async def _hold(self, loop: asyncio.AbstractEventLoop, pause_s: float) -> None:
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
        return msgspec.json.decode(await self.call_raw(method, params))

    async def call_raw(self, method: str, params: Mapping[str, Any]) -> msgspec.Raw:
        """Ask and wait; the result as it came."""
        given = {name: value for name, value in params.items() if value is not None}
        return await self._ask(method, _encode(given), is_repeatable(method, params))

    async def call_for(
        self, asked: Mapping[str, Any], method: str, params: Mapping[str, Any], own: bool
    ) -> msgspec.Raw:
        """Ask for somebody with ``auth.call``: ``asked`` are his credentials; no method: only who he is."""
        given = {name: value for name, value in params.items() if value is not None}
        whole = {**asked, "method": method, "params": given, "own": own}
        return await self._ask("auth.call", _encode(whole), not method or is_repeatable(method, params))

    async def _ask(self, method: str, params: bytes, repeatable: bool) -> msgspec.Raw:
        try:
            return await self._once(method, params)
        except RpcRefusal:
            raise
        except ConnectionLost:
            if not repeatable:
                raise
        return await self._once(method, params)

    async def _once(self, method: str, params: bytes) -> msgspec.Raw:
        if not self._up.is_set():
            if self._stopping:
                raise NoDaemon(f"no daemon at {self._path}")
            try:
                await asyncio.wait_for(self._up.wait(), RECONNECT_WAIT_S)
            except TimeoutError:
                raise NoDaemon(f"no daemon at {self._path}") from None
        protocol = self._protocol
        assert protocol is not None
        if not protocol.has_room:
            await protocol.wait_for_room()
        transport = protocol.transport
        assert transport is not None
        if transport.is_closing():
            raise ConnectionLost("the connection was lost")
        self._next_id += 1
        request_id = self._next_id
        waiter: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        protocol.waiters[request_id] = waiter, self._loop.time() + CALL_MAX_S
        try:
            transport.write(
                b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}\n' % (request_id, method.encode(), params)
            )
            return await waiter
        finally:
            protocol.waiters.pop(request_id, None)

    async def _expire(self) -> None:
        """End the waiting of whoever has waited too long; one timer for all of them."""
        while True:
            await asyncio.sleep(1.0)
            waiters = self._protocol.waiters if self._protocol is not None else {}
            now = self._loop.time()
            for waiter, until in list(waiters.values()):
                if until > now:
                    break
                if not waiter.done():
                    waiter.set_exception(TimeoutError("the daemon did not answer in time"))
