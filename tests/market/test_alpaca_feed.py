"""The feed over real sockets, against the stand-in."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.book.instruments import Instrument
from actors.market.messages import Auction, FeedState, Quote, Session, TapeMessage, Trade
from mbtd.market.alpaca_credentials import AlpacaCredentials, CredentialsMissing, load_credentials
from mbtd.market.feeds.alpaca import (
    AlpacaFeed,
    AlpacaFeedStatus,
    AlpacaSettings,
    is_option_symbol,
)
from mbtd.market.feeds.alpaca_link import LinkSettings
from tests.standin.alpaca_server import KEY, SECRET, AlpacaStandIn

AT = 1_760_000_000_123_456_789
CONTRACT = "AAPL261218C00150000"
QUICK = LinkSettings(reconnect_least_ms=5, reconnect_most_ms=20, patience_ms=10)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def quote(symbol: str = "AAPL", bid: float = 187.25, at: int = AT) -> dict[str, Any]:
    sides = {"bx": "V", "bp": bid, "bs": 300, "ax": "Q", "ap": bid + 0.02, "as": 200}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": at}


class OneDay:
    """A calendar of one core session that never ends soon."""

    def session_at(self, at: int) -> Session:
        return Session("core", at, 20260604, at, at, at, at, at, 20260605)

    def next_change(self, at: int) -> Session:
        return Session("post", at + 10**15, 20260604, at, at, at, at, at, 20260605)


class Tape:
    """A sink that tells when something came."""

    def __init__(self) -> None:
        self.messages: list[TapeMessage] = []
        self._changed = asyncio.Event()

    def push(self, messages: Sequence[TapeMessage]) -> None:
        self.messages += [m for m in messages if not isinstance(m, Session)]
        self._changed.set()

    async def until(self, condition: Callable[[list[TapeMessage]], object]) -> list[TapeMessage]:
        async with asyncio.timeout(5):
            while not condition(self.messages):
                self._changed.clear()
                await self._changed.wait()
        return self.messages

    def told(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(m.state, m.symbols) for m in self.messages if isinstance(m, FeedState)]


async def until_status(feed: AlpacaFeed[OneDay], condition: Callable[[AlpacaFeedStatus], object]) -> None:
    """A status has no event of its own, so it is polled."""
    async with asyncio.timeout(5):
        while not condition(feed.status()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def until_state(feed: AlpacaFeed[OneDay], state: str) -> None:
    await until_status(feed, lambda status: status.state == state)


@asynccontextmanager
async def running(
    server: AlpacaStandIn, tape: Tape, *, secret: str = SECRET, options: bool = False
) -> AsyncIterator[AlpacaFeed[OneDay]]:
    settings = AlpacaSettings(
        stock_url=server.url("/v2/iex"),
        option_feed="indicative" if options else "off",
        option_url=server.url("/v1beta1/indicative"),
        link=QUICK,
    )
    listed = [Instrument("id", "NYA", exchange="NYSE")]
    credentials = AlpacaCredentials(KEY, secret)
    feed = AlpacaFeed(settings, credentials, OneDay(), listed, speaks=lambda _at: False)
    task = asyncio.create_task(feed.run(tape))
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.anyio
async def test_quotes_and_prints_reach_the_tape_with_their_nanoseconds() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(["AAPL"])
        client = await server.subscribed("AAPL")
        assert client.channels["statuses"] == client.channels["lulds"] == ["AAPL"]
        print_ = {
            "T": "t",
            "S": "AAPL",
            "i": 5,
            "x": "Q",
            "p": 187.2601,
            "s": 100,
            "c": ["@", "F"],
            "t": AT + 1,
        }
        await server.publish(quote(), print_)
        messages = await tape.until(lambda m: len(m) >= 3)
        up, first, second = messages
        assert isinstance(up, FeedState)
        assert (up.state, up.symbols, up.feed) == ("up", (), "alpaca:iex")
        assert isinstance(first, Quote)
        assert isinstance(second, Trade)
        assert first.received_at == second.received_at > 0
        assert first == Quote("AAPL", 1872500, 300, 1872700, 200, AT, "V", "Q", "R", first.received_at)
        assert second == Trade("AAPL", 1872601, 100, AT + 1, "Q", "@F", 5, first.received_at)
        status = feed.status()
        assert (status.state, status.messages, status.reason) == ("live", 2, "")
    assert feed.status().state == "stopped"
    assert tape.told() == [("up", ()), ("down", ())]


@pytest.mark.anyio
async def test_the_listing_exchange_decides_which_prints_are_auctions() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(["NYA", "XYZ"])
        await server.subscribed("XYZ")
        opening = {"T": "t", "S": "NYA", "i": 5, "x": "N", "p": 20.5, "s": 9000, "c": ["O"], "t": AT}
        await server.publish(opening | {"x": "Q"}, opening, opening | {"S": "XYZ"})
        await tape.until(lambda m: len(m) >= 5)
        auctions = [m for m in tape.messages if isinstance(m, Auction)]
        assert [(m.symbol, m.kind, m.price, m.size, m.exchange) for m in auctions] == [
            ("NYA", "open", 205_000, 9000, "N")
        ]
    assert [i.symbol for i in feed.reference()] == ["NYA"]


@pytest.mark.anyio
async def test_interest_changes_are_sent_as_differences_and_together() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(["A", "B"])
        client = await server.subscribed("B")
        for symbol in ("C", "D", "E"):
            feed.subscribe([symbol])
        feed.unsubscribe(["A"])
        await server.until(lambda _s: client.channels["quotes"] == ["B", "C", "D", "E"])
        sent = [(r["action"], r["quotes"]) for r in client.requests[1:]]
        assert sent == [("subscribe", ["A", "B"]), ("unsubscribe", ["A"]), ("subscribe", ["C", "D", "E"])]
        await until_status(feed, lambda status: status.streams[0].subscribed == 4)
        assert tape.told() == [("up", ()), ("up", ("A",))]  # its quote is of no more use
        feed.subscribe(["A"])
        await tape.until(lambda _m: tape.told()[2:] == [("up", ("A",))])


@pytest.mark.anyio
async def test_a_drop_is_told_and_the_gap_names_the_symbols() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(["B", "A"])
        await server.subscribed("A")
        await until_state(feed, "live")
        server.drop()
        await server.subscribed("A", after=1)
        await server.publish(quote("A"))
        messages = await tape.until(lambda m: m and isinstance(m[-1], Quote))
        assert tape.told() == [("up", ()), ("down", ()), ("up", ()), ("gap", ("A", "B"))]
        assert isinstance(messages[-2], FeedState)
        counters = feed.status().streams[0].counters
        assert (counters.connections, counters.drops) == (2, 1)


@pytest.mark.anyio
async def test_options_go_over_their_own_connection_and_fail_alone() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape, options=True) as feed:
        feed.subscribe(["AAPL", CONTRACT])
        option_client = await server.subscribed(CONTRACT)
        stock_client = await server.subscribed("AAPL")
        assert (option_client.options, stock_client.options) == (True, False)
        assert set(option_client.requests[-1]) == {"action", "trades", "quotes"}
        await until_state(feed, "live")
        option_client.connection.transport.abort()
        await tape.until(lambda m: any(isinstance(x, FeedState) and x.state == "gap" for x in m))
        assert {(m.feed, m.state, m.symbols) for m in tape.messages if isinstance(m, FeedState)} == {
            ("alpaca:iex", "up", ("AAPL",)),
            ("alpaca:indicative", "up", (CONTRACT,)),
            ("alpaca:indicative", "down", (CONTRACT,)),
            ("alpaca:indicative", "gap", (CONTRACT,)),
        }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "state"), [(402, "auth_failed"), (408, "refused"), (409, "refused"), (412, "refused")]
)
async def test_errors_that_a_person_must_cure_end_in_a_named_state(code: int, state: str) -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        server.answers["auth"] = [code] * 9
        await until_state(feed, state)
        error = feed.status().streams[0].error
        assert error is not None
        assert (error.code, error.retryable) == (code, False)
        assert str(code) in feed.status().reason
        assert tape.told() == [("down", ())]
        await server.until(lambda s: not s.clients)
        assert len(server.history) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("code", [400, 401, 404, 406, 407, 413, 500, 777])
async def test_errors_before_the_subscription_are_tried_again(code: int) -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        server.answers["auth"] = [code]
        feed.subscribe(["A"])
        await server.subscribed("A", after=1)
        await until_state(feed, "live")
        assert tape.told() == [("down", ()), ("up", ())]
        assert sum(feed.status().streams[0].counters.errors.values()) == 1


@pytest.mark.anyio
async def test_a_symbol_limit_fills_the_room_and_names_the_rest() -> None:
    tape = Tape()
    async with AlpacaStandIn(symbol_limit=5) as server, running(server, tape) as feed:
        feed.subscribe([f"S{i:02}" for i in range(12)])
        await until_state(feed, "limited")
        stream = feed.status().streams[0]
        assert (stream.subscribed, stream.refused) == (5, tuple(f"S{i:02}" for i in range(5, 12)))
        assert "405" in stream.reason
        feed.unsubscribe(["S00", "S01"])
        await server.until(lambda s: s.clients[0].channels["quotes"] == [f"S{i:02}" for i in range(2, 7)])
        feed.unsubscribe([f"S{i:02}" for i in range(7, 12)])
        await server.until(lambda s: s.clients[0].channels["quotes"])
        await until_state(feed, "live")


@pytest.mark.anyio
async def test_garbage_between_good_frames_costs_only_itself() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(["AAPL"])
        await server.subscribed("AAPL")
        for garbage in (b"", b"\xc1", b"\xff" * 40, b"\x91\x81\xa1T\xa1q", "text", b"\x91" * 5000):
            await server.send_raw(garbage)
        await server.send_raw(server.clients[0].encode([{"T": "zz", "S": "AAPL"}]))
        await server.publish({**quote(), "bp": "187.25"}, quote(bid=188.0))
        messages = await tape.until(lambda m: m and isinstance(m[-1], Quote))
        assert [m.bid for m in messages if isinstance(m, Quote)] == [1880000]
        decoded = feed.status().streams[0].decoded
        assert (decoded.unreadable_frames, decoded.text_frames) == (4, 1)
        assert (decoded.malformed, decoded.unknown_types) == (2, 1)
        assert feed.status().streams[0].counters.connections == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", [302, 401, 429, 500])
async def test_a_refused_upgrade_is_named_and_no_redirect_is_followed(status: int) -> None:
    tape = Tape()
    async with AlpacaStandIn() as elsewhere, AlpacaStandIn() as server:
        server.upgrade_answers = [(status, {"Location": elsewhere.url()})]
        async with running(server, tape) as feed:
            await until_state(feed, "live")
        first = tape.messages[0]
        assert isinstance(first, FeedState)
        assert first.reason == f"the server answered HTTP {status}"
        assert elsewhere.history == []
        assert tape.told()[:2] == [("down", ()), ("up", ())]


@pytest.mark.anyio
async def test_a_large_interest_is_sent_in_fragments() -> None:
    tape = Tape()
    symbols = [f"SYM{i:05}" for i in range(3000)]
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        feed.subscribe(symbols)
        client = await server.subscribed(symbols[-1])
        assert len(client.channels["quotes"]) == 3000


@pytest.mark.anyio
async def test_the_secret_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = "planted/Secret+0123456789"
    tape = Tape()
    with caplog.at_level(logging.DEBUG):
        async with AlpacaStandIn() as server, running(server, tape, secret=secret) as feed:
            await until_state(feed, "auth_failed")
            seen = repr((feed.status(), vars(feed), tape.messages, feed.status().streams[0].error))
    own = [r for r in caplog.records if not r.name.startswith("websockets.server")]
    seen += "".join(r.getMessage() for r in own)
    assert secret not in seen
    assert secret.encode().hex() not in seen.replace(" ", "")
    credentials = AlpacaCredentials(KEY, secret)
    assert secret not in repr(credentials) + str(credentials) + credentials.scrub(f"bad key {secret} {KEY}")
    with pytest.raises(TypeError):
        pickle.dumps(credentials)


@pytest.mark.anyio
async def test_a_server_that_echoes_the_secret_is_scrubbed() -> None:
    tape = Tape()
    async with AlpacaStandIn() as server, running(server, tape) as feed:
        await until_state(feed, "live")
        await server.clients[0].fail(777, f"your secret {SECRET} and key {KEY}")
        await until_status(feed, lambda status: status.streams[0].counters.errors)
        assert SECRET not in repr(feed.status())
        assert KEY not in repr(feed.status())


def test_credentials_come_from_the_environment_or_from_systemd(tmp_path: Path) -> None:
    (tmp_path / "alpaca-key-id").write_text("FILEKEY\n")
    (tmp_path / "alpaca-secret-key").write_text("FILESECRET\n")
    environment = {"APCA_API_KEY_ID": "ENVKEY", "APCA_API_SECRET_KEY": "ENVSECRET"}
    assert load_credentials(environment).reveal() == ("ENVKEY", "ENVSECRET")
    both = {**environment, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_credentials(both).reveal() == ("FILEKEY", "FILESECRET")
    with pytest.raises(CredentialsMissing, match="APCA_API_SECRET_KEY") as caught:
        load_credentials({"APCA_API_KEY_ID": "ENVKEY"})
    assert "ENVKEY" not in str(caught.value)


def test_which_stream_a_symbol_belongs_to() -> None:
    assert is_option_symbol(CONTRACT)
    assert is_option_symbol("TWX1140117P00042500")
    assert not any(is_option_symbol(symbol) for symbol in ("AAPL", "BRK.B", "FAKEPACA", "A" * 21, ""))
