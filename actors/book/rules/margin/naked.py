"""What uncovered short options ask: one contract, and a short call with a short put (margin-and-options §3.2, §3.3).

Invariants: money units a contract, the premium included; one rounding, half-up. A put secured by its strike
(cash accounts, and admission below option level 4) asks the strike without the premium.
"""

from __future__ import annotations

from typing import Final

from actors.book.rules.margin.legs import MONEY_PER_PRICE, Group, Leg
from actors.book.rules.margin.profiles import NAKED_RATES, PPM, MarginProfile
from actors.book.rules.margin.stock import divide_half_up

Naked = tuple[int, int]
"""Whole requirement of one contract, and how much of it is not premium."""

_E6: Final = PPM


def naked(profile: MarginProfile, group: Group, leg: Leg) -> Naked:
    """Requirement of one uncovered contract of a short leg."""
    scale = group.multiplier * MONEY_PER_PRICE
    if profile.naked == "strike" and not leg.call:
        whole = leg.strike * scale
        return whole, whole
    underlying = group.underlying
    rates = NAKED_RATES[underlying.margin_class]
    base = min(_E6, rates.base_ppm * underlying.leverage_ppm // PPM)
    least = min(_E6, rates.least_ppm * underlying.leverage_ppm // PPM)
    price = underlying.price
    away = max(0, leg.strike - price if leg.call else price - leg.strike)
    extra_e6 = max(base * price - away * _E6, least * (price if leg.call else leg.strike))
    extra = divide_half_up(extra_e6 * scale, _E6)
    return leg.price * scale + extra, extra


def pair(call: Naked, put: Naked) -> int:
    """Requirement of a short call with a short put: the greater side whole, and the other side's premium."""
    if call[0] == put[0]:
        return call[0] + put[0] - min(call[1], put[1])
    lesser = min(call, put)
    return call[0] + put[0] - lesser[1]
