"""Option contracts, chains and payoffs for the outside, in Alpaca's field names (alpaca-api §4.8, §5.4)."""

from __future__ import annotations

from typing import Any

from actors.book.instruments import WHOLE_PPM, Deliverable, Instrument
from actors.book.units import format_money, format_price, format_qty, format_scaled, format_time
from actors.market.board import Slot
from mbtd.pricing.chain import Priced
from mbtd.pricing.model import Greeks
from mbtd.pricing.payoff import Curve, Payoff, price_texts

_PENNY = (100, 500)


def format_day(day: int) -> str | None:
    """YYYYMMDD as YYYY-MM-DD; null for none."""
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}" if day else None


def render_contract(contract: Instrument, underlying_id: str | None, *, deliverables: bool) -> dict[str, Any]:
    """Alpaca's contract object, with ours beside it; the list of deliverables only where asked for."""
    out: dict[str, Any] = {
        "id": contract.asset_id,
        "symbol": contract.symbol,
        "name": contract.name,
        "status": "active" if contract.active else "inactive",
        "tradable": contract.tradable,
        "expiration_date": format_day(contract.settlement_date),
        "last_trading_date": format_day(contract.expiry_date),
        "root_symbol": contract.root or contract.underlying,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": underlying_id,
        "type": contract.right,
        "style": contract.style,
        "settlement": contract.settlement,
        "settlement_time": contract.settles or None,
        "strike_price": format_price(contract.strike),
        "multiplier": str(contract.multiplier),
        "size": str(contract.multiplier),
        "open_interest": str(contract.open_interest) if contract.open_interest >= 0 else None,
        "open_interest_date": format_day(contract.open_interest_date),
        "close_price": format_price(contract.previous_close) if contract.previous_close else None,
        "close_price_date": format_day(contract.previous_close_date),
        "ppind": (contract.tick_price, contract.tick_price_from_3) == _PENNY,
        "price_increment_below_3": format_price(contract.tick_price),
        "price_increment_from_3": format_price(contract.tick_price_from_3 or contract.tick_price),
        "adjusted": contract.is_adjusted,
    }
    if deliverables:
        count = len([part for part in contract.deliverables if part.kind == "equity"])
        out["deliverables"] = [_deliverable(part, count) for part in contract.deliverables]
    return out


def _deliverable(part: Deliverable, equities: int) -> dict[str, Any]:
    share = part.allocation_ppm or (WHOLE_PPM // max(1, equities) if part.kind == "equity" else 0)
    return {
        "type": part.kind,
        "symbol": part.symbol,
        "amount": format_money(part.amount) if part.kind == "cash" else format_qty(part.amount),
        "allocation_percentage": format_scaled(share, 4),
        "settlement_type": part.settlement_type,
        "settlement_method": part.settlement_method,
        "delayed_settlement": part.delayed,
    }


def render_snapshot(contract: Instrument, slot: Slot | None, priced: Priced | None) -> dict[str, Any]:
    """One row of a chain: the standing quote, the last print, and what the model makes of them."""
    quote = slot.quote if slot is not None else None
    last = slot.last if slot is not None else None
    greeks = priced.greeks if priced is not None else None
    return {
        "symbol": contract.symbol,
        "type": contract.right,
        "strike_price": format_price(contract.strike),
        "expiration_date": format_day(contract.settlement_date),
        "last_trading_date": format_day(contract.expiry_date),
        "bid_price": format_price(quote.bid) if quote is not None and quote.bid else None,
        "bid_size": quote.bid_size if quote is not None else None,
        "ask_price": format_price(quote.ask) if quote is not None and quote.ask else None,
        "ask_size": quote.ask_size if quote is not None else None,
        "quote_timestamp": format_time(quote.at) if quote is not None else None,
        "last_price": format_price(last.price) if last is not None else None,
        "last_timestamp": format_time(last.at) if last is not None else None,
        "implied_volatility": _number(priced.implied_volatility, 6) if priced is not None else None,
        "greeks": render_greeks(greeks) if greeks is not None else None,
        "theoretical_price": _number(greeks.value, 4) if greeks is not None else None,
        "volatility_from_strike": _number(priced.from_strike, 4) if priced is not None else None,
    }


def render_priced(priced: Priced) -> dict[str, Any]:
    """What the model says of one contract, without its market."""
    return {
        "implied_volatility": _number(priced.implied_volatility, 6),
        "greeks": render_greeks(priced.greeks) if priced.greeks is not None else None,
    }


def render_greeks(greeks: Greeks) -> dict[str, Any]:
    """Greeks of one share's option."""
    return {
        "delta": _number(greeks.delta, 6),
        "gamma": _number(greeks.gamma, 6),
        "theta": _number(greeks.theta, 6),
        "vega": _number(greeks.vega, 6),
        "rho": _number(greeks.rho, 6),
    }


def render_payoff(payoff: Payoff, underlying: str, spot: float) -> dict[str, Any]:
    """A payoff with its curves; dollars."""
    return {
        "underlying": underlying,
        "spot": _number(spot, 4),
        "cost": format_money(payoff.cost_money),
        "max_profit": format_money(payoff.max_profit_money) if payoff.max_profit_money is not None else None,
        "max_loss": format_money(payoff.max_loss_money) if payoff.max_loss_money is not None else None,
        "breakevens": price_texts(payoff.breakevens),
        "unpriced": list(payoff.unpriced),
        "limits_at": "first_expiry" if payoff.curves[0].theoretical else "expiry",
        "corners": [
            {"price": format_price(price), "profit": format_money(profit)} for price, profit in payoff.corners
        ],
        "curves": [_curve(curve) for curve in payoff.curves],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "label": curve.label,
        "at": format_time(curve.at),
        "theoretical": curve.theoretical,
        "prices": [_number(price, 4) for price in curve.prices],
        "profits": [_number(profit, 2) for profit in curve.profits],
    }


def _number(value: float | None, decimals: int) -> str | None:
    """A binary fraction as plain decimal text."""
    if value is None:
        return None
    return format_scaled(round(value * 10**decimals), decimals)
