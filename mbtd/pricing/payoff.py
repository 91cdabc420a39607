"""What a set of legs is worth at every price of its underlying: when it ends, and on dates before.

Invariants: the payoff when everything has ended is exact, in price and money units, and piecewise linear through
zero, every strike and one point beyond; breakevens are its roots including what was paid or received, the largest
loss and gain are its extremes, ``None`` where there is no end to them. Curves of earlier dates, and of a set whose
legs end on different days, are theoretical values and marked so. Limits and breakevens of the latter are those of
closing everything at its first end, over all prices from zero to far above the top strike, not only the drawn ones.

Known limits: one volatility a leg for all prices and dates; legs of one underlying; a continuous yield makes European
legs of different ends drift apart without end, so their limits hold up to :func:`far_above`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from actors.book.units import MONEY_PER_CENT, MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, divide_half_even, format_price
from mbtd.pricing.inputs import PricingInputs, years_until
from mbtd.pricing.model import Model, Terms

_MONEY_PER_PRICE: Final = MONEY_PER_DOLLAR // PRICE_PER_DOLLAR
_AROUND: Final = 0.75
_MOVES: Final = 2.0
"""Curves are drawn so far around strikes and spot: part of the distance between them, and so many standard moves."""
_MOVE_LEAST, _MOVE_MOST, _MOVE_OF_STOCK, _VOLATILITY = 0.005, 0.25, 0.05, 0.3
"""Bounds of one standard move as a part of the price, of shares alone, and the volatility of legs without one."""
_FAR_LEAST, _FAR_MOVES = 2.0, 5.0
"""How far limits are looked for: times the top, and standard moves between first and last end; there options have no
time value left but interest on the strike."""
_BEYOND: Final = 8
"""Prices looked at below and above the drawn ones."""
_ROOT_STEPS: Final = 20
"""Halvings of the distance between two points of a curve: to less than a hundredth of a cent."""


class Leg(Struct, frozen=True):
    """One leg: an option, or stock when the strike is 0."""

    symbol: str
    units: int
    """Signed: contracts times multiplier, or shares; whole."""
    strike: int = 0
    """Price units; 0 for stock."""
    call: bool = True
    american: bool = True
    expires_at: int = 0
    """Nanoseconds UTC; 0 for stock."""
    volatility: float | None = None
    """Annual; without it curves before the end have what exercise pays, and :class:`Payoff` says so."""


class Curve(Struct, frozen=True):
    """Profit and loss in dollars over prices."""

    label: str
    at: int
    prices: tuple[float, ...]
    profits: tuple[float, ...]
    theoretical: bool


class Payoff(Struct, frozen=True):
    """Everything about a set of legs; ``cost`` is what was paid for it, negative for a credit."""

    cost_money: int
    corners: tuple[tuple[int, int], ...]
    """Price and profit where the payoff at the end bends, price and money units; empty for several ends."""
    breakevens: tuple[float, ...]
    """Dollars."""
    max_profit_money: int | None
    """The best outcome, negative where even that is a loss; ``None``: unlimited."""
    max_loss_money: int | None
    """Not negative; ``None``: unlimited."""
    curves: tuple[Curve, ...]
    unpriced: tuple[str, ...] = ()
    """Legs without a volatility: theoretical curves have them at what exercise pays."""


def payoff(
    legs: Sequence[Leg],
    cost_money: int,
    underlying: str,
    spot: float,
    inputs: PricingInputs,
    at: int,
    dates: Iterable[tuple[str, int]] = (),
    model: Model | None = None,
    points: int = 81,
) -> Payoff:
    """The payoff of legs at their first end, and at ``dates`` (label, instant) before it."""
    ends = sorted({leg.expires_at for leg in legs if leg.strike})
    prices = grid(legs, spot, at, points)
    single = len(ends) <= 1
    first = ends[0] if ends else at
    model = model or Model()
    curves = []
    if single:
        corners = corner_points(legs, cost_money)
        at_end = Curve(
            "at expiry", first, prices, tuple(profit_at(legs, cost_money, p) for p in prices), theoretical=False
        )
        breakevens = tuple(roots(corners, last_slope(legs)))
        gain, loss = extremes(corners, last_slope(legs))
    else:
        worth = _Worth(legs, cost_money, underlying, inputs, first, model)
        at_end = worth.curve("at first expiry", prices)
        corners = ()
        breakevens, gain, loss = _limits(worth, at_end, far_above(legs, spot))
    curves.append(at_end)
    for label, moment in dates:
        curves.append(_Worth(legs, cost_money, underlying, inputs, moment, model).curve(label, prices))
    theoretical = any(curve.theoretical for curve in curves)
    unpriced = tuple(leg.symbol for leg in legs if leg.strike and leg.volatility is None and leg.expires_at > at)
    return Payoff(cost_money, corners, breakevens, gain, loss, tuple(curves), unpriced if theoretical else ())


def corner_points(legs: Sequence[Leg], cost_money: int) -> tuple[tuple[int, int], ...]:
    """Price and profit at zero, every strike, and one point beyond the top, exact."""
    strikes = sorted({leg.strike for leg in legs if leg.strike})
    top = 2 * strikes[-1] if strikes else 2 * PRICE_PER_DOLLAR
    return tuple((price, ended_money(legs, price) - cost_money) for price in sorted({0, *strikes, top}))


def ended_money(legs: Sequence[Leg], price: int) -> int:
    """What the legs are worth when all have ended with the underlying at ``price``; price and money units."""
    worth = 0
    for leg in legs:
        if not leg.strike:
            inside = price
        elif leg.call:
            inside = max(0, price - leg.strike)
        else:
            inside = max(0, leg.strike - price)
        worth += inside * leg.units
    return worth * _MONEY_PER_PRICE


def profit_at(legs: Sequence[Leg], cost_money: int, price: float) -> float:
    """Profit in dollars when all has ended at a price in dollars."""
    return (ended_money(legs, round(price * PRICE_PER_DOLLAR)) - cost_money) / MONEY_PER_DOLLAR


def roots(corners: Sequence[tuple[int, int]], last_slope: int) -> list[float]:
    """Prices in dollars at which the profit changes its sign; whole stretches of zero give their ends."""
    found = []
    for (left, low), (right, high) in itertools.pairwise(corners):
        if low == 0:
            found.append(left)
        if (low < 0 < high) or (high < 0 < low):
            found.append(left + divide_half_even(abs(low) * (right - left), abs(high - low)))
    last_price, last = corners[-1]
    if last == 0:
        found.append(last_price)
    elif (last < 0 < last_slope) or (last_slope < 0 < last):
        found.append(last_price + divide_half_even(abs(last), abs(last_slope) * _MONEY_PER_PRICE))
    return [price / PRICE_PER_DOLLAR for price in sorted(set(found))]


def extremes(corners: Sequence[tuple[int, int]], last_slope: int) -> tuple[int | None, int | None]:
    """The best outcome, signed, and the largest loss; ``None`` for one without end."""
    profits = [profit for _, profit in corners]
    gain = None if last_slope > 0 else max(profits)
    loss = None if last_slope < 0 else max(0, -min(profits))
    return gain, loss


def grid(legs: Sequence[Leg], spot: float, at: int, points: int) -> tuple[float, ...]:
    """Prices to draw at: evenly around strikes and spot, as far as they may go by the last end; and the strikes."""
    strikes = [leg.strike / PRICE_PER_DOLLAR for leg in legs if leg.strike]
    marks = [*strikes, spot]
    beyond = max((max(marks) - min(marks)) * _AROUND, _MOVES * _move(legs, at) * spot)
    low, high = max(0.0, min(marks) - beyond), max(marks) + beyond
    even = [low + (high - low) * n / (points - 1) for n in range(points)]
    return tuple(sorted({*even, *strikes, spot}))


def _move(legs: Sequence[Leg], at: int) -> float:
    """One standard move until the last leg ends, as a part of the price."""
    last = max((leg.expires_at for leg in legs), default=0)
    if not last:
        return _MOVE_OF_STOCK
    volatility = max((leg.volatility for leg in legs if leg.volatility is not None), default=_VOLATILITY)
    return min(max(volatility * math.sqrt(years_until(at, max(at, last))), _MOVE_LEAST), _MOVE_MOST)


def price_texts(prices: Iterable[float]) -> list[str]:
    """Prices in dollars as decimal texts, to a hundredth of a cent."""
    return [format_price(round(price * PRICE_PER_DOLLAR)) for price in prices]


def last_slope(legs: Sequence[Leg]) -> int:
    """Units that gain with the price beyond the last strike."""
    return sum(leg.units for leg in legs if not leg.strike or leg.call)


def far_above(legs: Sequence[Leg], spot: float) -> float:
    """The highest price in dollars at which limits of a set of several ends are looked for."""
    ends = [leg.expires_at for leg in legs if leg.strike]
    volatility = max((leg.volatility for leg in legs if leg.volatility is not None), default=_VOLATILITY)
    deviation = volatility * math.sqrt(years_until(min(ends), max(ends)))
    top = max(spot, *(leg.strike / PRICE_PER_DOLLAR for leg in legs))
    return top * max(_FAR_LEAST, math.exp(_FAR_MOVES * deviation))


class _Worth(Struct, frozen=True):
    """Profit in dollars by the model at one instant."""

    legs: Sequence[Leg]
    cost_money: int
    underlying: str
    inputs: PricingInputs
    at: int
    model: Model

    def __call__(self, price: float) -> float:
        return sum(self._leg(leg, price) for leg in self.legs) - self.cost_money / MONEY_PER_DOLLAR

    def curve(self, label: str, prices: Sequence[float]) -> Curve:
        return Curve(label, self.at, tuple(prices), tuple(map(self, prices)), theoretical=True)

    def _leg(self, leg: Leg, price: float) -> float:
        if not leg.strike:
            return price * leg.units
        strike = leg.strike / PRICE_PER_DOLLAR
        if leg.expires_at <= self.at or leg.volatility is None:
            return max(0.0, price - strike if leg.call else strike - price) * leg.units
        years = years_until(self.at, leg.expires_at)
        if price <= 0.0:
            # nothing moves a price of zero: a put is its strike, when it may be had
            discount = 1.0 if leg.american else math.exp(-self.inputs.rate(years) * years)
            return 0.0 if leg.call else strike * discount * leg.units
        terms = Terms(leg.call, strike, years, leg.american)
        market = self.inputs.market(self.underlying, price, self.at, leg.expires_at)
        return self.model.worth(terms, market, leg.volatility) * leg.units


def _limits(worth: _Worth, drawn: Curve, far: float) -> tuple[tuple[float, ...], int | None, int | None]:
    """Breakevens, the best outcome and the largest loss over all prices from zero to ``far``."""
    low, high = drawn.prices[0], drawn.prices[-1]
    below = [low * n / _BEYOND for n in range(_BEYOND)] if low > 0.0 else []
    above = [high * (far / high) ** (n / _BEYOND) for n in range(1, _BEYOND + 1)] if far > high else []
    points = [
        *((price, worth(price)) for price in below),
        *zip(drawn.prices, drawn.profits, strict=True),
        *((price, worth(price)) for price in above),
    ]
    profits, slope = [profit for _, profit in points], last_slope(worth.legs)
    gain = None if slope > 0 else _cents(max(profits))
    loss = None if slope < 0 else max(0, _cents(-min(profits)))
    return tuple(_crossings(worth, points)), gain, loss


def _cents(dollars: float) -> int:
    """Money units of a theoretical amount, to the cent."""
    return round(dollars * 100) * MONEY_PER_CENT


def _crossings(worth: _Worth, points: Sequence[tuple[float, float]]) -> list[float]:
    """Where a curve crosses zero between two of its points, each found by halving the distance."""
    found = []
    for (left, low), (right, high) in itertools.pairwise(points):
        if (low < 0.0) == (high < 0.0):
            continue
        for _ in range(_ROOT_STEPS):
            middle = (left + right) / 2
            if (worth(middle) < 0.0) == (low < 0.0):
                left = middle
            else:
                right = middle
        found.append(round((left + right) / 2, 4))
    return found
