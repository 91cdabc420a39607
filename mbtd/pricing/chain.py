"""Implied volatility, Greeks and theoretical values of a whole chain, from its quotes.

Invariants: a volatility comes from a two-sided quote that tells one, and from nothing else; a contract without
takes the nearest strike's of its expiry for its Greeks and theoretical value, and says so; one that has ended has
neither. European contracts are
computed on the forward that calls and puts near the money agree on; American ones on the spot.

Known limits: the middle of the quote stands for its price. A chain costs about a quarter of a millisecond for
each American put, or three for each American contract with a cash dividend ahead: compute it in a thread.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from mbtd.pricing.inputs import Market, PricingInputs, years_until
from mbtd.pricing.model import Greeks, Model, Terms

PAIRS: Final = 3
"""Strikes around the spot whose calls and puts tell the forward."""
_YIELD_MOST: Final = 0.5
_MONEYNESS_MOST: Final = 0.2


class Quoted(Struct, frozen=True):
    """One contract and its quote; dollars a share."""

    symbol: str
    call: bool
    strike: float
    american: bool
    expires_at: int
    """Nanoseconds UTC of the price that settles it."""
    bid: float
    ask: float
    """0 for a missing side."""
    step: float = 0.01
    """Price step."""

    @property
    def middle(self) -> float:
        """Between bid and ask; 0 without both."""
        return (self.bid + self.ask) / 2 if self.bid > 0 and self.ask >= self.bid else 0.0


class Priced(Struct, frozen=True):
    """What can be said about one contract."""

    symbol: str
    implied_volatility: float | None
    """From its own quote."""
    volatility: float | None
    """What Greeks and theoretical value are computed with; ``None`` when no strike of the expiry tells one, or after
    the end."""
    greeks: Greeks | None
    from_strike: float | None = None
    """The strike whose volatility was taken instead of its own."""


class ChainPrices(Struct, frozen=True):
    """A chain as computed."""

    contracts: dict[str, Priced]
    forwards: dict[int, float]
    """By instant of expiry."""


def price_chain(
    model: Model, quotes: Iterable[Quoted], underlying: str, spot: float, inputs: PricingInputs, at: int
) -> ChainPrices:
    """All contracts of one underlying whose price is ``spot`` at ``at``; any expiries, any styles."""
    series: dict[tuple[int, bool], list[Quoted]] = defaultdict(list)
    for quote in quotes:
        series[quote.expires_at, quote.american].append(quote)
    priced: dict[str, Priced] = {}
    forwards: dict[int, float] = {}
    for (expires_at, american), rows in sorted(series.items()):
        if expires_at <= at:
            priced.update((row.symbol, Priced(row.symbol, None, None, None)) for row in rows)
            continue
        market = inputs.market(underlying, spot, at, expires_at)
        years = years_until(at, expires_at)
        if not american:
            market = _on_the_forward(rows, market, years)
        forwards[expires_at] = market.spot * math.exp((market.rate - market.dividend_yield) * years)
        priced.update((row.symbol, row) for row in _price_series(model, rows, market, years))
    return ChainPrices(priced, forwards)


def price_one(model: Model, quote: Quoted, underlying: str, spot: float, inputs: PricingInputs, at: int) -> Priced:
    """One contract by itself."""
    return price_chain(model, [quote], underlying, spot, inputs, at).contracts[quote.symbol]


def _price_series(model: Model, rows: Sequence[Quoted], market: Market, years: float) -> list[Priced]:
    terms = [Terms(row.call, row.strike, years, row.american) for row in rows]
    own = [_own_volatility(model, row, term, market) for row, term in zip(rows, terms, strict=True)]
    found = []
    for row, term, volatility in zip(rows, terms, own, strict=True):
        used, strike = (volatility, None) if volatility is not None else _nearest(row, rows, own, market.spot)
        greeks = model.greeks(term, market, used) if used is not None else None
        if greeks is not None and not _finite(greeks):
            greeks = None
        found.append(Priced(row.symbol, volatility, used, greeks, strike))
    return found


def _own_volatility(model: Model, row: Quoted, terms: Terms, market: Market) -> float | None:
    price = row.middle
    intrinsic = max(0.0, market.spot - row.strike if row.call else row.strike - market.spot)
    if not price or (row.american and price <= intrinsic + row.step / 2):
        return None
    if not row.american:
        forward = market.spot * math.exp((market.rate - market.dividend_yield) * terms.years)
        inside = max(0.0, forward - row.strike if row.call else row.strike - forward)
        if price <= inside * math.exp(-market.rate * terms.years) + row.step / 2:
            return None
    return model.implied_volatility(terms, market, price)


def _nearest(
    row: Quoted, rows: Sequence[Quoted], own: Sequence[float | None], spot: float
) -> tuple[float | None, float | None]:
    """The volatility of the strike nearest to a row's; out of the money ones first, whose prices tell it best."""
    known = [
        (other.call == (other.strike < spot), abs(other.strike - row.strike), other.strike, volatility)
        for other, volatility in zip(rows, own, strict=True)
        if volatility is not None
    ]
    if not known:
        return None, None
    _, _, strike, volatility = min(known)
    return volatility, strike


def _on_the_forward(rows: Sequence[Quoted], market: Market, years: float) -> Market:
    """The market with the yield that calls and puts near the spot imply; as it is when they cannot tell."""
    pairs: dict[float, dict[bool, float]] = defaultdict(dict)
    for row in rows:
        if row.middle:
            pairs[row.strike][row.call] = row.middle
    both = sorted((abs(strike - market.spot), strike) for strike, sides in pairs.items() if len(sides) == 2)
    grown = math.exp(market.rate * years)
    forwards = sorted(strike + grown * (pairs[strike][True] - pairs[strike][False]) for _, strike in both[:PAIRS])
    if not forwards:
        return market
    forward = forwards[len(forwards) // 2]
    if not market.spot * (1 - _MONEYNESS_MOST) < forward < market.spot * (1 + _MONEYNESS_MOST):
        return market
    implied = market.rate - math.log(forward / market.spot) / years
    if abs(implied) > _YIELD_MOST / min(1.0, years):
        return market
    return Market(market.spot, market.rate, implied)


def _finite(greeks: Greeks) -> bool:
    return all(
        math.isfinite(value)
        for value in (greeks.value, greeks.delta, greeks.gamma, greeks.theta, greeks.vega, greeks.rho)
    )
