"""alpaca-py's StockDataStream and OptionDataStream, unmodified, and the frames themselves (alpaca-api §5.1–5.5)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import msgpack
import pytest
from alpaca.data.live import OptionDataStream, StockDataStream
from alpaca.trading.requests import GetOptionContractsRequest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.gateway.running import Served, User, elsewhere
from tests.gateway.test_trading_stream import end_stream
from tests.service.running import until


@contextmanager
def running(stream: Any) -> Iterator[None]:
    """An SDK's stream in a thread of its own."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        until(lambda: stream._running, "the stream")
        yield
    finally:
        end_stream(stream, thread)


class Heard:
    """Handlers that keep what they hear."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    async def __call__(self, message: Any) -> None:
        self.all.append(message)

    def symbols(self) -> set[str]:
        return {message.symbol for message in self.all}


def handler(heard: Heard) -> Any:
    async def handle(message: Any) -> None:
        heard.all.append(message)

    return handle


@pytest.mark.parametrize("feed", ["iex", "sip", "delayed_sip"])
def test_stock_quotes_and_prints(user: User, feed: str) -> None:
    stream = StockDataStream(user.key, user.secret, url_override=f"{user.served.ws}/v2/{feed}")
    quotes, trades = Heard(), Heard()
    stream.subscribe_quotes(handler(quotes), "AAPL", "SPY")
    stream.subscribe_trades(handler(trades), "SPY")
    with running(stream):
        until(lambda: quotes.symbols() == {"AAPL", "SPY"} and trades.all, "quotes and prints")
    quote = quotes.all[-1]
    assert 0 < quote.bid_price < quote.ask_price
    assert abs(datetime.now(timezone.utc) - quote.timestamp) < timedelta(seconds=20)
    assert trades.symbols() == {"SPY"}
    assert trades.all[0].price > 0


def test_all_symbols(user: User) -> None:
    stream = StockDataStream(user.key, user.secret, url_override=f"{user.served.ws}/v2/sip")
    heard = Heard()
    stream.subscribe_trades(handler(heard), "*")
    with running(stream):
        until(lambda: len(heard.symbols()) > 3, "several symbols")
    assert all(len(symbol) < 6 for symbol in heard.symbols())


def test_a_subscription_changes_while_it_runs(user: User) -> None:
    stream = StockDataStream(user.key, user.secret, url_override=f"{user.served.ws}/v2/sip")
    heard = Heard()
    stream.subscribe_quotes(handler(heard), "SPY")
    with running(stream):
        until(lambda: heard.symbols() == {"SPY"}, "one")
        stream.subscribe_quotes(handler(heard), "QQQ")
        until(lambda: heard.symbols() == {"SPY", "QQQ"}, "both")
        stream.unsubscribe_quotes("SPY")
        heard.all.clear()
        until(lambda: len(heard.all) > 10, "the other")
        assert heard.all[-1].symbol == "QQQ"


def test_option_quotes(user: User) -> None:
    listed = user.trading().get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["SPY"], strike_price_gte="655", strike_price_lte="675", limit=40
        )
    )
    symbols = [contract.symbol for contract in listed.option_contracts]
    stream = OptionDataStream(user.key, user.secret, url_override=f"{user.served.ws}/v1beta1/indicative")
    heard = Heard()
    stream.subscribe_quotes(handler(heard), *symbols)
    with running(stream):
        until(lambda: len(heard.all) > 3, "option quotes")
    assert heard.symbols() <= set(symbols)


def test_a_free_users_unchanged_program_is_served_late(served: Served) -> None:
    free = served.open("late stream", tier="free")
    stream = StockDataStream(free.key, free.secret, url_override=f"{served.ws}/v2/iex")
    ages: list[timedelta] = []

    async def handle(quote: Any) -> None:
        ages.append(datetime.now(timezone.utc) - quote.timestamp)

    stream.subscribe_quotes(handle, "SPY")
    with running(stream):
        until(lambda: len(ages) > 2, "quotes")
    assert min(ages) >= timedelta(seconds=2)


def test_a_wrong_key_is_refused(user: User) -> None:
    import asyncio

    params = {"local_addr": (elsewhere(), 0)}
    stream = StockDataStream(user.key, "wrong", url_override=f"{user.served.ws}/v2/sip", websocket_params=params)

    async def attempt() -> None:
        await stream._connect()
        try:
            await stream._auth()
        finally:
            await stream.close()

    with pytest.raises(ValueError, match="auth failed"):
        asyncio.run(attempt())


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────


class Raw:
    """A connection by hand; JSON unless told otherwise."""

    def __init__(self, user: User, path: str = "/v2/sip", *, packed: bool = False, **headers: str) -> None:
        self.user = user
        self.packed = packed
        if packed:
            headers["Content-Type"] = "application/msgpack"
        self._manager = connect(
            user.served.ws + path, additional_headers=headers, source_address=(elsewhere(), 0), close_timeout=0.2
        )
        self.socket: ClientConnection = self._manager.__enter__()

    def say(self, **message: Any) -> None:
        self.socket.send(msgpack.packb(message) if self.packed else json.dumps(message))

    def hear(self) -> Any:
        frame = self.socket.recv(timeout=10)
        assert isinstance(frame, bytes) == self.packed
        return msgpack.unpackb(frame) if self.packed else json.loads(frame)

    def login(self) -> None:
        assert self.hear() == [{"T": "success", "msg": "connected"}]
        self.say(action="auth", key=self.user.key, secret=self.user.secret)
        assert self.hear() == [{"T": "success", "msg": "authenticated"}]

    def control(self) -> Any:
        """The next frame that is no market data."""
        while True:
            heard = self.hear()
            if heard[0]["T"] in ("success", "error", "subscription"):
                return heard[0]

    def data(self, kind: str) -> Any:
        while True:
            for message in self.hear():
                if message["T"] == kind:
                    return message


@contextmanager
def raw(user: User, path: str = "/v2/sip", **more: Any) -> Iterator[Raw]:
    connection = Raw(user, path, **more)
    try:
        yield connection
    finally:
        connection.socket.close()


def test_the_set_in_force_is_answered_whole(user: User) -> None:
    with raw(user) as connection:
        connection.login()
        connection.say(action="subscribe", trades=["AAPL"], quotes=["SPY", "AAPL"], bars=["*"])
        assert connection.control() == {
            "T": "subscription", "trades": ["AAPL"], "quotes": ["AAPL", "SPY"], "bars": ["*"], "updatedBars": [],
            "dailyBars": [], "statuses": [], "lulds": [], "corrections": ["AAPL"], "cancelErrors": ["AAPL"],
        }  # fmt: skip
        connection.say(action="unsubscribe", quotes=["AAPL"], bars=["*"])
        answer = connection.control()
        assert (answer["quotes"], answer["bars"]) == (["SPY"], [])


def test_json_carries_times_as_texts_and_msgpack_as_timestamps(user: User) -> None:
    with raw(user) as plain, raw(user, packed=True) as packed:
        for connection in (plain, packed):
            connection.login()
            connection.say(action="subscribe", quotes=["SPY"])
        text = plain.data("q")
        assert text["t"].endswith("Z")
        assert set(text) == {"T", "S", "bx", "bp", "bs", "ax", "ap", "as", "c", "t", "z"}
        stamp = packed.data("q")["t"]
        assert isinstance(stamp, msgpack.Timestamp)
        assert abs(datetime.now(timezone.utc) - stamp.to_datetime()) < timedelta(seconds=20)


def test_credentials_in_the_upgrades_headers(user: User) -> None:
    headers = {"APCA-API-KEY-ID": user.key, "APCA-API-SECRET-KEY": user.secret}
    with raw(user, **headers) as connection:
        assert connection.hear() == [{"T": "success", "msg": "connected"}]
        assert connection.hear() == [{"T": "success", "msg": "authenticated"}]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"action": "subscribe", "quotes": "SPY"}, 400),
        ({"action": "subscribe", "quotes": [5]}, 400),
        ({"action": "dance"}, 400),
        ({"action": 5}, 400),
        ({}, 400),
        ({"action": "auth", "key": "x", "secret": "y"}, 403),
    ],
    ids=str,
)
def test_errors_after_the_login(user: User, message: dict[str, Any], code: int) -> None:
    with raw(user) as connection:
        connection.login()
        connection.say(**message)
        assert connection.control()["code"] == code
        connection.say(action="subscribe", quotes=["SPY"])
        assert connection.control()["quotes"] == ["SPY"]


@pytest.mark.parametrize("junk", ["", "{", "[]", "5", "null"], ids=repr)
def test_junk_is_invalid_syntax(user: User, junk: str) -> None:
    with raw(user) as connection:
        connection.login()
        connection.socket.send(junk)
        assert connection.control() == {"T": "error", "code": 400, "msg": "invalid syntax"}


def test_subscribing_before_the_login(user: User) -> None:
    with raw(user) as connection:
        connection.hear()
        connection.say(action="subscribe", quotes=["SPY"])
        assert connection.hear() == [{"T": "error", "code": 401, "msg": "not authenticated"}]


def test_a_wrong_key_ends_the_connection(user: User) -> None:
    with raw(user) as connection:
        connection.hear()
        connection.say(action="auth", key=user.key, secret="wrong")
        assert connection.hear() == [{"T": "error", "code": 402, "msg": "auth failed"}]
        with pytest.raises(ConnectionClosed):
            connection.socket.recv(timeout=10)


def test_a_free_user_has_thirty_symbols_of_quotes_and_prints_and_any_number_of_bars(served: Served) -> None:
    free = served.open("thirty", tier="free")
    names = [f"S{number}" for number in range(31)]
    with raw(free, "/v2/iex") as connection:
        connection.login()
        connection.say(action="subscribe", quotes=names)
        assert connection.control() == {"T": "error", "code": 405, "msg": "symbol limit exceeded"}
        connection.say(action="subscribe", quotes=names[:15], trades=names[:16])
        assert connection.control()["code"] == 405
        connection.say(action="subscribe", quotes=names[:15], trades=names[:15], bars=names)
        assert len(connection.control()["bars"]) == 31


def test_option_streams_are_msgpack_only(user: User) -> None:
    with raw(user, "/v1beta1/opra") as connection:
        assert connection.hear()[0]["code"] == 412


@pytest.mark.parametrize(
    ("message", "code"), [({"quotes": ["*"]}, 413), ({"bars": ["SPY"]}, 410), ({"trades": ["*"]}, 0)], ids=str
)
def test_option_streams_have_their_own_rules(user: User, message: dict[str, Any], code: int) -> None:
    with raw(user, "/v1beta1/indicative", packed=True) as connection:
        connection.login()
        connection.say(action="subscribe", **message)
        assert connection.control().get("code", 0) == code


def test_an_unknown_symbol_does_not_hurt_the_others(user: User) -> None:
    with raw(user) as connection:
        connection.login()
        connection.say(action="subscribe", quotes=["NOPE", "SPY"])
        assert connection.control()["quotes"] == ["NOPE", "SPY"]
        assert connection.data("q")["S"] == "SPY"


def test_the_newcomer_is_refused_and_the_others_stay(served: Served) -> None:
    free = served.open("crowded", tier="free")
    held = [Raw(free, "/v2/iex") for _ in range(5)]
    for connection in held:
        connection.login()
    with raw(free, "/v2/iex") as newcomer:
        newcomer.hear()
        newcomer.say(action="auth", key=free.key, secret=free.secret)
        assert newcomer.hear()[0]["code"] == 406
    held[0].say(action="subscribe", quotes=["SPY"])
    assert held[0].control()["quotes"] == ["SPY"]
    for connection in held:
        connection.socket.close()


def test_a_change_of_tier_moves_the_stream_to_the_other_lane(served: Served) -> None:
    user = served.open("moving", tier="free", user_id="moving-user")

    def age(connection: Raw) -> timedelta:
        stamp = datetime.fromisoformat(connection.data("q")["t"][:23] + "+00:00")
        return datetime.now(timezone.utc) - stamp

    with raw(user, "/v2/iex") as connection:
        connection.login()
        connection.say(action="subscribe", quotes=["SPY"])
        connection.control()
        assert age(connection) >= timedelta(seconds=2)
        served.call("user.set_tier", user_id="moving-user", tier="pro")
        until(lambda: age(connection) < timedelta(seconds=2), "the present lane")


def test_a_revoked_key_ends_its_streams(served: Served) -> None:
    user = served.open("revoked stream")
    with raw(user) as connection, connect(f"{served.ws}/stream") as trades:
        connection.login()
        trades.send(json.dumps({"action": "auth", "key": user.key, "secret": user.secret}))
        assert json.loads(trades.recv(timeout=10))["data"]["status"] == "authorized"
        served.call("apikey.revoke", key_id=user.key)
        with pytest.raises(ConnectionClosed):
            connection.socket.recv(timeout=10)
        with pytest.raises(ConnectionClosed):
            trades.recv(timeout=10)


def test_a_client_that_does_not_read_does_not_hold_up_others(user: User) -> None:
    with raw(user) as sleeper, raw(user) as reader:
        for connection in (sleeper, reader):
            connection.login()
            connection.say(action="subscribe", quotes=["*"], trades=["*"])
            connection.control()
        for _ in range(30):
            assert reader.data("q")


def test_every_channel_is_subscribed_and_left(user: User) -> None:
    stream = StockDataStream(user.key, user.secret, url_override=f"{user.served.ws}/v2/sip")
    quotes = Heard()
    kinds = ("bars", "daily_bars", "updated_bars", "trading_statuses", "trades")
    stream.subscribe_quotes(handler(quotes), "SPY")
    for kind in kinds:
        getattr(stream, f"subscribe_{kind}")(handler(Heard()), "SPY", "AAPL")
    stream.register_trade_corrections(handler(Heard()))
    stream.register_trade_cancels(handler(Heard()))
    with running(stream):
        until(lambda: quotes.all, "quotes")
        for kind in kinds:
            getattr(stream, f"unsubscribe_{kind}")("AAPL")
        seen = len(quotes.all)
        until(lambda: len(quotes.all) > seen + 3, "more quotes")
        stream.unsubscribe_quotes("SPY")
