"""Invalid requests and Alpaca's answers to them (alpaca-api §0.1): status, code and, where users grep it, the text."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.gateway.running import User, eventually, stranger

NOBODY = str(uuid.UUID(int=7))
LIMIT = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "1.5"}
MARKET = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def order(base: dict[str, Any] = LIMIT, /, without: str = "", **more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**base, **more}.items() if name != without}


ORDERS: list[tuple[str, Any, int, int, str]] = [
    ("no qty", order(without="qty"), 422, 40010001, "qty or notional is required"),
    ("both amounts", order(MARKET, notional="5"), 422, 40010001, "only one of qty or notional is accepted"),
    ("zero qty", order(qty="0"), 422, 40010001, "qty must be > 0"),
    ("negative qty", order(qty=-1), 422, 40010001, "qty must be > 0"),
    ("qty as words", order(qty="many"), 422, 40010001, ""),
    ("qty not a number", order(qty="NaN"), 422, 40010001, ""),
    ("endless qty", order(qty="Infinity"), 422, 40010001, ""),
    ("huge qty", order(qty="1e400"), 422, 40010001, ""),
    ("qty too fine", order(MARKET, qty="0.0000000001"), 422, 40010001, ""),
    ("qty is an object", order(qty={}), 422, 40010001, ""),
    ("qty is a list", order(qty=[1]), 422, 40010001, ""),
    ("qty is true", order(qty=True), 422, 40010001, ""),
    ("unknown side", order(side="hold"), 422, 40010001, "invalid side"),
    ("no side", order(without="side"), 422, 40010001, "invalid side"),
    ("unknown type", order(type="magic"), 422, 40010001, "invalid order type"),
    ("unknown time in force", order(time_in_force="forever"), 422, 40010001, "invalid time_in_force"),
    ("unknown class", order(order_class="pair"), 422, 40010001, "invalid order class"),
    ("limit without price", order(without="limit_price"), 422, 40010001, "limit orders require a limit price"),
    ("zero price", order(limit_price=0), 422, 40010001, "limit price must be > 0"),
    ("negative price", order(limit_price="-1.5"), 422, 40010001, "limit price must be > 0"),
    ("price as words", order(limit_price="cheap"), 422, 40010001, ""),
    ("sub-penny price", order(limit_price="1.501"), 422, 42210000,
     "invalid limit_price 1.501. sub-penny increment does not fulfill minimum pricing criteria"),
    ("stop without price", order(MARKET, type="stop"), 422, 40010001, "stop orders require a stop price"),
    ("stop limit without prices", order(MARKET, type="stop_limit"), 422, 40010001,
     "stop limit orders require both stop and limit price"),
    ("market with price", order(MARKET, limit_price="1.5"), 422, 40010001,
     "market orders require no stop or limit price"),
    ("buy stop below the market", order(MARKET, type="stop", stop_price="1.5"), 422, 42210000,
     "stop price must be greater than current price"),
    ("sell stop above the market", order(MARKET, side="sell", type="stop", stop_price="9000"), 422, 42210000,
     "stop price must be less than current price"),
    ("unknown symbol", order(symbol="NOPE"), 422, 42210000, 'asset "NOPE" not found'),
    ("empty symbol", order(symbol=""), 422, 40010001, "symbol is required"),
    ("no symbol", order(without="symbol"), 422, 40010001, "symbol is required"),
    ("symbol is a number", order(symbol=5), 422, 40010001, ""),
    ("symbol is an injection", order(symbol="AAPL'; --"), 422, 42210000, ""),
    ("too expensive", order(qty="9000000"), 403, 40310000, "insufficient buying power"),
    ("beyond all bounds", order(qty="900000000", limit_price="9000"), 422, 40010001, "qty is too large"),
    ("long client id", order(client_order_id="x" * 129), 422, 40010001,
     "client_order_id must be no more than 128 characters"),
    ("client id is a number", order(client_order_id=5), 422, 40010001, ""),
    ("fractional gtc", order(qty="0.5", time_in_force="gtc"), 422, 42210000, "fractional orders must be DAY orders"),
    ("fractional short", order(symbol="IWM", qty="0.5", side="sell", limit_price="900"), 422, 42210000,
     "fractional orders cannot be sold short"),
    ("small notional", order(MARKET, without="qty", notional="0.5"), 422, 42210000, "notional must be >= 1.00"),
    ("extended market", order(MARKET, extended_hours=True), 422, 42210000,
     "extended hours order must be DAY or GTC limit orders"),
    ("wrong intent", order(position_intent="buy_to_close"), 422, 42210000,
     "position intent mismatch, inferred: buy_to_open, specified: buy_to_close"),
    ("unknown intent", order(position_intent="hope"), 422, 40010001, "invalid position_intent specified"),
    ("unknown intent of a leg", {"qty": 1, "type": "market", "time_in_force": "day", "order_class": "mleg",
                                 "legs": [{"symbol": "AAPL301220C00100000", "ratio_qty": 1, "side": "buy",
                                           "position_intent": "hope"}] * 2}, 422, 40010001,
     "invalid position_intent specified"),
    ("five legs", {"qty": 1, "type": "market", "time_in_force": "day", "order_class": "mleg",
                   "legs": [{"symbol": "X", "ratio_qty": 1}] * 5}, 422, 42210000,
     "mleg orders must have at least 2 legs and at most 4 legs"),
    ("leg without symbol", {"qty": 1, "type": "market", "time_in_force": "day", "order_class": "mleg",
                            "legs": [{"ratio_qty": 1}]}, 422, 40010001, ""),
    ("legs are words", order(legs="four"), 422, 40010001, ""),
    ("exit is a word", order(take_profit="900"), 422, 40010001, ""),
    ("flag is a word", order(extended_hours="maybe"), 422, 40010001, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code", "message"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS]
)
def test_an_invalid_order(user: User, body: Any, status: int, code: int, message: str) -> None:
    before = user.ask("GET", "/v2/orders?limit=1&status=all").json()
    answer = user.ask("POST", "/v2/orders", json=body)
    said = answer.json()
    assert answer.status_code == status, said
    assert said["code"] == code or not code, said
    assert said["message"] == message or not message, said
    assert answer.headers["content-type"] == "application/json"
    assert user.ask("GET", "/v2/orders?limit=1&status=all").json() == before


BODIES = [
    ("not json", b"{not json", 400, 40010000),
    ("half a body", b'{"symbol": "AAPL"', 400, 40010000),
    ("two values", b"{} {}", 400, 40010000),
    ("not utf-8", b'{"symbol": "\xff\xfe"}', 400, 40010000),
    ("a list", b"[]", 422, 40010001),
    ("a number", b"5", 422, 40010001),
    ("deep", b"[" * 20_000 + b"]" * 20_000, 422, 40010001),
    ("deep in a field", b'{"qty":' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, 40010000),
    ("nothing", b"", 422, 40010001),
    ("null", b"null", 422, 40010001),
    ("NaN", b'{"qty": NaN}', 400, 40010000),
]


@pytest.mark.parametrize(("body", "status", "code"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_that_is_no_order(user: User, body: bytes, status: int, code: int) -> None:
    answer = user.ask("POST", "/v2/orders", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


REQUESTS: list[tuple[str, str, Any, int, int, str]] = [
    ("GET", f"/v2/orders/{NOBODY}", None, 404, 40410000, f"order not found for {NOBODY}"),
    ("GET", "/v2/orders/not-a-uuid", None, 404, 40410000, "order not found for not-a-uuid"),
    ("DELETE", f"/v2/orders/{NOBODY}", None, 404, 40410000, ""),
    ("PATCH", f"/v2/orders/{NOBODY}", {"qty": 2}, 404, 40410000, ""),
    ("GET", "/v2/orders:by_client_order_id?client_order_id=nobody", None, 404, 40410000, ""),
    ("GET", "/v2/orders:by_client_order_id", None, 422, 40010001, ""),
    ("GET", "/v2/orders?status=some", None, 422, 40010001, ""),
    ("GET", "/v2/orders?limit=501", None, 422, 40010001, ""),
    ("GET", "/v2/orders?limit=0", None, 422, 40010001, ""),
    ("GET", "/v2/orders?limit=ten", None, 422, 40010001, ""),
    ("GET", "/v2/orders?direction=up", None, 422, 40010001, ""),
    ("GET", "/v2/orders?after=yesterday", None, 422, 40010001, ""),
    ("GET", "/v2/orders?side=hold", None, 422, 40010001, ""),
    ("GET", f"/v2/orders?before_order_id={NOBODY}&after_order_id={NOBODY}", None, 422, 40010001, ""),
    ("GET", "/v2/positions/NOPE", None, 404, 40410000, "position does not exist"),
    ("GET", f"/v2/positions/{NOBODY}", None, 404, 40410000, "position does not exist"),
    ("DELETE", "/v2/positions/NOPE", None, 404, 40410000, "position does not exist"),
    ("DELETE", "/v2/positions/AAPL?qty=1&percentage=5", None, 422, 40010001, ""),
    ("DELETE", "/v2/positions/AAPL?qty=some", None, 422, 40010001, ""),
    ("GET", "/v2/assets/NOPE", None, 404, 40410000, "asset not found for NOPE"),
    ("GET", "/v2/assets?status=sleeping", None, 422, 40010001, ""),
    ("GET", "/v2/options/contracts/SPY991231C00100000", None, 404, 40410000,
     "option contract SPY991231C00100000 not found"),
    ("GET", "/v2/options/contracts?limit=10001", None, 422, 40010001, ""),
    ("GET", "/v2/options/contracts?expiration_date=soon", None, 422, 40010001, ""),
    ("GET", "/v2/options/contracts?strike_price_gte=high", None, 422, 40010001, ""),
    ("GET", "/v2/calendar?start=never", None, 422, 40010001, ""),
    ("GET", "/v2/calendar?start=2026-02-01&end=2026-01-01", None, 422, 40010001, ""),
    ("GET", "/v2/account/activities?page_size=101", None, 422, 40010001, ""),
    ("GET", "/v2/account/activities?category=trade_activity&activity_types=DIV", None, 422, 40010001, ""),
    ("GET", "/v2/account/activities/fi%00ll", None, 404, 40410000, "endpoint not found"),
    ("GET", "/v2/account/activities/fill-1", None, 422, 40010001, ""),
    ("GET", "/v2/account/portfolio/history?period=10X", None, 422, 40010001, ""),
    ("GET", "/v2/account/portfolio/history?timeframe=2Min", None, 422, 40010001, ""),
    ("PATCH", "/v2/account/configurations", {"pdt_check": "never"}, 422, 40010001, "pdt_check value is invalid"),
    ("PATCH", "/v2/account/configurations", {"max_margin_multiplier": "9"}, 422, 40010001,
     "max_margin_multiplier value is invalid"),
    ("PATCH", "/v2/account/configurations", {"no_shorting": "perhaps"}, 422, 40010001, ""),
    ("POST", "/v2/watchlists", {"symbols": ["AAPL"]}, 422, 40010001, ""),
    ("POST", "/v2/watchlists", {"name": "x" * 65}, 422, 40010001, ""),
    ("POST", "/v2/watchlists", {"name": "unknown", "symbols": ["NOPE"]}, 404, 40410000, "symbol not found: NOPE"),
    ("POST", "/v2/watchlists", {"name": "odd", "symbols": "AAPL"}, 422, 40010001, ""),
    ("GET", f"/v2/watchlists/{NOBODY}", None, 404, 40410000, "watchlist not found"),
    ("GET", "/v2/watchlists:by_name", None, 422, 40010001, ""),
    ("GET", "/v2/corporate_actions/announcements?ca_types=dividend", None, 422, 40010001,
     "invalid param: both since & until required"),
    ("GET", "/v2/corporate_actions/announcements?ca_types=party&since=2026-01-01&until=2026-01-02", None, 422,
     40010001, ""),
    ("GET", "/v2/corporate_actions/announcements?ca_types=split&since=2026-01-01&until=2026-12-01", None, 422,
     40010001, ""),
    ("GET", "/v2/stocks/quotes/latest", None, 422, 40010001, "symbols is required"),
    ("GET", "/v2/stocks/quotes/latest?symbols=AAPL&feed=cnn", None, 422, 40010001, "invalid feed"),
    ("GET", "/v2/stocks/quotes/latest?symbols=aapl", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/bars?symbols=AAPL", None, 422, 40010001, "timeframe is required"),
    ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=2Days", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=90Min", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&limit=0", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2026-02-01&end=2026-01-01", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&page_token=mine", None, 422, 40010001, ""),
    ("GET", "/v2/stocks/NOPE/snapshot", None, 404, 40410000, ""),
    ("GET", "/v1beta1/options/snapshots/SPY?type=both", None, 422, 40010001, ""),
    ("GET", "/v2/nothing", None, 404, 40410000, "endpoint not found"),
    ("GET", "/v2/orders/", None, 404, 40410000, "endpoint not found"),
    ("GET", "/", None, 404, 40410000, "endpoint not found"),
    ("PUT", "/v2/account", {}, 405, 40510000, ""),
    ("POST", "/v2/clock", {}, 405, 40510000, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    REQUESTS,
    ids=[f"{row[0]} {row[1][:60]}" for row in REQUESTS],
)
def test_an_invalid_request(
    user: User, method: str, path: str, body: Any, status: int, code: int, message: str
) -> None:
    answer = user.ask(method, path, json=body) if body is not None else user.ask(method, path)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (status, code), said
    assert said["message"] == message or not message, said
    assert answer.headers["x-request-id"]


def test_what_is_wrong_with_legs_says_nothing_of_what_else_is_served(user: User) -> None:
    found = user.ask("GET", "/v2/options/contracts?underlying_symbols=SPY&limit=1").json()
    leg = {"symbol": found["option_contracts"][0]["symbol"], "ratio_qty": 2, "side": "buy"}
    body = {"qty": 1, "type": "market", "time_in_force": "day", "order_class": "mleg", "legs": [leg, leg]}
    said = user.ask("POST", "/v2/orders", json=body).json()
    assert said["message"] == f"duplicate leg: {leg['symbol']}"
    assert "most" not in said


def test_an_order_that_has_ended_is_not_changed_any_more(user: User) -> None:
    made = user.ask("POST", "/v2/orders", json=LIMIT).json()
    path = f"/v2/orders/{made['id']}"
    assert user.ask("DELETE", path).status_code == 204
    eventually(lambda: user.ask("GET", path).json()["status"] == "canceled", "its end")
    for method, body in (("DELETE", None), ("PATCH", {"qty": 5})):
        answer = user.ask(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, 42210000)
        assert "canceled" in answer.json()["message"]


def test_a_replacement_that_changes_nothing(user: User) -> None:
    made = user.ask("POST", "/v2/orders", json=LIMIT).json()
    path = f"/v2/orders/{made['id']}"
    eventually(lambda: user.ask("GET", path).json()["status"] == "new", "the market")
    answer = user.ask("PATCH", path, json={"qty": 1.0})
    assert (answer.status_code, answer.json()["message"]) == (422, "order parameters are not changed")


def test_more_than_is_held_is_not_sold(own: User) -> None:
    own.ask("PATCH", "/v2/account/configurations", json={"no_shorting": True})
    answer = own.ask("POST", "/v2/orders", json=order(MARKET, side="sell"))
    assert answer.status_code == 403
    assert answer.json()["code"] == 40310000


def test_what_is_reserved_is_said_with_its_numbers(own: User) -> None:
    trading = own.trading()
    own.ask("POST", "/v2/orders", json=order(MARKET, qty="3"))
    eventually(trading.get_all_positions, "the fill")
    holding = own.ask("POST", "/v2/orders", json=order(side="sell", qty="3", limit_price="9000")).json()
    answer = own.ask("POST", "/v2/orders", json=order(MARKET, side="sell", qty="1"))
    said = answer.json()
    assert answer.status_code == 403
    assert said["message"] == "insufficient qty available for order (requested: 1, available: 0)"
    assert (said["existing_qty"], said["held_for_orders"]) == ("3", "3")
    assert said["related_orders"] == [holding["id"]]


@pytest.mark.parametrize(
    ("qty", "price", "shown"),
    [(1.0, 1.50, ("1", "1.5")), ("1.000", "1.50", ("1", "1.5")), (2, 2, ("2", "2")), (0.25, "4e0", ("0.25", "4"))],
)
def test_numbers_are_taken_as_texts_and_as_numbers(user: User, qty: Any, price: Any, shown: tuple[str, str]) -> None:
    made = user.ask("POST", "/v2/orders", json=order(qty=qty, limit_price=price)).json()
    assert (made["qty"], made["limit_price"]) == shown


@pytest.mark.parametrize("flag", ["True", "true", "1", "False", "0"])
def test_booleans_in_a_query_are_taken_in_any_case(user: User, flag: str) -> None:
    assert user.ask("GET", f"/v2/orders?nested={flag}&limit=1").status_code == 200


@pytest.mark.parametrize("unknown", [{"advanced": 1}, {"subtag": "x"}, {"stop_loss": None}, {"legs": None}], ids=str)
def test_what_is_unknown_or_null_is_passed_over(user: User, unknown: dict[str, Any]) -> None:
    assert user.ask("POST", "/v2/orders", json=LIMIT | unknown).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"APCA-API-KEY-ID": "PKNOBODY", "APCA-API-SECRET-KEY": "x"},
        {"APCA-API-KEY-ID": "PKNOBODY"},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic eDp5"},
        {"Cookie": "__Host-mbtd_session=nobody.nothing"},
    ],
    ids=str,
)
def test_without_a_key_that_opens_something(user: User, headers: dict[str, str]) -> None:
    answer = stranger().get(user.served.url + "/v2/account", headers=headers, timeout=10)
    assert answer.status_code == 401
    assert answer.json() == {"code": 40110000, "message": "unauthorized."}
