"""Leg prices of units on random quotes: the net is exact and no leg leaves its quote.

``python -m tests.simulation.test_multileg 100000`` runs so many structures.
"""

from __future__ import annotations

import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.rules.matching.multileg import (
    LegQuote,
    UnitLeg,
    UnitProblem,
    allocate,
    available_units,
    invalid,
    outside_payoff,
    sign_suspect,
    take_cost,
    unit_quote,
)

RATIOS = (
    (1, -1),
    (1, -2),
    (1, -2, 1),
    (1, -3, 2),
    (1, -1, -1, 1),
    (1, 1),
    (-1, -1),
    (3, -2),
    (1, -1, 1, -1, 1, -1, 1, -1),
)


def check(legs: list[LegQuote], net: int) -> int:
    """Judge one allocation; returns how many legs were split."""
    lines = allocate(legs, net)
    assert sum(line.contracts * line.price for line in lines) == net
    for index, leg in enumerate(legs):
        mine = [line for line in lines if line.leg == index]
        assert sum(line.contracts for line in mine) == leg.ratio
        assert all(line.contracts * leg.ratio > 0 for line in mine)
        assert all(leg.bid <= line.price <= leg.ask for line in mine)
        if len(mine) == 2:
            assert abs(mine[0].price - mine[1].price) <= 100
    return len(lines) - len(legs)


def drawn(random: Random) -> tuple[list[LegQuote], int]:
    ratios = list(random.choice(RATIOS))
    random.shuffle(ratios)
    legs = []
    for ratio in ratios:
        bid = random.randrange(0, 2_000) * 100
        legs.append(LegQuote(ratio, bid, bid + random.choice((0, 1, 2, 3, 5, 10, 40, 150)) * 100))
    quote = unit_quote(legs)
    return legs, quote.near + random.randint(0, quote.width // 100) * 100


def test_random_structures() -> None:
    random = Random(20261120)
    splits = sum(check(*drawn(random)) for _ in range(5_000))
    assert splits > 0, "no structure needed a split: the draw is too tame"


def test_plain_verticals_and_condors_never_split() -> None:
    random = Random(3)
    for _ in range(3_000):
        legs, net = drawn(random)
        if all(abs(leg.ratio) == 1 for leg in legs):
            assert check(legs, net) == 0


LEG = st.tuples(st.integers(-4, 4).filter(bool), st.integers(0, 50_000), st.integers(0, 3_000))


@settings(max_examples=200, deadline=None)
@given(st.lists(LEG, min_size=1, max_size=8), st.integers(0, 1_000_000))
def test_quotes_off_the_cent_grid_are_still_exact(drawn_legs: list[tuple[int, int, int]], part: int) -> None:
    legs = [LegQuote(ratio, bid, bid + width) for ratio, bid, width in drawn_legs]
    quote = unit_quote(legs)
    net = quote.near + quote.width * part // 1_000_000
    lines = allocate(legs, net)
    assert sum(line.contracts * line.price for line in lines) == net
    assert all(legs[line.leg].bid <= line.price <= legs[line.leg].ask for line in lines)


def test_a_net_outside_the_quote_is_no_fill() -> None:
    legs = [LegQuote(1, 10_000, 10_300), LegQuote(-1, 5_000, 5_200)]
    with pytest.raises(ValueError):
        allocate(legs, 5_400)
    with pytest.raises(ValueError):
        allocate(legs, 4_700)


def test_taking_is_rounded_against_the_trader_and_never_above_far() -> None:
    quote = unit_quote([LegQuote(1, 10_000, 10_300), LegQuote(-1, 5_000, 5_200)])
    assert (quote.near, quote.far) == (4_800, 5_300)
    assert take_cost(quote, 780_000) == 5_200
    assert take_cost(quote, 1_000_000) == 5_300
    assert take_cost(quote, 0) == 4_800


def test_whole_units() -> None:
    assert available_units((1, -2, 1), (10, 7, 4)) == 3


def test_signs() -> None:
    credit = unit_quote([LegQuote(-1, 10_000, 10_300), LegQuote(1, 5_000, 5_200)])
    assert sign_suspect(credit, 4_900)
    assert not sign_suspect(credit, -4_900)
    assert not sign_suspect(credit, 0)


def test_a_net_beyond_the_payoff_is_a_stale_leg() -> None:
    vertical = [(True, 1_000_000, 1), (True, 1_050_000, -1)]
    assert not outside_payoff(vertical, 50_000)
    assert outside_payoff(vertical, 50_300)
    assert not outside_payoff(vertical, -200)
    assert outside_payoff(vertical, -300)
    assert not outside_payoff([(True, 1_000_000, 1)], 10**9), "a call has no upper bound"


@pytest.mark.parametrize(
    ("ratios", "problem"),
    [
        ((1, -1), None),
        ((2, -4), UnitProblem("ratio_not_reduced")),
        ((1,), UnitProblem("leg_count")),
        ((1, 0), UnitProblem("leg_ratio", "L1")),
        ((1,) * 9, UnitProblem("leg_count")),
    ],
)
def test_what_a_unit_must_be(ratios: tuple[int, ...], problem: UnitProblem | None) -> None:
    assert invalid([UnitLeg(f"L{n}", "XYZ", ratio) for n, ratio in enumerate(ratios)]) == problem


def test_legs_of_one_unit_belong_together() -> None:
    stock = UnitLeg("XYZ", "XYZ", 200, stock=True)
    call = UnitLeg("C", "XYZ", -2)
    assert invalid([stock, call]) == UnitProblem("ratio_not_reduced")
    assert invalid([stock, UnitLeg("C", "XYZ", -1)]) is None
    assert invalid([stock, call], stock_allowed=False) == UnitProblem("stock_leg", "XYZ")
    assert invalid([UnitLeg("XYZ", "XYZ", 150, stock=True), call]) == UnitProblem("leg_ratio", "XYZ")
    assert invalid([call, call]) == UnitProblem("leg_repeated", "C")
    assert invalid([call, UnitLeg("D", "ABC", 1)]) == UnitProblem("underlying_mismatch", "D")


if __name__ == "__main__":
    source = Random(1)
    count = int(sys.argv[1])
    total = sum(check(*drawn(source)) for _ in range(count))
    sys.stdout.write(f"{count} structures, {total} legs split\n")
