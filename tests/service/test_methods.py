"""Every method over the socket: what it answers, read-your-own-writes, paging, order of effects."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from mbtd.methods import COMMANDS, PREVIEWS
from mbtd.rpc.client import Client
from mbtd.service.reads import READS
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import Daemon, refusal, until

ORDER_FIELDS = {
    "id", "client_order_id", "created_at", "updated_at", "submitted_at", "filled_at", "expired_at", "expires_at",
    "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces", "asset_id", "symbol", "asset_class",
    "notional", "qty", "filled_qty", "filled_avg_price", "order_class", "order_type", "type", "side",
    "position_intent", "time_in_force", "limit_price", "stop_price", "trail_percent", "trail_price", "hwm",
    "extended_hours", "legs", "status", "reason", "profile", "structure_id",
}  # fmt: skip
ACCOUNT_FIELDS = {
    "id", "account_number", "name", "user_id", "tier", "type", "status", "currency", "cash", "equity",
    "portfolio_value", "long_market_value", "short_market_value", "initial_margin", "maintenance_margin",
    "multiplier", "buying_power", "shorting_enabled", "trading_blocked", "account_blocked", "created_at",
    "account_epoch", "profile", "margin_profile", "trade_suspended_by_user", "options_approved_level", "n",
}  # fmt: skip
FILL_FIELDS = {
    "fill_id", "order_id", "client_order_id", "symbol", "side", "qty", "price", "net_amount", "filled_qty",
    "order_status", "reason", "liquidity", "profile", "transaction_time", "seq", "mark_outs",
}  # fmt: skip
POSITION_FIELDS = {
    "asset_id", "symbol", "exchange", "asset_class", "asset_marginable", "qty", "qty_available", "side",
    "avg_entry_price", "market_value", "cost_basis", "unrealized_pl", "unrealized_plpc", "current_price",
    "lastday_price", "change_today", "lots",
}  # fmt: skip


def test_hello_says_what_the_server_is(client: Client) -> None:
    hello = client.call("session.hello")
    assert (hello["server"], hello["protocol"], hello["role"]) == ("mbtd", 1, "operator")
    assert hello["version"]
    assert hello["data_epoch"] == client.call("health.get")["data_epoch"]
    assert hello["limits"]["line_max_bytes"] == 65536
    assert hello["limits"]["in_flight_max_requests"] == 64
    assert hello["limits"]["subscriptions_max"] == 32


def test_an_account_is_opened_shown_configured_and_moves_cash(client: Client) -> None:
    opened = client.call("account.create", name="olga", cash="5000.50")
    assert set(opened) == {"account_id", "name", "api_key", "api_secret"}
    assert opened["name"] == "olga"
    assert len(opened["api_secret"]) >= 43
    shown = client.call("account.get", account="olga")
    assert set(shown) >= ACCOUNT_FIELDS
    assert shown == client.call("account.get", account=opened["account_id"])
    assert (shown["user_id"], shown["tier"], shown["type"]) == ("olga", "free", "margin")
    assert (shown["cash"], shown["equity"], shown["profile"]) == ("5000.5", "5000.5", "realistic")
    assert client.call("account.deposit", account="olga", amount="100")["cash"] == "5100.5"
    assert client.call("account.withdraw", account="olga", amount="0.5")["cash"] == "5100"
    booked = client.call("activity.list", account="olga", direction="asc")["items"]
    assert [(item["activity_type"], item["net_amount"]) for item in booked] == [
        ("JNLC", "5000.5"), ("CSD", "100"), ("CSW", "-0.5"),
    ]  # fmt: skip
    assert set(booked[0]) >= {"id", "account_id", "activity_type", "date", "created_at", "net_amount", "status"}
    changed = client.call(
        "account.configure", account="olga", profile="alpaca-parity", no_shorting=True, max_margin_multiplier="1"
    )
    assert (changed["profile"], changed["shorting_enabled"], changed["multiplier"]) == ("alpaca-parity", False, "1")
    assert client.call("account.close", account="olga")["status"] == "ACCOUNT_CLOSED"
    again = refusal(lambda: client.call("account.deposit", account="olga", amount="1"))
    assert again["data"]["reason"] == "account_closed"


def test_a_place_is_answered_as_accepted_then_new_then_filled(
    client: Client, account: str, bought: Callable[..., Any]
) -> None:
    answer = place(client, account, qty="3")
    assert set(answer) == {"order", "seq", "duplicate"}
    assert set(answer["order"]) == ORDER_FIELDS
    assert (answer["order"]["status"], answer["order"]["limit_price"], answer["duplicate"]) == (
        "accepted",
        "1",
        False,
    )
    live = status_is(client, account, answer["order"]["id"], "new")
    assert live == client.call("order.get", account=account, client_order_id=live["client_order_id"])
    filled = bought("10")
    assert (filled["status"], filled["filled_qty"]) == ("filled", "10")
    assert [item["id"] for item in client.call("order.list", account=account)["items"]] == [live["id"]]
    closed = client.call("order.list", account=account, status="closed", symbols=["AAPL"], side="buy")["items"]
    assert closed == [filled]
    assert len(client.call("order.list", account=account, status="all")["items"]) == 2
    (fill,) = client.call("fill.list", account=account, order_id=filled["id"])["items"]
    assert set(fill) == FILL_FIELDS
    assert (fill["qty"], fill["price"], fill["order_status"]) == ("10", filled["filled_avg_price"], "filled")
    (position,) = client.call("position.list", account=account)["items"]
    assert set(position) >= POSITION_FIELDS
    assert (position["qty"], position["side"]) == ("10", "long")
    one = client.call("position.get", account=account, symbol="AAPL")
    assert one["avg_entry_price"] == position["avg_entry_price"] == filled["filled_avg_price"]


def test_a_position_is_closed_in_parts(client: Client, account: str, bought: Callable[..., Any]) -> None:
    bought("10")
    half = client.call("position.close", account=account, symbol="AAPL", percentage="50")
    assert (half["order"]["side"], half["order"]["qty"]) == ("sell", "5")
    ended(client, account, half["order"]["id"])
    rest = client.call("position.close", account=account, symbol="AAPL", client_order_id="rest")
    again = client.call("position.close", account=account, symbol="AAPL", qty="5", client_order_id="rest")
    assert again["duplicate"]
    assert again["order"]["id"] == rest["order"]["id"]
    ended(client, account, rest["order"]["id"])
    assert client.call("position.list", account=account)["items"] == []
    gone = refusal(lambda: client.call("position.get", account=account, symbol="AAPL"))
    assert gone["data"]["reason"] == "position_not_found"


def test_replace_names_what_it_replaces_and_cancel_ends_it(client: Client, account: str) -> None:
    old = place(client, account)["order"]
    status_is(client, account, old["id"], "new")
    new = client.call("order.replace", account=account, order_id=old["id"], qty="4", client_order_id="second")
    assert set(new) == ORDER_FIELDS
    assert (new["replaces"], new["qty"], new["client_order_id"]) == (old["id"], "4", "second")
    assert ended(client, account, old["id"])["replaced_by"] == new["id"]
    assert client.call("order.get", account=account, order_id=new["id"])["replaces"] == old["id"]
    assert client.call("order.cancel", account=account, client_order_id="second") == {}
    assert ended(client, account, new["id"])["status"] == "canceled"


def test_cancel_all_answers_for_each_order(client: Client, account: str) -> None:
    ids = [place(client, account, limit_price=price)["order"]["id"] for price in ("1.00", "2.00", "3.00")]
    answer = client.call("order.cancel_all", account=account)
    assert answer == [{"id": order_id, "status": 200} for order_id in ids]
    assert {ended(client, account, order_id)["status"] for order_id in ids} == {"canceled"}
    assert client.call("order.cancel_all", account=account) == []


def test_why_of_a_fill_computes_it_again(client: Client, bought: Callable[..., Any], account: str) -> None:
    order = bought("10")
    (fill,) = client.call("fill.list", account=account)["items"]
    receipt = client.call("fill.why", fill_id=fill["fill_id"])
    assert {name: receipt[name] for name in fill} == fill
    assert receipt["reproduced"] is True
    assert receipt["explanation"]
    evidence = receipt["evidence"]
    assert evidence["bid"]
    assert evidence["feed"] == "synthetic"
    assert evidence["quote_age_ms"] >= 0
    assert receipt["decision"]["profile"] == "realistic"
    assert receipt["decision"]["latency_ms"] > 0
    how = client.call("order.why", order_id=order["id"], account=account)
    assert (how["state"], how["order"]["status"]) == ("ended", "filled")


def test_why_of_a_waiting_order_names_the_numbers(client: Client, account: str) -> None:
    order = place(client, account, limit_price="2.50")["order"]
    status_is(client, account, order["id"], "new")
    why = client.call("order.why", order_id=order["id"])
    quote = client.call("quote.get", symbol="AAPL")
    assert (why["state"], why["reason"], why["quote_class"]) == ("waiting", "not_marketable", "valid")
    assert why["reserved"] == "25.01"
    distance = float(why["numbers"]["distance"])
    assert distance == pytest.approx(float(why["numbers"]["far"]) - 2.5)
    assert distance == pytest.approx(float(quote["ask_price"]) - 2.5, rel=0.05)
    assert set(why) >= {"explanation", "near_misses", "evaluations"}


def test_preview_says_what_a_place_then_does(client: Client, account: str) -> None:
    order = {"symbol": "MSFT", "side": "buy", "qty": "7", "type": "limit", "limit_price": "10.50"}
    before = client.call("account.get", account=account)
    preview = client.call("order.preview", account=account, **order)
    effect = preview["effect"]
    assert preview["acceptable"] is True
    assert set(effect) >= {"buying_power", "initial_margin", "maintenance_margin", "fees"}
    assert client.call("account.get", account=account) == before
    client.call("order.place", account=account, **order)
    after = client.call("account.get", account=account)
    assert effect["buying_power_before"] == before["buying_power"]
    assert float(after["buying_power"]) == float(before["buying_power"]) + float(effect["buying_power"])
    assert float(effect["buying_power"]) == -73.51
    assert effect["fees"] == "0.01"
    too_much = {**order, "qty": "9000000"}
    preview = client.call("order.preview", account=account, **too_much)
    assert preview["acceptable"] is False
    said = refusal(lambda: client.call("order.place", account=account, **too_much))
    assert preview["refusal"] == said


def test_market_methods(client: Client) -> None:
    quote = client.call("quote.get", symbol="AAPL")
    assert set(quote) >= {"symbol", "bid_price", "bid_size", "ask_price", "ask_size", "timestamp", "status"}
    asset = client.call("asset.get", symbol="AAPL")
    assert set(asset) == {
        "id", "class", "exchange", "symbol", "name", "status", "tradable", "marginable", "shortable",
        "easy_to_borrow", "fractionable", "attributes", "previous_close", "maintenance_margin_requirement",
        "margin_requirement_long", "margin_requirement_short",
    }  # fmt: skip
    clock = client.call("clock.get")
    assert set(clock) == {"timestamp", "is_open", "next_open", "next_close", "phase", "trade_date"}
    assert clock["is_open"] is True
    days = client.call("calendar.list", start="2026-11-23", end="2026-11-25")
    assert [day["date"] for day in days["items"]] == ["2026-11-23", "2026-11-24", "2026-11-25"]
    assert days["next_page_token"] is None
    bad = refusal(lambda: client.call("calendar.list", start="2026-13-23", end="2026-11-25"))
    assert (bad["data"]["reason"], bad["data"]["field"]) == ("invalid_params", "start")
    rules = client.call("order.rules")
    assert set(rules["order_types"]) == {"market", "limit", "stop", "stop_limit", "trailing_stop"}
    assert {"reason", "code", "retryable", "advice", "alpaca"} == set(rules["reasons"][0])
    assert refusal(lambda: client.call("quote.get", symbol="NOPE"))["data"]["reason"] == "no_quote"
    assert refusal(lambda: client.call("asset.get", symbol="NOPE"))["data"]["reason"] == "asset_not_found"


def test_health_names_its_parts(client: Client) -> None:
    health = client.call("health.get")
    assert (health["status"], health["reasons"]) == ("ok", [])
    assert health["feed"]["state"] == "live"
    assert health["storage"]["state"] == "ok"
    assert health["storage"]["durable_seq"] <= health["storage"]["seq"]
    assert health["engine"]["session"] == "core"


def test_what_is_not_there_says_so(client: Client, account: str) -> None:
    for method in ("structure.split", "nothing.known"):
        error = refusal(lambda method=method: client.call(method, account=account))  # type: ignore[misc]
        assert (error["code"], error["data"]["reason"]) == (-32601, "method_not_found")
        assert method in error["message"]


@pytest.mark.parametrize("method", sorted({*COMMANDS, *READS, *PREVIEWS}))
def test_no_method_takes_a_field_it_does_not_know(client: Client, method: str) -> None:
    error = refusal(lambda: client.call(method, misspelt="1"))
    assert error["code"] == -32602
    assert error["data"]["reason"] == "invalid_params"
    assert error["data"]["field"] == "misspelt"


def test_pages_hold_every_item_once(client: Client, account: str, bought: Callable[..., Any]) -> None:
    for _ in range(2):
        bought("1")
    for number in range(5):
        place(client, account, limit_price=f"{number + 1}.00")
    for method, params, total in (
        ("order.list", {"status": "all"}, 7),
        ("order.list", {"status": "all", "direction": "asc"}, 7),
        ("fill.list", {}, 2),
        ("activity.list", {}, 3),
        ("position.list", {}, 1),
    ):
        whole = client.call(method, account=account, **params)
        assert (len(whole["items"]), whole["next_page_token"]) == (total, None), method
        assert read_pages(client, method, 1, account=account, **params) == whole["items"]
        assert read_pages(client, method, total, account=account, **params) == whole["items"]
    for method in ("asset.list", "account.list"):
        assert read_pages(client, method, 7) == read_pages(client, method, 500)
    assert account in [item["name"] for item in read_pages(client, "account.list", 3)]
    bad = refusal(lambda: client.call("order.list", account=account, page_token="x"))
    assert bad["data"]["field"] == "page_token"


def read_pages(client: Client, method: str, limit: int, **params: Any) -> list[Any]:
    """All items, a page at a time; no page is empty but the only one."""
    items: list[Any] = []
    token = None
    while True:
        page = client.call(method, limit=limit, page_token=token, **params)
        assert set(page) == {"items", "next_page_token"}
        assert len(page["items"]) <= limit
        items += page["items"]
        token = page["next_page_token"]
        if token is None:
            return items
        assert page["items"]


def test_requests_of_one_connection_take_effect_in_order(client: Client, account: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    for number in range(12):
        order = {"symbol": "AAPL", "side": "buy", "qty": "1", "type": "limit", "limit_price": f"{number + 1}.00"}
        calls.append(("order.place", {"account": account, **order, "client_order_id": f"o{number}"}))
        calls.append(("order.get", {"account": account, "client_order_id": f"o{number}"}))
        calls.append(("order.list", {"account": account, "status": "all"}))
        calls.append(("order.cancel", {"account": account, "client_order_id": f"o{number}"}))
    results = client.call_many(calls)
    for number in range(12):
        placed, got, listed, cancelled = results[number * 4 : number * 4 + 4]
        assert got["id"] == placed["order"]["id"]
        assert len(listed["items"]) >= number + 1
        assert cancelled == {}
    seqs = [placed["seq"] for placed in results[::4]]
    assert seqs == sorted(seqs)


def test_a_request_past_its_deadline_is_not_done(daemon: Daemon, client: Client, account: str) -> None:
    """Behind more work than a slice holds, a deadline of nothing has passed when its turn comes."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(daemon.socket))
        lines = [
            {"jsonrpc": "2.0", "id": number, "method": "account.get", "params": {"account": account}}
            for number in range(40)
        ]
        late = {"account": account, "symbol": "AAPL", "side": "buy", "qty": "1", "type": "market"}
        lines.append({"jsonrpc": "2.0", "id": 99, "method": "order.place", "params": late, "deadline_ms": 0})
        raw.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        raw.settimeout(10)
        data = b""
        while data.count(b"\n") < len(lines):
            data += raw.recv(1 << 16)
    answer = next(line for line in map(json.loads, data.splitlines()) if line["id"] == 99)
    assert answer["error"]["data"]["reason"] == "deadline_exceeded"
    assert answer["error"]["data"]["retryable"] is True
    assert client.call("order.list", account=account, status="all")["items"] == []


def test_a_sleeping_account_answers_like_a_waking_one(client: Client, account: str) -> None:
    shown = client.call("account.get", account=account)
    until(lambda: client.call("health.get")["storage"]["projected_seq"] >= shown["n"])
    assert client.call("account.get", account=account) == shown


def test_accounts_of_a_user_share_nothing_but_the_user(client: Client) -> None:
    for name in ("u-1", "u-2"):
        make_account(client, name, user_id="the-user", type="cash", tier="pro")
    first, second = (client.call("account.get", account=name) for name in ("u-1", "u-2"))
    assert first["id"] != second["id"]
    assert first["user_id"] == second["user_id"] == "the-user"
    assert (first["type"], first["tier"], first["multiplier"]) == ("cash", "pro", "1")
