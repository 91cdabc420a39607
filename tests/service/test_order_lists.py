"""Orders that take another's place, and lists of orders: whole pages whatever is nested or filtered."""

from __future__ import annotations

from typing import Any

from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import refusal
from tests.service.test_groups import BRACKET
from tests.service.test_options import chain, near
from tests.service.test_options import month as month

WORKING = {**BRACKET, "limit_price": "1.50", "stop_loss": {"stop_price": "1.00"}}
"""A bracket whose entry does not fill."""


def slow(client: Client, name: str) -> str:
    """An account whose changes take time."""
    return make_account(client, name, profile="conservative")


def listed(client: Client, account: str, **params: Any) -> list[str]:
    return [order["id"] for order in client.call("order.list", account=account, **params)["items"]]


def paged(client: Client, account: str, **params: Any) -> list[list[str]]:
    """The ids of every page until the last."""
    pages, token = [], None
    while True:
        more = {"page_token": token} if token else {}
        answer = client.call("order.list", account=account, **params, **more)
        pages.append([order["id"] for order in answer["items"]])
        token = answer["next_page_token"]
        if token is None:
            return pages


def test_a_replacement_is_known_as_soon_as_its_id_is_given_out(client: Client) -> None:
    account = slow(client, "changing")
    old = place(client, account)["order"]["id"]
    status_is(client, account, old, "new")
    new = client.call("order.replace", account=account, order_id=old, limit_price="0.90")
    by_id = client.call("order.get", account=account, order_id=new["id"])
    by_client = client.call("order.get", account=account, client_order_id=new["client_order_id"])
    shown = listed(client, account)
    again = refusal(lambda: client.call("order.replace", account=account, order_id=new["id"], limit_price="0.80"))
    why = client.call("order.why", order_id=new["id"])
    assert new["id"] in shown
    for got in (by_id, by_client, why["order"]):
        assert (got["id"], got["replaces"], got["limit_price"]) == (new["id"], old, "0.9")
    assert by_id["status"] == new["status"] == "accepted"
    assert why["state"] == "waiting"
    assert why["order"]["status"] == "new" or old in why["explanation"]
    assert (again["data"]["reason"], again["data"]["alpaca"]["status"]) == ("order_not_replaceable", 422)
    assert again["data"]["alpaca"]["message"] == "cannot replace order in accepted status"
    assert ended(client, account, old)["replaced_by"] == new["id"]
    assert listed(client, account) == [new["id"]]


def test_a_replacement_whose_order_is_cancelled_meanwhile_says_so(client: Client) -> None:
    account = slow(client, "changing its mind")
    old = place(client, account)["order"]["id"]
    status_is(client, account, old, "new")
    new = client.call("order.replace", account=account, order_id=old, limit_price="0.90")
    client.call("order.cancel", account=account, order_id=new["id"])
    shown = status_is(client, account, new["id"], "canceled")
    assert (shown["replaces"], shown["reason"]) == (old, "cancel_requested")
    assert ended(client, account, old)["status"] == "canceled"
    assert set(listed(client, account, status="closed")) == {old, new["id"]}
    assert listed(client, account) == []


def test_a_nested_page_has_as_many_parents_as_it_may(client: Client, account: str) -> None:
    made = [client.call("order.place", account=account, **WORKING)["order"]["id"] for _ in range(3)]
    for status in ("open", "all"):
        for direction, expected in (("desc", made[::-1]), ("asc", made)):
            given = {"status": status, "nested": True, "direction": direction}
            assert listed(client, account, **given) == expected
            assert paged(client, account, limit=1, **given) == [[each] for each in expected]
            assert paged(client, account, limit=2, **given) == [expected[:2], expected[2:]]
    assert len(listed(client, account)) == 9


def test_exits_stand_alone_where_their_entry_is_not_in_the_list(client: Client, account: str) -> None:
    placed = client.call("order.place", account=account, **BRACKET)["order"]
    exits = {leg["id"] for leg in placed["legs"]}
    ended(client, account, placed["id"])
    assert set(listed(client, account, nested=True)) == exits
    assert set(listed(client, account, nested=True, status="all", side="sell")) == exits
    (parent,) = client.call("order.list", account=account, nested=True, status="all")["items"]
    assert {leg["id"] for leg in parent["legs"]} == exits
    assert listed(client, account, nested=True, status="closed") == [placed["id"]]


def test_a_page_of_one_kind_is_full_although_others_are_newer(client: Client, account: str, month: str) -> None:
    answer = chain(client, "AAPL", expiration_date=month)
    contract, low, high = (near(answer, "put", beside)["symbol"] for beside in (0, -4, -2))
    legs = [{"symbol": low, "side": "buy", "ratio_qty": "1"}, {"symbol": high, "side": "sell", "ratio_qty": "1"}]
    option = place(client, account, symbol=contract, qty="1", limit_price="0.05")["order"]["id"]
    unit = client.call(
        "order.place", account=account, order_class="mleg", qty="1", type="limit", limit_price="-4.50",
        time_in_force="day", legs=legs,
    )["order"]["id"]  # fmt: skip
    stocks = [place(client, account)["order"]["id"] for _ in range(3)]
    for status in ("open", "all"):
        given = {"status": status, "limit": 2}
        assert listed(client, account, asset_classes=["us_option"], **given) == [unit, option]
        assert listed(client, account, asset_classes=["us_equity"], **given) == stocks[:0:-1]
        assert len(listed(client, account, asset_classes=["us_equity", "us_option"], status=status)) == 5
        assert listed(client, account, asset_classes=["crypto"], status=status) == []
