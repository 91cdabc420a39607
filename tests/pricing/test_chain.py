"""A chain's volatilities and Greeks come from its quotes, and what has none borrows openly."""

from __future__ import annotations

import pytest

from mbtd.pricing.chain import Quoted, price_chain, price_one
from mbtd.pricing.exposure import STOCK, Held, account_exposure, exposure
from mbtd.pricing.inputs import Market, PricingInputs, years_until
from mbtd.pricing.model import Model, Terms

MODEL = Model()
AT = 1_790_000_000 * 10**9
END = AT + 30 * 86_400 * 10**9
INPUTS = PricingInputs(rates=((1.0, 0.05),))
SMILE = {80.0: 0.32, 90.0: 0.27, 100.0: 0.24, 110.0: 0.22, 120.0: 0.23}


def quoted(strike: float, call: bool, *, american: bool, dividend_yield: float = 0.0, width: float = 0.001) -> Quoted:
    terms = Terms(call, strike, years_until(AT, END), american)
    worth = MODEL.worth(terms, Market(100.0, 0.05, dividend_yield), SMILE[strike])
    name = f"{'C' if call else 'P'}{strike:g}"
    return Quoted(name, call, strike, american, END, max(0.0, worth - width), worth + width)


@pytest.mark.parametrize("american", [True, False])
def test_volatilities_are_those_that_made_the_quotes(american: bool) -> None:
    rows = [quoted(strike, call, american=american) for strike in SMILE for call in (True, False)]
    found = price_chain(MODEL, rows, "X", 100.0, INPUTS, AT).contracts
    for row in rows:
        priced = found[row.symbol]
        assert priced.volatility == pytest.approx(SMILE[row.strike], abs=2e-3) or priced.from_strike is not None
        assert priced.greeks is not None
        if (row.strike > 100) == row.call and 90 <= row.strike <= 110:
            assert priced.from_strike is None
            assert priced.greeks.value == pytest.approx(row.middle, abs=1e-3)


def test_european_chains_are_read_on_the_forward_that_they_imply() -> None:
    rows = [quoted(strike, call, american=False, dividend_yield=0.06) for strike in SMILE for call in (True, False)]
    found = price_chain(MODEL, rows, "X", 100.0, INPUTS, AT)
    for strike in (90.0, 100.0, 110.0):
        call, put = found.contracts[f"C{strike:g}"], found.contracts[f"P{strike:g}"]
        assert call.implied_volatility == pytest.approx(SMILE[strike], abs=2e-3)
        assert call.implied_volatility == pytest.approx(put.implied_volatility or 0, abs=2e-3)
    assert found.forwards[END] == pytest.approx(100 * 2.718281828 ** (-0.01 * 30 / 365), abs=1e-3)


@pytest.mark.parametrize("american", [True, False])
def test_a_contract_that_has_ended_has_no_greeks(american: bool) -> None:
    rows = [quoted(100.0, True, american=american), quoted(110.0, False, american=american)]
    for at in (END, END + 1):
        found = price_chain(MODEL, rows, "X", 100.0, INPUTS, at)
        for priced in found.contracts.values():
            assert (priced.greeks, priced.volatility, priced.implied_volatility) == (None, None, None)
        assert not found.forwards
    assert price_one(MODEL, rows[0], "X", 100.0, INPUTS, END - 86_400 * 10**9).greeks is not None


def test_one_sided_and_worthless_quotes_borrow_from_the_nearest_strike() -> None:
    rows = [
        quoted(100.0, True, american=True),
        Quoted("C110", True, 110.0, True, END, 0.0, 0.05),
        Quoted("C80", True, 80.0, True, END, 19.9, 20.1),
        Quoted("CROSSED", True, 90.0, True, END, 12.0, 11.0),
    ]
    found = price_chain(MODEL, rows, "X", 100.0, INPUTS, AT).contracts
    for symbol in ("C110", "C80", "CROSSED"):
        priced = found[symbol]
        assert (priced.implied_volatility, priced.from_strike) == (None, 100.0)
        assert priced.volatility == found["C100"].implied_volatility
        assert priced.greeks is not None


def test_a_chain_without_any_price_has_no_greeks_and_no_nonsense() -> None:
    lonely = price_one(MODEL, Quoted("C100", True, 100.0, True, END, 0.0, 1.0), "X", 100.0, INPUTS, AT)
    assert (lonely.implied_volatility, lonely.volatility, lonely.greeks) == (None, None, None)


def test_exposure_counts_shares_dollars_and_names_what_is_missing() -> None:
    greeks = price_one(MODEL, quoted(100.0, True, american=True), "X", 100.0, INPUTS, AT).greeks
    assert greeks is not None
    covered = [Held("X", "X", 100.0, 100.0, STOCK), Held("C100", "X", -100.0, 100.0, greeks)]
    found = exposure("X", covered)
    assert found.delta == pytest.approx(100 * (1 - greeks.delta))
    assert found.theta == pytest.approx(-100 * greeks.theta)
    assert found.theta > 0
    assert found.value == pytest.approx(-100 * greeks.value)
    assert found.delta_dollars == pytest.approx(100 * found.delta)
    whole = account_exposure([*covered, Held("P50", "Y", 100.0, 50.0, None), Held("Y", "Y", -10.0, 50.0, STOCK)])
    assert [part.underlying for part in whole.by_underlying] == ["X", "Y"]
    assert whole.delta_dollars == pytest.approx(found.delta_dollars - 500)
    assert whole.unpriced == ("P50",)
