"""Symbols, classes and dates of option contracts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.instruments import Deliverable, Instrument, price_step
from actors.book.osi import BadSymbol, format_osi, next_root, osi_fault, parse_osi
from actors.book.units import QTY_PER_SHARE, parse_time
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar, to_date, to_int
from mbtd.market.contracts import root_class
from mbtd.market.expiries import expiries_between, monthly, trading_ends

CALENDAR = Calendar()
ROOTS = st.from_regex(r"[A-Z]{1,5}[0-9]?|[A-Z]{6}", fullmatch=True)


@given(
    ROOTS,
    st.dates(to_date(20000101), to_date(20991231)),
    st.sampled_from(["call", "put"]),
    st.integers(1, 99_999_999),
)
def test_symbols_are_read_as_they_were_written(root: str, day: Any, right: Any, units: int) -> None:
    compact = format_osi(root, to_int(day), right, units * 10)
    padded = format_osi(root, to_int(day), right, units * 10, padded=True)
    assert (len(padded), padded.replace(" ", "")) == (21, compact)
    for text in (compact, padded):
        read = parse_osi(text)
        assert read is not None
        assert (read.root, read.date, read.right, read.strike) == (root, to_int(day), right, units * 10)
        assert osi_fault(text) == ""


@pytest.mark.parametrize(
    ("symbol", "fault"),
    [
        ("TWX149901C00065000", "20149901 is not a date"),
        ("TWX140621C00000000", "a strike of zero"),
        ("ABCDEFG140621C00065000", "a root of more than 6 characters"),
        ("TWX  140621C00065000", "a root is padded to six characters or not at all"),
    ],
)
def test_what_only_looks_like_a_contract_says_why_it_is_none(symbol: str, fault: str) -> None:
    assert parse_osi(symbol) is None
    assert osi_fault(symbol) == fault


@pytest.mark.parametrize("symbol", ["AAPL", "1SPX261218C00150000", "AAPL261218X00150000", "", "AAPL261218C0015000"])
def test_other_texts_are_no_contracts_and_have_no_fault(symbol: str) -> None:
    assert parse_osi(symbol) is None
    assert osi_fault(symbol) == ""


@pytest.mark.parametrize(
    ("root", "day", "strike"),
    [("A", 20261218, 15), ("A", 20261218, 0), ("A", 19991218, 10), ("toolong", 20261218, 10)],
)
def test_unsayable_contracts_are_refused(root: str, day: int, strike: int) -> None:
    with pytest.raises(BadSymbol):
        format_osi(root, day, "call", strike)


def test_an_adjusted_class_gets_the_smallest_free_digit() -> None:
    assert next_root("TWX", frozenset({"TWX", "TWX1", "TWX3"})) == "TWX2"
    assert next_root("ABCDEF", frozenset()) == "ABCDE1"
    with pytest.raises(BadSymbol, match="every adjusted root"):
        next_root("A", frozenset(f"A{n}" for n in range(10)))


@pytest.mark.parametrize(
    ("symbol", "style", "settlement", "settles", "ticks", "last_day", "settles_on"),
    [
        ("SPX261218C06000000", "european", "cash", "am", (500, 1000), 20261217, 20261218),
        ("SPXW261218C06000000", "european", "cash", "pm", (500, 1000), 20261218, 20261218),
        ("XSP261218C00600000", "european", "cash", "pm", (100, 100), 20261218, 20261218),
        ("VIX261216C00020000", "european", "cash", "am", (100, 500), 20261215, 20261216),
        ("OEX261218C03000000", "american", "cash", "pm", (500, 1000), 20261218, 20261218),
        ("SPY261218C00600000", "american", "physical", "pm", (100, 100), 20261218, 20261218),
        ("TWX140621C00065000", "american", "physical", "pm", (100, 100), 20140620, 20140620),
    ],
)
def test_a_symbol_alone_gives_the_contract_of_its_class(
    symbol: str, style: str, settlement: str, settles: str, ticks: tuple[int, int], last_day: int, settles_on: int
) -> None:
    found = instrument_of(symbol, CALENDAR)
    assert (found.style, found.settlement, found.settles) == (style, settlement, settles)
    assert (found.tick_price, found.tick_price_from_3) == ticks
    assert (found.expiry_date, found.settlement_date) == (last_day, settles_on)
    assert found.symbol == symbol
    assert found.tradable
    assert not found.is_adjusted
    assert bool(found.deliverables) == (settlement == "physical")


def test_an_adjusted_contract_known_by_its_symbol_only_is_not_tradable() -> None:
    found = instrument_of("TWX1140621C00065000", CALENDAR)
    assert (found.root, found.underlying, found.deliverables, found.tradable) == ("TWX1", "TWX", (), False)
    assert found.is_adjusted


def test_deliverables_tell_an_adjusted_contract() -> None:
    standard = instrument_of("GE261218C00020000", CALENDAR)
    assert not standard.is_adjusted
    parts = (Deliverable("equity", "GE", 12 * QTY_PER_SHARE), Deliverable("cash_in_lieu", "GE", QTY_PER_SHARE // 2))
    other = Instrument(
        "x", "GE1261218C00020000", "us_option", underlying="GE", settlement="physical", deliverables=parts
    )
    assert other.is_adjusted


@pytest.mark.parametrize(
    ("symbol", "price", "step"),
    [
        ("SPX261218C06000000", 29_500, 500),
        ("SPX261218C06000000", 30_000, 1_000),
        ("AAPL261218C00150000", 29_900, 100),
        ("AAPL261218C00150000", 30_000, 500),
        ("SPY261218C00150000", 500_000, 100),
        ("AAPL", 9_999, 1),
        ("AAPL", 10_000, 100),
    ],
)
def test_price_steps_of_the_classes(symbol: str, price: int, step: int) -> None:
    assert price_step(instrument_of(symbol, CALENDAR), price) == step


def dates(root: str, first: int, last: int, *kinds: str) -> list[int]:
    return [e.settles_on for e in expiries_between(root, first, last, CALENDAR) if not kinds or e.kind in kinds]


def test_weeklies_move_back_and_mondays_move_on() -> None:
    # 2026-05-25 is Memorial Day, a Monday; 2026-06-19 a closed Friday
    assert 20260526 in dates("SPY", 20260525, 20260529)
    assert 20260525 not in dates("SPY", 20260520, 20260529)
    assert dates("AMD", 20260615, 20260619) == [20260618]
    assert dates("AAPL", 20260525, 20260529) == [20260526, 20260527, 20260529]


def test_month_ends_and_quarters_belong_to_their_classes() -> None:
    assert dates("SPXW", 20261001, 20261231, "month_end", "quarterly") == [20261030, 20261130, 20261231]
    assert dates("SPY", 20260601, 20261231, "quarterly") == [20260630, 20260930, 20261231]
    assert not dates("AAPL", 20260601, 20261231, "month_end", "quarterly")


def test_monthly_index_classes_expire_monthly_only() -> None:
    found = expiries_between("SPX", 20260101, 20261231, CALENDAR)
    assert len(found) == 12
    assert all(expiry.last_trading_day < expiry.settles_on for expiry in found)


@pytest.mark.parametrize(
    ("year", "month", "settles_on"),
    # Cboe's published dates; a closed third Friday 30 days later moves the March 2008 and May 2008 kind back by a day
    [(2026, 12, 20261216), (2026, 11, 20261118), (2026, 5, 20260519), (2025, 3, 20250318), (2026, 6, 20260617)],
)
def test_volatility_contracts_settle_thirty_days_before_the_next_third_friday(
    year: int, month: int, settles_on: int
) -> None:
    assert monthly(CALENDAR, year, month, root_class("VIX")).settles_on == settles_on


@given(st.sampled_from(["SPY", "AAPL", "AMD", "SPX", "SPXW", "VIX"]), st.dates(to_date(20160101), to_date(20340101)))
def test_every_expiry_is_a_session_and_is_found_from_every_window(root: str, start: Any) -> None:
    first, last = to_int(start), to_int(start + timedelta(days=60))
    whole = expiries_between(root, first, last, CALENDAR)
    middle = to_int(start + timedelta(days=30))
    after = to_int(start + timedelta(days=31))
    assert whole == expiries_between(root, first, middle, CALENDAR) + expiries_between(root, after, last, CALENDAR)
    for expiry in whole:
        assert CALENDAR.is_exchange_day(expiry.settles_on)
        assert CALENDAR.is_exchange_day(expiry.last_trading_day)
        assert first <= expiry.settles_on <= last
    weeks = {to_date(expiry.settles_on).isocalendar()[:2] for expiry in whole}
    assert len(weeks) >= (1 if root in ("SPX", "VIX") else 8)


def test_late_classes_trade_a_quarter_of_an_hour_longer_but_not_on_their_last_day() -> None:
    assert trading_ends(CALENDAR, 20261217, 20261218, True) == parse_time("2026-12-17T21:15:00Z")
    assert trading_ends(CALENDAR, 20261218, 20261218, True) == parse_time("2026-12-18T21:00:00Z")
    assert trading_ends(CALENDAR, 20261224, 20261231, True) == parse_time("2026-12-24T18:00:00Z")
