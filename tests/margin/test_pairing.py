"""The cheapest pairing against the naive reference, and what must hold for every book (margin-and-options §3.10)."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.rules.margin.legs import Group
from actors.book.rules.margin.pairing import Model, Pairing, Problem, price, solve
from actors.book.rules.margin.payoff import worst
from actors.book.rules.margin.profiles import FINRA
from actors.book.rules.margin.program import minimise
from tests.margin import naive
from tests.margin.books import drawn, group, units

SEEDS = st.integers(0, 2**32)
SPOTS = (1_000_000, 1_030_000, 975_000, 40_000)


def total(book: Group, *, initial: bool = False) -> int:
    found = solve(Problem(FINRA, book, [0] * len(book.longs), initial=initial))
    assert found.pairing.exact
    assert (
        price(Problem(FINRA, book, [0] * len(book.longs), initial=initial), found.pairing, settled=found.settled)
        == found
    )
    return found.total_money


def judged(book: Group, *, initial: bool = False) -> Fraction:
    base = Fraction(20 if book.underlying.margin_class == "equity" else 15, 100)
    rules = naive.Rules(Fraction(book.underlying.price, 10_000), base)
    return naive.requirement(rules, units(book.shorts), units(book.longs), book.lots, initial=initial) * 10**6


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_every_pairing_tried(seed: int) -> None:
    random = Random(seed)
    for _ in range(400):
        lots = random.choice((0, 0, 0, 1, -1, 2, -2))
        contracts = random.randint(1, 4 if lots else 6)
        book = drawn(
            random, contracts=contracts, expiries=random.choice((1, 2, 3)), lots=lots, spot=random.choice(SPOTS)
        )
        initial = bool(lots) and random.random() < 0.4
        assert total(book, initial=initial) == judged(book, initial=initial), book


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_no_hand_pairing_is_cheaper(seed: int) -> None:
    random = Random(seed)
    book = drawn(random, contracts=12, expiries=2, lots=random.choice((0, 1, -1)), qty=3)
    problem = Problem(FINRA, book, [0] * len(book.longs))
    least = total(book)
    for _ in range(20):
        by_hand = hand_pairing(random, book, problem)
        if by_hand is not None:
            assert least <= price(problem, by_hand).total_money


def hand_pairing(random: Random, book: Group, problem: Problem) -> Pairing | None:
    """A pairing somebody might choose; None when it leaves more calls short than it covers."""
    uncovered = {i: random.randint(0, leg.qty) for i, leg in enumerate(book.shorts)}
    placed = []
    for k, leg in enumerate(book.longs):
        places = problem.placements(k)
        if places:
            placed.append((k, random.choice(places), random.randint(0, leg.qty)))
    for expiry in problem.expiries:
        calls = sum(n for k, at, n in placed if at == expiry and book.longs[k].call)
        for i, leg in enumerate(book.shorts):
            if leg.expiry == expiry and leg.call:
                kept = min(leg.qty - uncovered[i], calls)
                calls -= kept
                uncovered[i] = leg.qty - kept
    strangles = []
    calls_left = [i for i, n in uncovered.items() if n and book.shorts[i].call]
    puts_left = [i for i, n in uncovered.items() if n and not book.shorts[i].call]
    for c, p in zip(calls_left, puts_left, strict=False):
        n = min(uncovered[c], uncovered[p])
        strangles.append((c, p, n))
        uncovered[c] -= n
        uncovered[p] -= n
    lots = ((-1, -1, abs(book.lots)),) if book.lots else ()
    return Pairing(tuple((i, n) for i, n in uncovered.items() if n), tuple(strangles), lots, tuple(placed))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_more_cover_never_asks_more(seed: int) -> None:
    random = Random(seed)
    book = drawn(random, contracts=8, lots=random.choice((0, 1, -1)))
    least = total(book)
    assert least >= 0
    if book.longs:
        fewer = msgspec.structs.replace(book, longs=book.longs[1:])
        assert least <= total(fewer)
    if book.shorts and book.lots >= 0:
        fewer = msgspec.structs.replace(book, shorts=book.shorts[1:])
        assert total(fewer) <= least


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 4))
def test_so_many_times_the_book_asks_at_most_so_many_times_as_much(seed: int, times: int) -> None:
    book = drawn(Random(seed), contracts=6, lots=1)
    many = msgspec.structs.replace(
        book,
        shorts=tuple(msgspec.structs.replace(leg, qty=leg.qty * times) for leg in book.shorts),
        longs=tuple(msgspec.structs.replace(leg, qty=leg.qty * times) for leg in book.longs),
        stock_qty=book.stock_qty * times,
    )
    assert total(many) <= times * total(book)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_two_books_together_never_ask_more(seed: int) -> None:
    random = Random(seed)
    one, other = (
        drawn(random, contracts=4, strikes=(80, 90, 100, 110)),
        drawn(random, contracts=4, strikes=(85, 95, 105)),
    )
    other = msgspec.structs.replace(other, underlying=one.underlying)
    both = msgspec.structs.replace(one, shorts=one.shorts + other.shorts, longs=one.longs + other.longs)
    assert total(both) <= total(one) + total(other)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.integers(-3, 3).filter(bool)), min_size=1, max_size=6)
)
def test_the_worst_payoff_is_the_worst_at_every_price(legs: list[tuple[bool, int, int]]) -> None:
    curve = [sum(q * max(0, at - k if call else k - at) for call, k, q in legs) for at in range(42)]
    found = worst(legs)
    assert found.bounded == (curve[-1] >= curve[-2])
    if found.bounded:
        assert found.payoff == min(curve)
    assert curve[found.lowest] == curve[found.highest] == curve[found.nearest] == found.payoff


def test_mirrored_spreads_lose_the_same() -> None:
    random = Random(5)
    judged = 0
    for _ in range(600):
        legs = [(random.random() < 0.5, random.randint(60, 140), random.choice((-2, -1, 1, 2))) for _ in range(4)]
        if sum(q for call, _, q in legs if call) < 0 or sum(q for call, _, q in legs if not call) < 0:
            continue
        judged += 1
        assert worst(legs).payoff == worst([(not call, 200 - k, q) for call, k, q in legs]).payoff
    assert judged > 50


def test_the_shortcut_gives_what_the_program_gives() -> None:
    random = Random(11)
    shortcuts = 0
    for _ in range(300):
        a, e, w = random.randint(95, 105), random.randrange(2), random.choice((3, 5, 8))
        legs = [(False, a - 10 - w, e, 1, 5_000), (False, a - 10, e, -1, 12_000)]
        legs += [(True, a + 10, e, -1, 12_000), (True, a + 10 + random.choice((3, 5)), 1, 1, 5_000)]
        book = group(legs)
        problem = Problem(FINRA, book, [0, 0])
        shortcuts += not solve(problem).pairing.uncovered
        assert solve(problem).total_money == Model(problem).solve(2_000).total_money
    assert shortcuts


def test_at_the_bound_the_answer_is_an_upper_bound_and_says_so() -> None:
    random = Random(2)
    doubtful = 0
    for _ in range(10):
        book = drawn(random, contracts=24, expiries=3, qty=4)
        problem = Problem(FINRA, book, [0] * len(book.longs))
        quick, proved = Model(problem).solve(0), solve(problem)
        assert quick.total_money >= proved.total_money
        doubtful += not quick.pairing.exact
    assert doubtful


def test_a_program_without_solution_has_none() -> None:
    def never(x: list[int], den: int) -> list[tuple[int, dict[int, int]]]:
        return [(-1, {0: 1}), (0, {0: -1})] if not x[0] else []

    assert minimise([1], frozenset(), never) is None
