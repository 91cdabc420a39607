"""The two ways to run a connection: an ``asyncio.Protocol`` (production) and an anyio stream (tests, tools).

Invariants: no exception leaves a shell; a peer that does not read is bounded by the transport's high water
plus the connection's own limits, and its socket is then not read either; a closing connection is gone after
the grace time, read or not. Output of one loop turn is one write.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from mbtd.rpc.connection import Connection


class ProtocolShell(asyncio.Protocol):
    """Runs a :class:`Connection` on an asyncio or uvloop transport.

    ``open_connection`` makes the connection once the transport is known, or answers with the bytes to send
    before closing; ``closed`` hears of the end.
    """

    __slots__ = (
        "_closed",
        "_connection",
        "_grace",
        "_in_callback",
        "_loop",
        "_open_connection",
        "_reading",
        "_scheduled",
        "_timer",
        "_transport",
        "_writable",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        open_connection: Callable[[asyncio.Transport], Connection | bytes],
        closed: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._open_connection = open_connection
        self._closed = closed
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._writable = True
        self._in_callback = False
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast(asyncio.Transport, transport)
        opened = self._open_connection(stream)
        if isinstance(opened, bytes):
            stream.write(opened)
            stream.close()
            return
        self._connection = opened
        stream.set_write_buffer_limits(high=opened.limits.transport_high_water_bytes)
        opened.wake = self._schedule
        opened.flush_now = self._write
        opened.abort = stream.abort
        if opened.waiting_bytes or opened.finished:
            self._schedule()

    def data_received(self, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        self._in_callback = True
        connection.feed(data)
        self._in_callback = False
        if not (connection.at_rest and self._reading):
            self._flush()
        elif connection.waiting_bytes:
            self._write()

    def eof_received(self) -> bool:
        if self._connection is None:
            return False
        self._connection.eof()
        return True

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._grace):
            if timer is not None:
                timer.cancel()
        self._transport = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.lost()
            self._closed(connection)

    def _schedule(self) -> None:
        if not self._scheduled and not self._in_callback:
            self._scheduled = True
            self._loop.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        self._scheduled = False
        connection = self._connection
        if connection is None:
            return
        if self._writable and self._reading and connection.at_rest:
            self._write()
            return
        connection.pump()
        self._flush()

    def _flush(self) -> None:
        self._write()
        if self._connection is not None and self._connection.can_go_on:
            self._schedule()
        self._steer()

    def _write(self) -> None:
        if self._writable and self._connection is not None and self._transport is not None:
            output = self._connection.take_output()
            if output:
                self._transport.write(output)

    def _steer(self) -> None:
        """Obey what the connection wants of its transport."""
        connection, transport = self._connection, self._transport
        if connection is None or transport is None:
            return
        if connection.finished:
            self._finish(connection, transport)
            return
        wants_read = connection.wants_read
        if wants_read is not self._reading:
            self._reading = wants_read
            if wants_read:
                transport.resume_reading()
            else:
                transport.pause_reading()
        if connection.next_deadline is not None and self._timer is None:
            self._timer = self._loop.call_at(connection.next_deadline, self._tick)

    def _finish(self, connection: Connection, transport: asyncio.Transport) -> None:
        if self._grace is None:
            self._grace = self._loop.call_later(connection.limits.close_grace_max_s, transport.abort)
            if self._reading:
                self._reading = False
                transport.pause_reading()
        if not connection.waiting_bytes:
            transport.close()

    def _tick(self) -> None:
        self._timer = None
        if self._connection is not None:
            self._connection.tick()
            self._flush()


async def serve_stream(stream: ByteStream, connection: Connection) -> None:
    """Run a connection on any anyio byte stream until it ends, and close the stream.

    The connection's clock must be ``anyio.current_time``.
    """
    waiting = anyio.Event()
    room = anyio.Event()

    def wake() -> None:
        waiting.set()
        if connection.finished and tasks.cancel_scope.deadline == math.inf:
            tasks.cancel_scope.deadline = anyio.current_time() + connection.limits.close_grace_max_s

    async def read() -> None:
        nonlocal room
        while not connection.finished:
            if connection.can_go_on:
                connection.pump()
                await anyio.lowlevel.checkpoint()
                continue
            if not connection.wants_read:
                room = anyio.Event()
                await room.wait()
                continue
            deadline = connection.next_deadline
            with anyio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
                try:
                    connection.feed(await stream.receive())
                except anyio.EndOfStream:
                    connection.eof()
                    return
            if scope.cancelled_caught:
                connection.tick()

    async def write() -> None:
        nonlocal waiting
        while not connection.finished or connection.waiting_bytes:
            if not connection.waiting_bytes:
                await waiting.wait()
            waiting = anyio.Event()
            output = connection.take_output()
            connection.pump()
            room.set()
            if output:
                await stream.send(output)
        tasks.cancel_scope.cancel()

    connection.wake = wake
    try:
        async with anyio.create_task_group() as tasks:
            connection.abort = tasks.cancel_scope.cancel
            tasks.start_soon(read)
            tasks.start_soon(write)
    except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    finally:
        connection.lost()
        await anyio.aclose_forcefully(stream)
