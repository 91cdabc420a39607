"""The anyio client: on trio with virtual time against the stream shell, and on asyncio against a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from mbtd.rpc.client import AsyncClient, ConnectionLost, RpcRefusal
from mbtd.rpc.connection import Connection
from mbtd.rpc.shells import serve_stream
from tests.rpc.fake_broker import FakeBroker, running_broker
from tests.rpc.fakes import PEER
from tests.rpc.test_stream_shell import stream_pair

TOPIC = "account:acc-alice"


class Memory:
    """A broker reached through memory streams, which can be away for a while."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.away_until = 0.0
        self.connections: list[Connection] = []


@asynccontextmanager
async def connected(memory: Memory) -> AsyncIterator[AsyncClient]:
    async with anyio.create_task_group() as tasks:
        client = AsyncClient("memory", timeout_s=5, reconnect_max_s=60)

        async def connect() -> ByteStream:
            if anyio.current_time() < memory.away_until:
                raise ConnectionRefusedError(111, "Connection refused")
            ours, theirs = stream_pair()
            connection = Connection(memory.broker, PEER, anyio.current_time)
            memory.connections.append(connection)
            tasks.start_soon(serve_stream, theirs, connection)
            return ours

        client._connect_once = connect  # type: ignore[method-assign]
        async with client:
            yield client
        tasks.cancel_scope.cancel()


@pytest.mark.trio
async def test_many_tasks_share_a_connection(autojump_clock: object) -> None:
    memory = Memory()
    results: dict[str, Any] = {}
    async with connected(memory) as client:

        async def create(name: str) -> None:
            results[name] = await client.call("account.create", name=name)

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(create, f"n{number}")
        with pytest.raises(RpcRefusal, match="exists"):
            await client.call("account.create", name="n1")
    assert {name: result["name"] for name, result in results.items()} == {f"n{n}": f"n{n}" for n in range(100)}
    assert len(memory.connections) == 1


@pytest.mark.trio
async def test_a_call_without_an_answer_times_out_and_the_connection_lives(autojump_clock: object) -> None:
    memory = Memory()
    async with connected(memory) as client:
        memory.broker.account_get = lambda session, values: memory.connections[0]._unanswered.clear()  # type: ignore[method-assign]
        before = anyio.current_time()
        with pytest.raises(TimeoutError):
            await client.call("account.get", account="alice")
        assert anyio.current_time() - before == pytest.approx(5)
        assert (await client.call("health.get"))["status"] == "degraded"


@pytest.mark.trio
@pytest.mark.parametrize("fault", ["lose before", "lose after", "outcome_unknown"])
async def test_an_order_is_done_once(autojump_clock: object, fault: str) -> None:
    memory = Memory()
    memory.broker.faults["order.place"] = [fault, fault]
    async with connected(memory) as client:
        answer = await client.place_order("alice", symbol="SPY", qty="1")
        assert answer["duplicate"] is (fault == "lose after")
        memory.broker.faults["order.cancel"] = ["lose before"]
        with pytest.raises(ConnectionLost):
            await client.call("order.cancel", account="alice", order_id="x")
    assert len(memory.broker.orders) == 1


@pytest.mark.trio
async def test_a_stream_goes_on_after_the_daemon_was_away(autojump_clock: object) -> None:
    memory = Memory()
    async with connected(memory) as client:
        stream = client.subscribe([TOPIC])
        assert (await anext(stream)).kind == "snapshot"
        memory.broker.emit("acc-alice", {"event": "e"})
        assert (await anext(stream)).n == 1
        memory.away_until = anyio.current_time() + 30
        memory.connections[0].close("test")
        memory.broker.emit("acc-alice", {"event": "e"}, quiet=True)
        assert (await anext(stream)).n == 2
        assert anyio.current_time() >= memory.away_until
        memory.broker.emit("acc-alice", {"event": "e"}, quiet=True)
        memory.broker.emit("acc-alice", {"event": "e"})
        assert [(await anext(stream)).n for _ in range(2)] == [3, 4]
        await stream.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_on_a_real_socket(tmp_path: Path, anyio_backend: str) -> None:
    with running_broker(tmp_path / "s") as running:
        async with AsyncClient(running.path) as client:
            stream = client.subscribe([TOPIC])
            await anext(stream)
            answer = await client.place_order("alice", symbol="SPY", qty="1")
            assert (await anext(stream)).data["order_id"] == answer["order"]["id"]
            await stream.aclose()
