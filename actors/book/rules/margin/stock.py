"""What one stock or fund position asks (margin-and-options §2.1 to §2.3).

Invariants: integers only; a requirement is gross (it contains the whole value of what is short) and never
negative; the initial requirement is never below maintenance (FINRA 4210(b)); one rounding, half-up, to the
money unit. Known limits: rules over several positions (concentration) belong to the account.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.book.rules.margin.profiles import PPM, LongStep, MarginProfile, ShortStep

_MONEY_SCALE: Final = 10_000_000
"""Price units times quantity units in one money unit."""


class StockTerms(Struct, frozen=True, gc=False):
    """What the rules must know of a stock or fund."""

    price: int
    """Price units; the market value of a share, or the price of an order."""
    leverage_ppm: int = PPM
    """Of leveraged and inverse funds, as a positive number; 1,000,000 for all else."""
    marginable: bool = True
    long_rate_ppm: int = 0
    """The asset's own maintenance rate, long; 0 when it has none."""
    short_rate_ppm: int = 0


class Requirement(Struct, frozen=True, gc=False):
    """What a position asks, money units."""

    initial_money: int
    maintenance_money: int


def divide_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half-up; the denominator is positive."""
    return (2 * numerator + denominator) // (2 * denominator)


def long_rate_ppm(profile: MarginProfile, terms: StockTerms) -> int:
    """Maintenance rate of a long position, ppm of its value."""
    step = _step_long(profile, terms.price)
    if not terms.marginable:
        return PPM if step.rate_ppm else 0
    if profile.asset_rates and terms.long_rate_ppm:
        return min(PPM, terms.long_rate_ppm)
    rate = step.rate_ppm
    if terms.leverage_ppm > PPM:
        rate = max(rate, profile.leveraged_long_ppm * terms.leverage_ppm // PPM)
    return min(PPM, rate)


def short_extra_e6(profile: MarginProfile, terms: StockTerms) -> int:
    """What a short share asks above its value, in millionths of a price unit."""
    step = _step_short(profile, terms.price)
    rate = min(PPM, step.rate_ppm * max(PPM, terms.leverage_ppm) // PPM)
    if profile.asset_rates and terms.short_rate_ppm:
        rate = terms.short_rate_ppm
    return max(step.floor_price * PPM, rate * terms.price)


def requirement(profile: MarginProfile, terms: StockTerms, qty: int) -> Requirement:
    """Initial and maintenance requirement of ``qty`` (signed, quantity units) at the terms' price.

    The initial figure is what opening it asks; the money of a short sale is not counted against it.
    """
    maintenance = maintenance_money(profile, terms, qty)
    return Requirement(max(maintenance, regulation_t_money(profile, terms, qty)), maintenance)


def maintenance_money(profile: MarginProfile, terms: StockTerms, qty: int) -> int:
    """Maintenance requirement of ``qty``, signed quantity units."""
    if qty >= 0:
        return _money(terms.price * long_rate_ppm(profile, terms), qty)
    return _money(terms.price * PPM + short_extra_e6(profile, terms), -qty)


def regulation_t_money(profile: MarginProfile, terms: StockTerms, qty: int) -> int:
    """What Regulation T asks for opening ``qty``, which may be below maintenance."""
    if qty >= 0:
        return _money(terms.price * (profile.long_initial_ppm if terms.marginable else PPM), qty)
    return _money(terms.price * (PPM + profile.short_initial_ppm), -qty)


def _money(price_e6: int, qty: int) -> int:
    return divide_half_up(price_e6 * qty, _MONEY_SCALE * PPM)


def _step_long(profile: MarginProfile, price: int) -> LongStep:
    return next(step for step in profile.long_steps if price <= step.up_to_price)


def _step_short(profile: MarginProfile, price: int) -> ShortStep:
    return next(step for step in profile.short_steps if price <= step.up_to_price)
