"""Worths, volatilities and Greeks against other methods, bounds and themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mbtd.pricing.inputs import Dividend, Market, PricingInputs, years_until
from mbtd.pricing.model import Greeks, Model, Terms, escrowed_spot, upper_bound

MODEL = Model()
YEAR_NS = 365 * 86_400 * 10**9


def binomial(terms: Terms, market: Market, volatility: float, steps: int = 600) -> float:
    """The slow obvious judge: a tree, with cash dividends taken off the spot as Black's formula does."""
    years = terms.years / steps
    up = math.exp(volatility * math.sqrt(years))
    p = (math.exp((market.rate - market.dividend_yield) * years) - 1 / up) / (up - 1 / up)
    discount = math.exp(-market.rate * years)
    spot = escrowed_spot(market)

    def pays(place: int, step: int) -> float:
        price = spot * up ** (2 * place - step)
        return max(0.0, price - terms.strike if terms.call else terms.strike - price)

    worths = [pays(place, steps) for place in range(steps + 1)]
    for step in range(steps - 1, -1, -1):
        worths = [discount * (p * worths[place + 1] + (1 - p) * worths[place]) for place in range(step + 1)]
        if terms.american:
            worths = [max(worth, pays(place, step)) for place, worth in enumerate(worths)]
    return worths[0]


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("american", [True, False])
@pytest.mark.parametrize(
    ("strike", "years", "volatility", "rate", "dividend_yield"),
    [
        (90, 0.5, 0.3, 0.05, 0.0),
        (100, 1.0, 0.2, 0.04, 0.03),
        (120, 0.1, 0.6, 0.04, 0.0),
        (100, 0.02, 0.25, 0.05, 0.08),
    ],
)
def test_worths_agree_with_a_tree(
    call: bool, american: bool, strike: float, years: float, volatility: float, rate: float, dividend_yield: float
) -> None:
    terms, market = Terms(call, strike, years, american), Market(100.0, rate, dividend_yield)
    assert MODEL.worth(terms, market, volatility) == pytest.approx(binomial(terms, market, volatility), abs=0.012)


def test_a_published_american_put() -> None:
    # Longstaff and Schwartz 2001, table 1: spot 36, strike 40, volatility 0.2, one year, 6 %: 4.478
    assert MODEL.worth(Terms(False, 40, 1.0, True), Market(36.0, 0.06), 0.2) == pytest.approx(4.478, abs=0.01)


def test_a_call_is_exercised_for_a_dividend_that_is_worth_more_than_waiting() -> None:
    deep = Terms(True, 70.0, 0.1, True)
    market = Market(85.0, 0.04, 0.0, ((0.004, 3.0),))
    assert MODEL.worth(deep, market, 0.15) == pytest.approx(15.0, abs=0.05)
    held = MODEL.worth(Terms(True, 70.0, 0.1, False), market, 0.15)
    assert held == pytest.approx(85 - 3 - 70, abs=0.4)


def test_a_put_is_not_exercised_before_a_dividend() -> None:
    put = Terms(False, 110.0, 0.05, True)
    without = MODEL.worth(put, Market(100.0, 0.04), 0.2)
    before = MODEL.worth(put, Market(100.0, 0.04, 0.0, ((0.01, 1.0),)), 0.2)
    assert 0.7 < before - without < 1.0


terms_drawn = st.builds(Terms, st.booleans(), st.floats(50, 200), st.floats(1 / 365 / 24, 2.0), st.booleans())
markets = st.builds(Market, st.floats(60, 160), st.floats(0.0, 0.08), st.floats(0.0, 0.06))
volatilities = st.floats(0.05, 2.0)


@settings(max_examples=120, deadline=None)
@given(terms_drawn, markets, volatilities)
def test_worths_stay_within_their_bounds(terms: Terms, market: Market, volatility: float) -> None:
    worth = MODEL.worth(terms, market, volatility)
    exercise = max(0.0, market.spot - terms.strike if terms.call else terms.strike - market.spot)
    assert worth <= upper_bound(terms, market) + 1e-6
    assert worth >= (exercise if terms.american else 0.0)
    european = MODEL.worth(Terms(terms.call, terms.strike, terms.years, False), market, volatility)
    assert worth >= european - 1e-3


@example(Terms(False, 143.25, 0.3125, False), Market(143.5, 0.0), 0.05078125)
@settings(max_examples=120, deadline=None)
@given(terms_drawn, markets, volatilities)
def test_a_worth_gives_its_volatility_back(terms: Terms, market: Market, volatility: float) -> None:
    worth = MODEL.worth(terms, market, volatility)
    found = MODEL.implied_volatility(terms, market, worth)
    greeks = MODEL.greeks(terms, market, volatility)
    assume(greeks.vega > 0.005)
    assert found is not None
    assert found == pytest.approx(volatility, abs=2e-3)
    assert MODEL.worth(terms, market, found) == pytest.approx(worth, abs=1e-4)


