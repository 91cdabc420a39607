"""The same client order id never does a thing twice: live, ended, over restarts of either kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import Daemon, refusal, until


def test_a_repeat_gives_the_first_order(client: Client, account: str) -> None:
    first = place(client, account, client_order_id="a")
    again = place(client, account, client_order_id="a", qty="10.0", limit_price="1.000", time_in_force="day")
    assert (again["duplicate"], again["order"]["id"]) == (True, first["order"]["id"])
    error = refusal(lambda: place(client, account, client_order_id="a", qty="11"))
    assert (error["code"], error["data"]["reason"], error["data"]["field"]) == (
        3015, "client_order_id_not_unique", "client_order_id",
    )  # fmt: skip
    assert len(client.call("order.list", account=account, status="all")["items"]) == 1


def test_a_repeat_of_an_ended_order_gives_its_end(client: Client, account: str, bought: Callable[..., Any]) -> None:
    fields = {"type": "market", "limit_price": None, "client_order_id": "m"}
    first = place(client, account, **fields)["order"]
    filled = ended(client, account, first["id"])
    again = place(client, account, **fields)
    assert again["duplicate"] is True
    assert again["order"] == filled
    assert len(client.call("fill.list", account=account)["items"]) == 1


def test_repeats_in_one_breath_make_one_order(client: Client, account: str) -> None:
    order = {
        "account": account,
        "symbol": "AAPL",
        "side": "buy",
        "qty": "1",
        "type": "market",
        "client_order_id": "b",
    }
    answers = client.call_many([("order.place", order)] * 30)
    assert [answer["duplicate"] for answer in answers] == [False] + [True] * 29
    assert len({answer["order"]["id"] for answer in answers}) == 1


def test_a_refused_id_stays_free(client: Client, account: str) -> None:
    refusal(lambda: place(client, account, client_order_id="c", qty="0"))
    assert place(client, account, client_order_id="c")["duplicate"] is False


def test_ids_are_remembered_over_a_stop_and_over_a_kill(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "13").start()
    try:
        with daemon.client() as client:
            account = make_account(client, "ann")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
            live = status_is(client, account, place(client, account, client_order_id="live")["order"]["id"], "new")
            market = {"type": "market", "limit_price": None, "client_order_id": "done"}
            done = ended(client, account, place(client, account, **market)["order"]["id"])
        for end in (daemon.stop, daemon.kill):
            end()
            daemon.start()
            with daemon.client() as client:
                again = place(client, account, client_order_id="live")
                assert (again["duplicate"], again["order"]) == (True, live)
                again = place(client, account, **market)
                assert (again["duplicate"], again["order"]) == (True, done)
                error = refusal(lambda: place(client, account, client_order_id="live", qty="2"))
                assert error["data"]["reason"] == "client_order_id_not_unique"
                assert len(client.call("order.list", account=account, status="all")["items"]) == 2
    finally:
        daemon.end()
