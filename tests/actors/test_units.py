"""Units: what is written is read again, and every rounding is half-even or cut as it says."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import units as u
from tests.oracle.scripts import profile

INT64 = st.integers(-u.INT64_MAX, u.INT64_MAX)
AMOUNT = st.integers(0, 10**15)


@profile(200)
@given(INT64, st.sampled_from((4, 6, 9)), st.integers(0, 4))
def test_written_numbers_are_read_again(value: int, decimals: int, least: int) -> None:
    text = u.format_scaled(value, decimals, least)
    assert u.parse_scaled(text, decimals) == value
    assert Decimal(text).scaleb(decimals) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "1e3", ".5", "1.", "1,0", "٣", "0x1", "nan", "--1", "1\n", "1_0"]
)
def test_only_plain_decimals_are_numbers(text: str) -> None:
    with pytest.raises(u.BadNumber):
        u.parse_scaled(text, 4)


def test_too_fine_and_too_large_numbers_are_refused_and_zeros_are_not_counted() -> None:
    assert u.parse_price("1.50000000") == 15_000
    assert u.parse_qty("9223372036.854775807") == u.INT64_MAX
    for text in ("1.00001", "922337203685477.5808", "9" * 19):
        with pytest.raises(u.BadNumber):
            u.parse_price(text)


@profile(200)
@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_division_is_half_even(top: int, bottom: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = (Decimal(top) / Decimal(bottom)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert u.divide_half_even(top, bottom) == int(exact)


@profile(200)
@given(AMOUNT, st.integers(1, 10**12), st.integers(1, 100))
def test_money_of_a_quantity_and_quantity_of_money(qty: int, price: int, multiplier: int) -> None:
    with localcontext() as context:
        context.prec = 80
        exact = Decimal(price).scaleb(-4) * Decimal(qty).scaleb(-9) * multiplier
        assert u.value_money(price, qty, multiplier) == int(exact.scaleb(6).quantize(Decimal(1), ROUND_HALF_EVEN))
        bought = (Decimal(qty).scaleb(-6) / Decimal(price).scaleb(-4)).scaleb(9)
        assert u.qty_for_money(qty, price) == int(bought.quantize(Decimal(1), ROUND_DOWN))
    assert u.value_money(price, u.qty_for_money(qty, price)) <= qty + 1
    assert u.qty_for_money(qty, 0) == 0


@profile(100)
@given(st.integers(1, 10**12), st.integers(1, 10**13))
def test_the_average_of_one_price_is_that_price(price: int, shares: int) -> None:
    qty = shares * u.QTY_PER_SHARE
    assert u.average_price(u.value_money(price, qty), qty) == price
    assert u.average_price(5, 0) == 0


@profile(100)
@given(st.integers(0, u.INT64_MAX))
def test_written_times_are_read_again(at: int) -> None:
    assert u.parse_time(u.format_time(at)) == at


def test_times_with_an_offset_and_times_that_are_none() -> None:
    assert u.parse_time("2026-01-02T09:30:00-05:00") == u.parse_time("2026-01-02T14:30:00Z")
    assert u.parse_time("1970-01-01T00:00:00.000000001Z") == 1
    for text in (
        "2026-02-30T00:00:00Z",
        "2263-01-01T00:00:00Z",
        "2026-01-02",
        "2026-01-02T00:00:00",
        "2026-01-02T00:00:00.1234567890Z",
    ):
        with pytest.raises(u.BadNumber):
            u.parse_time(text)
