"""The stand-in is proved by Alpaca's own clients: what they accept, mbtd may be tested against."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from alpaca.data.live import OptionDataStream, StockDataStream
from websockets.asyncio.client import connect

from tests.standin.alpaca_server import KEY, SECRET, AlpacaStandIn

pytestmark = pytest.mark.anyio
AT = 1_760_000_000_123_456_789
MOMENT = datetime(2025, 10, 9, 8, 53, 20, 123_456, tzinfo=timezone.utc)
CONTRACT = "AAPL261218C00150000"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(stream: Any) -> AsyncIterator[None]:
    stream._reconnect_min_backoff = stream._reconnect_max_backoff = 0.01
    task = asyncio.create_task(stream._run_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.close()


def stock_stream(server: AlpacaStandIn, secret: str = SECRET) -> StockDataStream:
    return StockDataStream(KEY, secret, url_override=server.url("/v2/iex"))


def collector() -> tuple[asyncio.Queue[Any], Any]:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(item: Any) -> None:
        await queue.put(item)

    return queue, handler


@pytest.mark.parametrize("fragment_bytes", [None, 7])
async def test_stock_messages_arrive_as_the_clients_models(fragment_bytes: int | None) -> None:
    queue, handler = collector()
    async with AlpacaStandIn(fragment_bytes=fragment_bytes) as server:
        stream = stock_stream(server)
        stream.subscribe_quotes(handler, "AAPL")
        stream.subscribe_trades(handler, "AAPL")
        stream.subscribe_bars(handler, "AAPL")
        stream.subscribe_trading_statuses(handler, "AAPL")
        async with running(stream):
            await server.subscribed("AAPL")
            await server.publish(
                {"T": "q", "S": "AAPL", "bx": "V", "bp": 187.25, "bs": 300, "ax": "Q", "ap": 187.27}
                | {"as": 200, "c": ["R"], "z": "C", "t": AT},
                {"T": "t", "S": "AAPL", "i": 71, "x": "Q", "p": 187.26, "s": 100, "c": ["@", "I"]}
                | {"z": "C", "t": AT},
                {"T": "b", "S": "AAPL", "o": 1.0, "h": 2.0, "l": 0.5, "c": 1.5, "v": 7, "n": 3}
                | {"vw": 1.25, "t": AT},
                {"T": "s", "S": "AAPL", "sc": "H", "sm": "Trading Halt", "rc": "T12", "rm": "Info"}
                | {"z": "C", "t": AT},
                {"T": "q", "S": "MSFT", "bp": 1.0, "bs": 1, "ap": 2.0, "as": 1, "t": AT},
            )
            quote, trade, bar, status = [await queue.get() for _ in range(4)]
    assert (quote.symbol, quote.bid_price, quote.bid_size) == ("AAPL", 187.25, 300)
    assert (quote.ask_price, quote.ask_size, quote.timestamp) == (187.27, 200, MOMENT)
    assert (trade.id, trade.price, trade.size, trade.conditions) == (71, 187.26, 100, ["@", "I"])
    assert (bar.open, bar.volume, bar.vwap, bar.timestamp) == (1.0, 7, 1.25, MOMENT)
    assert (status.status_code, status.reason_code, status.timestamp) == ("H", "T12", MOMENT)
    assert queue.empty()


async def test_option_messages_arrive_as_the_clients_models() -> None:
    queue, handler = collector()
    async with AlpacaStandIn() as server:
        stream = OptionDataStream(KEY, SECRET, url_override=server.url("/v1beta1/indicative"))
        stream.subscribe_quotes(handler, CONTRACT)
        stream.subscribe_trades(handler, CONTRACT)
        async with running(stream):
            await server.subscribed(CONTRACT)
            await server.publish(
                {"T": "q", "S": CONTRACT, "bx": "C", "bp": 3.1, "bs": 12, "ax": "M", "ap": 3.2, "as": 9}
                | {"c": "A", "t": AT},
                {"T": "t", "S": CONTRACT, "p": 3.15, "s": 2, "t": AT, "c": "g", "x": "N"},
            )
            quote, trade = await queue.get(), await queue.get()
    assert (quote.symbol, quote.bid_price, quote.ask_size, quote.conditions) == (CONTRACT, 3.1, 9, "A")
    assert (trade.price, trade.size, trade.conditions, trade.timestamp) == (3.15, 2, "g", MOMENT)


async def test_the_client_comes_back_and_subscribes_again_after_a_drop() -> None:
    queue, handler = collector()
    async with AlpacaStandIn() as server:
        stream = stock_stream(server)
        stream.subscribe_quotes(handler, "AAPL")
        async with running(stream):
            await server.subscribed("AAPL")
            server.drop()
            await server.subscribed("AAPL", after=1)
            await server.publish({"T": "q", "S": "AAPL", "bp": 1.0, "bs": 1, "ap": 2.0, "as": 1, "t": AT})
            assert (await queue.get()).bid_price == 1.0


async def test_the_client_retries_a_refused_key_and_stops_without_a_subscription() -> None:
    _queue, handler = collector()
    async with AlpacaStandIn() as server:
        stream = stock_stream(server, secret="wrong")
        stream.subscribe_quotes(handler, "AAPL")
        async with running(stream):
            await server.until(lambda s: len(s.history) >= 3)
        assert all(not client.authenticated for client in server.history)

        server.answers["auth"] = [409]
        stream = stock_stream(server)
        stream.subscribe_quotes(handler, "AAPL")
        await asyncio.wait_for(stream._run_forever(), 5)


async def _first(server: AlpacaStandIn, text: bool, *requests: Any, **options: Any) -> list[Any]:
    """Everything that the server says to a plain client that sends these requests."""
    headers = options.pop("headers", {}) | ({} if text else {"Content-Type": "application/msgpack"})
    answers: list[Any] = []
    path = options.pop("path", "/v2/iex")
    async with connect(server.url(path), additional_headers=headers, close_timeout=0.2) as client:
        answers.append(await client.recv())
        for request in requests:
            await client.send(json.dumps(request) if text else msgpack.packb(request))
            answers.append(await client.recv())
        for _ in range(options.pop("more", 0)):
            answers.append(await client.recv())
    return [json.loads(a)[0] if isinstance(a, str) else msgpack.unpackb(a)[0] for a in answers]


AUTH = {"action": "auth", "key": KEY, "secret": SECRET}


async def test_text_to_those_who_do_not_ask_for_msgpack() -> None:
    async with AlpacaStandIn() as server:
        answers = await _first(server, True, AUTH, {"action": "subscribe", "trades": ["A"], "bars": ["*"]})
        assert [a["T"] for a in answers] == ["success", "success", "subscription"]
        assert answers[2]["trades"] == answers[2]["corrections"] == ["A"]
        assert (answers[2]["bars"], answers[2]["quotes"]) == (["*"], [])


async def test_authentication_by_headers() -> None:
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    async with AlpacaStandIn() as server:
        answers = await _first(server, False, headers=headers, more=1)
        assert [a["msg"] for a in answers] == ["connected", "authenticated"]


async def test_every_documented_refusal() -> None:
    subscribe = {"action": "subscribe", "quotes": ["A", "B", "C"]}
    async with AlpacaStandIn(symbol_limit=2, auth_timeout=0.05) as server:
        codes = []
        for request in (subscribe, {"action": "dance"}, {"action": "auth", "key": KEY, "secret": "no"}):
            codes.append((await _first(server, False, request))[-1]["code"])
        for request in (AUTH, subscribe, {"action": "subscribe", "orderbooks": ["A"]}):
            codes.append((await _first(server, False, AUTH, request))[-1]["code"])
        codes.append((await _first(server, False, more=1))[-1]["code"])
        codes.append((await _first(server, True, path="/v1beta1/opra"))[-1]["code"])
        star = {"action": "subscribe", "quotes": ["*"]}
        codes.append((await _first(server, False, AUTH, star, path="/v1beta1/opra"))[-1]["code"])
    assert codes == [401, 400, 402, 403, 405, 410, 404, 412, 413]


async def test_the_newcomer_is_refused_when_the_connections_are_used_up() -> None:
    queue, handler = collector()
    async with AlpacaStandIn(connection_limit=1) as server:
        stream = stock_stream(server)
        stream.subscribe_quotes(handler, "AAPL")
        async with running(stream):
            await server.subscribed("AAPL")
            assert (await _first(server, False, AUTH))[-1]["code"] == 406
            await server.publish({"T": "q", "S": "AAPL", "bp": 1.0, "bs": 1, "ap": 2.0, "as": 1, "t": AT})
            assert (await queue.get()).ask_price == 2.0


async def test_a_client_that_does_not_read_is_told_and_dropped() -> None:
    async with AlpacaStandIn(slow_client_bytes=100_000) as server:
        headers = {"Content-Type": "application/msgpack"}
        async with connect(server.url(), additional_headers=headers, max_queue=1, compression=None) as client:
            await client.recv()
            for request in (AUTH, {"action": "subscribe", "quotes": ["A"]}):
                await client.send(msgpack.packb(request))
                await client.recv()
            for _ in range(100):
                await server.publish({"T": "q", "S": "A", "pad": "x" * 1_000_000, "t": AT})
            frames = [frame async for frame in client]
    assert len(frames) < 100
    assert msgpack.unpackb(frames[-1])[0]["code"] == 407