@settings(max_examples=80, deadline=None)
@given(terms_drawn, markets, volatilities)
def test_greeks_are_finite_and_have_their_signs(terms: Terms, market: Market, volatility: float) -> None:
    greeks = MODEL.greeks(terms, market, volatility)
    values = [getattr(greeks, name) for name in Greeks.__struct_fields__]
    assert all(math.isfinite(value) for value in values)
    assert (0 <= greeks.delta <= 1) if terms.call else (-1 <= greeks.delta <= 0)
    assert greeks.gamma >= 0 <= greeks.vega


@pytest.mark.parametrize("american", [True, False])
@pytest.mark.parametrize("call", [True, False])
def test_greeks_are_the_slopes_of_the_worth(american: bool, call: bool) -> None:
    terms, market, volatility = Terms(call, 105.0, 0.4, american), Market(100.0, 0.05, 0.02), 0.3
    greeks = MODEL.greeks(terms, market, volatility)

    def worth(spot: float = 100.0, sigma: float = volatility, rate: float = 0.05, years: float = 0.4) -> float:
        return MODEL.worth(Terms(call, 105.0, years, american), Market(spot, rate, 0.02), sigma)

    assert greeks.delta == pytest.approx((worth(101) - worth(99)) / 2, abs=2e-3)
    assert greeks.gamma == pytest.approx(worth(101) - 2 * worth() + worth(99), abs=2e-3)
    assert greeks.vega == pytest.approx(worth(sigma=0.31) - worth(), rel=0.02)
    assert greeks.rho == pytest.approx(worth(rate=0.06) - worth(), rel=0.05, abs=2e-3)
    assert greeks.theta == pytest.approx(worth(years=0.4 - 1 / 365) - worth(), rel=0.02, abs=1e-4)


@pytest.mark.parametrize("american", [True, False])
@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("hours", [1 / 60, 1, 6, 23, 25])
def test_theta_takes_no_more_than_the_time_value_that_is_left(hours: float, call: bool, american: bool) -> None:
    years, spot, strike = hours / 24 / 365, 100.0, 100.2
    terms = Terms(call, strike, years, american)
    greeks = MODEL.greeks(terms, Market(spot, 0.04), 0.4)
    inside = max(0.0, spot - strike if call else strike - spot)
    if hours < 24:
        assert greeks.theta == pytest.approx(inside - greeks.value, abs=1e-9)
    else:
        assert 0.7 * (inside - greeks.value) > greeks.theta >= inside - greeks.value


def test_theta_of_the_last_day_knows_of_a_dividend_before_the_end() -> None:
    market = Market(100.0, 0.04, 0.0, ((0.5 / 365, 1.0),))
    put = MODEL.greeks(Terms(False, 100.0, 0.9 / 365, True), market, 0.2)
    assert put.theta == pytest.approx(1.0 - put.value, abs=1e-3)
    call = MODEL.greeks(Terms(True, 99.0, 0.9 / 365, False), market, 0.2)
    assert -call.value - 1e-3 <= call.theta <= 1e-3 - call.value


@pytest.mark.parametrize("price", [0.0, -1.0, 9.99, 100.0, 1e9, math.nan])
def test_a_price_that_no_volatility_gives_has_none(price: float) -> None:
    assert MODEL.implied_volatility(Terms(True, 90.0, 0.1, True), Market(100.0, 0.05), price) is None


def test_minutes_count_on_the_last_day() -> None:
    at = 10**18
    hour, day = years_until(at, at + 3_600 * 10**9), years_until(at, at + 86_400 * 10**9)
    assert day == pytest.approx(24 * hour)
    assert years_until(at, at - 5) == years_until(at, at + 30 * 10**9) > 0
    worths = [MODEL.worth(Terms(False, 101.0, years, True), Market(100.0, 0.05), 0.2) for years in (hour, day)]
    assert 1.0 <= worths[0] < worths[1]


def test_rates_come_from_the_tenors_around() -> None:
    inputs = PricingInputs(rates=((0.25, 0.04), (1.0, 0.07)))
    assert [round(inputs.rate(years), 6) for years in (0.1, 0.25, 0.5, 1.0, 9.0)] == [0.04, 0.04, 0.05, 0.07, 0.07]


def test_only_dividends_before_the_end_count() -> None:
    at = 10**18
    coming = tuple(Dividend(at + YEAR_NS * n // 10, 1.0) for n in (-1, 1, 3, 9))
    market = PricingInputs(dividends={"A": coming}, yields={"A": 0.5}).market("A", 100.0, at, at + YEAR_NS // 2)
    assert [(round(years, 3), amount) for years, amount in market.dividends] == [(0.1, 1.0), (0.3, 1.0)]
    assert market.dividend_yield == 0.0
