"""One contract's worth, implied volatility and Greeks, computed by QuantLib.

European contracts, and American ones whose early exercise is worth nothing, are Black's formula on the forward, with
coming cash dividends taken off the spot. Other American ones are the fixed-point method of Andersen, Lake and
Offengenden in its fast scheme; with cash dividends before they end, a finite-difference grid.

Invariants: results are finite; an American contract is never worth less than exercise pays; a volatility is
``None`` where the price does not tell one. QuantLib's global evaluation date is set once, when this is imported,
and never moves: every contract is computed as one that ends after :data:`_SPAN` years, with volatility and rates
scaled to it, so that hours and minutes count and no other part of the process is touched. Not thread-safe: a
:class:`Model` belongs to one thread.

Known limits: accuracy and cost are in docs/adr/0013; a grid takes about half a millisecond a worth.
"""

from __future__ import annotations

import math
from typing import Any, Final

import QuantLib as ql
from msgspec import Struct

from mbtd.pricing.inputs import Market

VOLATILITY_MAX: Final = 10.0
VOLATILITY_LEAST: Final = 1e-4
_SPAN: Final = 10
_DAY_COUNT: Final = ql.Actual365Fixed()
_TODAY: Final = ql.Date(1, ql.January, 2020)
_END: Final = _TODAY + 365 * _SPAN
_ACCURACY, _GRID_ACCURACY = 1e-7, 1e-5
_DEVIATION_ACCURACY: Final = 1e-9
"""Of the deviation up to the expiry: the library's own would be off by more than a ten-thousandth of a dollar."""
_GRID_TIMES, _GRID_SPOTS = 60, 100
_SPOT_STEP: Final = 0.01
_VOLATILITY_STEP: Final = 0.01
_RATE_STEP: Final = 0.001
DAYS_PER_YEAR: Final = 365.0

ql.Settings.instance().evaluationDate = _TODAY


class Terms(Struct, frozen=True):
    """What a contract is."""

    call: bool
    strike: float
    years: float
    """Until it ends, above zero."""
    american: bool


class Greeks(Struct, frozen=True):
    """Worth of one share's option and how it moves."""

    value: float
    """Dollars a share."""
    delta: float
    """Dollars for a dollar of the underlying."""
    gamma: float
    """Delta for a dollar of the underlying."""
    theta: float
    """Dollars that the next calendar day takes at an unchanged price; until the end where less than a day is left, so
    that it is never more than what can still decay."""
    vega: float
    """Dollars for a point of volatility."""
    rho: float
    """Dollars for a point of interest."""


_NOTHING_A_YEAR: Final = 1e-9
"""A yearly rate that moves no price; smaller ones upset the engine for early exercise."""


