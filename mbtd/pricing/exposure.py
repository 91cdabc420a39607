"""Greeks of what somebody holds: a position, a structure, an account.

Invariants: sums are over positions times their multiplier, so that ``delta`` counts shares and ``theta``, ``vega``
and ``rho`` are dollars; what could not be priced is named, never counted as zero in silence. Greeks of different
underlyings are not added as shares: an account has dollars of delta and gamma for one percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from mbtd.pricing.model import Greeks

STOCK: Greeks = Greeks(1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


class Held(Struct, frozen=True):
    """One leg or position."""

    symbol: str
    underlying: str
    units: float
    """Signed contracts times multiplier, or shares."""
    spot: float
    """Of the underlying."""
    greeks: Greeks | None
    """Of one share's option; of stock :data:`STOCK`."""


class Exposure(Struct, frozen=True):
    """A sum of Greeks over one underlying."""

    underlying: str
    delta: float
    """Shares of the underlying that move alike."""
    gamma: float
    """Shares for a dollar of the underlying."""
    theta: float
    """Dollars that the next calendar day takes, or what is left of a contract's life if that is less."""
    vega: float
    """Dollars for a point of volatility."""
    rho: float
    """Dollars for a point of interest."""
    value: float
    """Theoretical value of the options, dollars; stock is not in it."""
    delta_dollars: float
    gamma_dollars_1pct: float
    """Dollars of delta for one percent of the underlying."""
    unpriced: tuple[str, ...] = ()


class AccountExposure(Struct, frozen=True):
    """A whole account."""

    by_underlying: tuple[Exposure, ...]
    delta_dollars: float
    gamma_dollars_1pct: float
    theta: float
    vega: float
    rho: float
    unpriced: tuple[str, ...] = ()


def exposure(underlying: str, held: Iterable[Held]) -> Exposure:
    """The Greeks of everything held on one underlying."""
    delta = gamma = theta = vega = rho = value = spot = 0.0
    unpriced = []
    for leg in held:
        greeks = leg.greeks
        if greeks is None:
            unpriced.append(leg.symbol)
            continue
        spot = leg.spot or spot
        delta += greeks.delta * leg.units
        gamma += greeks.gamma * leg.units
        theta += greeks.theta * leg.units
        vega += greeks.vega * leg.units
        rho += greeks.rho * leg.units
        if greeks is not STOCK:
            value += greeks.value * leg.units
    return Exposure(
        underlying,
        delta,
        gamma,
        theta,
        vega,
        rho,
        value,
        delta * spot,
        gamma * spot * spot / 100,
        tuple(unpriced),
    )


def account_exposure(held: Sequence[Held]) -> AccountExposure:
    """The Greeks of everything, by underlying and in dollars."""
    names = sorted({leg.underlying for leg in held})
    parts = tuple(exposure(name, [leg for leg in held if leg.underlying == name]) for name in names)
    return AccountExposure(
        parts,
        sum(part.delta_dollars for part in parts),
        sum(part.gamma_dollars_1pct for part in parts),
        sum(part.theta for part in parts),
        sum(part.vega for part in parts),
        sum(part.rho for part in parts),
        tuple(symbol for part in parts for symbol in part.unpriced),
    )
