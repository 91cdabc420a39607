"""Every method of alpaca-py's TradingClient, unmodified, against the running gateway."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading import enums as en
from alpaca.trading import requests as rq
from alpaca.trading.client import TradingClient
from alpaca.trading.models import FailedClosePositionDetails, Order

from actors.book.rules.reasons import refuse
from mbtd.gateway.errors import with_errors
from mbtd.gateway.schemas import CanceledOrder
from mbtd.service.refusals import rpc_error
from tests.gateway.running import Served, User, eventually


def rest(**more: Any) -> rq.LimitOrderRequest:
    """An order that rests."""
    given: dict[str, Any] = {"symbol": "AAPL", "qty": 1, "side": "buy", "time_in_force": "day", "limit_price": 1.5}
    return rq.LimitOrderRequest(**{**given, **more})


def market(symbol: str = "AAPL", side: str = "buy", **more: Any) -> rq.MarketOrderRequest:
    given = {"symbol": symbol, "side": side, "time_in_force": "day", **({} if "notional" in more else {"qty": 2})}
    return rq.MarketOrderRequest(**{**given, **more})


def status_of(trading: TradingClient, order: Order, *wanted: str) -> Order:
    def look() -> Order | None:
        found = trading.get_order_by_id(order.id)
        return found if found.status.value in wanted else None

    found: Order = eventually(look, " or ".join(wanted))
    return found


@pytest.fixture(scope="module")
def filled(trading: TradingClient) -> Order:
    """A market order that has filled."""
    return status_of(trading, trading.submit_order(market("MSFT", qty=5)), "filled")


@pytest.fixture(scope="module")
def call_symbol(trading: TradingClient) -> str:
    found = trading.get_option_contracts(
        rq.GetOptionContractsRequest(underlying_symbols=["SPY"], type="call", limit=1)
    )
    return str(found.option_contracts[0].symbol)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_market_order_is_answered_accepted_and_fills_later(trading: TradingClient) -> None:
    order = trading.submit_order(market())
    assert order.status is en.OrderStatus.ACCEPTED
    assert order.filled_qty in ("0", 0)
    assert order.legs is None
    done = status_of(trading, order, "filled")
    assert done.filled_qty == "2"
    assert float(done.filled_avg_price or 0) > 0
    assert done.filled_at is not None


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        (rest(), {"type": en.OrderType.LIMIT, "limit_price": "1.5"}),
        (rest(time_in_force="gtc"), {"time_in_force": en.TimeInForce.GTC}),
        (rest(qty=3, limit_price=2), {"qty": "3", "limit_price": "2"}),
        (rest(extended_hours=True), {"extended_hours": True}),
        (rest(client_order_id="mine-1"), {"client_order_id": "mine-1"}),
        (rest(symbol="SPY", position_intent="buy_to_open"), {"position_intent": en.PositionIntent.BUY_TO_OPEN}),
        (rest(qty=0.5), {"qty": "0.5"}),
        (
            rq.StopOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="gtc", stop_price=2000),
            {"type": en.OrderType.STOP, "stop_price": "2000"},
        ),
        (
            rq.StopLimitOrderRequest(
                symbol="AAPL", qty=1, side="buy", time_in_force="day", stop_price=2000, limit_price=2001.5
            ),
            {"type": en.OrderType.STOP_LIMIT, "stop_price": "2000", "limit_price": "2001.5"},
        ),
        (market(notional=25), {"notional": "25", "qty": None}),
        (rest(time_in_force="ioc"), {"time_in_force": en.TimeInForce.IOC}),
        (rest(time_in_force="fok"), {"time_in_force": en.TimeInForce.FOK}),
    ],
    ids=lambda value: "" if isinstance(value, dict) else f"{value.type.value}-{value.time_in_force.value}",
)
def test_an_order_comes_back_as_it_was_sent(trading: TradingClient, order: Any, shown: dict[str, Any]) -> None:
    made = trading.submit_order(order)
    assert {name: getattr(made, name) for name in shown} == shown
    assert made.status is en.OrderStatus.ACCEPTED
    again = trading.get_order_by_id(made.id)
    assert {name: getattr(again, name) for name in shown} == shown
    assert trading.get_order_by_client_id(made.client_order_id).id == made.id


@pytest.mark.parametrize(
    "order",
    [
        market(order_class="bracket", take_profit={"limit_price": 900}, stop_loss={"stop_price": 2}),
        market(order_class="oto", take_profit={"limit_price": 900}),
        rest(limit_price=290, order_class="bracket", take_profit={"limit_price": 900}, stop_loss={"stop_price": 2}),
        rq.TrailingStopOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day", trail_percent=10),
        rq.TrailingStopOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="gtc", trail_price=50),
    ],
    ids=["bracket", "oto", "bracket-limit", "trail-percent", "trail-price"],
)
def test_advanced_orders_are_accepted(trading: TradingClient, order: Any) -> None:
    made = trading.submit_order(order)
    assert made.status is en.OrderStatus.ACCEPTED
    if order.order_class in (en.OrderClass.BRACKET, en.OrderClass.OTO):
        assert made.legs
        assert all(trading.get_order_by_id(leg.id).id == leg.id for leg in made.legs)


def test_an_exit_pair_for_a_position(trading: TradingClient, filled: Order) -> None:
    made = trading.submit_order(
        rq.LimitOrderRequest(
            symbol="MSFT", qty=1, side="sell", time_in_force="gtc", order_class="oco",
            take_profit={"limit_price": 5000}, stop_loss={"stop_price": 2},
        )
    )  # fmt: skip
    assert made.order_class is en.OrderClass.OCO
    assert made.legs is not None
    assert made.legs[0].status is en.OrderStatus.HELD


def condor(trading: TradingClient) -> rq.LimitOrderRequest:
    """Four legs around the market, nearest expiry."""
    listed = trading.get_option_contracts(rq.GetOptionContractsRequest(underlying_symbols=["SPY"], limit=2000))
    day = min(c.expiration_date for c in listed.option_contracts)
    by = {(c.type.value, c.strike_price): c.symbol for c in listed.option_contracts if c.expiration_date == day}
    strikes = sorted({strike for kind, strike in by if kind == "call"} & {s for kind, s in by if kind == "put"})
    low, sold_put, sold_call, high = (strikes[len(strikes) * part // 5] for part in (1, 2, 3, 4))
    legs = [
        ("put", low, "buy", "buy_to_open"),
        ("put", sold_put, "sell", "sell_to_open"),
        ("call", sold_call, "sell", "sell_to_open"),
        ("call", high, "buy", "buy_to_open"),
    ]
    return rq.LimitOrderRequest(
        qty=1, time_in_force="day", order_class="mleg", limit_price=-0.05,
        legs=[
            rq.OptionLegRequest(symbol=by[kind, strike], ratio_qty=1, side=side, position_intent=intent)
            for kind, strike, side, intent in legs
        ],
    )  # fmt: skip


def test_an_order_of_four_legs(trading: TradingClient) -> None:
    made = trading.submit_order(condor(trading))
    assert made.order_class is en.OrderClass.MLEG
    assert made.legs is not None
    assert len(made.legs) == 4
    assert trading.get_order_by_client_id(made.legs[0].client_order_id).id == made.legs[0].id


def test_what_an_order_of_several_legs_has_none_of_is_empty(user: User, trading: TradingClient) -> None:
    made = trading.submit_order(condor(trading))
    parent = user.ask("GET", f"/v2/orders/{made.id}").json()
    alone = user.ask("GET", f"/v2/orders/{parent['legs'][0]['id']}").json()
    absent = ("asset_id", "symbol", "asset_class", "side", "position_intent")
    assert {parent[name] for name in absent} == {""}
    assert parent["type"] == parent["order_type"] == "limit"
    for leg in (*parent["legs"], alone):
        assert (leg["type"], leg["order_type"], leg["order_class"]) == ("", "", "mleg")
        assert leg["limit_price"] is None
        assert leg["legs"] is None
        assert all(leg[name] for name in absent)
    assert made.symbol is None
    assert made.side is None
    assert made.legs is not None
    assert made.legs[0].type is None


def test_a_single_option_order(trading: TradingClient, call_symbol: str) -> None:
    made = trading.submit_order(rest(symbol=call_symbol, limit_price=0.05))
    assert made.asset_class is en.AssetClass.US_OPTION


def test_the_same_client_order_id_and_order_is_the_same_order(trading: TradingClient) -> None:
    first = trading.submit_order(rest(client_order_id="twice"))
    assert trading.submit_order(rest(client_order_id="twice")).id == first.id


def test_the_same_client_order_id_for_another_order_is_refused(trading: TradingClient) -> None:
    trading.submit_order(rest(client_order_id="other"))
    with pytest.raises(APIError) as refused:
        trading.submit_order(rest(client_order_id="other", qty=2))
    assert refused.value.status_code == 422
    assert refused.value.code == 40010001
    assert refused.value.message == "client_order_id must be unique"


def test_orders_are_listed_open_first_newest_first(own: User) -> None:
    trading = own.trading()
    made = [trading.submit_order(rest(symbol=name)) for name in ("AAPL", "SPY", "AAPL")]
    assert [order.id for order in trading.get_orders()] == [order.id for order in reversed(made)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"status": "all"}, [3, 2, 1, 0]),
        ({"status": "closed"}, [0]),
        ({"direction": "asc"}, [1, 2, 3]),
        ({"limit": 2}, [3, 2]),
        ({"symbols": ["SPY"]}, [2]),
        ({"symbols": ["SPY", "QQQ"]}, [3, 2]),
        ({"side": "sell"}, []),
        ({"side": "buy", "limit": 1}, [3]),
        ({"nested": True}, [3, 2, 1]),
    ],
    ids=str,
)
def test_orders_are_filtered(
    listed: tuple[TradingClient, list[Order]], given: dict[str, Any], found: list[int]
) -> None:
    trading, made = listed
    assert [order.id for order in trading.get_orders(rq.GetOrdersRequest(**given))] == [made[i].id for i in found]


@pytest.fixture(scope="module")
def listed(served: Served) -> tuple[TradingClient, list[Order]]:
    trading = served.open("listed").trading()
    made = [trading.submit_order(rest(symbol=name)) for name in ("AAPL", "AAPL", "SPY", "QQQ")]
    trading.cancel_order_by_id(made[0].id)
    status_of(trading, made[0], "canceled")
    return trading, made


def test_bounds_leave_the_instant_itself_out(listed: tuple[TradingClient, list[Order]]) -> None:
    trading, made = listed
    raw = [trading.get(f"/orders/{order.id}") for order in made]
    found = trading.get(
        "/orders", {"status": "all", "after": raw[1]["submitted_at"], "until": raw[3]["submitted_at"]}
    )
    assert [row["id"] for row in found] == [str(made[2].id)]
    found = trading.get("/orders", {"status": "all", "before_order_id": str(made[2].id)})
    assert [row["id"] for row in found] == [str(made[1].id), str(made[0].id)]
    found = trading.get("/orders", {"status": "all", "after_order_id": str(made[2].id)})
    assert [row["id"] for row in found] == [str(made[3].id)]


def test_a_replacement_is_a_new_order_and_the_old_one_says_so(trading: TradingClient) -> None:
    old = status_of(trading, trading.submit_order(rest(client_order_id="to-replace")), "new")
    new = trading.replace_order_by_id(old.id, rq.ReplaceOrderRequest(qty=4, limit_price=1.25))
    assert new.id != old.id
    assert new.replaces == old.id
    assert new.qty == "4"
    assert status_of(trading, old, "replaced").replaced_by == new.id
    assert trading.get_order_by_client_id("to-replace").id == old.id


def test_a_replacement_is_found_as_soon_as_it_is_answered(served: Served) -> None:
    user = served.open("impatient", profile="conservative")
    trading = user.trading()
    old = status_of(trading, trading.submit_order(rest()), "new")
    new = trading.replace_order_by_id(old.id, rq.ReplaceOrderRequest(limit_price=1.25))
    assert trading.get_order_by_id(new.id).replaces == old.id
    assert trading.get_order_by_client_id(new.client_order_id).id == new.id
    assert new.id in [order.id for order in trading.get_orders()]
    again = user.ask("PATCH", f"/v2/orders/{new.id}", json={"limit_price": "1.30"})
    assert again.status_code in (200, 422)
    assert (
        again.json().get("message", "cannot replace order in accepted status").startswith("cannot replace order in")
    )


def test_pages_of_nested_orders_go_on_to_the_end(own: User) -> None:
    trading = own.trading()
    bracket = {"order_class": "bracket", "take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 1}}
    made = [trading.submit_order(rest(**bracket)).id for _ in range(3)]
    found, until = [], None
    while page := trading.get_orders(rq.GetOrdersRequest(nested=True, limit=1, until=until)):
        found += page
        until = page[-1].submitted_at
    assert [order.id for order in found] == made[::-1]
    assert all(len(order.legs or ()) == 2 for order in found)


def test_orders_of_options_are_found_behind_those_of_stocks(own: User, call_symbol: str) -> None:
    trading = own.trading()
    options = [
        trading.submit_order(rest(symbol=call_symbol, limit_price=0.05)),
        trading.submit_order(condor(trading)),
    ]
    trading.submit_order(rest())
    found = trading.get("/orders", {"asset_class": "us_option", "limit": 2, "status": "all"})
    assert [row["id"] for row in found] == [str(order.id) for order in options[::-1]]


def test_one_order_is_cancelled(trading: TradingClient) -> None:
    order = trading.submit_order(rest())
    assert trading.cancel_order_by_id(order.id) is None
    assert status_of(trading, order, "canceled").canceled_at is not None


def test_all_orders_are_cancelled(own: User) -> None:
    trading = own.trading()
    assert trading.cancel_orders() == []
    made = {trading.submit_order(rest()).id for _ in range(3)}
    answered = trading.cancel_orders()
    assert {entry.id for entry in answered} == made
    assert {entry.status for entry in answered} == {200}
    eventually(lambda: not trading.get_orders(), "their end")


# ── positions ────────────────────────────────────────────────────────────────────────────────────────────


def test_positions_and_one_position(trading: TradingClient, filled: Order) -> None:
    held = {position.symbol: position for position in trading.get_all_positions()}
    assert held["MSFT"].qty == "5"
    one = trading.get_open_position("MSFT")
    assert one.side is en.PositionSide.LONG
    assert one.asset_id == held["MSFT"].asset_id
    assert trading.get_open_position(one.asset_id).symbol == "MSFT"
    raw = trading.get("/positions/MSFT")
    numbers = ("qty", "avg_entry_price", "market_value", "cost_basis", "unrealized_pl", "current_price")
    assert all(isinstance(raw[name], str) for name in numbers)


@pytest.mark.parametrize(("given", "left"), [({"qty": "1"}, "3"), ({"percentage": "50"}, "2"), (None, None)], ids=str)
def test_a_position_is_closed(own: User, given: dict[str, str] | None, left: str | None) -> None:
    trading = own.trading()
    status_of(trading, trading.submit_order(market("QQQ", qty=4)), "filled")
    options = rq.ClosePositionRequest(**given) if given else None
    order = trading.close_position("QQQ", options)
    assert order.side is en.OrderSide.SELL
    assert order.type is en.OrderType.MARKET
    status_of(trading, order, "filled")
    held = [position.qty for position in trading.get_all_positions()]
    assert held == ([left] if left else [])


@pytest.mark.parametrize("cancel", [True, None])
def test_all_positions_are_closed(own: User, cancel: bool | None) -> None:
    trading = own.trading()
    status_of(trading, trading.submit_order(market("QQQ", qty=4)), "filled")
    closed = trading.close_all_positions(cancel_orders=cancel)
    assert [entry.symbol for entry in closed] == ["QQQ"]
    assert closed[0].status == 200
    eventually(lambda: not trading.get_all_positions(), "the closing")


def test_a_position_that_cannot_be_closed_says_why_in_alpacas_words(own: User) -> None:
    trading = own.trading()
    status_of(trading, trading.submit_order(market("QQQ", qty=4)), "filled")
    held = rq.LimitOrderRequest(symbol="QQQ", qty=4, side="sell", time_in_force="day", limit_price=9_999)
    trading.submit_order(held)
    (entry,) = trading.close_all_positions(cancel_orders=None)
    assert entry.status == 403
    assert isinstance(entry.body, FailedClosePositionDetails)
    assert entry.body.code == 40310000
    assert entry.body.held_for_orders == 4


def test_an_order_of_the_house_is_left_in_alpacas_words() -> None:
    refusal = rpc_error(refuse("order_of_house", "order_id", order_id="the-order"))
    entry = CanceledOrder(id="the-order", status=422, body=msgspec.to_builtins(refusal))
    (told,) = with_errors([entry])
    assert told.body is not None
    assert (told.body["code"], told.body["order_id"]) == (42210000, "the-order")
    assert "house" in told.body["message"]


def test_exercise_without_a_position_is_refused_by_name(trading: TradingClient, call_symbol: str) -> None:
    with pytest.raises(APIError) as refused:
        trading.exercise_options_position(call_symbol)
    assert refused.value.status_code in (403, 404)
    assert "endpoint" not in refused.value.message


# ── account ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_account_has_its_figures_as_texts(trading: TradingClient, user: User) -> None:
    account = trading.get_account()
    assert str(account.id) == user.account_id
    assert account.status is en.AccountStatus.ACTIVE
    raw = trading.get("/account")
    for name in ("cash", "buying_power", "equity", "portfolio_value", "initial_margin", "multiplier", "last_equity"):
        assert isinstance(raw[name], str), name
    assert raw["options_trading_level"] <= 3
    assert raw["account_number"].startswith("PA")


def test_an_uncovered_level_is_shown_as_three(served: Served) -> None:
    trading = served.open("uncovered", options_level=4).trading()
    assert trading.get_account().options_trading_level == 3


def test_a_cap_on_uncovered_trading_is_shown_as_three_and_stays_when_it_is_said_again(served: Served) -> None:
    own = served.open("capped", options_level=4)
    served.call("account.configure", account="capped", max_options_trading_level=4)
    settings = own.trading().get_account_configurations()
    assert settings.max_options_trading_level == 3
    own.trading().set_account_configurations(settings)
    assert served.call("account.get", account="capped")["options_trading_level"] == 4


def test_the_settings_come_back_whole(trading: TradingClient) -> None:
    settings = trading.get_account_configurations()
    assert trading.set_account_configurations(settings) == settings


@pytest.mark.parametrize(
    ("name", "value", "before"),
    [
        pytest.param("fractional_trading", False, True),
        ("no_shorting", True, False),
        ("suspend_trade", True, False),
        pytest.param("max_margin_multiplier", "1", "4"),
        pytest.param("max_options_trading_level", 1, None),
    ],
)
def test_a_setting_is_changed(own: User, name: str, value: Any, before: Any) -> None:
    trading = own.trading()
    settings = trading.get_account_configurations()
    assert getattr(settings, name) == before
    setattr(settings, name, value)
    assert getattr(trading.set_account_configurations(settings), name) == value
    assert getattr(trading.get_account_configurations(), name) == value


@pytest.mark.parametrize(
    "given", [{}, {"period": "1D", "timeframe": "5Min"}, {"period": "1M", "timeframe": "1D"}], ids=str
)
def test_the_portfolios_history(trading: TradingClient, given: dict[str, str]) -> None:
    history = trading.get_portfolio_history(rq.GetPortfolioHistoryRequest(**given))
    assert len(history.timestamp) == len(history.equity) == len(history.profit_loss)


def test_activities_of_one_kind(trading: TradingClient) -> None:
    (opening,) = trading.get("/account/activities/JNLC")
    assert opening["net_amount"] == "1000000"
    assert opening["activity_type"] == "JNLC"
    assert trading.get("/account/activities", {"activity_types": "JNLC,DIV"}) == [opening]
    assert trading.get("/account/activities", {"activity_types": "DIV"}) == []


def test_activities_of_a_day_and_by_pages(trading: TradingClient) -> None:
    (opening,) = trading.get("/account/activities", {"activity_types": "JNLC", "page_size": 1})
    assert trading.get("/account/activities", {"activity_types": "JNLC", "page_token": opening["id"]}) == []
    on = opening["date"]
    assert trading.get("/account/activities", {"activity_types": "JNLC", "date": on}) == [opening]
    assert trading.get("/account/activities", {"activity_types": "JNLC", "date": "2001-01-01"}) == []


def test_fills_are_activities(trading: TradingClient, filled: Order) -> None:
    fills = trading.get("/account/activities/FILL")
    assert str(filled.id) in {row["order_id"] for row in fills}


# ── assets, contracts, clock, calendar ───────────────────────────────────────────────────────────────────


def test_assets_are_listed_in_order(trading: TradingClient) -> None:
    listed = trading.get_all_assets()
    order = [(asset.asset_class.value, asset.exchange.value, asset.symbol) for asset in listed]
    assert order == sorted(order)
    assert {"AAPL", "SPY"} <= {asset.symbol for asset in listed}


@pytest.mark.parametrize(
    ("given", "some"),
    [
        ({"status": "active"}, True),
        ({"status": "inactive"}, False),
        ({"asset_class": "us_equity"}, True),
        ({"asset_class": "us_option"}, True),
        ({"asset_class": "crypto"}, False),
        ({"exchange": "NASDAQ"}, True),
        ({"attributes": "ipo"}, False),
    ],
    ids=str,
)
def test_assets_are_filtered(trading: TradingClient, given: dict[str, str], some: bool) -> None:
    assert bool(trading.get_all_assets(rq.GetAssetsRequest(**given))) == some


def test_one_asset_by_symbol_and_by_id(trading: TradingClient) -> None:
    apple = trading.get_asset("AAPL")
    assert apple.tradable
    assert trading.get_asset(str(apple.id)) == apple
    assert trading.get_asset("aapl") == apple


def test_the_clock_has_new_yorks_offset(trading: TradingClient) -> None:
    clock = trading.get_clock()
    offset = clock.timestamp.utcoffset()
    assert offset in (timedelta(hours=-5), timedelta(hours=-4))
    assert abs(clock.timestamp - datetime.now(timezone.utc)) < timedelta(seconds=30)
    assert clock.next_close > clock.timestamp


def test_the_calendar(trading: TradingClient) -> None:
    days = trading.get_calendar(rq.GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 27)))
    assert days[0].date == date(2026, 11, 23)
    assert days[-1].date == date(2026, 11, 27)
    raw = trading.get("/calendar", {"start": "2026-11-23", "end": "2026-11-24"})
    assert set(raw[0]) == {"date", "open", "close", "session_open", "session_close", "settlement_date"}
    assert ":" not in raw[0]["session_open"]
    assert raw[0]["settlement_date"] == raw[1]["date"]


@pytest.mark.parametrize(
    "given",
    [
        {"type": "call"},
        {"type": "put"},
        {"strike_price_gte": "600", "strike_price_lte": "700"},
        {"style": "american"},
        {"root_symbol": "SPY"},
    ],
    ids=str,
)
def test_option_contracts_are_filtered(trading: TradingClient, given: dict[str, str]) -> None:
    listed = trading.get_option_contracts(
        rq.GetOptionContractsRequest(underlying_symbols=["SPY"], limit=50, **given)
    ).option_contracts
    assert listed
    for contract in listed:
        assert contract.underlying_symbol == "SPY"
        assert given.get("type") in (None, contract.type.value)
        assert float(given.get("strike_price_gte", 0)) <= contract.strike_price
        assert contract.strike_price <= float(given.get("strike_price_lte", 1e9))


def test_option_contracts_come_by_pages_and_end_at_the_weekend(trading: TradingClient) -> None:
    seen: list[str] = []
    token = None
    while True:
        page = trading.get_option_contracts(
            rq.GetOptionContractsRequest(underlying_symbols=["SPY"], limit=60, page_token=token)
        )
        seen += [contract.symbol for contract in page.option_contracts]
        token = page.next_page_token
        if token is None:
            break
    assert len(seen) == len(set(seen)) > 60
    weekend = date.today() + timedelta(days=7)  # noqa: DTZ011
    everything = trading.get_option_contracts(
        rq.GetOptionContractsRequest(underlying_symbols=["SPY"], limit=10_000, expiration_date_gte=date(2020, 1, 1))
    )
    assert len(everything.option_contracts) > len(seen)
    assert max(c.expiration_date for c in everything.option_contracts) > weekend


def test_one_contract(trading: TradingClient, call_symbol: str) -> None:
    contract = trading.get_option_contract(call_symbol)
    assert contract.symbol == call_symbol
    assert trading.get_option_contract(contract.id).symbol == call_symbol


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
def test_announcements(trading: TradingClient) -> None:
    request = rq.GetCorporateAnnouncementsRequest(
        ca_types=[en.CorporateActionType.DIVIDEND], since=date(2026, 10, 1), until=date(2026, 11, 1)
    )
    assert trading.get_corporate_announcements(request) == []
    with pytest.raises(APIError) as refused:
        trading.get_corporate_announcement_by_id(str(uuid.uuid4()))
    assert refused.value.status_code == 404


# ── watchlists ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_watchlists_life(own: User) -> None:
    trading = own.trading()
    assert trading.get_watchlists() == []
    made = trading.create_watchlist(rq.CreateWatchlistRequest(name="tech", symbols=["AAPL", "MSFT"]))
    assert str(made.account_id) == own.account_id
    assert [asset.symbol for asset in made.assets or []] == ["AAPL", "MSFT"]
    (listed,) = trading.get_watchlists()
    assert (listed.id, listed.assets) == (made.id, None)
    added = trading.add_asset_to_watchlist_by_id(made.id, "SPY")
    assert [asset.symbol for asset in added.assets or []] == ["AAPL", "MSFT", "SPY"]
    less = trading.remove_asset_from_watchlist_by_id(made.id, "AAPL")
    assert [asset.symbol for asset in less.assets or []] == ["MSFT", "SPY"]
    renamed = trading.update_watchlist_by_id(made.id, rq.UpdateWatchlistRequest(name="funds"))
    assert renamed.name == "funds"
    assert [asset.symbol for asset in renamed.assets or []] == ["MSFT", "SPY"]
    replaced = trading.update_watchlist_by_id(made.id, rq.UpdateWatchlistRequest(symbols=["QQQ"]))
    assert [asset.symbol for asset in replaced.assets or []] == ["QQQ"]
    assert trading.get_watchlist_by_id(made.id).name == "funds"
    assert trading.delete_watchlist_by_id(made.id) is None
    with pytest.raises(APIError) as refused:
        trading.delete_watchlist_by_id(made.id)
    assert refused.value.status_code == 404


def test_a_watchlist_by_its_name(own: User) -> None:
    trading = own.trading()
    made = trading.create_watchlist(rq.CreateWatchlistRequest(name="by name", symbols=["AAPL"]))
    found = own.ask("GET", "/v2/watchlists:by_name?name=by%20name").json()
    assert found["id"] == str(made.id)
    added = own.ask("POST", "/v2/watchlists:by_name?name=by%20name", json={"symbol": "SPY"}).json()
    assert [asset["symbol"] for asset in added["assets"]] == ["AAPL", "SPY"]
    gone = own.ask("DELETE", "/v2/watchlists:by_name?name=by%20name")
    assert (gone.status_code, gone.content) == (204, b"")
