"""What uncovered short options ask: one contract, and a short call with a short put (margin-and-options §3.2, §3.3).

Invariants: money units a contract, the premium included; one rounding, half-up. A put secured by its strike
(cash accounts, and admission below option level 4) asks the strike without the premium.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from actors.book.rules.margin.legs import MONEY_PER_PRICE, Group, Leg
from actors.book.rules.margin.profiles import NAKED_RATES, PPM, MarginProfile
from actors.book.rules.margin.stock import divide_half_up

Naked = tuple[int, int]
"""Whole requirement of one contract, and how much of it is not premium."""

_E6: Final = PPM


def nakeds(profile: MarginProfile, group: Group, legs: Iterable[Leg]) -> list[Naked]:
    """Requirement of one uncovered contract of each of a group's short legs."""
    scale = group.multiplier * MONEY_PER_PRICE
    underlying = group.underlying
    price, leverage = underlying.price, underlying.leverage_ppm
    rates = NAKED_RATES[underlying.margin_class]
    base_e6 = min(_E6, rates.base_ppm * leverage // PPM) * price
    least = min(_E6, rates.least_ppm * leverage // PPM)
    by_strike = profile.naked == "strike"
    found = []
    for leg in legs:
        strike = leg.strike
        if leg.call:
            away, least_e6 = strike - price, least * price
        elif by_strike:
            found.append((strike * scale, strike * scale))
            continue
        else:
            away, least_e6 = price - strike, least * strike
        extra_e6 = base_e6 - away * _E6 if away > 0 else base_e6
        extra = divide_half_up((extra_e6 if extra_e6 > least_e6 else least_e6) * scale, _E6)
        found.append((leg.price * scale + extra, extra))
    return found


def pair(call: Naked, put: Naked) -> int:
    """Requirement of a short call with a short put: the greater side whole, and the other side's premium."""
    if call[0] == put[0]:
        return call[0] + put[0] - min(call[1], put[1])
    lesser = min(call, put)
    return call[0] + put[0] - lesser[1]
