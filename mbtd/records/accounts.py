"""Accounts and positions in Alpaca's shape (alpaca-api §4.1, §4.3).

Invariants: money, quantities and ratios are texts; a short position shows negative quantity and value; margin
requirements are shown without the value of what is short, so that equity less requirement is what is left.
"""

from __future__ import annotations

from typing import Any

from actors.book.day_calls import power_of
from actors.book.osi import is_option_symbol
from actors.book.rules.admission.closing import free_of_cover_qty
from actors.book.rules.margin.holdings import holds_options
from actors.book.rules.money import day_trade_calls, day_trades
from actors.book.rules.money.fees import accrued_money
from actors.book.rules.money.settlement import settled_cash, unsettled
from actors.book.state.book import Book, Position
from actors.book.units import (
    average_price,
    format_money,
    format_price,
    format_qty,
    format_scaled,
    format_time,
    value_money,
)
from actors.book.view import (
    Figures,
    approved_options_level,
    available_qty,
    day_trading_times,
    figures,
    may_short,
    payable_money,
    position_money,
    sma,
    trade_date,
    withdrawable,
)
from actors.market.days import window_start
from actors.market.world import World
from mbtd.records.action_lines import action_dues, coming_actions
from mbtd.records.money_lines import date_text


def render_account(book: Book, name: str, tier: str, world: World) -> dict[str, Any]:
    """Alpaca's account object and ours beside it."""
    f = figures(book, world)
    ledger = book.ledger()
    money = format_money
    today = trade_date(world)
    known = bool(ledger.balance_asof or ledger.last_equity)
    return {
        "id": book.account_id,
        "account_number": f"PA{book.account_no:09d}",
        "name": name,
        "user_id": book.user_id,
        "tier": tier,
        "type": book.type,
        "status": book.status if not book.quarantined else "ACTIVE",
        "crypto_status": "ACTIVE",
        "quarantined": book.quarantined or None,
        "currency": "USD",
        "cash": money(book.cash),
        "long_market_value": money(f.long_money),
        "short_market_value": money(f.short_money),
        "position_market_value": money(f.long_money + f.short_money),
        "equity": money(f.equity_money),
        "portfolio_value": money(f.equity_money),
        "last_equity": money(ledger.last_equity if known else book.cash),
        "last_maintenance_margin": money(ledger.last_maintenance),
        "balance_asof": date_text(ledger.balance_asof) or None,
        "initial_margin": money(f.net_initial_money),
        "maintenance_margin": money(f.net_maintenance_money),
        "multiplier": str(f.multiplier),
        **_buying_powers(book, f, world),
        "sma": money(sma(book, f)),
        "accrued_fees": money(accrued_money(ledger.fees)),
        "pending_reg_taf_fees": money(accrued_money(tuple(x for x in ledger.fees if x.kind in ("REG", "TAF")))),
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "intraday_adjustments": "0",
        "options_approved_level": approved_options_level(book),
        "options_trading_level": book.options_level,
        **_day_trades(book, f, world, today),
        "shorting_enabled": may_short(book, f.equity_money),
        "trading_blocked": bool(book.quarantined) or book.status != "ACTIVE",
        "transfers_blocked": False,
        "account_blocked": bool(book.quarantined),
        "trade_suspended_by_user": book.suspend_trade,
        "created_at": format_time(book.created_at),
        **_own(book, f, world, today),
        "account_epoch": book.epoch,
        "profile": book.profile,
        "margin_profile": book.margin_profile,
        "n": book.n,
    }


def _buying_powers(book: Book, f: Figures, world: World) -> dict[str, Any]:
    """Each kind of buying power (alpaca-api §4.1, margin-and-options §2.4)."""
    cash, reserved = book.type == "cash", book.reserved_money
    due = payable_money(book)
    # Of what is bought with own money only, all that is owed is missing, whatever is lent on the rest.
    own = (f.available_money - due) * f.multiplier - reserved
    free = f.buying_power_money if cash else max(0, min(f.buying_power_money, own)) // f.multiplier
    reg_t = f.buying_power_money if cash else max(0, min(f.multiplier, 2) * f.available_money - due - reserved)
    return {
        "buying_power": format_money(f.buying_power_money),
        "effective_buying_power": format_money(f.buying_power_money),
        "regt_buying_power": format_money(max(0, reg_t)),
        "daytrading_buying_power": format_money(max(0, f.day_trading_money - reserved)),
        "non_marginable_buying_power": format_money(free),
        "options_buying_power": format_money(free),
        "bod_dtbp": format_money(opening) if (opening := power_of(book, trade_date(world))) else 0,
        "reserved_for_orders": format_money(book.reserved_money),
    }


