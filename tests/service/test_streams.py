"""Streams: a snapshot, then every event; resuming gives what was sent; quotes may be merged."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mbtd.rpc.client import Client, StreamMessage
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import Daemon, refusal, until


class Raw:
    """A connection whose lines are seen in the order in which they arrive."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(15)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rb")
        self._id = 0

    def send(self, method: str, **params: Any) -> int:
        self._id += 1
        line = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._socket.sendall(json.dumps(line).encode() + b"\n")
        return self._id

    def line(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.readline())
        return found

    def lines_until(self, event: str) -> list[dict[str, Any]]:
        found = []
        while not found or found[-1].get("params", {}).get("event") != event:
            found.append(self.line())
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def raw(daemon: Daemon) -> Iterator[Raw]:
    connection = Raw(daemon.socket)
    yield connection
    connection.close()


def test_snapshot_then_the_reply_then_its_events_without_a_gap(raw: Raw, client: Client, account: str) -> None:
    topic = f"account:{account}"
    place(client, account, client_order_id="before")
    raw.send("stream.subscribe", topics=[topic])
    entry = raw.line()["result"]["topics"][topic]
    snapshot = entry["snapshot"]
    assert set(snapshot) == {"account", "orders", "positions"}
    assert [order["client_order_id"] for order in snapshot["orders"]] == ["before"]
    assert snapshot["account"]["n"] == entry["n"]
    order = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "market", "client_order_id": "now"}
    request_id = raw.send("order.place", account=account, **order)
    lines = raw.lines_until("position.changed")
    place_of_reply = next(i for i, line in enumerate(lines) if line.get("id") == request_id)
    reply = lines[place_of_reply]["result"]
    mine = [i for i, line in enumerate(lines) if line.get("params", {}).get("client_order_id") == "now"]
    assert min(mine) > place_of_reply
    events = [line["params"] for line in lines if line.get("method") == "stream.event"]
    assert [event["n"] for event in events] == list(range(entry["n"] + 1, entry["n"] + 1 + len(events)))
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    named = [event["event"] for event in events if event.get("client_order_id") == "now"]
    assert named == ["order.accepted", "order.new", "order.filled"]
    accepted = next(event for event in events if event.get("client_order_id") == "now")
    assert accepted["seq"] == reply["seq"]
    assert accepted["order_id"] == reply["order"]["id"]


def life_of_an_account(client: Client, account: str) -> None:
    """Orders of every kind of end."""
    one = place(client, account, client_order_id="one")["order"]
    status_is(client, account, one["id"], "new")
    two = client.call("order.replace", account=account, order_id=one["id"], qty="3")
    ended(client, account, one["id"])
    client.call("order.cancel", account=account, order_id=two["id"])
    ended(client, account, two["id"])
    bought = place(client, account, type="market", limit_price=None)["order"]
    ended(client, account, bought["id"])
    refusal(lambda: place(client, account, qty="0"))
    client.call("account.deposit", account=account, amount="5")


def take(stream: Iterator[StreamMessage], until_n: int) -> list[StreamMessage]:
    found: list[StreamMessage] = []
    while not found or found[-1].n < until_n:
        found.append(next(stream))
    return found


def test_resuming_gives_what_was_sent_from_any_number_on(daemon: Daemon, client: Client, account: str) -> None:
    topic = f"account:{account}"
    with daemon.client() as listener:
        stream = listener.subscribe([topic], seconds=15)
        first = next(stream)
        life_of_an_account(client, account)
        last = client.call("account.get", account=account)["n"]
        sent = take(stream, last)
        stream.close()
    assert [message.n for message in sent] == list(range(first.n + 1, last + 1))
    for from_n in range(first.n, last):
        with daemon.client() as listener:
            stream = listener.subscribe([topic], from_n={topic: from_n}, seconds=15)
            assert take(stream, last) == sent[from_n - first.n :]
            stream.close()


def test_a_number_that_is_not_kept_or_never_was_asks_to_resynchronise(client: Client, account: str) -> None:
    topic = f"account:{account}"
    for from_n in (10**9, -1):
        error = refusal(lambda from_n=from_n: client.call("stream.subscribe", topics=[topic], from_n=from_n))  # type: ignore[misc]
        assert (error["code"], error["data"]["reason"]) == (1010, "resync_required")
    message = next(client.subscribe([topic], from_n={topic: 10**9}, seconds=10))
    assert (message.kind, message.resync) == ("snapshot", True)


def test_quotes_flow_and_merged_ones_say_so(raw: Raw) -> None:
    raw.send("stream.subscribe", topics=["quotes:AAPL", "quotes:SPY"])
    topics = raw.line()["result"]["topics"]
    last = {topic: entry["n"] for topic, entry in topics.items()}
    assert topics["quotes:AAPL"]["snapshot"]["quote"]["symbol"] == "AAPL"
    seen = dict.fromkeys(last, 0)
    while min(seen.values()) < 3:
        event = raw.line()["params"]
        assert event["event"] == "quote"
        assert event["n"] > last[event["topic"]]
        assert event["quote"]["ask_price"]
        last[event["topic"]] = event["n"]
        seen[event["topic"]] += 1
    request_id = raw.send("stream.unsubscribe")
    while raw.line().get("id") != request_id:
        pass
    later = raw.send("session.hello")
    assert raw.line()["id"] == later


def test_bad_subscriptions_start_nothing(client: Client, account: str) -> None:
    for params, reason, field in (
        ({"topics": []}, "invalid_params", "topics"),
        ({"topics": ["weather:today"]}, "invalid_params", "topics"),
        ({"topics": ["quotes:NOPE"]}, "invalid_params", "topics"),
        ({"topics": ["account:nobody"]}, "unknown_account", "account"),
        ({"topics": ["quotes:AAPL"], "from_n": 3}, "invalid_params", "from_n"),
        ({"topics": [f"account:{account}"] * 33}, "too_many_subscriptions", "topics"),
    ):
        error = refusal(lambda params=params: client.call("stream.subscribe", **params))  # type: ignore[misc]
        assert (error["data"]["reason"], error["data"]["field"]) == (reason, field)


def test_a_reader_that_never_reads_holds_nobody_up(daemon: Daemon, client: Client, account: str) -> None:
    deaf = Raw(daemon.socket)
    deaf.send("stream.subscribe", topics=[f"account:{account}", "quotes:AAPL", "quotes:SPY", "quotes:QQQ"])
    deaf.line()
    for _ in range(3):
        client.call_many([("order.place", {"account": account, "symbol": "AAPL", "side": "buy", "qty": "0"})] * 60)
    assert client.call("health.get")["status"] == "ok"
    deaf.close()


def test_streams_go_on_across_a_restart(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "12").start()
    try:
        with daemon.client() as client, daemon.client() as listener:
            account = make_account(client, "ann")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
            topic = f"account:{account}"
            stream = listener.subscribe([topic], seconds=30)
            first = next(stream)
            order = place(client, account, client_order_id="kept")["order"]
            live = status_is(client, account, order["id"], "new")
            assert daemon.stop() == 0
            daemon.start()
            assert client.call("order.get", account=account, order_id=order["id"]) == live
            client.call("account.deposit", account=account, amount="1")
            last = client.call("account.get", account=account)["n"]
            messages = take(stream, last)
            assert [message.n for message in messages] == list(range(first.n + 1, last + 1))
            names = [message.data["event"] for message in messages]
            assert names[:2] == ["order.accepted", "order.new"]
            assert names[-1] == "activity.booked"
            stream.close()
    finally:
        daemon.end()
