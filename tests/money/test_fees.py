"""Regulatory fees: the worked examples of the rules §14, dates, caps, and how they are booked."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.rules.money.fees import KINDS, accrued_money, ceil_cents, fees_of, rate_on
from actors.book.units import parse_price, parse_qty
from actors.commands import ConfigureAccount
from tests.money.rig import Bench

STOCK = Instrument("00000000-0000-8000-a000-000000000001", "S")
OPTION = Instrument("00000000-0000-8000-a000-000000000002", "O", "us_option", multiplier=100)


def cents(instrument: Instrument, side: str, qty: str, price: str, day: int) -> dict[str, int]:
    fees = fees_of(instrument, side == "buy", parse_qty(qty), parse_price(price), day)
    return {fee.kind: ceil_cents(fee.pico) // 10_000 for fee in fees}


@pytest.mark.parametrize(
    ("instrument", "qty", "price", "day", "expected"),
    [
        (STOCK, "1000", "50.00", 20260803, {"REG": 103, "TAF": 20, "CAT": 1}),
        (STOCK, "100000", "1.00", 20260803, {"REG": 206, "TAF": 979, "CAT": 30}),
        (OPTION, "10", "1.25", 20260803, {"REG": 3, "TAF": 4, "CAT": 1, "ORF": 15, "OCC": 25}),
        (STOCK, "1000", "50.00", 20261015, {"REG": 103, "CAT": 1}),
    ],
)
def test_the_worked_examples(
    instrument: Instrument, qty: str, price: str, day: int, expected: dict[str, int]
) -> None:
    assert cents(instrument, "sell", qty, price, day) == expected


def test_purchases_pay_only_what_falls_on_both_sides() -> None:
    assert set(cents(STOCK, "buy", "1000", "50.00", 20260803)) == {"CAT"}
    assert set(cents(OPTION, "buy", "10", "1.25", 20260803)) == {"CAT", "ORF", "OCC"}


def test_before_the_first_dated_rate_the_earliest_holds_and_says_so() -> None:
    fees = {fee.kind: fee for fee in fees_of(STOCK, False, parse_qty("1000"), parse_price("50"), 20131007)}
    assert set(fees) == {"REG", "TAF"}  # CAT had not been introduced
    assert all(fee.extrapolated for fee in fees.values())
    assert ceil_cents(fees["REG"].pico) == 1_090_000


def test_taf_is_skipped_below_its_own_rate_a_share() -> None:
    assert "TAF" not in cents(STOCK, "sell", "1000", "0.0001", 20260803)


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=6))
def test_a_cap_holds_for_the_order_however_it_is_cut(parts: list[int]) -> None:
    total, before = 0, 0
    for part in parts:
        total += sum(fee.pico for fee in fees_of(STOCK, False, part, 100_000, 20260803, before) if fee.kind == "TAF")
        before += part
    whole = [fee.pico for fee in fees_of(STOCK, False, before, 100_000, 20260803) if fee.kind == "TAF"]
    assert total == sum(whole)
    assert total <= 979 * 10**10


@given(st.integers(1, 10**14), st.integers(10_000, 10_000_000))
def test_the_day_total_is_rounded_up_like_exact_fractions(qty: int, price: int) -> None:
    """The slow way: exact fractions of a dollar."""
    value = Fraction(round(Fraction(price * qty, 10**7)), 10**6)
    exact = {"REG": value * Fraction(2060, 100) / 10**6, "CAT": Fraction(qty, 10**9) * Fraction(3, 10**6)}
    for fee in fees_of(STOCK, False, qty, price, 20260803):
        if fee.kind in exact:
            assert ceil_cents(fee.pico) // 10_000 in (
                ceil(exact[fee.kind] * 100),
                ceil((exact[fee.kind] - Fraction(1, 10**12)) * 100),
            )


def test_rates_are_in_order_of_their_dates() -> None:
    for kind in KINDS:
        dates = [rate.since for rate in kind.rates]
        assert dates == sorted(set(dates))
        for rate in kind.rates:
            assert rate_on(kind, rate.since) == (rate, False)


def test_one_activity_a_kind_at_the_end_of_the_day_and_none_before() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 50)
    account = bench.account()
    bench.order(account, "buy", "1000")
    bench.order(account, "sell", "400")
    bench.order(account, "sell", "600")
    book = bench.book(account)
    assert book.cash == 100_000 * 10**6
    assert accrued_money(book.money.fees) == 1_030_000 + 200_000 + 10_000
    bench.go("2026-08-03 20:00")
    posted = [a for a in bench.events(account, e.ActivityBooked) if a.activity_type == "FEE"]
    assert {(a.activity_sub_type, a.net_money) for a in posted} == {
        ("REG", -1_030_000), ("TAF", -200_000), ("CAT", -10_000)
    }  # fmt: skip
    assert {a.trade_date for a in posted} == {20260803}
    assert book.cash == 100_000 * 10**6 - 1_240_000
    assert not book.money.fees


def test_parity_charges_nothing() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 50)
    account = bench.account(profile="alpaca-parity")
    bench.order(account, "buy", "10")
    assert not bench.book(account).money.fees


def test_fees_may_be_rounded_for_each_order_instead_of_once_a_day() -> None:
    booked = {}
    for mode in ("daily_aggregate", "per_order"):
        bench = Bench("2026-08-03 10:00")
        bench.quote("AAA", 100)
        no = bench.account("100000", profile="realistic")
        bench.do(no, ConfigureAccount(fee_mode=mode))  # type: ignore[arg-type]
        for side in ("buy", "sell", "buy", "sell"):
            bench.order(no, side, "10")
            bench.engine.run_timers_through(bench.now + 10**9)
            bench.now += 10**9
        pending = accrued_money(bench.book(no).ledger().fees)
        bench.go("2026-08-03 20:01")
        fees = [event for event in bench.events(no, e.ActivityBooked) if event.activity_type == "FEE"]
        assert -sum(event.net_money for event in fees) == pending
        assert not bench.book(no).ledger().fees
        booked[mode] = {}
        for event in fees:
            booked[mode].setdefault(event.activity_sub_type, []).append(event.net_money // -10_000)
    # Two sales of 1,000 dollars: 2.06 cents of section 31 and 0.195 of TAF each; four orders of CAT.
    assert booked["daily_aggregate"] == {"REG": [5], "TAF": [1], "CAT": [1]}
    assert booked["per_order"] == {"REG": [3, 3], "TAF": [1, 1], "CAT": [1, 1, 1, 1]}
