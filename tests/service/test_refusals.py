"""Every refusal that can be made through the socket: code, Alpaca's triple, field, numbers; nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from actors.book.rules.reasons import REASONS
from mbtd.rpc.client import Client
from tests.service.conftest import ended, make_account, place, status_is
from tests.service.running import refusal

LIMIT = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "limit", "limit_price": "1.00"}
STOP = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "stop", "stop_price": "9000"}
MARKET = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "market"}

INVALID, FORBIDDEN, UNPROCESSABLE, NOT_FOUND = 40010001, 40310000, 42210000, 40410000

# reason, our code, Alpaca's status and code, field, names of the numbers, the order
ORDERS: list[tuple[str, int, int, int, str, set[str], dict[str, Any]]] = [
    ("qty_or_notional_required", 3001, 422, INVALID, "qty", set(), {**MARKET, "qty": None}),
    ("qty_and_notional", 3002, 422, INVALID, "notional", set(), {**MARKET, "notional": "5"}),
    ("invalid_qty", 3003, 422, INVALID, "qty", {"qty"}, {**MARKET, "qty": "0"}),
    ("invalid_qty", 3003, 422, INVALID, "qty", {"qty"}, {**MARKET, "qty": "-1"}),
    ("invalid_qty", 3003, 422, INVALID, "qty", {"qty"}, {**MARKET, "qty": "NaN"}),
    ("invalid_qty", 3003, 422, INVALID, "qty", {"qty"}, {**MARKET, "qty": "1e3"}),
    ("invalid_qty", 3003, 422, INVALID, "qty", {"qty"}, {**MARKET, "qty": "0.0000000001"}),
    ("invalid_limit_price", 3004, 422, INVALID, "limit_price", {"price"}, {**LIMIT, "limit_price": "0"}),
    ("invalid_stop_price", 3005, 422, INVALID, "stop_price", {"price"}, {**STOP, "stop_price": "x"}),
    ("invalid_type", 3006, 422, INVALID, "type", set(), {**MARKET, "type": "iceberg"}),
    ("invalid_side", 3007, 422, INVALID, "side", set(), {**MARKET, "side": "hold"}),
    ("invalid_time_in_force", 3008, 422, INVALID, "time_in_force", set(), {**STOP, "time_in_force": "ioc"}),
    ("invalid_order_class", 3009, 422, INVALID, "order_class", set(), {**LIMIT, "order_class": "ladder"}),
    ("limit_price_required", 3010, 422, INVALID, "limit_price", set(), {**LIMIT, "limit_price": None}),
    ("stop_price_required", 3011, 422, INVALID, "stop_price", set(), {**STOP, "stop_price": None}),
    ("stop_and_limit_required", 3012, 422, INVALID, "limit_price", set(), {**STOP, "type": "stop_limit"}),
    ("price_not_accepted", 3013, 422, INVALID, "limit_price", {"type", "prices"}, {**MARKET, "limit_price": "5"}),
    (
        "client_order_id_too_long",
        3014,
        422,
        INVALID,
        "client_order_id",
        set(),
        {**LIMIT, "client_order_id": "x" * 129},
    ),
    (
        "invalid_notional",
        3016,
        422,
        UNPROCESSABLE,
        "notional",
        {"notional"},
        {**MARKET, "qty": None, "notional": "0.99"},
    ),
    (
        "sub_penny_price",
        3017,
        422,
        UNPROCESSABLE,
        "limit_price",
        {"price", "field"},
        {**LIMIT, "limit_price": "1.001"},
    ),
    (
        "fractional_not_day",
        3018,
        422,
        UNPROCESSABLE,
        "time_in_force",
        set(),
        {**LIMIT, "qty": "0.5", "time_in_force": "gtc"},
    ),
    (
        "extended_hours_not_limit",
        3019,
        422,
        UNPROCESSABLE,
        "extended_hours",
        set(),
        {**MARKET, "extended_hours": True},
    ),
    (
        "position_intent_mismatch",
        3020,
        422,
        UNPROCESSABLE,
        "position_intent",
        {"inferred", "specified"},
        {**LIMIT, "position_intent": "buy_to_close"},
    ),
    ("not_supported", 3024, 422, INVALID, "take_profit", set(), {**LIMIT, "take_profit": {"limit_price": "9"}}),
    ("trail_not_accepted", 3026, 422, INVALID, "trail_percent", {"type"}, {**LIMIT, "trail_percent": "1"}),
    ("asset_not_found", 3201, 422, UNPROCESSABLE, "symbol", {"symbol"}, {**LIMIT, "symbol": "NOPE"}),
    (
        "insufficient_buying_power",
        3301,
        403,
        FORBIDDEN,
        "qty",
        {"buying_power", "cost_basis"},
        {**LIMIT, "qty": "9000000"},
    ),
    ("number_too_large", 3304, 422, INVALID, "qty", set(), {**LIMIT, "qty": "2000000000", "limit_price": "9000.00"}),
    (
        "stop_not_above_market",
        3503,
        422,
        UNPROCESSABLE,
        "stop_price",
        {"market_price", "stop_price"},
        {**STOP, "stop_price": "1"},
    ),
    (
        "stop_not_below_market",
        3502,
        422,
        UNPROCESSABLE,
        "stop_price",
        {"market_price", "stop_price"},
        {**STOP, "side": "sell"},
    ),
]


@pytest.fixture(scope="module")
def target(daemon: Any) -> str:
    """One account that every refused order is sent to."""
    with daemon.client() as client:
        return make_account(client, "refused")


def state_of(client: Client, account: str) -> dict[str, Any]:
    """All that an account has, without the number of its events."""
    shown = client.call("account.get", account=account)
    del shown["n"]
    lists = ("order.list", "fill.list", "activity.list", "position.list")
    more: dict[str, dict[str, Any]] = {"order.list": {"status": "all"}}
    return {**shown, **{name: client.call(name, account=account, **more.get(name, {})) for name in lists}}


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: f"{case[0]}-{case[4]}")
def test_a_refused_order_is_explained_and_changes_nothing_else(
    client: Client, target: str, case: tuple[Any, ...]
) -> None:
    reason, code, status, alpaca_code, field, numbers, order = case
    account = target
    given = {"client_order_id": f"free-{reason}", **order}
    before = state_of(client, account)
    n = client.call("account.get", account=account)["n"]
    error = refusal(lambda: client.call("order.place", account=account, **given))
    data = error["data"]
    assert (error["code"], data["reason"], data.get("field")) == (code, reason, field)
    assert (data["alpaca"]["status"], data["alpaca"]["code"]) == (status, alpaca_code)
    assert data["alpaca"]["message"] == error["message"]
    assert "?" not in error["message"]
    assert "{" not in error["message"] + data["remedy"]
    assert set(data.get("numbers") or {}) == numbers
    assert data["retryable"] is REASONS[reason].retryable
    assert state_of(client, account) == before
    events = subscribe_from(client, account, n)
    assert [(event["event"], event["reason"]) for event in events] == [("order.rejected", reason)]
    if len(given["client_order_id"]) <= 128:
        placed = place(client, account, client_order_id=given["client_order_id"])
        assert placed["duplicate"] is False or reason in {case[0] for case in ORDERS[3:7]}
        if not placed["duplicate"]:
            client.call("order.cancel", account=account, order_id=placed["order"]["id"])
            ended(client, account, placed["order"]["id"])


def subscribe_from(client: Client, account: str, n: int) -> list[dict[str, Any]]:
    """What happened to the account after its event ``n``, up to now."""
    last = client.call("account.get", account=account)["n"]
    stream = client.subscribe([f"account:{account}"], from_n={f"account:{account}": n}, seconds=5)
    events: list[dict[str, Any]] = []
    while len(events) < last - n:
        events.append(next(stream).data)
    stream.close()
    client.close()
    return events


def check(error: dict[str, Any], reason: str, code: int, field: str | None, status: int) -> dict[str, str]:
    """The refusal is this one; its numbers."""
    data = error["data"]
    assert (error["code"], data["reason"], data.get("field")) == (code, reason, field)
    assert data["alpaca"]["status"] == status
    assert re.search(r"[?{]", error["message"]) is None
    return data.get("numbers") or {}


def test_numbers_are_those_of_the_moment(client: Client) -> None:
    account = make_account(client, "numbers", cash="1000", type="cash")
    place(client, account, qty="100", limit_price="4.00")
    error = refusal(lambda: place(client, account, qty="700", limit_price="1.00"))
    assert check(error, "insufficient_buying_power", 3301, "qty", 403) == {
        "buying_power": "599.99",
        "cost_basis": "700.01",
    }
    error = refusal(lambda: client.call("account.withdraw", account=account, amount="600"))
    assert check(error, "insufficient_cash", 3303, "amount", 403) == {"available": "599.99"}
    error = refusal(lambda: client.call("order.place", account=account, **{**MARKET, "side": "sell"}))
    numbers = check(error, "insufficient_qty", 3302, "qty", 403)
    assert (numbers["requested"], numbers["available"], numbers["held_for_orders"]) == ("10", "0", "0")


@pytest.mark.parametrize(
    ("order", "field", "reason", "text"),
    [
        ({**LIMIT, "qty": ".1"}, "qty", "invalid_qty", "qty is invalid: not a plain decimal number"),
        ({**LIMIT, "qty": "0.12345678901"}, "qty", "invalid_qty", "qty is invalid: more than 9 decimals"),
        ({**LIMIT, "qty": "9" * 30}, "qty", "number_too_large", None),
        ({**LIMIT, "limit_price": "$5"}, "limit_price", "invalid_limit_price",
         "limit_price is invalid: not a plain decimal number"),
        ({**LIMIT, "limit_price": "9" * 30}, "limit_price", "number_too_large", None),
        ({**STOP, "stop_price": "1e3"}, "stop_price", "invalid_stop_price",
         "stop_price is invalid: not a plain decimal number"),
        ({**MARKET, "qty": None, "notional": "1,000"}, "notional", "invalid_notional",
         "notional is invalid: not a plain decimal number"),
        ({**MARKET, "side": "sell", "type": "trailing_stop", "trail_price": "+1"}, "trail_price", "invalid_trail",
         "trail_price is invalid: not a plain decimal number"),
        ({**MARKET, "side": "sell", "type": "trailing_stop", "trail_percent": "1" * 25}, "trail_percent",
         "number_too_large", None),
        ({**LIMIT, "qty": "0"}, "qty", "invalid_qty", "qty must be > 0"),
        ({**LIMIT, "qty": "-3"}, "qty", "invalid_qty", "qty must be > 0"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_number_that_cannot_be_read_hears_why(
    client: Client, account: str, order: dict[str, Any], field: str, reason: str, text: str | None
) -> None:
    given = {name: value for name, value in order.items() if value is not None}
    error = refusal(lambda: client.call("order.place", account=account, **given))
    assert (error["data"]["reason"], error["data"]["field"]) == (reason, field)
    assert text is None or error["message"] == text
    assert client.call("order.preview", account=account, **given)["refusal"]["message"] == error["message"]


def test_what_is_reserved_cannot_be_sold_twice(client: Client, account: str, bought: Callable[..., Any]) -> None:
    bought("10")
    exit_order = {"symbol": "AAPL", "side": "sell", "qty": "8", "type": "limit", "limit_price": "9000.00"}
    held_by = client.call("order.place", account=account, **exit_order)["order"]["id"]
    error = refusal(lambda: client.call("order.place", account=account, **{**exit_order, "qty": "3"}))
    numbers = check(error, "insufficient_qty", 3302, "qty", 403)
    assert numbers == {
        "symbol": "AAPL", "requested": "3", "available": "2", "existing_qty": "10", "held_for_orders": "8",
        "related_orders": held_by,
    }  # fmt: skip
    error = refusal(lambda: client.call("position.close", account=account, symbol="AAPL", percentage="101"))
    check(error, "invalid_percentage", 3025, "percentage", 422)


def test_orders_that_are_not_there_or_not_open(client: Client, account: str) -> None:
    for method, more in (("order.cancel", {}), ("order.replace", {"qty": "5"})):
        error = refusal(lambda method=method, more=more: client.call(method, account=account, order_id="x", **more))  # type: ignore[misc]
        assert check(error, "order_not_found", 3101, "order_id", 404) == {"order_id": "x"}
    error = refusal(lambda: client.call("order.get", account=account, order_id="x"))
    check(error, "order_not_found", 3101, error["data"].get("field"), 404)
    order = place(client, account)["order"]
    status_is(client, account, order["id"], "new")
    error = refusal(lambda: client.call("order.replace", account=account, order_id=order["id"], qty="10"))
    check(error, "nothing_changed", 3104, error["data"].get("field"), 422)
    pending = client.call_many(
        [
            ("order.cancel", {"account": account, "order_id": order["id"]}),
            ("order.replace", {"account": account, "order_id": order["id"], "qty": "5"}),
            ("order.cancel", {"account": account, "order_id": order["id"]}),
        ]
    )
    assert pending[0] == pending[2] == {}
    assert (pending[1].code, pending[1].reason, pending[1].retryable) == (3103, "order_not_replaceable", True)
    ended(client, account, order["id"])


def test_accounts_refuse_by_their_settings(client: Client, account: str) -> None:
    client.call("account.configure", account=account, suspend_trade=True)
    check(refusal(lambda: place(client, account)), "trade_suspended", 3404, None, 403)
    client.call("account.configure", account=account, suspend_trade=False, fractional_trading=False, no_shorting=True)
    check(refusal(lambda: place(client, account, qty="0.5")), "fractional_disabled", 3405, "qty", 403)
    short = {**MARKET, "side": "sell"}
    check(
        refusal(lambda: client.call("order.place", account=account, **short)),
        "shorting_not_allowed",
        3401,
        "side",
        403,
    )
    error = refusal(lambda: client.call("account.configure", account=account, profile="nonsense"))
    check(error, "invalid_setting", 3022, "profile", 422)
    error = refusal(lambda: client.call("account.deposit", account=account, amount="-5"))
    check(error, "invalid_amount", 3021, "amount", 422)
    place(client, account)
    check(refusal(lambda: client.call("account.close", account=account)), "account_not_empty", 3406, None, 422)


def test_opening_an_account_can_be_refused(client: Client, account: str) -> None:
    error = refusal(lambda: client.call("account.create", name=account))
    check(error, "account_name_taken", 3108, "name", 422)
    error = refusal(lambda: client.call("account.create", name="a\nb"))
    check(error, "invalid_name", 3023, "name", 422)
    error = refusal(lambda: client.call("account.create", name="poor", cash="-1"))
    check(error, error["data"]["reason"], error["code"], "cash", 422)
    error = refusal(lambda: client.call("account.create", name="odd", type="loan"))
    assert (error["code"], error["data"]["field"]) == (-32602, "type")


def test_a_closed_account_trades_no_more(client: Client, account: str) -> None:
    client.call("account.close", account=account)
    check(refusal(lambda: place(client, account)), "account_closed", 3402, None, 403)


def test_parameters_of_the_wrong_form(client: Client, account: str) -> None:
    for params, field in (
        ({**MARKET, "qty": 10}, "qty"),
        ({**LIMIT, "limit_price": 1.5}, "limit_price"),
        ({**LIMIT, "limit_prise": "1.00"}, "limit_prise"),
        ({**LIMIT, "take_profit": {"limit": "1"}}, "take_profit.limit"),
    ):
        error = refusal(lambda params=params: client.call("order.place", account=account, **params))  # type: ignore[misc]
        assert (error["code"], error["data"]["field"]) == (-32602, field)
    error = refusal(lambda: client.call("order.place", **MARKET))
    assert (error["code"], error["data"]["field"]) == (-32602, "account")
    error = refusal(lambda: client.call("order.place", account="nobody", **MARKET))
    assert (error["code"], error["data"]["reason"], error["data"]["field"]) == (2002, "unknown_account", "account")
    error = refusal(lambda: client.call("order.list", account=account, after="yesterday"))
    assert error["data"]["field"] == "after"


def test_the_published_table_is_the_one_that_refuses(client: Client) -> None:
    published = {entry["reason"]: entry for entry in client.call("order.rules")["reasons"]}
    for reason, code, status, alpaca_code, *_ in ORDERS:
        entry = published[reason]
        assert (entry["code"], entry["alpaca"]["status"], entry["alpaca"]["code"]) == (code, status, alpaca_code)