def _day_trades(book: Book, f: Figures, world: World, today: int) -> dict[str, Any]:
    """Day-trade figures of the 2001 rules; plain zeros under the others (rules §8)."""
    record = book.ledger().day_trading
    count, flagged = 0, False
    if record is not None and today and world.days is not None:
        first = window_start(world.days, today, day_trades.WINDOW_DAYS)
        count, _ = day_trades.counts(day_trades.roll(record, today, first), first)
        flagged = record.flagged
    rules = day_trades.rule_set(book.rules().day_trade_rules, today)
    return {
        "pattern_day_trader": flagged and rules == day_trades.PDT,
        "daytrade_count": count if rules == day_trades.PDT else 0,
        "day_trade_rules": rules,
        **_day_trade_calls(book, rules, today),
    }


def _day_trade_calls(book: Book, rules: str, today: int) -> dict[str, Any]:
    """Calls for exceeded day-trading buying power, what follows from them, and deposits that have to stay (§8.1)."""
    ledger = book.ledger()
    record = ledger.day_trading
    many = day_trading_times(book, today)
    restriction, until = None, 0
    if rules != day_trades.PDT:
        pass
    elif record is not None and day_trade_calls.closes_only(record, ledger.last_equity, today):
        restriction, until = "closes_only", record.closes_only_until
    elif many == 1:
        restriction, until = "cash_only", day_trade_calls.cash_only_until(ledger.day_trade_calls)
    elif many == day_trade_calls.CALL_TIMES:
        restriction, until = "two_times", min(call.until for call in ledger.day_trade_calls)
    return {
        "day_trade_calls": [
            {
                "date": date_text(call.trade_date),
                "amount": format_money(call.money),
                "deposited": format_money(call.deposits),
                "status": call.state,
                "until": date_text(call.until),
            }
            for call in ledger.day_trade_calls
        ],
        "day_trade_restriction": restriction,
        "day_trade_restriction_until": date_text(until) or None,
        "held_deposits": [
            {"amount": format_money(entry.money), "until": date_text(entry.until)}
            for entry in ledger.held_deposits
            if entry.until >= today
        ],
    }


def _own(book: Book, f: Figures, world: World, today: int) -> dict[str, Any]:
    """What Alpaca does not show: settlement, margin standing, deficits, violations, locates."""
    ledger = book.ledger()
    record = ledger.intraday
    unmet = [d for d in record.deficits if not d.satisfied_on] if record is not None else []
    return {
        "settled_cash": format_money(settled_cash(book.cash, ledger, today)),
        "unsettled_cash": format_money(unsettled(ledger, today)),
        "unsettled": [
            {"settles_on": date_text(d), "amount": format_money(m)} for d, m in ledger.settling if d > today
        ],
        "withdrawable": format_money(withdrawable(book, world)),
        "excess_liquidity": format_money(f.excess_money),
        "margin_status": ledger.call.state,
        "margin_call_due_at": format_time(ledger.call.due_at) if ledger.call.due_at else None,
        "margin_call_reason": ledger.call.reason or None,
        "intraday_margin_deficits": [
            {"date": date_text(d.trade_date), "amount": format_money(d.money), "call_due": date_text(d.call_due)}
            for d in unmet
        ],
        "violations": [{"date": date_text(day), "kind": kind} for day, kind, _ in ledger.violations],
        "settled_cash_only_until": date_text(ledger.settled_only_until) or None,
        "accrued_interest": format_money(ledger.margin_interest - ledger.cash_interest),
        "locates": [
            {"symbol": x.symbol, "qty": format_qty(x.qty), "expires_at": format_time(x.expires_at)}
            for x in ledger.locates
        ],
        "dividends": [row for record in book.actions.values() for row in action_dues(record, world)],
        "corporate_actions_to_come": coming_actions(book, world),
        "reconcile_required": [record.ca_id for record in book.actions.values() if record.reconcile],
        "configuration": render_configuration(book),
    }


