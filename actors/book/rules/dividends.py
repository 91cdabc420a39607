"""Cash dividends: what is owed on a holding, and what open orders become (rules §4.1, §5).

Invariants: integers only; cents half up on the absolute value, then the sign; a rate is exact to a billionth dollar.
"""

from __future__ import annotations

from typing import Final

from actors.book.events.orders import OrderAccepted
from actors.book.units import PRICE_PER_DOLLAR

RATE_PER_DOLLAR: Final = 1_000_000_000
_CENT: Final = PRICE_PER_DOLLAR // 100
_CENT_MONEY: Final = 10_000
_RATE_PER_PRICE: Final = RATE_PER_DOLLAR // PRICE_PER_DOLLAR
_QTY_RATE_PER_CENT: Final = 10**9 * RATE_PER_DOLLAR // 100


def owed_money(qty: int, rate: int) -> int:
    """What a holding (signed) is paid, or pays when short, in money units of whole cents."""
    cents = (2 * abs(qty) * rate + _QTY_RATE_PER_CENT) // (2 * _QTY_RATE_PER_CENT)
    return cents * _CENT_MONEY if qty >= 0 else -cents * _CENT_MONEY


def reduced_price(price: int, rate: int) -> int:
    """A price less the dividend, down to the cent; 0 or less: the order cannot stand."""
    return (price * _RATE_PER_PRICE - rate) // (_CENT * _RATE_PER_PRICE) * _CENT


def is_reduced(terms: OrderAccepted, rate: int) -> bool:
    """Whether an order's price follows a dividend: plain buy limits and sell stops (§5, FINRA 5330)."""
    if rate < RATE_PER_DOLLAR // 100 or terms.group_no or terms.legs or terms.waits_for:
        return False
    if terms.side == "buy":
        return terms.type == "limit"
    return terms.type in ("stop", "stop_limit")
