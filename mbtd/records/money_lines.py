"""Lines of the facts about money: settlement, ends of day, margin calls, violations (contracts §2).

Invariant: amounts are decimal texts and dates look like 2026-11-24; a margin line carries its numbers.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.units import format_money, format_qty, format_scaled, format_time

MONEY_NAMES: dict[type, str] = {
    e.TradeBooked: "trade.booked",
    e.CashViolated: "cash.violated",
    e.DayEnded: "day.ended",
    e.MarginChanged: "margin.warning",
    e.IntradayLow: "margin.intraday_deficit",
    e.DayTradeCallChanged: "margin.call_opened",
    e.DayTradingChanged: "day_trading.changed",
    e.SharesLocated: "borrow.located",
    e.BorrowRecalled: "borrow.recalled",
    e.AccountReset: "account.reset",
    e.SettingsChanged: "account.configured",
}
_MARGIN = {"call": "margin.call_opened", "liquidating": "margin.liquidating", "warning": "margin.warning"}

_DAY_CALL = {
    "opened": "margin.call_opened",
    "paid": "margin.call_paid",
    "missed": "margin.call_missed",
    "met": "margin.call_closed",
    "ended": "margin.call_closed",
}


def date_text(day: int) -> str:
    """A date as 2026-11-24; empty for none."""
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}" if day else ""


def margin_event(event: e.MarginChanged) -> str:
    """What a change of standing is called outside."""
    in_call = ("call", "liquidating")
    if event.state not in in_call and event.before in in_call:
        return "margin.call_closed"
    if event.state == "liquidating" and event.before not in in_call:
        return "margin.call_opened"
    return _MARGIN.get(event.state, "margin.restored")


def money_fields(event: Any, line: dict[str, Any]) -> None:
    """The fields of one such fact."""
    match event:
        case e.TradeBooked():
            line["symbol"] = event.symbol
            line["trade_date"] = date_text(event.trade_date)
            line["settles_on"] = date_text(event.settles_on)
            line["net_amount"] = format_money(event.net_money)
            if event.fees:
                line["fees"] = {fee.kind: format_scaled(fee.pico, 12) for fee in event.fees}
        case e.CashViolated():
            line["symbol"] = event.symbol
            line["reason"] = event.kind
            line["count"] = event.count
            if event.settled_only_until:
                line["settled_only_until"] = date_text(event.settled_only_until)
        case e.DayEnded():
            line["trade_date"] = date_text(event.trade_date)
            line["booked_for"] = format_time(event.at)
            line["equity"] = format_money(event.equity_money)
            line["cash"] = format_money(event.cash)
            line["profit_loss"] = format_money(event.profit_money)
        case e.MarginChanged():
            _margin_fields(event, line)
        case _:
            _rare_fields(event, line)


def _margin_fields(event: e.MarginChanged, line: dict[str, Any]) -> None:
    line["event"] = margin_event(event)
    line["status"] = event.state
    line["reason"] = event.reason
    line["equity"] = format_money(event.equity_money)
    line["maintenance_margin"] = format_money(event.maintenance_money)
    line["excess"] = format_money(event.excess_money)
    if event.due_at:
        line["due_at"] = format_time(event.due_at)


def _rare_fields(event: Any, line: dict[str, Any]) -> None:
    match event:
        case e.DayTradeCallChanged():
            line["event"] = _DAY_CALL[event.state]
            line["status"] = event.state
            line["reason"] = "day_trading_buying_power"
            line["trade_date"] = date_text(event.trade_date)
            line["net_amount"] = format_money(event.money)
            if event.until:
                line["until"] = date_text(event.until)
        case e.DayTradingChanged():
            line["reason"] = event.reason
        case e.IntradayLow():
            line["trade_date"] = date_text(event.trade_date)
            line["excess"] = format_money(event.level_money)
        case e.SharesLocated():
            line["symbol"] = event.symbol
            line["qty"] = format_qty(event.qty)
            line["fee"] = format_money(event.fee_money)
            line["expires_at"] = format_time(event.expires_at)
        case e.BorrowRecalled():
            line["symbol"] = event.symbol
            line["qty"] = format_qty(event.qty)
            line["due_at"] = format_time(event.due_at)
        case e.AccountReset():
            line["account_epoch"] = event.epoch
            line["cash"] = format_money(event.cash)


__all__ = ["MONEY_NAMES", "date_text", "margin_event", "money_fields"]
