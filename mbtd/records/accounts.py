"""Accounts and positions in Alpaca's shape (alpaca-api §4.1, §4.3).

Invariants: money, quantities and ratios are texts; a short position shows negative quantity and value. Known
limits: no settlement buckets, SMA, day-trade figures or end-of-day values yet; those members are left out.
"""

from __future__ import annotations

from typing import Any

from actors.book.state.book import Book, Position
from actors.book.units import average_price, format_money, format_price, format_qty, format_scaled, format_time
from actors.book.view import available_qty, figures, position_money
from actors.market.world import World


def render_account(book: Book, name: str, tier: str, world: World) -> dict[str, Any]:
    """Alpaca's account object and ours beside it."""
    f = figures(book, world)
    money = format_money
    return {
        "id": book.account_id,
        "account_number": f"PA{book.account_no:09d}",
        "name": name,
        "user_id": book.user_id,
        "tier": tier,
        "type": book.type,
        "status": book.status if not book.quarantined else "ACTIVE",
        "quarantined": book.quarantined or None,
        "currency": "USD",
        "cash": money(book.cash),
        "long_market_value": money(f.long_money),
        "short_market_value": money(f.short_money),
        "position_market_value": money(f.long_money + f.short_money),
        "equity": money(f.equity_money),
        "portfolio_value": money(f.equity_money),
        "initial_margin": money(f.initial_money),
        "maintenance_margin": money(f.maintenance_money),
        "multiplier": str(f.multiplier),
        "buying_power": money(f.buying_power_money),
        "reserved_for_orders": money(book.reserved_money),
        "options_approved_level": book.options_level,
        "options_trading_level": book.options_level,
        "shorting_enabled": book.type == "margin" and not book.no_shorting,
        "trading_blocked": bool(book.quarantined) or book.status != "ACTIVE",
        "transfers_blocked": False,
        "account_blocked": bool(book.quarantined),
        "trade_suspended_by_user": book.suspend_trade,
        "created_at": format_time(book.created_at),
        "account_epoch": book.epoch,
        "profile": book.profile,
        "margin_profile": book.margin_profile,
        "n": book.n,
    }


def render_position(book: Book, position: Position, world: World) -> dict[str, Any]:
    """Alpaca's position object."""
    symbol = position.symbol
    value = position_money(position, world)
    profit = value - position.basis_money
    basis = abs(position.basis_money)
    mark = world.mark(symbol)
    instrument = world.instruments.by_symbol.get(symbol)
    last_day = instrument.previous_close if instrument is not None else 0
    return {
        "asset_id": position.asset_id,
        "symbol": symbol,
        "exchange": instrument.exchange if instrument is not None else "",
        "asset_class": instrument.asset_class if instrument is not None else "us_equity",
        "asset_marginable": instrument.marginable if instrument is not None else False,
        "qty": format_qty(position.qty),
        "qty_available": format_qty(available_qty(book, symbol)),
        "side": "long" if position.qty > 0 else "short",
        "avg_entry_price": format_price(average_price(basis, abs(position.qty))),
        "market_value": format_money(value),
        "cost_basis": format_money(position.basis_money),
        "unrealized_pl": format_money(profit),
        "unrealized_plpc": format_scaled(profit * 1_000_000 // basis, 6) if basis else "0",
        "current_price": format_price(mark) if mark else None,
        "lastday_price": format_price(last_day) if last_day else None,
        "change_today": format_scaled((mark - last_day) * 1_000_000 // last_day, 6) if mark and last_day else None,
        "realized_pl": format_money(position.realized_money),
        "lots": [
            {
                "qty": format_qty(lot.qty),
                "cost_basis": format_money(lot.basis_money),
                "opened_at": format_time(lot.opened_at),
            }
            for lot in position.lots
        ],
    }
