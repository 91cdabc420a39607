"""Waiting, silence and coming back, on a virtual clock and scripted connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio

from actors.market.messages import FeedState, Session, TapeMessage
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.feeds.alpaca import AlpacaFeed, AlpacaSettings
from mbtd.market.feeds.alpaca_link import LinkSettings
from mbtd.market.feeds.alpaca_socket import SocketEnded

START = 1_760_000_000_000_000_000
SECRET = "planted/Secret"


class TrioClock:
    def now(self) -> int:
        return START + round(trio.current_time() * 1e9)

    def elapsed(self) -> float:
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def encode(*messages: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(messages)


CONNECTED = encode({"T": "success", "msg": "connected"})
AUTHENTICATED = encode({"T": "success", "msg": "authenticated"})


def error(code: int) -> bytes:
    return encode({"T": "error", "code": code, "msg": f"no, not with {SECRET}"})


class Server:
    """Answers like Alpaca; ``script`` holds what the next connections do instead."""

    def __init__(self) -> None:
        self.script: list[SocketEnded | list[bytes]] = []
        self.opened: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.answer_subscribe = True
        self._to_client, self._from_server = trio.open_memory_channel[bytes](100)

    @asynccontextmanager
    async def connect(self, _url: str) -> AsyncIterator[Server]:
        self.opened.append(trio.current_time())
        step = self.script.pop(0) if self.script else [CONNECTED, AUTHENTICATED]
        if isinstance(step, SocketEnded):
            raise step
        self._to_client, self._from_server = trio.open_memory_channel[bytes](100)
        for frame in step:
            self.say(frame)
        yield self

    async def receive(self) -> bytes:
        try:
            return await self._from_server.receive()
        except trio.EndOfChannel:
            raise SocketEnded("the connection broke") from None

    async def send(self, message: bytes) -> None:
        request = msgspec.msgpack.decode(message)
        self.requests.append(request)
        if request["action"] == "subscribe" and self.answer_subscribe:
            self.say(encode({"T": "subscription", "quotes": request["quotes"], "trades": request["trades"]}))

    def say(self, frame: bytes) -> None:
        self._to_client.send_nowait(frame)

    def drop(self) -> None:
        self._to_client.close()


class Hours:
    """Core from 100 s to 200 s after the start, and again every 1,000 s."""

    def session_at(self, at: int) -> Session:
        core = 100 <= (at - START) / 1e9 % 1_000 < 200
        return Session("core" if core else "closed", at, 20260604, 0, 0, 0, 0, 0, 20260605)

    def next_change(self, at: int) -> Session:
        second = (at - START) // 1_000_000_000
        second += next(n for n in range(1, 1_001) if (second + n) % 1_000 in (100, 200))
        return self.session_at(START + second * 1_000_000_000)


class Tape:
    def __init__(self) -> None:
        self.sessions: list[tuple[float, str]] = []
        self.told: list[tuple[float, str, tuple[str, ...]]] = []

    def push(self, messages: Sequence[TapeMessage]) -> None:
        for m in messages:
            if isinstance(m, Session):
                self.sessions.append((trio.current_time(), m.phase))
            if isinstance(m, FeedState):
                self.told.append((round((m.at - START) / 1e9, 3), m.state, m.symbols))

    def states(self) -> list[str]:
        return [state for _at, state, _symbols in self.told]


@asynccontextmanager
async def running(
    server: Server, tape: Tape, *, speaks: Any = lambda _at: True, **link: int
) -> AsyncIterator[AlpacaFeed[Hours]]:
    feed = AlpacaFeed(
        AlpacaSettings(option_feed="off", link=LinkSettings(**link)),
        AlpacaCredentials("KEY", SECRET),
        Hours(),
        connect=server.connect,
        clock=TrioClock(),
        draw=lambda _least, most: most,
        speaks=speaks,
    )
    feed.subscribe(["B", "A"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, tape)
        yield feed
        nursery.cancel_scope.cancel()


def gaps(times: list[float]) -> list[float]:
    return [round(b - a, 3) for a, b in pairwise(times)]


@pytest.mark.trio
async def test_the_backoff_doubles_up_to_its_limit_and_data_resets_it(autojump_clock: object) -> None:
    server, tape = Server(), Tape()
    server.script = [SocketEnded("refused")] * 8
    async with running(server, tape, feed_dead_ms=10**9, silence_reconnect_ms=10**9) as feed:
        await trio.sleep(92)
        assert gaps(server.opened) == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert feed.status().state == "live"
        moment = datetime(2026, 6, 4, tzinfo=timezone.utc)
        server.say(encode({"T": "q", "S": "A", "bp": 1.0, "bs": 1, "ap": 2.0, "as": 1, "t": moment}))
        server.drop()
        await trio.sleep(1)
        assert server.opened[-1] == 92.5
        assert tape.states() == ["down", "up", "down", "up", "gap"]


@pytest.mark.trio
async def test_jitter_is_drawn_over_the_upper_half(autojump_clock: object) -> None:
    asked: list[tuple[int, int]] = []
    server, tape = Server(), Tape()
    server.script = [SocketEnded("refused")] * 3

    def draw(least: int, most: int) -> int:
        asked.append((least, most))
        return least

    feed = AlpacaFeed(
        AlpacaSettings(option_feed="off"),
        AlpacaCredentials("KEY", SECRET),
        Hours(),
        connect=server.connect,
        clock=TrioClock(),
        draw=draw,
    )
    with trio.move_on_after(10):
        await feed.run(tape)
    assert asked == [(0, 250), (0, 500), (0, 1000)]
    assert gaps(server.opened) == [0.25, 0.5, 1]


@pytest.mark.trio
@pytest.mark.parametrize(
    "step", [[CONNECTED, error(406)], [error(406)], SocketEnded("the server answered HTTP 429", busy=True)]
)
async def test_a_connection_limit_is_given_time(autojump_clock: object, step: Any) -> None:
    server, tape = Server(), Tape()
    server.script = [step]
    async with running(server, tape) as feed:
        await trio.sleep(1)
        assert (feed.status().state, len(server.opened)) == ("down", 1)
        assert "406" in feed.status().reason or "429" in feed.status().reason
        await trio.sleep(60)
        assert (gaps(server.opened), feed.status().state) == ([60], "live")


@pytest.mark.trio
async def test_silence_is_death_only_while_the_market_speaks(autojump_clock: object) -> None:
    server, tape = Server(), Tape()
    async with running(server, tape, speaks=None, silence_reconnect_ms=20_000) as feed:
        await trio.sleep(100.5)
        assert tape.states() == ["up"]
        await trio.sleep(3.5)
        assert feed.status().state == "stale"
        assert "3000 ms" in feed.status().reason
        assert 103 <= tape.told[-1][0] <= 104
        server.say(encode({"T": "b", "S": "A"}))
        await trio.sleep(0.1)
        assert (feed.status().state, tape.states()) == ("live", ["up", "down", "up"])
        await trio.sleep(21)
        assert len(server.opened) == 2
        assert tape.states() == ["up", "down", "up", "down", "up", "gap"]
        assert tape.told[-1][2] == ("A", "B")
        await trio.sleep(1_000 - trio.current_time())
    assert tape.states()[-1] == "down"
    assert tape.sessions == [(0, "closed"), (100, "core"), (200, "closed")]


@pytest.mark.trio
@pytest.mark.parametrize("step", [[], [CONNECTED], [CONNECTED, AUTHENTICATED]])
async def test_a_server_that_does_not_answer_is_left(autojump_clock: object, step: list[bytes]) -> None:
    server, tape = Server(), Tape()
    server.script = [step]
    server.answer_subscribe = len(step) < 2
    async with running(server, tape) as feed:
        await trio.sleep(9)
        assert (feed.status().state, len(server.opened)) == ("connecting", 1)
        server.answer_subscribe = True
        await trio.sleep(3)
        assert (feed.status().state, len(server.opened)) == ("live", 2)
        assert tape.states() == ["down", "up"]


@pytest.mark.trio
async def test_text_instead_of_msgpack_is_named(autojump_clock: object) -> None:
    server, tape = Server(), Tape()
    server.script = [['[{"T":"success","msg":"connected"}]']]  # type: ignore[list-item]
    async with running(server, tape) as feed:
        await trio.sleep(1)
        stream = feed.status().streams[0]
        assert stream.error is not None
        assert (stream.error.name, stream.state) == ("not_msgpack", "down")


@pytest.mark.trio
async def test_no_secret_in_what_a_server_says(autojump_clock: object) -> None:
    server, tape = Server(), Tape()
    server.script = [SocketEnded(f"bad {SECRET}"), [CONNECTED, error(500)], [CONNECTED, error(402)]]
    async with running(server, tape) as feed:
        for _ in range(40):
            await trio.sleep(0.1)
            assert SECRET not in repr(feed.status())
        assert feed.status().state == "auth_failed"
        assert tape.states() == ["down"]


@pytest.mark.trio
async def test_since_tells_when_the_trouble_began(autojump_clock: object) -> None:
    server, tape = Server(), Tape()
    async with running(server, tape, feed_dead_ms=10**9, silence_reconnect_ms=10**9) as feed:
        await trio.sleep(5)
        server.script = [SocketEnded("refused")] * 50
        server.drop()
        await trio.sleep(60)
        assert (feed.status().state, feed.status().since) == ("down", START + 5_000_000_000)
        assert feed.status().reason == "alpaca:iex: refused"
