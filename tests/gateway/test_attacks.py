"""What is sent to hurt: slow, long, odd. The right status, no leak, and everybody else is served meanwhile."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gateway.running import Served, User, serving, stranger


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with little patience."""
    with serving(tmp_path_factory.mktemp("attack") / "state", MBTD_GATEWAY__REQUEST_MAX_S="1") as running:
        yield running


@pytest.fixture(scope="module")
def victim(quick: Served) -> User:
    return quick.open("victim")


@contextmanager
def wire(served: Served) -> Iterator[socket.socket]:
    """A connection by hand."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    said = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return said
        if not more:
            return said
        said += more


def login(user: User) -> bytes:
    return f"APCA-API-KEY-ID: {user.key}\r\nAPCA-API-SECRET-KEY: {user.secret}\r\n".encode()


def status(said: bytes) -> int:
    return int(said.split(b" ")[1]) if said.startswith(b"HTTP/1.1 ") else 0


def test_many_headers_end_the_connection(quick: Served) -> None:
    with wire(quick) as connection:
        connection.sendall(b"GET /v2/account HTTP/1.1\r\nHost: x\r\n")
        try:
            for number in range(5_000):
                connection.sendall(b"X-Flood-%d: %s\r\n" % (number, b"a" * 50))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert status(read_all(connection)) in (0, 400, 431)


@pytest.mark.parametrize(("count", "expected"), [(1_000, 200), (1_001, 422), (1_300, 422), (1_500, 431)])
def test_as_many_symbols_as_may_be_asked_for_fit_in_a_request(
    quick: Served, victim: User, count: int, expected: int
) -> None:
    symbols = ",".join(f"LONGER301220C{number:08d}" for number in range(count))
    answer = victim.ask("GET", "/v1beta1/options/quotes/latest", params={"symbols": symbols})
    assert answer.status_code == expected
    assert victim.ask("GET", "/v2/account").status_code == 200


def test_one_header_without_end(quick: Served) -> None:
    with wire(quick) as connection:
        connection.sendall(b"GET /v2/account HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(100):
                connection.sendall(b"a" * 10_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert status(read_all(connection)) in (0, 431)


@pytest.mark.parametrize("begun", [b"", b"GET /v2/acc", b"GET /v2/account HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_never_end(quick: Served, begun: bytes) -> None:
    with wire(quick) as connection:
        connection.sendall(begun)
        started = time.monotonic()
        assert status(read_all(connection)) in (0, 408)
        assert time.monotonic() - started < 5


def test_a_body_that_never_ends(quick: Served, victim: User) -> None:
    with wire(quick) as connection:
        head = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" + login(victim)
        connection.sendall(head + b'\r\n{"symbol":')
        started = time.monotonic()
        said = connection.recv(65536)
        assert status(said) == 408
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("length", [65_537, 10**9, 10**30])
def test_a_body_that_is_announced_too_long(quick: Served, victim: User, length: int) -> None:
    with wire(quick) as connection:
        head = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % length
        connection.sendall(head + login(victim) + b"\r\n")
        assert status(connection.recv(65536)) in (400, 413)


def test_a_body_that_is_longer_than_it_may_be_in_pieces(quick: Served, victim: User) -> None:
    with wire(quick) as connection:
        connection.sendall(
            b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + login(victim) + b"\r\n"
        )
        try:
            for _ in range(20):
                connection.sendall(b"2000\r\n" + b"a" * 0x2000 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert status(connection.recv(65536)) == 413


def test_without_a_key_no_body_is_waited_for(quick: Served) -> None:
    with wire(quick) as connection:
        connection.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert status(connection.recv(65536)) == 401


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\0B: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_no_request(quick: Served, junk: bytes) -> None:
    with wire(quick) as connection:
        connection.sendall(junk)
        connection.settimeout(3)
        assert status(read_all(connection)) in (0, 400, 404, 408)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/orders/../account",
        "/v2/orders/%2e%2e/account",
        "/v2//account",
        "//v2/account",
        "/v2/account/",
        "/V2/ACCOUNT",
        "/v2/account%00",
        "/v2/account;x=1",
        "/v2/account%2fconfigurations",
        "/v2/orders:by_client_order_id/x",
        "/.well-known/../etc/passwd",
        "/v2/assets/..%2f..%2f..%2fetc%2fpasswd",
        "http://evil.example/v2/nothing",
        "/v2/iex",
        "/stream",
    ],
)
def test_paths_that_lead_nowhere(quick: Served, victim: User, path: str) -> None:
    with wire(quick) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        connection.sendall(head + login(victim) + b"\r\n")
        said = read_all(connection)
    assert status(said) in (400, 404)
    assert b'"code"' in said
    assert b"root:" not in said


def test_pipelined_requests_are_answered_in_order(quick: Served, victim: User) -> None:
    with wire(quick) as connection:
        request = b"GET %b HTTP/1.1\r\nHost: x\r\n" + login(victim) + b"\r\n"
        paths = [b"/v2/clock", b"/v2/nothing", b"/v2/account"]
        last = (request % paths[2]).replace(b"Host: x", b"Host: x\r\nConnection: close")
        connection.sendall(b"".join(request % path for path in paths[:2]) + last)
        said = read_all(connection)
    assert [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3})", said)] == [200, 404, 200]


def test_others_are_served_while_many_hold_their_breath(quick: Served, victim: User) -> None:
    held = [socket.create_connection(("127.0.0.1", quick.port)) for _ in range(100)]
    for connection in held:
        connection.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Len")
    started = time.monotonic()
    assert victim.ask("GET", "/v2/clock").status_code == 200
    assert time.monotonic() - started < 2
    for connection in held:
        connection.close()


def test_too_many_query_fields(victim: User) -> None:
    query = "&".join(f"a{number}=1" for number in range(200))
    assert victim.ask("GET", f"/v2/orders?{query}").status_code == 400


def test_failed_logins_are_answered_later_and_later(quick: Served) -> None:
    session = stranger()
    times = []
    for _ in range(6):
        started = time.monotonic()
        headers = {"APCA-API-KEY-ID": "PKX", "APCA-API-SECRET-KEY": "x"}
        assert session.get(quick.url + "/v2/account", headers=headers, timeout=10).status_code == 401
        times.append(time.monotonic() - started)
    assert times[-1] > 0.3 > times[0]
    started = time.monotonic()
    assert stranger().get(quick.url + "/v2/account", headers=headers, timeout=10).status_code == 401
    assert time.monotonic() - started < 0.3


PLANTED = "planted-secret-that-must-not-be-seen"


def test_no_secret_is_in_a_log_or_on_disk(tmp_path: Path) -> None:
    with serving(tmp_path / "state", MBTD_LOG__LEVEL="debug") as served:
        user = served.open("secretive")
        opened = user.ask("POST", "/api/sessions", json={"kind": "program"}).json()
        cookie = user.ask("POST", "/api/sessions", json={"kind": "browser"}).headers["set-cookie"]
        token = cookie.partition("=")[2].partition(";")[0]
        for headers in (
            {"APCA-API-KEY-ID": user.key, "APCA-API-SECRET-KEY": PLANTED},
            {"Authorization": f"Bearer {PLANTED}"},
            {"Cookie": f"__Host-mbtd_session={PLANTED}.{PLANTED}"},
        ):
            answer = stranger().get(served.url + f"/v2/account?x={PLANTED}", headers=headers, timeout=10)
            assert answer.status_code == 401
            assert PLANTED not in answer.text
        for body in (f'{{"secret": "{PLANTED}"', f'{{"qty": "{PLANTED}"}}', f'{{"symbol": ["{PLANTED}"]}}'):
            user.ask("POST", "/v2/orders", data=body)
        served.stop()
        secrets = [
            PLANTED,
            user.secret,
            token.partition(".")[2],
            opened["token"].partition(".")[2],
            opened["access_token"],
        ]
        for path in [served.log, *served.state.rglob("*")]:
            if path.is_file():
                raw = path.read_bytes()
                for secret in secrets:
                    assert secret.encode() not in raw, path.name