def render_configuration(book: Book) -> dict[str, Any]:
    """Alpaca's account configuration (alpaca-api §4.6) and our settings beside it."""
    rules = book.rules()
    return {
        "dtbp_check": rules.dtbp_check,
        "pdt_check": rules.pdt_check,
        "fractional_trading": book.fractional_trading,
        "max_margin_multiplier": str(book.max_margin_multiplier),
        "max_options_trading_level": rules.max_options_trading_level,
        "no_shorting": book.no_shorting,
        "suspend_trade": book.suspend_trade,
        "trade_confirm_email": "none",
        "ptp_no_exception_entry": rules.ptp_no_exception_entry,
        "disable_overnight_trading": rules.disable_overnight_trading,
        "day_trade_rules": rules.day_trade_rules,
        "intraday_mode": rules.intraday_mode,
        "unsettled_sales": rules.unsettled_sales,
        "lot_method": rules.lot_method,
        "fee_mode": rules.fee_mode,
        "fraction_long": rules.fraction_long,
        "action_orders": rules.action_orders,
        "order_size_rounding": rules.order_size_rounding,
        "drip": rules.drip,
        "nra_ppm": rules.nra_ppm,
    }


def _sellable(book: Book, position: Position, world: World) -> int:
    """What no open order holds and, below the uncovered level, no short call relies on (alpaca-api §2.13)."""
    free = available_qty(book, position.symbol)
    if position.qty <= 0 or not holds_options(book) or is_option_symbol(position.symbol):
        return free
    covering = free_of_cover_qty(book, position.symbol, world)
    return free if covering is None else min(free, covering)


def render_position(book: Book, position: Position, world: World) -> dict[str, Any]:
    """Alpaca's position object."""
    symbol = position.symbol
    value = position_money(position, world)
    profit = value - position.basis_money
    basis = abs(position.basis_money)
    mark = world.mark(symbol)
    instrument = world.instruments.by_symbol.get(symbol)
    last_day = instrument.previous_close if instrument is not None else 0
    multiplier = instrument.multiplier if instrument is not None else 1
    intraday, intraday_basis = _intraday(position, value, last_day, world)
    return {
        "asset_id": position.asset_id,
        "symbol": symbol,
        "exchange": instrument.exchange if instrument is not None else "",
        "asset_class": instrument.asset_class if instrument is not None else "us_equity",
        "asset_marginable": instrument.marginable if instrument is not None else False,
        "qty": format_qty(position.qty),
        "qty_available": format_qty(_sellable(book, position, world)),
        "side": "long" if position.qty > 0 else "short",
        "avg_entry_price": format_price(average_price(basis, abs(position.qty) * multiplier)),
        "market_value": format_money(value),
        "cost_basis": format_money(position.basis_money),
        "unrealized_pl": format_money(profit),
        "unrealized_plpc": _share(profit, basis),
        "unrealized_intraday_pl": format_money(intraday),
        "unrealized_intraday_plpc": format_scaled(intraday * 1_000_000 // intraday_basis, 6)
        if intraday_basis
        else "0",
        "current_price": format_price(mark) if mark else None,
        "lastday_price": format_price(last_day) if last_day else None,
        "change_today": format_scaled((mark - last_day) * 1_000_000 // last_day, 6) if mark and last_day else None,
        "realized_pl": format_money(position.realized_money),
        "lots": [
            {
                "lot_no": lot.lot_no,
                "qty": format_qty(lot.qty),
                "cost_basis": format_money(lot.basis_money),
                "opened_at": format_time(lot.opened_at),
            }
            for lot in position.lots
        ],
    }


def _share(part: int, whole: int) -> str:
    return format_scaled(part * 1_000_000 // whole, 6) if whole else "0"


def _intraday(position: Position, value: int, last_day: int, world: World) -> tuple[int, int]:
    """Profit since the start of the trade date and what it is measured by (alpaca-api §4.3).

    Lots of earlier dates count at yesterday's close, today's at what they cost.
    """
    day = world.day
    instrument = world.instruments.by_symbol.get(position.symbol)
    multiplier = instrument.multiplier if instrument is not None else 1
    start = 0
    for lot in position.lots:
        old = day is not None and lot.opened_at < day.begins_at and last_day
        start += value_money(last_day, lot.qty, multiplier) if old else lot.basis_money
    return value - start, abs(start)
