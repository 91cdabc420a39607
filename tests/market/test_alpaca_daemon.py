"""``mbtd serve --feed alpaca`` as a process, against the stand-in's streams and REST API, from keys to fills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.book.units import format_time
from mbtd.rpc.async_client import AsyncClient
from mbtd.rpc.client import NoDaemon, RpcRefusal
from tests.standin.alpaca_server import KEY, SECRET, AlpacaRestStandIn, AlpacaStandIn

pytestmark = pytest.mark.anyio
CONTRACT = "AAPL261218C00150000"
FEED_DEAD_MS = 700


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def asset(symbol: str, number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("tradable", "marginable", "shortable", "easy_to_borrow", "fractionable"), True)
    names = {"id": f"00000000-0000-4000-8000-{number:012}", "class": "us_equity", "exchange": "NASDAQ"}
    return {**names, "symbol": symbol, "name": symbol, "status": "active", **flags}


def contract() -> dict[str, Any]:
    terms = {"expiration_date": "2026-12-18", "type": "call", "style": "american", "strike_price": "150"}
    names = {"id": "c0000000-0000-4000-8000-000000000001", "symbol": CONTRACT, "underlying_symbol": "AAPL"}
    return {**names, **terms, "status": "active", "tradable": True, "size": "100", "close_price": "3.15"}


def quote(symbol: str, ask: float) -> dict[str, Any]:
    sides = {"bx": "V", "bp": ask - 0.02, "bs": 300, "ax": "Q", "ap": ask, "as": 200}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": time.time_ns()}


class Rig:
    """The stand-ins, a state directory, and one daemon after the other on it."""

    def __init__(self, directory: Path, server: AlpacaStandIn, rest: AlpacaRestStandIn) -> None:
        self.directory, self.server, self.rest = directory, server, rest
        self.state = directory / "state"
        self.log = directory / "log"
        self.seen: list[bytes] = []
        """Every answer of ``health.get``."""
        self.events: list[dict[str, Any]] = []

    def configure(self, underlyings: str, max_symbols: int) -> Path:
        path = self.directory / "mbtd.toml"
        path.write_text(
            f"""
            [storage]
            directory = "{self.state}"
            [log]
            level = "debug"
            [engine]
            profile = "whole"
            [profiles.whole]
            base = "alpaca-parity"
            partial_ppm = 0
            [market]
            feed_dead_ms = {FEED_DEAD_MS}
            interest_max_symbols = {max_symbols}
            [market.alpaca]
            stocks_url = "{self.server.url("/v2/iex")}"
            options_url = "{self.server.url("/v1beta1/indicative")}"
            trading_url = "{self.rest.url}"
            data_url = "{self.rest.url}"
            session = "always"
            option_underlyings = {underlyings}
            option_expiry_max_days = 1500
            reconnect_least_ms = 20
            reconnect_most_ms = 100
            """
        )
        return path

    @asynccontextmanager
    async def serving(self, underlyings: str = "[]", max_symbols: int = 10) -> AsyncIterator[AsyncClient]:
        environ = {**os.environ, "APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": SECRET}
        config = str(self.configure(underlyings, max_symbols))
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mbtd.cli", "serve", "--feed", "alpaca", "--config", config),
                env=environ,
                stdout=log,
                stderr=log,
            )
        try:
            socket = self.state / "mbtd.sock"
            async with AsyncClient(socket) as client:
                await until(lambda: self._answers(client))
                yield client
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0, self.log.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _answers(self, client: AsyncClient) -> bool:
        with suppress(NoDaemon, FileNotFoundError):
            await self.health(client)
            return True
        return False

    async def health(self, client: AsyncClient) -> dict[str, Any]:
        answer: dict[str, Any] = await client.call("health.get")
        self.seen.append(msgspec.json.encode(answer))
        return answer

    async def until_health(
        self, client: AsyncClient, condition: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        async def holds() -> Any:
            answer = await self.health(client)
            return answer if condition(answer) else None

        found: dict[str, Any] = await until(holds)
        return found

    async def listen(self, client: AsyncClient, account: str) -> None:
        """Keep the account's events."""
        async for message in client.subscribe([f"account:{account}"]):
            self.events.append({**message.data, "kind": message.kind})

    def told(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item.get("event") == event]

    def leaked(self) -> list[str]:
        """Where a key can be read."""
        places = {str(path): path.read_bytes() for path in self.state.rglob("*") if path.is_file()}
        places |= {"log": self.log.read_bytes(), "health": b"".join(self.seen)}
        places["events"] = repr(self.events).encode()
        assert len(places) > 5
        return [name for name, text in places.items() if SECRET.encode() in text or KEY.encode() in text]


async def until(condition: Callable[[], Awaitable[Any]], patience_s: float = 20) -> Any:
    async with asyncio.timeout(patience_s):
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def why(client: AsyncClient, placed: dict[str, Any]) -> str:
    answer = await client.call("order.why", order_id=placed["order"]["id"])
    return str(answer["reason"])


