"""Brackets, trailing stops and closes as a client sees them: replies, nested lists, streams, after the end too."""

from __future__ import annotations

from typing import Any

from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import Daemon, printed, until
from tests.service.test_refusals import subscribe_from

BRACKET = {
    "symbol": "AAPL", "side": "buy", "qty": "10", "type": "limit", "limit_price": "9000.00", "order_class": "bracket",
    "time_in_force": "gtc", "take_profit": {"limit_price": "9900.00"}, "stop_loss": {"stop_price": "1.00"},
}  # fmt: skip


def test_a_bracket_shows_its_legs_everywhere(client: Client, account: str) -> None:
    placed = client.call("order.place", account=account, client_order_id="b", **BRACKET)["order"]
    assert (placed["status"], placed["order_class"]) == ("accepted", "bracket")
    assert [(leg["type"], leg["side"], leg["status"], leg["legs"]) for leg in placed["legs"]] == [
        ("limit", "sell", "held", None), ("stop", "sell", "held", None),
    ]  # fmt: skip
    profit, loss = (leg["id"] for leg in placed["legs"])
    filled = ended(client, account, placed["id"])
    assert filled["status"] == "filled"
    assert [(leg["id"], leg["status"]) for leg in filled["legs"]][1] == (loss, "held")
    assert status_is(client, account, profit, "new")["qty"] == "10"
    again = client.call("order.place", account=account, client_order_id="b", **BRACKET)
    assert (again["duplicate"], again["order"]["id"]) == (True, placed["id"])
    flat = client.call("order.list", account=account, status="all")["items"]
    assert {order["id"] for order in flat} == {placed["id"], profit, loss}
    (parent,) = client.call("order.list", account=account, status="all", nested=True)["items"]
    assert [leg["id"] for leg in parent["legs"]] == [profit, loss]
    assert client.call("position.get", account=account, symbol="AAPL")["qty_available"] == "0"
    new = client.call("order.replace", account=account, order_id=loss, stop_price="2.00")
    assert (new["replaces"], new["order_class"]) == (loss, "bracket")
    assert ended(client, account, loss)["replaced_by"] == new["id"]
    shown = client.call("order.get", account=account, order_id=placed["id"])
    assert [(leg["id"], leg["stop_price"]) for leg in shown["legs"]] == [(profit, None), (new["id"], "2")]
    client.call("order.cancel", account=account, order_id=new["id"])
    assert (ended(client, account, profit)["status"], ended(client, account, new["id"])["status"]) == (
        "canceled", "canceled",
    )  # fmt: skip
    assert client.call("position.get", account=account, symbol="AAPL")["qty_available"] == "10"


def test_the_stream_tells_a_groups_life(client: Client, account: str) -> None:
    n = client.call("account.get", account=account)["n"]
    order = client.call("order.place", account=account, **BRACKET)["order"]
    status_is(client, account, order["legs"][0]["id"], "new")
    client.call("order.cancel_all", account=account)
    ended(client, account, order["legs"][1]["id"])
    told = [event["event"] for event in subscribe_from(client, account, n)]
    assert told[:3] == ["order.accepted", "order.held", "order.held"]
    assert told.count("order.adjusted") >= 2
    assert told.count("order.canceled") == 2
    assert "order.filled" in told


def test_an_oco_is_its_target_with_a_stop_as_its_leg(client: Client, account: str, bought: Any) -> None:
    bought("10")
    placed = client.call(
        "order.place", account=account, symbol="AAPL", side="sell", qty="10", type="limit", order_class="oco",
        take_profit={"limit_price": "9000.00"}, stop_loss={"stop_price": "1.00", "limit_price": "0.99"},
    )["order"]  # fmt: skip
    (stop,) = placed["legs"]
    assert (placed["limit_price"], stop["type"], stop["status"]) == ("9000", "stop_limit", "held")
    answer = client.call("position.close_all", account=account, cancel_orders=True)
    assert [(item["symbol"], item["status"], item["body"]["status"]) for item in answer] == [("AAPL", 200, "held")]
    assert ended(client, account, answer[0]["order_id"])["status"] == "filled"
    (first, _) = (ended(client, account, order["id"]) for order in (placed, stop))
    assert [leg["id"] for leg in first["legs"]] == [stop["id"]]
    assert client.call("position.list", account=account)["items"] == []


def test_a_trailing_stop_shows_where_it_stands(client: Client, account: str, bought: Any) -> None:
    """One order on either side: whichever way the price goes, a mark follows it."""
    bought("10")
    orders = []
    for name, side in ((account, "sell"), (make_account(client, "follower"), "buy")):
        order = client.call(
            "order.place", account=name, symbol="AAPL", side=side, qty="10", type="trailing_stop",
            trail_percent="50.5", time_in_force="gtc",
        )["order"]  # fmt: skip
        assert (order["trail_percent"], order["trail_price"]) == ("50.5", None)
        orders.append((name, order["id"], float(order["hwm"]), 1 if side == "sell" else -1))

    def moved() -> bool:
        followed = False
        for name, order_id, mark, up in orders:
            shown = client.call("order.get", account=name, order_id=order_id)
            (listed,) = client.call("order.list", account=name)["items"]
            now = float(shown["hwm"])
            assert (now - mark) * up >= 0
            assert abs(float(shown["stop_price"]) - now * (1 - up * 0.505)) < 0.0001
            followed = followed or (shown["hwm"] == listed["hwm"] and now != mark)
        return followed

    until(moved, "a mark that followed the price")


def test_the_command_line_places_a_bracket_and_closes_behind_it(daemon: Daemon, client: Client) -> None:
    account = make_account(client, "typist")
    order = printed(
        daemon.cli(
            "order", "place", account, "buy", "5", "AAPL", "--order-class", "bracket",
            "--take-profit", "9900.00", "--stop-loss", "1.00", "--json",
        )
    )["order"]  # fmt: skip
    ended(client, account, order["id"])
    place(client, account, limit_price="0.50")
    shown = daemon.cli("position", "close", account, "--all", "--cancel-orders")
    assert (shown.returncode, shown.stdout) == (0, "AAPL: held\n")
    until(lambda: client.call("position.list", account=account)["items"] == [], "the close")
