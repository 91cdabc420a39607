"""The synchronous client against a server on a real socket."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbtd.rpc.client import Client, ConnectionLost, NoDaemon, RpcRefusal, find_socket
from tests.rpc.fake_broker import Running, running_broker

TOPIC = "account:acc-alice"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_broker(tmp_path / "s") as it:
        yield it


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with Client(running.path, timeout_s=5) as it:
        yield it


def order(client: Client, **more: str) -> dict[str, object]:
    answer = client.place_order("alice", symbol="SPY", qty="1", side="buy", type="market", **more)
    assert isinstance(answer, dict)
    return answer


def test_refusals_are_typed(client: Client) -> None:
    with pytest.raises(RpcRefusal) as caught:
        client.call("account.get", account="nobody")
    assert (caught.value.reason, caught.value.code, caught.value.retryable) == (
        "unknown_account",
        2002,
        False,
    )
    with pytest.raises(RpcRefusal) as caught:
        client.place_order("alice", symbol="SPY", qty="1000")
    assert caught.value.error.data.numbers == {"required": "450100.00", "available": "100000.00"}
    assert caught.value.error.data.alpaca is not None
    assert caught.value.error.data.alpaca.code == 40310000


def test_many_calls_at_once_come_back_in_order(client: Client) -> None:
    names = [f"n{number}" for number in range(200)]
    results = client.call_many([("account.create", {"name": name}) for name in [*names, "n0"]])
    assert [result["name"] for result in results[:-1]] == names
    assert isinstance(results[-1], RpcRefusal)
    assert results[-1].reason == "name_taken"


def test_no_daemon_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        Client(tmp_path / "nothing").call("health.get")


def test_the_socket_is_found_in_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MBTD_SOCKET", raising=False)
    assert find_socket("given") == Path("given")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "mbtd.sock").touch()
    assert find_socket() == Path("var/mbtd.sock")
    monkeypatch.setenv("MBTD_SOCKET", "/elsewhere")
    assert find_socket() == Path("/elsewhere")


@pytest.mark.parametrize("fault", ["lose before", "lose after", "outcome_unknown"])
def test_an_order_is_done_once_whatever_the_connection_does(
    running: Running, client: Client, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mbtd.rpc.client.time.sleep", lambda seconds: None)
    running.broker.faults["order.place"] = [fault, fault]
    answer = order(client)
    assert len(running.broker.orders) == 1
    assert answer["duplicate"] is (fault == "lose after")
    sent = {values["client_order_id"] for method, values in running.broker.asked if method == "order.place"}
    assert len(sent) == 1


def test_an_order_survives_a_restart_of_the_daemon(running: Running, client: Client) -> None:
    order(client, client_order_id="first")
    running.stop()
    restart = threading.Timer(0.1, running.start)
    restart.start()
    running.broker.faults["order.place"] = ["lose after"]
    assert order(client, client_order_id="second")["duplicate"] is True
    restart.join()
    assert set(running.broker.orders) == {"first", "second"}


def test_giving_up_names_the_client_order_id(running: Running, client: Client) -> None:
    running.broker.faults["order.place"] = ["lose before"] * 100
    with pytest.raises(RpcRefusal, match="mine") as caught:
        client.place_order("alice", client_order_id="mine", give_up_s=0.05, symbol="SPY")
    assert caught.value.reason == "outcome_unknown"


def test_reads_are_repeated_after_a_loss_and_changes_are_not(running: Running, client: Client) -> None:
    running.broker.faults = {"account.get": ["lose before"], "order.cancel": ["lose before"]}
    assert client.call("account.get", account="alice")["name"] == "alice"
    with pytest.raises(ConnectionLost):
        client.call("order.cancel", account="alice", order_id="x")
    assert [method for method, _ in running.broker.asked].count("order.cancel") == 1


def test_an_idle_connection_that_was_closed_is_replaced_before_a_request(running: Running, client: Client) -> None:
    client.call("health.get")
    running.stop()
    running.start()
    client.call("order.cancel", account="alice", order_id="x")


def test_a_stream_goes_on_after_a_restart_without_gap_or_repetition(running: Running, client: Client) -> None:
    stream = client.subscribe([TOPIC])
    assert next(stream).kind == "snapshot"
    for _ in range(3):
        running.do(running.broker.emit, "acc-alice", {"event": "e"})
    assert [next(stream).n for _ in range(3)] == [1, 2, 3]
    running.stop()
    running.broker.emit("acc-alice", {"event": "e"})
    running.start()
    assert next(stream).n == 4
    running.do(running.broker.emit, "acc-alice", {"event": "e"})
    assert next(stream).n == 5
    stream.close()


def test_a_missing_event_is_fetched_again(running: Running, client: Client) -> None:
    stream = client.subscribe([TOPIC])
    next(stream)
    running.do(running.broker.emit, "acc-alice", {"event": "e"}, quiet=True)
    running.do(running.broker.emit, "acc-alice", {"event": "e"})
    assert [next(stream).n for _ in range(2)] == [1, 2]
    stream.close()


def test_events_that_are_gone_make_a_new_snapshot_and_say_so(running: Running, client: Client) -> None:
    running.broker.kept_from = 50
    for _ in range(60):
        running.broker.emit("acc-alice", {"event": "e"})
    stream = client.subscribe([TOPIC], from_n={TOPIC: 10})
    first = next(stream)
    assert (first.kind, first.n, first.resync) == ("snapshot", 60, True)
    stream.close()
    stream = client.subscribe([TOPIC], from_n={TOPIC: 55})
    assert [next(stream).n for _ in range(5)] == [56, 57, 58, 59, 60]
    stream.close()


def test_calls_between_events_lose_none(running: Running, client: Client) -> None:
    stream = client.subscribe([TOPIC], seconds=5)
    next(stream)
    for _ in range(20):
        order(client)
    assert [next(stream).n for _ in range(20)] == list(range(1, 21))
    client.connect()
    order(client)
    assert next(stream).n == 21
    stream.close()


def test_a_stream_ends_after_its_seconds(client: Client) -> None:
    assert [message.kind for message in client.subscribe([TOPIC], seconds=0.02)] == ["snapshot"]


def test_the_client_imports_nothing_heavy() -> None:
    code = (
        "import sys, mbtd.rpc.client, mbtd.cli;"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('actors', 'storage', 'pandas', 'numpy', 'anyio', 'asyncio', 'rich', 'alpaca', 'uvloop')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
