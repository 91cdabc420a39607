"""What a corporate action makes of a resting order (corporate-actions-and-market-rules §5, FINRA 5330).

Invariants: pure; prices in price units, quantities in quantity units; ``None`` leaves an order alone. The cent is the
step also below a dollar, since the rule takes the larger of several.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal

from msgspec import Struct

from actors.book.events.actions import CorporateAction
from actors.book.events.orders import OrderAccepted
from actors.book.rules.actions.arithmetic import CENT_PRICE, cent_price, fraction
from actors.book.rules.trailing import trails
from actors.book.units import PRICE_PER_DOLLAR, QTY_PER_SHARE

CASH_FLOOR: Final = Fraction(1, 100)
"""Dollars a share below which nothing is lowered."""
_PAYS: Final = ("cash_dividend", "capital_gains_distribution")
_GROWS: Final = ("forward_split", "stock_dividend")
_ROUND_LOTS: Final = ((250, 100), (1_000, 40), (10_000, 10))
"""Below so many dollars a round lot has so many shares (since 2025-11-03); above, one."""


class Change(Struct, frozen=True):
    """An order in new units."""

    symbol: str
    qty: int
    filled_qty: int
    limit_price: int
    stop_price: int
    ratio: Fraction


Verdict = Change | Literal["cancel"] | None


def order_change(
    action: CorporateAction, terms: OrderAccepted, policy: str, filled_qty: int, rounding: str
) -> Verdict:
    """What becomes of an order in the action's security."""
    if policy == "cancel_all":
        return "cancel"
    if action.type in _PAYS:
        return _lowered(action, terms, filled_qty)
    if action.type in _GROWS:
        ratio = fraction(action.legs[0].ratio)
        return _grown(terms, ratio, filled_qty, rounding) if ratio > 1 else "cancel"
    if action.type == "name_change" and not action.new_asset:
        symbol = action.legs[0].symbol
        return Change(symbol, terms.qty, filled_qty, terms.limit_price, terms.stop_price, Fraction(1))
    return "cancel"


def _follows(terms: OrderAccepted) -> bool:
    """Plain buy limits and sell stops."""
    if terms.side == "buy":
        return terms.type == "limit"
    return terms.type in ("stop", "stop_limit")


def _lowered(action: CorporateAction, terms: OrderAccepted, filled_qty: int) -> Verdict:
    rate = fraction(action.cash) + fraction(action.cash_more)
    if rate < CASH_FLOOR or terms.do_not_reduce or terms.group_no or terms.waits_for or not _follows(terms):
        return None
    prices = [_less(price, rate) if price else 0 for price in (terms.limit_price, terms.stop_price)]
    if any(price <= 0 for price, old in zip(prices, (terms.limit_price, terms.stop_price), strict=True) if old):
        return "cancel"
    return Change(terms.symbol, terms.qty, filled_qty, prices[0], prices[1], Fraction(1))


def _less(price: int, rate: Fraction) -> int:
    return (price - rate * PRICE_PER_DOLLAR) // CENT_PRICE * CENT_PRICE


def _grown(terms: OrderAccepted, ratio: Fraction, filled_qty: int, rounding: str) -> Verdict:
    if trails(terms) or terms.waits_for or (terms.notional and not terms.qty):
        return "cancel"
    if terms.group_no:
        limit, stop = (cent_price(price / ratio) if price else 0 for price in (terms.limit_price, terms.stop_price))
    elif _follows(terms):
        limit, stop = (_shrunk(price, ratio) if price else 0 for price in (terms.limit_price, terms.stop_price))
    else:
        return None
    if (terms.limit_price and limit <= 0) or (terms.stop_price and stop <= 0):
        return "cancel"
    step = _round_lot(limit or stop) if rounding == "round_lot" else QTY_PER_SHARE
    filled = int(filled_qty * ratio) // QTY_PER_SHARE * QTY_PER_SHARE
    qty = filled + int((terms.qty - filled_qty) * ratio) // step * step
    return Change(terms.symbol, qty, filled, limit, stop, ratio) if qty > filled else "cancel"


def _shrunk(price: int, ratio: Fraction) -> int:
    """The price less the value of the distribution, which is rounded up to the cent."""
    value = price * (1 - 1 / ratio)
    return price - -(-value // CENT_PRICE) * CENT_PRICE


def _round_lot(price: int) -> int:
    dollars = price // PRICE_PER_DOLLAR
    return next((lot for below, lot in _ROUND_LOTS if dollars < below), 1) * QTY_PER_SHARE
