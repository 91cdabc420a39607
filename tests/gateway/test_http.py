"""HTTP by hand: order, bounds, revocations and streams on one connection."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from mbtd.gateway.app import ENDPOINTS, Routes
from tests.gateway.running import Served, User, eventually
from tests.gateway.test_attacks import login, read_all


@contextmanager
def wire(user: User) -> Iterator[socket.socket]:
    """A connection by hand."""
    with socket.create_connection(("127.0.0.1", user.served.port), timeout=15) as connection:
        yield connection


def get(user: User, path: str = "/v2/clock", more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b%b\r\n" % (path.encode(), login(user), more)


def answers(said: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", said)]


def read_answers(connection: socket.socket, count: int) -> bytes:
    said = b""
    while len(answers(said)) < count or not said.rstrip().endswith((b"}", b"]")):
        more = connection.recv(65536)
        assert more, said
        said += more
    return said


def test_a_request_in_single_bytes(user: User) -> None:
    with wire(user) as connection:
        for byte in get(user, more=b"Connection: close\r\n"):
            connection.sendall(bytes((byte,)))
        assert answers(read_all(connection)) == [200]


def test_many_requests_in_one_piece_are_all_answered_in_order(own: User) -> None:
    paths = ["/v2/clock", "/v2/nothing", "/v2/account", "/v2/orders/x"] * 50
    with wire(own) as connection:
        connection.sendall(b"".join(get(own, path) for path in paths))
        said = read_answers(connection, len(paths))
    assert answers(said) == [200, 404, 200, 404] * 50


def taken(connection: socket.socket, piece: bytes) -> bool:
    """Whether the other side takes it within the socket's patience."""
    try:
        connection.sendall(piece)
    except TimeoutError:
        return False
    return True


def test_whoever_does_not_read_is_not_read_from(served: Served, user: User) -> None:
    """And everybody else is served meanwhile."""
    own = served.open("a bad listener")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", served.port))
        connection.settimeout(0.5)
        piece = get(own, "/v2/assets") * 20
        assert not all(taken(connection, piece) for _ in range(10_000))
        started = time.monotonic()
        assert user.ask("GET", "/v2/clock").status_code == 200
        assert time.monotonic() - started < 5


def test_a_revocation_is_in_force_on_a_connection_that_is_open(own: User) -> None:
    with wire(own) as connection:
        connection.sendall(get(own))
        assert answers(read_answers(connection, 1)) == [200]
        own.served.call("apikey.revoke", key_id=own.key)
        connection.sendall(get(own))
        assert answers(read_answers(connection, 1)) == [401]


def test_two_callers_on_one_connection_are_told_apart(served: Served) -> None:
    one, two = served.open("first on the line"), served.open("second on the line")
    with wire(one) as connection:
        connection.sendall(get(one, "/v2/account") + get(two, "/v2/account"))
        said = read_answers(connection, 2)
    ids = re.findall(rb'\{"id":"([0-9a-f-]{36})","account_number"', said)
    assert ids == [one.account_id.encode(), two.account_id.encode()]


def test_an_error_behind_a_good_request_does_not_swallow_its_answer(user: User) -> None:
    with wire(user) as connection:
        connection.sendall(get(user) + b"\x16\x03\x01junk\r\n\r\n")
        assert answers(read_all(connection)) == [200, 400]


def test_a_body_is_awaited_after_100_continue(own: User) -> None:
    body = b'{"symbol":"AAPL","qty":"1","side":"buy","type":"limit","limit_price":"1","time_in_force":"day"}'
    with wire(own) as connection:
        head = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n" % len(body) + login(own) + b"\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert answers(read_all(connection)) == [200]


@pytest.mark.parametrize("length", [b"1" * 30, b"0x10", b"-5", b"\xb2", b" "])
def test_a_length_that_is_none(user: User, length: bytes) -> None:
    with wire(user) as connection:
        connection.sendall(b"POST /v2/orders HTTP/1.1\r\nContent-Length: %b\r\n" % length + login(user) + b"\r\n")
        connection.settimeout(5)
        assert answers(read_all(connection)) in ([400], [413])


def test_head_has_the_headers_of_get_and_no_body(own: User) -> None:
    answer = own.ask("HEAD", "/v2/account")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 100
    assert answer.headers["x-ratelimit-limit"] == "3000"


def test_another_method_is_told_what_there_is(user: User) -> None:
    answer = user.ask("PUT", "/api/sessions/current")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}


