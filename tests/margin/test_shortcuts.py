"""What is taken over instead of being asked again says what asking again would say."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.book import view
from actors.book.rules.admission import options as admission
from actors.book.rules.margin import holdings
from actors.book.rules.margin.legs import OptionPosition, Underlying, groups
from actors.book.rules.margin.orders import Change, apply, cover, covers_itself
from actors.book.rules.margin.payoff import bounds, worst
from actors.book.rules.margin.profiles import ALPACA, FINRA, HOUSE
from actors.book.rules.margin.requirement import Holdings, Requirements
from actors.book.units import QTY_PER_SHARE
from tests.structures.rig import Floor
from tests.structures.test_property import STEP, act

SEEDS = st.integers(0, 2**32)
DATES = (20261218, 20270115, 20270219)


def drawn(random: Random, most: int) -> tuple[OptionPosition, ...]:
    """Contracts on two stocks and an index, no series twice."""
    found: dict[str, OptionPosition] = {}
    for _ in range(random.randint(0, most)):
        under, call, strike = (
            random.choice(("XYZ", "ABC", "IDX")),
            random.random() < 0.5,
            random.randrange(80, 125, 5),
        )
        day, qty = random.choice(DATES), random.choice((-2, -1, 1, 2))
        cash = under == "IDX"
        symbol = f"{under}{day}{'C' if call else 'P'}{strike}"
        found[symbol] = OptionPosition(
            symbol, under, "call" if call else "put", strike * 10_000, day, qty, random.randrange(100, 90_000, 100),
            style="european" if cash else "american", settlement="cash" if cash else "physical",
        )  # fmt: skip
    return tuple(found.values())


def book(random: Random, options: tuple[OptionPosition, ...]) -> Holdings:
    under = {symbol: Underlying(symbol, 1_000_000) for symbol in ("XYZ", "ABC", "IDX")}
    stock = {"XYZ": random.choice((-150, 100, 250)) * QTY_PER_SHARE} if random.random() < 0.4 else {}
    return Holdings(random.choice((-(10**12), 10**11)), under, stock, options, 20261123)


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_what_covers_itself_uncovers_no_call(seed: int) -> None:
    random = Random(seed)
    held, change = book(random, drawn(random, 8)), Change(0, drawn(random, 5))
    if covers_itself(held, change):
        assert cover(apply(held, change)).uncovered_calls <= cover(held).uncovered_calls


def test_an_order_of_more_long_calls_than_short_ones_covers_itself_and_a_bare_call_does_not() -> None:
    call = OptionPosition("A", "XYZ", "call", 1_000_000, DATES[0], -1, 100)
    wing = replace(call, symbol="B", strike=1_050_000, qty=1)
    early, late = replace(wing, expiry_date=DATES[0] - 1), replace(wing, expiry_date=DATES[1])
    nothing = Holdings(0, {}, {}, (), DATES[0])
    assert covers_itself(nothing, Change(0, (call, wing)))
    assert covers_itself(nothing, Change(0, (call, late)))
    assert not covers_itself(nothing, Change(0, (call, early)))
    assert not covers_itself(nothing, Change(0, (call,)))
    assert not covers_itself(replace(nothing, options=(replace(wing, qty=-1),)), Change(0, (call, wing)))
    assert not covers_itself(nothing, Change(0, (call, wing), stock=(("XYZ", -QTY_PER_SHARE),)))


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_legs_added_to_known_groups_ask_what_the_whole_book_asks(seed: int) -> None:
    random = Random(seed)
    held = book(random, drawn(random, 6))
    known = replace(held, divided=tuple(groups(held.underlyings, held.stock, held.options)))
    change = Change(random.randrange(-(10**9), 10**9), drawn(random, 4))
    for profile in (FINRA, HOUSE, ALPACA):
        plain = apply(held, change)
        assert Requirements().account(profile, apply(known, change)) == Requirements().account(profile, plain)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(-3, 3)), max_size=6))
def test_the_most_of_a_set_is_the_least_of_its_mirror(legs: list[tuple[bool, int, int]]) -> None:
    low, high = worst(legs), worst([(call, strike, -qty) for call, strike, qty in legs])
    assert bounds(legs) == (low.payoff if low.bounded else None, -high.payoff if high.bounded else None)


@pytest.fixture(scope="module")
def judged() -> Iterator[list[int]]:
    """Every valuation is made a second time without anything that was kept; counts them."""
    real = holdings.valued
    count = [0]

    def twice(own: Any, world: Any, as_of_date: int, cash_money: int) -> Any:
        found = real(own, world, as_of_date, cash_money)
        kept, world.valued = world.valued, {}
        fresh = real(own, world, as_of_date, cash_money)
        world.valued = kept
        if fresh is None:
            assert found is None
            return found
        count[0] += 1
        assert (found.long_money, found.short_money) == (fresh.long_money, fresh.short_money)
        assert found.held.cash_money == cash_money
        assert found.held.stock == fresh.held.stock
        assert found.held.underlyings == fresh.held.underlyings
        assert sorted(found.held.options, key=str) == sorted(fresh.held.options, key=str)
        assert sorted(found.held.divided, key=str) == sorted(fresh.held.divided, key=str)
        return found

    patch = pytest.MonkeyPatch()
    patch.setattr(view, "valued", twice)
    patch.setattr(holdings, "valued", twice)
    assert admission.holdings_of is holdings.holdings_of
    yield count
    patch.undo()


@settings(max_examples=15, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=14))
def test_a_book_valued_again_is_what_it_is_without_memory(
    judged: list[int], steps: list[tuple[str, Any, Any]]
) -> None:
    floor, before = Floor(cash=500_000, level=4), judged[0]
    for step in steps:
        act(floor, step)
        view.figures(floor.own, floor.engine.world)
    assert not floor.engine.failures
    assert judged[0] > before or not view.holds_options(floor.own)