async def status(client: AsyncClient, placed: dict[str, Any]) -> str:
    order = await client.call("order.get", account="alice", order_id=placed["order"]["id"])
    return str(order["status"])


async def filled(client: AsyncClient, placed: dict[str, Any]) -> dict[str, Any]:
    """Wait for the order's fill; its receipt."""

    async def find() -> Any:
        page = await client.call("fill.list", account="alice", order_id=placed["order"]["id"])
        return page["items"]

    (fill,) = await until(find)
    receipt: dict[str, Any] = await client.call("fill.why", fill_id=fill["fill_id"])
    return receipt


async def buy(client: AsyncClient, symbol: str, **fields: Any) -> dict[str, Any]:
    terms = {"qty": "10", "side": "buy", "type": "market", "time_in_force": "day"} | fields
    placed: dict[str, Any] = await client.place_order("alice", symbol=symbol, **terms)
    return placed


@asynccontextmanager
async def rig(directory: Path) -> AsyncIterator[Rig]:
    async with AlpacaStandIn() as server:
        with AlpacaRestStandIn() as rest:
            rest.assets = [asset(symbol, n) for n, symbol in enumerate(("AAPL", "MSFT", "NVDA"))]
            rest.assets[0]["attributes"] = ["overnight_tradable", "options_enabled"]
            rest.contracts = [contract()]
            bars = {"AAPL": 185.25, "MSFT": 400}
            rest.snapshots = {s: {"dailyBar": {"t": "2020-01-02T05:00:00Z", "c": c}} for s, c in bars.items()}
            rest.failure_text = f"no entry for {KEY} with {SECRET}"
            yield Rig(directory, server, rest)


async def open_account(client: AsyncClient) -> None:
    await client.call("account.create", name="alice", user_id="alice", type="margin", tier="pro", cash="100000")