def test_every_endpoint_is_found_by_its_path() -> None:
    routes = Routes(ENDPOINTS)
    for endpoint in ENDPOINTS:
        found = routes.find(re.sub(r"\{\w+\}", "x", endpoint.path), endpoint.method)
        assert isinstance(found, tuple)
        assert found[0] is endpoint
        assert set(found[1]) == set(re.findall(r"\{(\w+)\}", endpoint.path))


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────


def deposited(user: User, amount: str) -> None:
    user.served.call("account.deposit", account=user.name, amount=amount)


def told(answer: requests.Response, count: int) -> list[dict[str, str]]:
    found = []
    for line in answer.iter_lines():
        if line.startswith(b"data: "):
            found.append(json.loads(line[6:]))
            if len(found) == count:
                return found
    return found


def test_activities_are_told_as_they_are_booked(own: User) -> None:
    path = own.served.url + "/v2beta1/events/activities"
    with own.http.get(path, stream=True, timeout=15) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for amount in ("11", "12"):
            deposited(own, amount)
        events = told(answer, 2)
    assert [event["net_amount"] for event in events] == ["11", "12"]
    assert all(event["activity_type"] == "CSD" for event in events)
    with own.http.get(f"{path}?since_id={events[0]['id']}", stream=True, timeout=15) as answer:
        assert told(answer, 1) == events[1:]
    with own.http.get(f"{path}?since=2020-01-01&until_id={events[1]['id']}", stream=True, timeout=15) as answer:
        assert told(answer, 99)[-2:] == events


def test_events_end_with_the_key(own: User) -> None:
    with own.http.get(own.served.url + "/v2beta1/events/activities", stream=True, timeout=15) as answer:
        assert answer.status_code == 200
        own.served.call("apikey.revoke", key_id=own.key)
        deposited(own, "13")
        assert told(answer, 99) == []


def test_so_many_streams_of_events(served: Served) -> None:
    user = served.open("greedy for events", tier="free")
    path = served.url + "/v2beta1/events/activities"
    held = [user.http.get(path, stream=True, timeout=15) for _ in range(5)]
    assert user.http.get(path, stream=True, timeout=15).status_code == 429
    held[0].close()
    eventually(lambda: user.http.get(path, stream=True, timeout=15).status_code == 200, "a free place", 0.3)
    for answer in held:
        answer.close()


@pytest.mark.parametrize(
    ("query", "status"), [("since=yesterday", 422), ("since=2020-01-01&since_id=x", 422), ("since_id=nothing", 422)]
)
def test_events_from_nowhere(user: User, query: str, status: int) -> None:
    assert user.ask("GET", f"/v2beta1/events/activities?{query}").status_code == status


def test_open_orders_from_memory_are_those_of_history(own: User) -> None:
    """The list of open orders is not read where the others are; both must say the same."""
    for number in range(4):
        symbol, side = ("AAPL", "SPY")[number % 2], "buy"
        order = {"symbol": symbol, "qty": "1", "side": side, "type": "limit", "limit_price": "1"}
        own.ask("POST", "/v2/orders", json=order | {"time_in_force": "gtc"})
    bracket = {"symbol": "MSFT", "qty": "1", "side": "buy", "type": "limit", "limit_price": "2"}
    exits = {"take_profit": {"limit_price": "9000"}, "stop_loss": {"stop_price": "1"}}
    kind = {"time_in_force": "day", "order_class": "bracket"}
    assert own.ask("POST", "/v2/orders", json=bracket | exits | kind).status_code == 200
    ask = own.served.call
    eventually(
        lambda: {o["status"] for o in ask("order.list", account=own.name)["items"]} == {"new", "held"}, "live orders"
    )
    everything = ask("order.list", account=own.name, status="all")["items"]
    assert len(everything) == 7
    assert ask("order.list", account=own.name)["items"] == everything
    middle = everything[3]["submitted_at"]
    for given in (
        {"direction": "asc"},
        {"symbols": ["AAPL"]},
        {"side": "sell"},
        {"after": middle},
        {"until": middle},
        {"limit": 3},
    ):
        left = ask("order.list", account=own.name, **given)
        right = ask("order.list", account=own.name, status="all", **given)
        assert left == right
    page = ask("order.list", account=own.name, limit=3)
    rest = ask("order.list", account=own.name, limit=500, page_token=page["next_page_token"])
    assert page["items"] + rest["items"] == everything
    nested = ask("order.list", account=own.name, nested=True)
    assert nested == ask("order.list", account=own.name, status="all", nested=True)
    assert len(nested["items"]) == 5
