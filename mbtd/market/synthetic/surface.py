"""Values of synthetic options: an SSVI volatility surface under the model that prices everything else here.

Invariants: the surface has no static arbitrage. Slices are free of butterflies because
``STEEPNESS * (1 + |skew|) <= 2``, and never cross because the variance at the money grows with time
(Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces", 2014). Scaling all volatilities by one
factor keeps both. American values are never below what exercise pays.

Known limits: no cash dividends.
"""

from __future__ import annotations

import math
from typing import Final

from mbtd.market.synthetic.universe import RATE
from mbtd.pricing.inputs import Market
from mbtd.pricing.model import Model, Terms

SKEW: Final = -0.55
STEEPNESS: Final = 1.1
_SHORT_TERM: Final = 0.9
"""Volatility of the nearest expiries relative to the long run."""
_REVERSION: Final = 4.0
_LEAST_YEARS: Final = 1e-6
_MODEL: Final = Model()


def volatility(log_moneyness: float, years: float, at_the_money: float, skew: float = SKEW) -> float:
    """Annual implied volatility at ``log(strike / forward)``, given the long-run volatility at the money."""
    long, short = at_the_money**2, (at_the_money * _SHORT_TERM) ** 2
    total = long * years + (short - long) * -math.expm1(-_REVERSION * years) / _REVERSION
    slope = STEEPNESS / math.sqrt(total * (1.0 + total)) * log_moneyness
    wings = math.sqrt((slope + skew) ** 2 + 1.0 - skew * skew)
    return math.sqrt(0.5 * total * (1.0 + skew * slope + wings) / years)


def value(
    spot: float,
    strike: float,
    years: float,
    call: bool,
    at_the_money: float,
    american: bool,
    *,
    dividend_yield: float = 0.0,
    skew: float = SKEW,
    model: Model = _MODEL,
) -> tuple[float, float, float]:
    """Value, about its delta, and about the change of value for one point of volatility; dollars a share.

    ``model`` is the caller's thread's; without one, that of the thread in which the market is made.
    """
    intrinsic = max(0.0, spot - strike if call else strike - spot)
    if years <= _LEAST_YEARS:
        return intrinsic, (1.0 if call else -1.0) if intrinsic else 0.0, 0.0
    log_moneyness = math.log(strike / spot) - (RATE - dividend_yield) * years
    sigma = volatility(log_moneyness, years, at_the_money, skew)
    deviation = sigma * math.sqrt(years)
    d1 = -log_moneyness / deviation + 0.5 * deviation
    worth = model.worth(Terms(call, strike, years, american), Market(spot, RATE, dividend_yield), sigma)
    density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    delta = 0.5 * (1.0 + math.erf(d1 / math.sqrt(2.0))) - (0.0 if call else 1.0)
    if american and intrinsic and worth <= intrinsic:
        delta = 1.0 if call else -1.0
    return worth, delta, spot * density * math.sqrt(years) * 0.01