async def test_from_the_first_quote_through_every_trouble_to_a_restart(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        async with it.serving() as client:
            healthy = await it.until_health(client, lambda h: h["reference"]["instruments"] == 3)
            assert (healthy["reference"]["problem"], healthy["interest"]["symbols"]) == (None, 0)
            await open_account(client)
            listening = asyncio.create_task(it.listen(client, "alice"))
            await fills_only_on_a_live_quote(it, client)
            resting = await survives_a_dropped_connection(it, client)
            await is_dead_while_silent(it, client)
            assert await status(client, resting) == "new"
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        it.rest.status = 503
        connections = len(it.server.history)
        async with it.serving() as client:
            await comes_back_from_the_cache(it, client, connections)
        assert it.leaked() == []


async def fills_only_on_a_live_quote(it: Rig, client: AsyncClient) -> None:
    with pytest.raises(RpcRefusal, match="asset") as unknown:
        await buy(client, "NOSUCH")
    assert unknown.value.reason == "asset_not_found"
    placed = await buy(client, "AAPL")
    await it.server.subscribed("AAPL")
    assert await why(client, placed) == "no_live_quote"
    message = quote("AAPL", 187.27)
    await it.server.publish(message)
    receipt = await filled(client, placed)
    evidence = receipt["evidence"]
    assert (receipt["price"], evidence["bid"], evidence["ask"]) == ("187.27", "187.25", "187.27")
    assert (evidence["bid_exchange"], evidence["ask_exchange"]) == ("V", "Q")
    assert (evidence["feed"], evidence["data_class"]) == ("alpaca:iex", "real_time")
    assert evidence["quote_time"] == format_time(message["t"])
    assert (evidence["ask_size"], receipt["reproduced"]) == (200, True)


async def survives_a_dropped_connection(it: Rig, client: AsyncClient) -> dict[str, Any]:
    resting = await buy(client, "AAPL", type="limit", limit_price="100", time_in_force="gtc")
    it.server.upgrade_answers = [(500, {})] * 10_000
    it.server.drop()
    down = await it.until_health(client, lambda h: h["feed"]["state"] == "down")
    assert (down["status"], down["reasons"]) == ("degraded", ["feed_down"])
    assert "lost" in down["feed"]["reason"]
    placed = await buy(client, "AAPL")
    assert await why(client, placed) == "feed_dead"
    it.server.upgrade_answers.clear()
    await it.server.subscribed("AAPL", after=1)

    async def gapped() -> Any:
        return it.told("market.gap")

    await until(gapped)
    assert await why(client, placed) == "no_live_quote"
    await it.server.publish(quote("AAPL", 190.05))
    assert (await filled(client, placed))["price"] == "190.05"
    return resting


async def is_dead_while_silent(it: Rig, client: AsyncClient) -> None:
    stale = await it.until_health(client, lambda h: h["feed"]["state"] == "stale")
    assert (stale["status"], stale["reasons"]) == ("degraded", ["feed_stale"])
    assert f"silent for {FEED_DEAD_MS} ms" in stale["feed"]["reason"]
    placed = await buy(client, "AAPL")
    assert await why(client, placed) == "feed_dead"
    await it.server.publish(quote("AAPL", 191.11))
    assert (await filled(client, placed))["price"] == "191.11"
    assert (await it.health(client))["feed"]["state"] == "live"


async def comes_back_from_the_cache(it: Rig, client: AsyncClient, connections: int) -> None:
    old = await it.until_health(client, lambda h: h["reference"]["problem"])
    assert old["reference"]["instruments"] == 3
    assert isinstance(old["reference"]["age_s"], int)
    assert "503" in old["reference"]["problem"]
    assert "reference_old" in old["reasons"]
    known = await client.call("asset.get", symbol="AAPL")
    assert (known["previous_close"], known["exchange"]) == ("185.25", "NASDAQ")
    assert known["attributes"] == ["has_options", "overnight_tradable"]
    assert (await client.call("asset.get", symbol="MSFT"))["attributes"] == []
    await it.server.subscribed("AAPL", after=connections)
    with pytest.raises(RpcRefusal):
        await client.call("quote.get", symbol="NVDA")
    await it.server.subscribed("NVDA", after=connections)
    placed = await buy(client, "MSFT")
    await it.server.subscribed("MSFT", after=connections)
    await it.server.publish(quote("MSFT", 402.5), quote("NVDA", 99.5))
    assert (await filled(client, placed))["price"] == "402.5"
    assert (await client.call("quote.get", symbol="NVDA"))["ask_price"] == "99.5"


async def test_a_refused_key_leaves_a_degraded_daemon_that_serves(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.server.answers["auth"] = [402] * 10
        it.rest.status = 401
        async with it.serving() as client:
            refused = await it.until_health(client, lambda h: h["feed"]["state"] == "auth_failed")
            assert refused["status"] == "degraded"
            assert "feed_auth_failed" in refused["reasons"]
            assert "key" in refused["feed"]["reason"]
            missing = await it.until_health(client, lambda h: h["reference"]["problem"] != "not loaded yet")
            assert "401" in missing["reference"]["problem"]
            assert "reference_missing" in missing["reasons"]
            await open_account(client)
            with pytest.raises(RpcRefusal) as unknown:
                await buy(client, "AAPL")
            assert unknown.value.reason == "asset_not_found"
            assert (await client.call("account.get", account="alice"))["cash"] == "100000"
        assert it.leaked() == []


async def test_with_option_underlyings_both_streams_feed_one_tape(tmp_path: Path) -> None:
    async with rig(tmp_path) as it, it.serving('["AAPL"]') as client:
        await it.until_health(client, lambda h: h["reference"]["instruments"] == 4)
        await open_account(client)
        with pytest.raises(RpcRefusal):
            await client.call("quote.get", symbol=CONTRACT)
        options = await it.server.subscribed(CONTRACT)
        await it.server.publish({**quote(CONTRACT, 3.2), "bx": "C", "ax": "C"})

        async def quoted() -> Any:
            with suppress(RpcRefusal):
                return await client.call("quote.get", symbol=CONTRACT)

        assert (await until(quoted))["ask_price"] == "3.2"
        placed = await buy(client, "AAPL")
        await it.server.subscribed("AAPL")
        await it.server.publish(quote("AAPL", 187.27))
        assert (await filled(client, placed))["evidence"]["feed"] == "alpaca:iex"
        it.server.answers["connect"] = [409]
        options.connection.transport.abort()
        refused = await it.until_health(client, lambda h: h["feed"]["state"] == "refused")
        assert {stream["name"]: stream["state"] for stream in refused["feed"]["streams"]}[
            "alpaca:indicative"
        ] == "refused"
        placed = await buy(client, "AAPL")
        await it.server.publish(quote("AAPL", 188.5))
        assert (await filled(client, placed))["price"] in ("187.27", "188.5")


async def test_beyond_the_bound_orders_wait_and_the_health_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as it, it.serving(max_symbols=1) as client:
        await it.until_health(client, lambda h: h["reference"]["instruments"] == 3)
        await open_account(client)
        first = await buy(client, "AAPL")
        await it.server.subscribed("AAPL")
        waiting = await buy(client, "MSFT")
        full = await it.until_health(client, lambda h: "interest_full" in h["reasons"])
        assert (full["interest"]["symbols"], full["interest"]["left_out"]) == (1, 1)
        await client.call("order.cancel", account="alice", order_id=first["order"]["id"])
        await it.server.subscribed("MSFT")
        await it.server.publish(quote("MSFT", 402.5))
        assert (await filled(client, waiting))["price"] == "402.5"
        assert "interest_full" not in (await it.health(client))["reasons"]
