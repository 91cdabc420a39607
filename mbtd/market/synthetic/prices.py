"""Where the whole synthetic universe stands at an instant, before the noise of trading.

Invariants: a function of seed, units and time only; the index and the stocks share one market factor, so that their
betas hold at every scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import numpy as np

from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR
from mbtd.market.synthetic.levels import Floats, Levels
from mbtd.market.synthetic.surface import volatility
from mbtd.market.synthetic.universe import INDEX, OPTIONS, STOCKS

MARKET_VOLATILITY: Final = 0.14

_MARKET, _OWN, _FEAR = 1, 2, 3
_FEAR_VOLATILITY: Final = 0.5
_VIX_YEARS: Final = 30 / 365
_INDEX_AT_THE_MONEY: Final = next(spec.at_the_money for spec in OPTIONS if spec.root == INDEX.symbol)


Units = Mapping[str, Fraction]
"""By symbol, how many of today's shares were one share once: of splits and stock dividends together."""
NO_UNITS: Final[Units] = MappingProxyType({})
LEAST_DOLLARS: Final = 1
MOST_DOLLARS: Final = 100_000


def in_range(price: float, ratio: Fraction | None) -> Fraction:
    """The units as far as the market goes with them: what would leave its range of prices changes nothing."""
    return ratio if ratio is not None and LEAST_DOLLARS <= price / ratio <= MOST_DOLLARS else Fraction(1)


def own_volatility(volatility: float, beta: float) -> float:
    """The part of an annual volatility that the market does not explain."""
    rest = volatility**2 - (beta * MARKET_VOLATILITY) ** 2
    return rest**0.5 if rest > 0 else 0.0


class PriceLevels:
    """Dollar levels of all stocks, in the universe's order, and of the index behind them."""

    index_place: Final = len(STOCKS)

    def __init__(self, seed: int, units: Units = NO_UNITS) -> None:
        specs = (*STOCKS, INDEX)
        own = [own_volatility(spec.volatility, spec.beta) for spec in STOCKS]
        self.betas = np.array([spec.beta for spec in specs])
        self._base = np.log([spec.price / float(in_range(spec.price, units.get(spec.symbol))) for spec in specs])
        self._market = Levels(seed, _MARKET, np.array([MARKET_VOLATILITY]))
        self._own = Levels(seed, _OWN, np.array([*own, 0.0]))
        self._fear = Levels(seed, _FEAR, np.array([_FEAR_VOLATILITY]))

    def at(self, at: int, market_noise: float = 0.0) -> Floats:
        """Dollars at an instant; ``market_noise`` is a passing change of the market factor."""
        seconds = at / NS_PER_SECOND
        market = self._market.at(seconds)[0] + market_noise
        levels: Floats = np.exp(self._base + self.betas * market + self._own.at(seconds))
        return levels

    def fear(self, at: int) -> float:
        """Factor on all implied volatilities at an instant, around 1."""
        level = float(self._fear.at(at / NS_PER_SECOND)[0])
        return float(np.exp(min(0.7, max(-0.4, level))))

    def spots(self, at: int) -> list[float]:
        """What options are written on: all stocks, then the indexes."""
        levels = self.at(at).tolist()
        return [*levels[: self.index_place], *index_levels(levels[self.index_place], self.fear(at))]

    def cents(self, at: int) -> list[int]:
        """The spots as whole-cent prices in price units."""
        return [to_cents(level) for level in self.spots(at)]


def index_levels(level: float, fear: float) -> list[float]:
    """Every index from the level of the one that moves by itself, in the universe's order."""
    at_the_money = volatility(0.0, _VIX_YEARS, _INDEX_AT_THE_MONEY * fear)
    return [level, level / 10, at_the_money * 100]


def to_cents(level: float) -> int:
    """Dollars as a whole-cent price in price units."""
    return round(level * 100) * (PRICE_PER_DOLLAR // 100)
