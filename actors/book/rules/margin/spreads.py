"""The pairing that is nearly always the answer, with a proof instead of a search (margin-and-options §3.9).

All shorts in spreads, each long at its own expiry: verticals, condors, butterflies and several of them together.
Invariant: an answer given here is the minimum of the integer program; where the proof fails there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actors.book.rules.margin.legs import Group
from actors.book.rules.margin.naked import Naked, pair
from actors.book.rules.margin.payoff import LegAtExpiry, Worst, payoff_at, worst
from actors.book.rules.margin.problem import Pairing, Priced, Problem

_NEVER: Final = 1 << 62
"""More than any requirement of one contract."""


def spreads_alone(problem: Problem) -> Priced | None:
    """All shorts in spreads, each long at its own expiry, when a bound proves that nothing is cheaper.

    The bound: at one settlement price for each expiry no short is cheaper uncovered than it pays there, and no
    long pays more at another expiry it may serve. Then every pairing asks at least what the payoffs sum to there.
    """
    group = problem.group
    if problem.uses or not group.longs or not problem.offsets or any(problem.loan):
        return None
    placed = []
    sets: dict[int, list[LegAtExpiry]] = {e: [] for e in problem.expiries}
    for leg in group.shorts:
        sets[leg.expiry].append((leg.call, leg.strike, -leg.qty))
    where = [problem.placements(k) for k in range(len(group.longs))]
    for k, (leg, served) in enumerate(zip(group.longs, where, strict=True)):
        if served:
            placed.append((k, served[0], leg.qty))
            sets[served[0]].append((leg.call, leg.strike, leg.qty))
    spot = group.underlying.price
    loss = 0
    losing: dict[int, Worst] = {}
    for expiry, legs in sets.items():
        found = worst(legs, spot)
        if not found.bounded:
            return None
        if found.payoff < 0:
            loss -= found.payoff
            losing[expiry] = found
    if losing and not any(_proves(problem, where, points) for points in _candidates(group, sets, losing)):
        return None
    return Priced(loss * problem.scale, 0, 0, 0, Pairing(placed=tuple(placed)), settled=True)


def _candidates(
    group: Group, sets: dict[int, list[LegAtExpiry]], losing: dict[int, Worst]
) -> Iterator[dict[int, int]]:
    """Settlement prices to try for the expiries that lose: each one's worst nearest the market, or one of all."""
    yield {e: w.nearest for e, w in losing.items()}
    if len(sets) > 1:
        strikes = [leg.strike for leg in group.longs]
        for at in (min(strikes), max(strikes)):
            if all(_pays(sets[e], at) == w.payoff for e, w in losing.items()):
                yield dict.fromkeys(losing, at)


def _pays(legs: list[LegAtExpiry], at: int) -> int:
    return sum([qty * payoff_at(call, strike, at) for call, strike, qty in legs])


def _proves(problem: Problem, where: list[list[int]], points: dict[int, int]) -> bool:
    """Whether settlement prices of the expiries that lose prove the spreads of :func:`spreads_alone` cheapest.

    ``where`` says which expiries each long leg may serve, the one that it serves first.
    """
    group, scale = problem.group, problem.scale
    most_call = most_put = 0
    least_call = least_put = _NEVER
    for leg, costs in zip(group.shorts, problem.naked, strict=True):
        whole, at = costs[0], points.get(leg.expiry)
        if leg.call:
            if whole < least_call:
                least_call = whole
            paid = (at - leg.strike) * scale if at is not None else 0
            if paid > most_call:
                most_call = paid
        else:
            if whole < least_put:
                least_put = whole
            paid = (leg.strike - at) * scale if at is not None else 0
            if paid > most_put:
                most_put = paid
        if paid > whole:
            return False
    strangles = problem.paired and least_call < _NEVER and least_put < _NEVER
    if strangles and most_call + most_put > max(least_call, least_put) and not _pairs_prove(problem, points):
        return False
    if len(problem.expiries) > 1:
        for leg, served in zip(group.longs, where, strict=True):
            if len(served) > 1:
                paid_at = [payoff_at(leg.call, leg.strike, points[e]) if e in points else 0 for e in served]
                if paid_at[0] < max(paid_at):
                    return False
    return True


def _pairs_prove(problem: Problem, points: dict[int, int]) -> bool:
    """Whether no call and put are cheaper uncovered together than what they pay."""
    shorts, scale = problem.group.shorts, problem.scale
    sides: dict[bool, list[tuple[Naked, int]]] = {False: [], True: []}
    for leg, costs in zip(shorts, problem.naked, strict=True):
        at = points.get(leg.expiry)
        sides[leg.call].append((costs, payoff_at(leg.call, leg.strike, at) * scale if at is not None else 0))
    return all(pair(call, put) >= one + two for call, one in sides[True] for put, two in sides[False])
