"""alpaca-py's TradingStream, unmodified, and the frames of ``/stream`` themselves (alpaca-api §3.2, §3.3)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import ReplaceOrderRequest
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.gateway.running import Served, User, elsewhere
from tests.gateway.test_trading_client import market, rest
from tests.service.running import until


def end_stream(stream: Any, thread: threading.Thread) -> None:
    """Stop an SDK's stream now; by itself it looks only every five seconds whether it should."""
    stream.stop()
    asyncio.run_coroutine_threadsafe(stream._ws.close(), stream._loop)
    thread.join(15)
    assert not thread.is_alive()


@contextmanager
def listening(user: User) -> Iterator[list[TradeUpdate]]:
    """The SDK's stream in a thread of its own, and what it has heard."""
    stream = TradingStream(user.key, user.secret, url_override=f"{user.served.ws}/stream")
    heard: list[TradeUpdate] = []

    async def handle(update: TradeUpdate) -> None:
        heard.append(update)

    stream.subscribe_trade_updates(handle)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    until(lambda: stream._running, "the stream")
    # The subscription has no answer that the SDK looks at: a first order shows that it stands.
    trading = user.trading()
    probe = trading.submit_order(rest(client_order_id="probe"))
    until(lambda: heard, "the first update")
    trading.cancel_order_by_id(probe.id)
    until(lambda: any(u.event == "canceled" and u.order.id == probe.id for u in heard), "the end of the probe")
    heard.clear()
    try:
        yield heard
    finally:
        end_stream(stream, thread)


def names(heard: list[TradeUpdate], order_id: Any) -> list[str]:
    return [str(getattr(u.event, "value", u.event)) for u in heard if u.order.id == order_id]


def test_a_fill_is_told_with_its_order_as_of_then(own: User) -> None:
    trading = own.trading()
    with listening(own) as heard:
        order = trading.submit_order(market(qty=3))
        until(lambda: "fill" in names(heard, order.id), "the fill")
    mine = [u for u in heard if u.order.id == order.id]
    assert names(heard, order.id)[:2] == ["accepted", "new"]
    accepted, fill = mine[0], mine[-1]
    assert accepted.order.status.value == "accepted"
    assert accepted.order.filled_qty == "0"
    assert fill.order.status.value == "filled"
    assert fill.position_qty == 3
    assert sum(u.qty for u in mine if u.qty) == 3
    assert fill.price is not None
    assert fill.execution_id is not None
    assert fill.timestamp == fill.order.filled_at
    assert [u.timestamp for u in mine] == sorted(u.timestamp for u in mine)


def test_a_cancel_and_a_replacement_are_told(own: User) -> None:
    trading = own.trading()
    with listening(own) as heard:
        order = trading.submit_order(rest())
        until(lambda: "new" in names(heard, order.id), "the market")
        new = trading.replace_order_by_id(order.id, ReplaceOrderRequest(qty=2))
        until(lambda: "replaced" in names(heard, order.id), "the replacement")
        trading.cancel_order_by_id(new.id)
        until(lambda: "canceled" in names(heard, new.id), "the cancel")
    told = names(heard, order.id)
    assert told[0] == "accepted"
    assert told[-1] == "replaced"
    assert "new" in names(heard, new.id)
    replaced = next(u for u in heard if u.event == "replaced")
    assert replaced.order.replaced_by == new.id
    assert replaced.order.status.value == "replaced"


def test_updates_of_others_are_not_heard(served: Served, own: User) -> None:
    other = served.open("somebody else").trading()
    with listening(own) as heard:
        other.submit_order(market())
        mine = own.trading().submit_order(market())
        until(lambda: "fill" in names(heard, mine.id), "the fill")
    assert {u.order.id for u in heard} == {mine.id}


def test_a_wrong_key_is_refused(own: User) -> None:
    params = {"local_addr": (elsewhere(), 0)}
    stream = TradingStream(own.key, "wrong", url_override=f"{own.served.ws}/stream", websocket_params=params)

    async def attempt() -> None:
        await stream._connect()
        try:
            await stream._auth()
        finally:
            await stream.close()

    with pytest.raises(ValueError, match="failed to authenticate"):
        asyncio.run(attempt())


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────


class Raw:
    """A connection by hand."""

    def __init__(self, user: User, **headers: str) -> None:
        self.user = user
        self._manager = connect(
            f"{user.served.ws}/stream", additional_headers=headers, source_address=(elsewhere(), 0)
        )
        self.socket: ClientConnection = self._manager.__enter__()
        self.decode: Callable[[bytes], Any] = msgspec.msgpack.decode if headers else json.loads

    def say(self, message: Any) -> None:
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def hear(self) -> Any:
        frame = self.socket.recv(timeout=10)
        assert isinstance(frame, bytes)
        return self.decode(frame)

    def login(self) -> Any:
        self.say({"action": "authenticate", "data": {"key_id": self.user.key, "secret_key": self.user.secret}})
        return self.hear()


@pytest.fixture
def raw(user: User) -> Iterator[Raw]:
    connection = Raw(user)
    yield connection
    connection.socket.close()


def test_the_first_frame_is_the_authorization_and_binary(raw: Raw) -> None:
    assert raw.login() == {
        "stream": "authorization",
        "data": {"status": "authorized", "action": "authenticate"},
    }
    raw.say({"action": "listen", "data": {"streams": ["trade_updates", "weather"]}})
    assert raw.hear() == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
    raw.say({"action": "listen", "data": {"streams": []}})
    assert raw.hear() == {"stream": "listening", "data": {"streams": []}}


def test_the_newer_form_of_the_login(raw: Raw) -> None:
    raw.say({"action": "auth", "key": raw.user.key, "secret": raw.user.secret})
    assert raw.hear()["data"]["status"] == "authorized"


def test_listening_before_the_login(raw: Raw) -> None:
    raw.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    assert raw.hear() == {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
    assert raw.login()["data"]["status"] == "authorized"


@pytest.mark.parametrize("junk", ["{", "[]", "5", '{"action": 5}', b"\xff\xff", '{"action":"dance"}'], ids=repr)
def test_junk_before_the_login_ends_the_connection(raw: Raw, junk: str | bytes) -> None:
    raw.say(junk)
    assert raw.hear()["data"]["status"] == "unauthorized"
    with pytest.raises(ConnectionClosed):
        raw.socket.recv(timeout=10)


@pytest.mark.parametrize(
    "junk", ["{", "[]", '{"action":"listen"}', '{"action":"dance"}', '{"action":"listen","data":5}']
)
def test_junk_after_the_login_is_answered(raw: Raw, junk: str) -> None:
    raw.login()
    raw.say(junk)
    assert raw.hear() in (
        {"action": "error", "data": {"error_message": "invalid action"}},
        {"stream": "listening", "data": {"streams": []}},
    )


def test_msgpack_for_whoever_asks_for_it(user: User) -> None:
    raw = Raw(user, **{"Content-Type": "application/msgpack"})
    assert raw.login()["data"]["status"] == "authorized"
    raw.socket.close()


def test_a_refused_order_has_a_text(raw: Raw) -> None:
    raw.say({"action": "authenticate", "data": {"key_id": raw.user.key, "secret_key": "wrong"}})
    said = raw.hear()
    assert said["data"]["status"] == "unauthorized"
    assert said["data"]["message"] == "access key verification failed"
