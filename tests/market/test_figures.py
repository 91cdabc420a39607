"""Open interest and closes of synthetic contracts: the same for everybody, plausible, free of arbitrage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from statistics import mean

import pytest

from actors.book.instruments import Instrument
from actors.book.units import parse_time
from mbtd.market.calendar import Calendar
from mbtd.market.synthetic.figures import Figures
from mbtd.market.synthetic.market import SyntheticMarket, SyntheticSettings
from mbtd.market.synthetic.prices import NO_UNITS, Units

MONDAY = parse_time("2026-11-30T15:00:00Z")
TODAY = 20261130
CENT = 100
Chain = dict[tuple[str, int], dict[int, tuple[Instrument, Instrument]]]
"""By root and date: calls and puts by strike."""


def listed(seed: int = 7, sessions: str = "always", units: Units = NO_UNITS) -> tuple[Calendar, list[Instrument]]:
    market = SyntheticMarket(seed, MONDAY, SyntheticSettings(sessions=sessions), units)  # type: ignore[arg-type]
    return market.calendar, market.reference()


def figured(seed: int = 7, sessions: str = "always", units: Units = NO_UNITS) -> list[Instrument]:
    calendar, instruments = listed(seed, sessions, units)
    figures = Figures(seed, calendar, units)
    return [figures.of(instrument, TODAY) for instrument in instruments if instrument.is_option]


@pytest.fixture(scope="module")
def contracts() -> list[Instrument]:
    return figured()


def chains(contracts: Iterable[Instrument]) -> Chain:
    found: dict[tuple[str, int], dict[int, dict[str, Instrument]]] = defaultdict(lambda: defaultdict(dict))
    for contract in contracts:
        if contract.previous_close_date:
            found[contract.root, contract.osi_date][contract.strike][contract.right] = contract
    return {
        series: {strike: (both["call"], both["put"]) for strike, both in sorted(strikes.items())}
        for series, strikes in found.items()
    }


# ── when, and for whom ───────────────────────────────────────────────────────────────────────────────────


def test_they_are_the_same_whoever_asks_and_in_whatever_order(contracts: list[Instrument]) -> None:
    calendar, instruments = listed()
    options = [instrument for instrument in instruments if instrument.is_option]
    figures = Figures(7, calendar, NO_UNITS)
    with ThreadPoolExecutor(4) as threads:
        backwards = list(threads.map(lambda contract: figures.of(contract, TODAY), reversed(options)))
    assert backwards[::-1] == contracts
    assert figured(8) != contracts


def test_they_are_of_the_trade_date_before(contracts: list[Instrument]) -> None:
    assert {c.previous_close_date for c in contracts} == {c.open_interest_date for c in contracts} == {0, 20261129}
    xnys = figured(sessions="xnys")
    assert {c.previous_close_date for c in xnys} == {c.open_interest_date for c in xnys} == {0, 20261127}


def test_they_change_with_the_date_and_come_back(contracts: list[Instrument]) -> None:
    calendar, instruments = listed()
    figures = Figures(7, calendar, NO_UNITS)
    options = [i for i in instruments if i.is_option and i.expiry_date > TODAY + 100]
    later = [figures.of(contract, 20261201) for contract in options]
    assert {contract.open_interest_date for contract in later} == {20261130}
    before = {contract.symbol: contract for contract in contracts}
    pairs = [
        (before[c.symbol].open_interest, c.open_interest) for c in later if before[c.symbol].open_interest > 1000
    ]
    assert all(0.5 < new / old < 2 for old, new in pairs)
    assert all(new != old for old, new in pairs[:20])
    assert [figures.of(contract, TODAY) for contract in options] == [before[c.symbol] for c in options]


def test_what_was_not_there_at_the_close_has_none(contracts: list[Instrument]) -> None:
    calendar, _ = listed()
    eve = SyntheticMarket(7, MONDAY - 24 * 3_600 * 10**9)
    old = {instrument.symbol for instrument in eve.reference()}
    new = [contract for contract in contracts if contract.symbol not in old]
    assert new
    for contract in contracts:
        has = (contract.previous_close > 0, contract.open_interest >= 0, contract.open_interest_date > 0)
        assert has == (contract.symbol in old,) * 3
    figures = Figures(7, calendar, NO_UNITS)
    stranger = Instrument("id", "ZQA", asset_class="us_option", underlying="ZQA", root="ZQA", osi_date=20261218)
    assert figures.of(stranger, TODAY) is stranger


def test_a_split_makes_them_anew_in_new_units() -> None:
    units = {"AAPL": Fraction(4)}
    _, stocks = listed(units=units)
    close = next(stock.previous_close for stock in stocks if stock.symbol == "AAPL")
    apple = [c for c in figured(units=units) if c.underlying == "AAPL" and c.open_interest > 0]
    assert apple
    for contract in apple:
        intrinsic = close - contract.strike if contract.right == "call" else contract.strike - close
        assert contract.previous_close >= intrinsic


# ── closes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_closes_offer_no_free_money(contracts: list[Instrument]) -> None:
    """Cents apart at most: by strike monotone with slope up to one and convex, and never below exercise."""
    _, instruments = listed()
    spots = {i.symbol: i.previous_close for i in instruments if not i.is_option}
    for strikes in chains(contracts).values():
        for side, way in ((0, -1), (1, 1)):
            row = [(strike, both[side].previous_close) for strike, both in strikes.items()]
            slopes = []
            for (low, first), (high, second) in pairwise(row):
                assert -CENT <= way * (second - first) <= high - low + CENT
                slopes.append(((second - first) / (high - low), CENT / (high - low)))
            for (slope, slack), (steeper, more) in pairwise(slopes):
                assert steeper >= slope - 2 * (slack + more)
        for strike, (call, put) in strikes.items():
            if call.style == "american":
                assert call.previous_close >= spots[call.underlying] - strike
                assert put.previous_close >= strike - spots[put.underlying]


def test_european_closes_are_at_parity(contracts: list[Instrument]) -> None:
    for strikes in chains(contracts).values():
        first = next(iter(strikes.values()))[0]
        if first.style == "european":
            gaps = [(strike, call.previous_close - put.previous_close) for strike, (call, put) in strikes.items()]
            for (low, dear), (high, cheap) in pairwise(gaps):
                assert 0.98 * (high - low) - 2 * CENT <= dear - cheap <= high - low + 2 * CENT


def test_longer_american_contracts_close_no_lower(contracts: list[Instrument]) -> None:
    by_terms: dict[tuple[str, int, str], list[Instrument]] = defaultdict(list)
    for contract in contracts:
        if contract.previous_close and contract.style == "american":
            by_terms[contract.root, contract.strike, contract.right].append(contract)
    for terms in by_terms.values():
        closes = [c.previous_close for c in sorted(terms, key=lambda c: c.settlement_date)]
        assert all(later >= earlier - CENT for earlier, later in pairwise(closes))


# ── open interest ────────────────────────────────────────────────────────────────────────────────────────


def average(contracts: Iterable[Instrument]) -> float:
    found = [contract.open_interest for contract in contracts if contract.open_interest >= 0]
    assert len(found) > 20
    return mean(found)


def test_open_interest_is_where_one_looks_for_it(contracts: Sequence[Instrument]) -> None:
    _, instruments = listed()
    spots = {i.symbol: i.previous_close for i in instruments if not i.is_option}
    near, inner, outer = [], [], []
    for contract in contracts:
        if contract.underlying not in ("SPY", "QQQ", "IWM", "AAPL", "MSFT"):
            continue
        away = contract.strike / spots[contract.underlying] - 1
        away = away if contract.right == "call" else -away
        (near if abs(away) < 0.03 else outer if away > 0.12 else inner if away < -0.08 else []).append(contract)
    this_month = [c for c in near if c.settles_on == 20261218]
    soon = [[c for c in group if c.settles_on <= 20261218] for group in (near, inner, outer)]
    assert average(soon[0]) > 5 * average(soon[1])
    assert average(soon[0]) > 3 * average(soon[2])
    assert average(this_month) > average(c for c in near if c.settles_on == 20261211)
    assert average(this_month) > average(c for c in near if c.settles_on > 20270201)
    apple = [c for c in contracts if c.underlying == "AAPL"]
    assert average(c for c in apple if c.strike % 250_000 == 0) > average(c for c in apple if c.strike % 50_000)
