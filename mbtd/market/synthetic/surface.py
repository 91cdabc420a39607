"""Values of synthetic options: an SSVI volatility surface under Black-Scholes-Merton.

Invariants: the surface has no static arbitrage. Slices are free of butterflies because
``STEEPNESS * (1 + |SKEW|) <= 2``, and never cross because the variance at the money grows with time
(Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", 2014). Scaling all volatilities by one
factor keeps both. American values are never below what exercise pays.

Known limits: no dividends; early exercise is worth nothing beyond its immediate payment.
"""

from __future__ import annotations

import math
from typing import Final

from vollib.black_scholes_merton import black_scholes_merton

RATE: Final = 0.04
"""Annual, continuous."""
SKEW: Final = -0.55
STEEPNESS: Final = 1.1
_SHORT_TERM: Final = 0.9
"""Volatility of the nearest expiries relative to the long run."""
_REVERSION: Final = 4.0
_LEAST_YEARS: Final = 1e-6


def volatility(log_moneyness: float, years: float, at_the_money: float) -> float:
    """Annual implied volatility at ``log(strike / forward)``, given the long-run volatility at the money."""
    long, short = at_the_money**2, (at_the_money * _SHORT_TERM) ** 2
    total = long * years + (short - long) * -math.expm1(-_REVERSION * years) / _REVERSION
    slope = STEEPNESS / math.sqrt(total * (1.0 + total)) * log_moneyness
    wings = math.sqrt((slope + SKEW) ** 2 + 1.0 - SKEW * SKEW)
    return math.sqrt(0.5 * total * (1.0 + SKEW * slope + wings) / years)


def value(
    spot: float, strike: float, years: float, call: bool, at_the_money: float, american: bool
) -> tuple[float, float, float]:
    """Value, delta, and the change of value for one point of volatility; dollars a share."""
    intrinsic = max(0.0, spot - strike if call else strike - spot)
    if years <= _LEAST_YEARS:
        return intrinsic, (1.0 if call else -1.0) if intrinsic else 0.0, 0.0
    log_moneyness = math.log(strike / spot) - RATE * years
    sigma = volatility(log_moneyness, years, at_the_money)
    deviation = sigma * math.sqrt(years)
    d1 = -log_moneyness / deviation + 0.5 * deviation
    worth = float(black_scholes_merton("c" if call else "p", spot, strike, years, RATE, sigma, 0.0))
    density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    delta = 0.5 * (1.0 + math.erf(d1 / math.sqrt(2.0))) - (0.0 if call else 1.0)
    if american and worth < intrinsic:
        worth, delta = intrinsic, 1.0 if call else -1.0
    return worth, delta, spot * density * math.sqrt(years) * 0.01
