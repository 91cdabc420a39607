"""Whether an account can settle what expires, and what is the least that must go so that it can.

Invariants: a deficit is money units, 0 when nothing is missing; shares that a cash account lacks count at their
price, so that one number orders everything. What is given up is the fewest contracts (structures whole), chosen
in a fixed order: where one unit helps most, first; among equals the first listed.

Known limits: the choice is greedy with everything unnecessary taken back at the end; over several underlyings at
once it may give up one unit more than an exhaustive search would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from actors.book.rules.options.outcome import NetChange, Prices
from actors.book.units import INT64_MAX, value_money

Judge = Callable[[NetChange], int]
"""What an account lacks after a change, in money units."""


def cash_judge(cash_money: int, shares: Mapping[str, int], prices: Prices) -> Judge:
    """The means of a cash account: settled cash, and the free shares of each stock (margin-and-options §1)."""

    def lacks(change: NetChange) -> int:
        missing = max(0, -(cash_money + change.cash_money))
        for symbol, qty in change.shares.items():
            held = shares.get(symbol, 0)
            short = min(-qty, -(held + qty)) if qty < 0 else 0
            if short > 0:
                missing += max(1, value_money(prices.get(symbol, 0), short))
        return missing

    return lacks


def fewest(counts: Sequence[int], lacks: Callable[[Sequence[int]], int]) -> list[int]:
    """How many of each kind to give up so that ``lacks`` is 0, or as little as it can be.

    ``counts`` is how many there are of each kind; ``lacks`` says what is missing when so many are given up.
    """
    taken = [0] * len(counts)
    missing = lacks(taken)
    while missing:
        best, place = 0, -1
        for number, count in enumerate(counts):
            if taken[number] == count:
                continue
            gain = missing - lacks(_with(taken, number, taken[number] + 1))
            if gain > best:
                best, place = gain, number
        if place < 0:
            place = _enabler(counts, taken, missing, lacks)
            if place < 0:
                break
        taken[place] = _least(counts[place], taken, place, lacks)
        missing = lacks(taken)
    return _take_back(taken, missing, lacks)


def _least(count: int, taken: Sequence[int], place: int, lacks: Callable[[Sequence[int]], int]) -> int:
    """The least number of one kind that brings ``lacks`` to what all of it would."""
    goal = lacks(_with(taken, place, count))
    low, high = taken[place] + 1, count
    while low < high:
        middle = (low + high) // 2
        if lacks(_with(taken, place, middle)) <= goal:
            high = middle
        else:
            low = middle + 1
    return low


def _enabler(counts: Sequence[int], taken: Sequence[int], missing: int, lacks: Callable[[Sequence[int]], int]) -> int:
    """A kind of which only all of it helps; -1 when there is none."""
    best, place = INT64_MAX, -1
    for number, count in enumerate(counts):
        if taken[number] < count and (left := lacks(_with(taken, number, count))) < min(best, missing):
            best, place = left, number
    return place


def _take_back(taken: list[int], missing: int, lacks: Callable[[Sequence[int]], int]) -> list[int]:
    """Give back what was not needed after all, the first chosen kinds first."""
    for place, count in enumerate(taken):
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if lacks(_with(taken, place, middle)) <= missing:
                high = middle
            else:
                low = middle + 1
        taken = _with(taken, place, low)
    return taken


def _with(taken: Sequence[int], place: int, count: int) -> list[int]:
    changed = list(taken)
    changed[place] = count
    return changed