class Model:
    """Computes worths; keep one for each thread."""

    def __init__(self) -> None:
        self._spot, self._rate, self._yield = (ql.SimpleQuote(value) for value in (1.0, 0.0, 0.0))
        self._volatility = ql.SimpleQuote(0.2)
        rates, yields = (
            ql.YieldTermStructureHandle(ql.FlatForward(_TODAY, ql.QuoteHandle(quote), _DAY_COUNT))
            for quote in (self._rate, self._yield)
        )
        surface = ql.BlackConstantVol(_TODAY, ql.NullCalendar(), ql.QuoteHandle(self._volatility), _DAY_COUNT)
        self._process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(self._spot), yields, rates, ql.BlackVolTermStructureHandle(surface)
        )
        self._engine = ql.QdFpAmericanEngine(self._process, ql.QdFpAmericanEngine.fastScheme())
        self._exercise = ql.AmericanExercise(_TODAY, _END)

    def worth(self, terms: Terms, market: Market, volatility: float) -> float:
        """Dollars a share."""
        if not terms.american or early_exercise_is_idle(terms, market):
            return _black(terms, escrowed_spot(market), market.rate, market.dividend_yield, volatility)
        intrinsic = max(0.0, market.spot - terms.strike if terms.call else terms.strike - market.spot)
        return max(intrinsic, float(self._american(terms, market, volatility).NPV()))

    def implied_volatility(self, terms: Terms, market: Market, price: float) -> float | None:
        """Annual volatility at which a contract is worth ``price``; ``None`` where no volatility gives it."""
        if not price > self.worth(terms, market, VOLATILITY_LEAST) or price >= upper_bound(terms, market):
            return None
        guess = _black_volatility(terms, market, price)
        if not terms.american or early_exercise_is_idle(terms, market):
            return guess
        try:
            found = ql.Brent().solve(
                lambda sigma: self.worth(terms, market, sigma) - price,
                _GRID_ACCURACY if market.dividends else _ACCURACY,
                min(VOLATILITY_MAX / 2, guess or 0.5),
                VOLATILITY_LEAST,
                VOLATILITY_MAX,
            )
        except RuntimeError:
            return None
        return float(found)

    def greeks(self, terms: Terms, market: Market, volatility: float) -> Greeks:
        """Worth and its derivatives: of Black's formula in closed form, of others by small steps; theta by a day."""
        aged = self._aged(terms, market, volatility)
        if not terms.american or early_exercise_is_idle(terms, market):
            return _black_greeks(terms, market, volatility, aged)
        return self._stepped(terms, market, volatility, aged)

    def _aged(self, terms: Terms, market: Market, volatility: float) -> float:
        """The worth a day later, or at the end if that comes first, at an unchanged price."""
        left = terms.years - 1 / DAYS_PER_YEAR
        if left <= 0.0:
            return _ended(terms, market)
        sooner = tuple((max(1e-9, years - 1 / DAYS_PER_YEAR), amount) for years, amount in market.dividends)
        older = Terms(terms.call, terms.strike, left, terms.american)
        return self.worth(older, _replaced(market, dividends=sooner), volatility)

    def _american(self, terms: Terms, market: Market, volatility: float) -> Any:
        """The contract with its engine, ready to be asked."""
        scale = terms.years / _SPAN
        self._spot.setValue(market.spot)
        self._rate.setValue(market.rate * scale)
        self._yield.setValue(market.dividend_yield * scale)
        self._volatility.setValue(max(volatility, VOLATILITY_LEAST) * math.sqrt(scale))
        kind = ql.Option.Call if terms.call else ql.Option.Put
        option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, terms.strike), self._exercise)
        option.setPricingEngine(self._grid(terms, market) if market.dividends else self._engine)
        return option

    def _grid(self, terms: Terms, market: Market) -> Any:
        days = [max(1, round(years / terms.years * 365 * _SPAN)) for years, _ in market.dividends]
        dividends = ql.DividendVector([_TODAY + day for day in days], [amount for _, amount in market.dividends])
        return ql.FdBlackScholesVanillaEngine(self._process, dividends, _GRID_TIMES, _GRID_SPOTS)

    def _stepped(self, terms: Terms, market: Market, volatility: float, aged: float) -> Greeks:
        value = self.worth(terms, market, volatility)
        delta, gamma = self._slope(terms, market, volatility, value)
        low = max(VOLATILITY_LEAST, volatility - _VOLATILITY_STEP / 2)
        high = volatility + _VOLATILITY_STEP / 2
        vega = (self.worth(terms, market, high) - self.worth(terms, market, low)) / (high - low) / 100
        rates = (market.rate, market.rate + _RATE_STEP)
        cheap, dear = (self.worth(terms, _replaced(market, rate=rate), volatility) for rate in rates)
        rho = (dear - cheap) / _RATE_STEP / 100
        return Greeks(value, _within(terms, delta), max(0.0, gamma), aged - value, max(0.0, vega), rho)

    def _slope(self, terms: Terms, market: Market, volatility: float, value: float) -> tuple[float, float]:
        """Delta and gamma: the grid knows them, otherwise by a step that the time left can bear."""
        if market.dividends:
            option = self._american(terms, market, volatility)
            return float(option.delta()), float(option.gamma())
        step = market.spot * min(_SPOT_STEP, max(1e-4, 0.1 * volatility * math.sqrt(terms.years)))
        up, down = (
            self.worth(terms, _replaced(market, spot=market.spot + change), volatility) for change in (step, -step)
        )
        return (up - down) / (2 * step), (up - 2 * value + down) / step**2


