"""Money through the socket: Alpaca's account fields, settings, reset, previews, and the calendar's dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mbtd.rpc.client import Client
from tests.service.conftest import make_account, place
from tests.service.running import Daemon, refusal, until

ALPACA_FIELDS = {
    "id", "account_number", "status", "crypto_status", "currency", "cash", "portfolio_value", "equity", "last_equity",
    "long_market_value", "short_market_value", "position_market_value", "initial_margin", "maintenance_margin",
    "last_maintenance_margin", "balance_asof", "multiplier", "buying_power", "regt_buying_power",
    "daytrading_buying_power", "effective_buying_power", "non_marginable_buying_power", "options_buying_power",
    "sma", "accrued_fees", "pending_reg_taf_fees", "pending_transfer_in", "pending_transfer_out",
    "intraday_adjustments", "options_approved_level", "options_trading_level", "pattern_day_trader",
    "daytrade_count", "bod_dtbp", "shorting_enabled", "trading_blocked", "transfers_blocked", "account_blocked",
    "trade_suspended_by_user", "created_at",
}  # fmt: skip
TEXTS = ("cash", "equity", "initial_margin", "buying_power", "sma", "last_equity", "multiplier", "accrued_fees")


def test_the_account_has_alpacas_fields_and_they_add_up(
    client: Client, account: str, bought: Callable[..., Any]
) -> None:
    bought("10")
    shown = client.call("account.get", account=account)
    assert set(shown) >= ALPACA_FIELDS
    assert all(isinstance(shown[name], str) for name in TEXTS)
    equity = float(shown["equity"])
    marked = float(shown["cash"]) + float(shown["position_market_value"]) - float(shown["accrued_fees"])
    assert equity == pytest.approx(marked, abs=1e-6)
    assert float(shown["initial_margin"]) == pytest.approx(float(shown["long_market_value"]) / 2, abs=0.01)
    assert float(shown["excess_liquidity"]) == pytest.approx(equity - float(shown["maintenance_margin"]), abs=1e-6)
    assert shown["settled_cash"] == "1000000"
    assert [bucket["amount"] for bucket in shown["unsettled"]] == [shown["unsettled_cash"]]
    assert float(shown["accrued_fees"]) > 0


def test_a_fill_says_when_it_settles_and_what_fees_it_brings(daemon: Daemon, client: Client, account: str) -> None:
    topic = f"account:{account}"
    with daemon.client() as listener:
        stream = listener.subscribe([topic], seconds=15)
        next(stream)
        place(client, account, type="market", limit_price=None)
        message = next(m for m in stream if m.data["event"] == "trade.booked")
        stream.close()
    assert set(message.data) >= {"trade_date", "settles_on", "net_amount", "fees", "symbol"}
    assert message.data["settles_on"] > message.data["trade_date"]


def test_a_reset_begins_again_and_keeps_the_history(client: Client, account: str, bought: Callable[..., Any]) -> None:
    bought("10")
    place(client, account)
    answer = client.call("account.reset", account=account, cash="5000")
    assert (answer["cash"], answer["equity"], answer["account_epoch"]) == ("5000", "5000", 1)
    assert client.call("position.list", account=account)["items"] == []
    assert client.call("order.list", account=account)["items"] == []
    assert len(client.call("fill.list", account=account)["items"]) >= 1
    assert client.call("order.list", account=account, status="closed")["items"]
    order = place(client, account)["order"]
    assert client.call("order.get", account=account, order_id=order["id"])["status"] in ("accepted", "new")
    error = refusal(lambda: client.call("account.reset", account=account, cash="-1"))
    assert error["data"]["reason"] == "invalid_amount"


def test_settings_are_shown_as_they_were_set(client: Client, account: str) -> None:
    shown = client.call("account.get", account=account)["configuration"]
    assert (shown["pdt_check"], shown["day_trade_rules"]) == ("entry", "auto")
    changed = client.call(
        "account.configure", account=account, pdt_check="both", dtbp_check=None, max_margin_multiplier="2",
        no_shorting=True, suspend_trade=True, ptp_no_exception_entry=True, max_options_trading_level=1,
        trade_confirm_email="none", day_trade_rules="off",
    )  # fmt: skip
    assert changed["configuration"] == {
        **shown, "pdt_check": "both", "max_margin_multiplier": "2", "no_shorting": True, "suspend_trade": True,
        "ptp_no_exception_entry": True, "max_options_trading_level": 1, "day_trade_rules": "off",
    }  # fmt: skip
    assert (changed["multiplier"], changed["trade_suspended_by_user"]) == ("2", True)
    assert refusal(lambda: place(client, account))["data"]["reason"] == "trade_suspended"
    assert (changed["options_approved_level"], changed["options_trading_level"]) == (3, 1)
    error = refusal(lambda: client.call("account.configure", account=account, max_options_trading_level=4))
    assert (error["data"]["reason"], error["data"]["field"]) == ("invalid_setting", "max_options_trading_level")
    assert refusal(lambda: client.call("account.configure", account=account, pdt_check="never"))["code"] == -32602


def test_a_preview_names_requirements_and_fees(client: Client, account: str) -> None:
    order: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "limit", "limit_price": "100.00"}
    effect = client.call("order.preview", account=account, **order)["effect"]
    assert (effect["initial_margin"], effect["maintenance_margin"]) == ("500", "300")
    assert float(effect["fees"]) == 0.01
    assert float(effect["buying_power"]) == -1000.01
    assert effect["warnings"] == []
    short = client.call("order.preview", account=account, **{**order, "side": "sell"})["effect"]
    assert float(short["initial_margin"]) >= 500
    cash = make_account(client, "preview-cash", type="cash")
    effect = client.call("order.preview", account=cash, **order)["effect"]
    assert (effect["initial_margin"], effect["maintenance_margin"]) == ("1000", "0")


def test_a_cash_account_sees_what_it_may_take_out(client: Client) -> None:
    account = make_account(client, "takes-out", type="cash", cash="100000")
    for side in ("buy", "sell"):
        place(client, account, side=side, type="market", limit_price=None)
        until(lambda: not client.call("order.list", account=account)["items"], "the fill")
    shown = client.call("account.get", account=account)
    proceeds = float(shown["unsettled_cash"])
    assert proceeds > 0
    free = float(shown["withdrawable"])
    assert free == pytest.approx(float(shown["cash"]) - proceeds - float(shown["accrued_fees"]), abs=1e-6)
    error = refusal(lambda: client.call("account.withdraw", account=account, amount=f"{free + 1:.2f}"))
    assert error["data"]["reason"] == "insufficient_cash"
    client.call("account.withdraw", account=account, amount=shown["withdrawable"])
    assert float(client.call("account.get", account=account)["withdrawable"]) == 0


def test_only_an_operator_calls_borrowed_shares_back(client: Client, account: str) -> None:
    error = refusal(lambda: client.call("account.recall_borrow", account=account, symbol="AAPL"))
    assert error["data"]["reason"] == "position_not_found"
    located = client.call("account.locate", account=account, symbol="AAPL", qty="100")
    assert [(one["symbol"], one["qty"]) for one in located["locates"]] == [("AAPL", "100")]


def test_the_calendar_carries_settlement_dates(client: Client) -> None:
    days = client.call("calendar.list", start="2026-11-10", end="2026-11-12")["items"]
    by_date = {day["date"]: day["settlement_date"] for day in days}
    assert by_date["2026-11-10"] == "2026-11-12"
