"""Calls at risk against every way in which open orders may fill."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from actors.book.rules.margin.orders import Change, apply, calls_at_risk, cover
from tests.margin.test_requirement import FAR, NEAR, SHARE, held, option

CALL = st.builds(
    lambda strike, qty, expiry: option("C", strike, qty, "1", expiry),
    st.sampled_from((90, 100, 110)), st.sampled_from((-2, -1, 1, 2)), st.sampled_from((NEAR, FAR)),
)  # fmt: skip
BOOK = st.lists(CALL, max_size=4, unique_by=lambda o: o.symbol)
ORDER = st.lists(CALL, min_size=1, max_size=3, unique_by=lambda o: o.symbol).map(lambda legs: Change(0, tuple(legs)))
SALE = st.integers(1, 250).map(lambda shares: Change(0, (), (("XYZ", -shares * SHARE),)))


@given(BOOK, st.integers(0, 350), st.lists(st.one_of(ORDER, ORDER, SALE), max_size=4))
def test_it_is_the_worst_of_all_ways_to_fill(book: list[object], shares: int, orders: list[Change]) -> None:
    before = held(*book, shares=shares)  # type: ignore[arg-type]
    worst = 0
    for count in range(len(orders) + 1):
        for chosen in itertools.combinations(orders, count):
            after = before
            for change in chosen:
                after = apply(after, change)
            worst = max(worst, cover(after).uncovered_calls)
    assert calls_at_risk(before, orders) == worst


@given(BOOK, st.integers(0, 350), st.lists(ORDER, min_size=1, max_size=3), st.integers(1, 3))
def test_shares_sold_with_contracts_are_never_counted_for_less(
    book: list[object], shares: int, orders: list[Change], lots: int
) -> None:
    before = held(*book, shares=shares)  # type: ignore[arg-type]
    units = [Change(0, change.options, (("XYZ", -100 * lots * SHARE),)) for change in orders]
    after = before
    for unit in units:
        after = apply(after, unit)
    assert calls_at_risk(before, units) >= max(cover(after).uncovered_calls, cover(before).uncovered_calls)


@given(BOOK, st.integers(-350, 350), ORDER, st.integers(-3, 3))
def test_one_unit_with_shares_is_judged_as_it_is(book: list[object], shares: int, order: Change, lots: int) -> None:
    """One that brings its shares needs no other cover; only remainders of lots are counted against it."""
    before = held(*book, shares=shares)  # type: ignore[arg-type]
    unit = Change(0, order.options, (("XYZ", 100 * lots * SHARE),))
    worst = max(cover(before).uncovered_calls, cover(apply(before, unit)).uncovered_calls)
    told = calls_at_risk(before, [unit])
    assert told >= worst
    if shares % 100 == 0 or lots >= 0:
        assert told <= worst + 1
    if shares >= 0 and shares % 100 == 0:
        assert told == worst