def early_exercise_is_idle(terms: Terms, market: Market) -> bool:
    """Whether exercising early is worth nothing: a call without income on its stock, a put without interest."""
    if terms.call:
        return abs(market.dividend_yield) < _NOTHING_A_YEAR and not market.dividends
    return abs(market.rate) < _NOTHING_A_YEAR


def _ended(terms: Terms, market: Market) -> float:
    """What a contract pays at its end with the price of now, less dividends in between that it may outlive."""
    prices = [escrowed_spot(market)]
    if terms.american:
        prices.append(market.spot)
    return max(0.0, *(price - terms.strike if terms.call else terms.strike - price for price in prices))


def escrowed_spot(market: Market) -> float:
    """The spot without what the coming dividends are worth now."""
    coming = sum(amount * math.exp(-market.rate * years) for years, amount in market.dividends)
    return max(market.spot - coming, market.spot * 1e-6)


def upper_bound(terms: Terms, market: Market) -> float:
    """What no contract can be worth more than."""
    if terms.call:
        return (
            market.spot if terms.american else escrowed_spot(market) * math.exp(-market.dividend_yield * terms.years)
        )
    return terms.strike if terms.american else terms.strike * math.exp(-market.rate * terms.years)


def _black(terms: Terms, spot: float, rate: float, dividend_yield: float, volatility: float) -> float:
    forward = spot * math.exp((rate - dividend_yield) * terms.years)
    kind = ql.Option.Call if terms.call else ql.Option.Put
    deviation = max(volatility, VOLATILITY_LEAST) * math.sqrt(terms.years)
    return float(ql.blackFormula(kind, terms.strike, forward, deviation, math.exp(-rate * terms.years)))


def _black_volatility(terms: Terms, market: Market, price: float) -> float | None:
    forward = escrowed_spot(market) * math.exp((market.rate - market.dividend_yield) * terms.years)
    discount = math.exp(-market.rate * terms.years)
    call, price = terms.call, price / discount
    if (forward > terms.strike) == call:
        # out of the money the price is all time value; parity loses nothing and gains digits
        price, call = price - abs(forward - terms.strike), not call
    kind = ql.Option.Call if call else ql.Option.Put
    if price <= 0.0:
        return None
    try:
        deviation = ql.blackFormulaImpliedStdDev(
            kind, terms.strike, forward, price, 1.0, 0.0, ql.nullDouble(), _DEVIATION_ACCURACY
        )
    except RuntimeError:
        return None
    found = float(deviation) / math.sqrt(terms.years)
    return found if VOLATILITY_LEAST < found < VOLATILITY_MAX else None


def _black_greeks(terms: Terms, market: Market, volatility: float, aged: float) -> Greeks:
    spot, years = escrowed_spot(market), terms.years
    forward = spot * math.exp((market.rate - market.dividend_yield) * years)
    kind = ql.Option.Call if terms.call else ql.Option.Put
    deviation = max(volatility, VOLATILITY_LEAST) * math.sqrt(years)
    found = ql.BlackCalculator(
        ql.PlainVanillaPayoff(kind, terms.strike), forward, deviation, math.exp(-market.rate * years)
    )
    return Greeks(
        float(found.value()),
        _within(terms, float(found.delta(spot))),
        max(0.0, float(found.gamma(spot))),
        aged - float(found.value()),
        float(found.vega(years)) / 100,
        float(found.rho(years)) / 100,
    )


def _within(terms: Terms, delta: float) -> float:
    return min(1.0, max(0.0, delta)) if terms.call else max(-1.0, min(0.0, delta))


def _replaced(
    market: Market,
    spot: float | None = None,
    rate: float | None = None,
    dividends: tuple[tuple[float, float], ...] | None = None,
) -> Market:
    return Market(
        market.spot if spot is None else spot,
        market.rate if rate is None else rate,
        market.dividend_yield,
        market.dividends if dividends is None else dividends,
    )
