"""The stream shell on trio with virtual time: deadlines without waiting for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.stapled import StapledObjectStream

from mbtd.rpc.connection import Connection
from mbtd.rpc.limits import ConnectionLimits
from mbtd.rpc.shells import serve_stream
from tests.rpc.fakes import PEER, EchoApplication, reason_of, request_line

pytestmark = pytest.mark.trio


class MemoryBytes(ByteStream):
    """A byte stream over memory object streams."""

    def __init__(self, inner: StapledObjectStream[bytes]) -> None:
        self._inner = inner

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._inner.receive()

    async def send(self, item: bytes) -> None:
        await self._inner.send(item)

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


def stream_pair() -> tuple[MemoryBytes, MemoryBytes]:
    to_server, from_client = anyio.create_memory_object_stream[bytes](0)
    to_client, from_server = anyio.create_memory_object_stream[bytes](0)
    return (
        MemoryBytes(StapledObjectStream(to_server, from_server)),
        MemoryBytes(StapledObjectStream(to_client, from_client)),
    )


@asynccontextmanager
async def served(
    application: EchoApplication, limits: ConnectionLimits | None = None
) -> AsyncIterator[tuple[MemoryBytes, Connection]]:
    client, server = stream_pair()
    connection = Connection(application, PEER, anyio.current_time, limits or ConnectionLimits())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_stream, server, connection)
        yield client, connection
        await client.aclose()


async def test_an_unfinished_line_is_closed_after_its_time_and_not_before(autojump_clock: object) -> None:
    application = EchoApplication()
    async with served(application) as (client, connection):
        await client.send(request_line(1, "echo"))
        assert json.loads(await client.receive())["id"] == 1
        await anyio.sleep(3600)
        assert not connection.finished
        begun = anyio.current_time()
        await client.send(b'{"jsonrpc"')
        assert reason_of(json.loads(await client.receive())) == "unfinished_line_timeout"
        assert anyio.current_time() - begun == pytest.approx(5.0)
        with pytest.raises(anyio.EndOfStream):
            await client.receive()
    assert application.lost == [connection]


async def test_a_reader_that_never_reads_is_cut_off_after_the_grace_time(autojump_clock: object) -> None:
    application = EchoApplication()
    async with served(application) as (client, connection):
        await client.send(request_line(1, "echo"))
        await anyio.sleep(60)
        for n in range(1_100):
            connection.event(b'{"topic":"account:a","n":%d}' % n)
        assert connection.close_reason == "slow_consumer"
        assert not application.lost
        await anyio.sleep(5.1)
        assert application.lost == [connection]


async def test_reading_stops_at_the_limit_and_goes_on_after_answers(autojump_clock: object) -> None:
    application = EchoApplication()
    async with served(application, ConnectionLimits(in_flight_max_requests=2)) as (client, _):
        with anyio.move_on_after(10) as stuck:
            for n in range(10):
                await client.send(request_line(n, "later"))
        assert stuck.cancelled_caught
        assert len(application.waiting) == 2
        application.answer_all()
        assert [json.loads(line)["id"] for line in (await client.receive()).splitlines()] == [0, 1]
        await client.send(request_line("on", "echo"))
        assert json.loads(await client.receive())["id"] == "on"


async def test_many_requests_in_one_piece_are_all_handed_on(autojump_clock: object) -> None:
    application = EchoApplication()
    limits = ConnectionLimits(in_flight_max_requests=200, turn_max_requests=8)
    async with served(application, limits) as (client, _):
        await client.send(b"".join(request_line(n, "later") for n in range(100)))
        await anyio.sleep(1)
        assert [asked[0] for asked in application.asked] == list(range(100))
        application.answer_all()
        assert len((await client.receive()).splitlines()) == 100


async def test_the_end_of_input_waits_for_the_answers(autojump_clock: object) -> None:
    application = EchoApplication()
    async with served(application) as (client, connection):
        await client.send(request_line(1, "later"))
        await client.send_eof()
        await anyio.sleep(30)
        assert not connection.finished
        application.answer_all()
        assert json.loads(await client.receive())["id"] == 1
        with pytest.raises(anyio.EndOfStream):
            await client.receive()
