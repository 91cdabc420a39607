"""Alpaca's published option rule: the largest payoff loss over the expiries (margin-and-options §3.8).

For every expiry the legs that are alive then, premiums ignored; shares cover calls without a relief of their own.
Invariant: integers only, and None when no choice of covered calls bounds the loss; such a book has no figure
under this rule.
"""

from __future__ import annotations

from actors.book.rules.margin.cover import NONE
from actors.book.rules.margin.pairing import Pairing, Priced, Problem
from actors.book.rules.margin.payoff import payoff_at, worst
from actors.book.rules.margin.program import Row, minimise


def largest_loss(problem: Problem, nodes_max: int) -> Priced | None:
    """The requirement with the cheapest choice of calls covered by stock; None for an unbounded loss."""
    group = problem.group
    lots = max(0, group.lots)
    calls = [i for i, leg in enumerate(group.shorts) if leg.call] if lots else []
    covered = [0] * len(calls)
    exact = settled = True
    if not _bounded_loss(problem, {}):
        answer = minimise(
            [0] * len(calls) + [1],
            frozenset({len(calls)}),
            lambda x, den: _broken(problem, calls, lots, x, den),
            nodes_max=nodes_max,
        )
        if answer is None:
            return None
        covered, exact, settled = list(answer.x[:-1]), answer.exact, False
    used = [(i, NONE, n) for i, n in zip(calls, covered, strict=True) if n]
    rest = abs(group.lots) - sum(covered)
    if rest and problem.uses:
        used.append((NONE, NONE, rest))
    return price_loss(problem, Pairing(lots=tuple(used), exact=exact), settled=settled)


def price_loss(problem: Problem, pairing: Pairing, *, settled: bool = False) -> Priced:
    """The requirement for given covered calls; the lots ask the same with and without them."""
    plain = problem.uses[0].cost_money * abs(problem.group.lots) if problem.uses else 0
    covered = {i: n for i, _, n in pairing.lots if i >= 0}
    loss = max((-_payoff(problem, e, covered) for e in problem.expiries), default=0)
    return Priced(max(0, loss) * problem.scale, plain, 0, 0, pairing, settled)


def _alive(problem: Problem, expiry: int, covered: dict[int, int]) -> list[tuple[bool, int, int]]:
    legs = [
        (leg.call, leg.strike, covered.get(i, 0) - leg.qty)
        for i, leg in enumerate(problem.group.shorts)
        if leg.expiry >= expiry
    ]
    legs.extend((leg.call, leg.strike, leg.qty) for leg in problem.group.longs if leg.expiry >= expiry)
    return legs


def _payoff(problem: Problem, expiry: int, covered: dict[int, int]) -> int:
    return worst(_alive(problem, expiry, covered)).payoff


def _bounded_loss(problem: Problem, covered: dict[int, int]) -> bool:
    """Whether nothing needs to be decided: no loss is left that shares could take."""
    found = [worst(_alive(problem, e, covered)) for e in problem.expiries]
    if not all(w.bounded for w in found):
        return False
    return problem.group.lots <= 0 or all(w.payoff >= 0 for w in found)


def _broken(problem: Problem, calls: list[int], lots: int, x: list[int], den: int) -> list[Row]:
    group = problem.group
    loss = len(calls)
    rows: list[Row] = []
    if sum(x[:loss]) > lots * den:
        rows.append((lots, dict.fromkeys(range(loss), -1)))
    for v, i in enumerate(calls):
        if x[v] > group.shorts[i].qty * den:
            rows.append((group.shorts[i].qty, {v: -1}))
    taken = {i: x[v] for v, i in enumerate(calls)}
    for expiry in problem.expiries:
        legs = [
            (leg.call, leg.strike, taken.get(i, 0) - leg.qty * den)
            for i, leg in enumerate(group.shorts)
            if leg.expiry >= expiry
        ]
        legs.extend((leg.call, leg.strike, leg.qty * den) for leg in group.longs if leg.expiry >= expiry)
        found = worst(legs)
        alive = [v for v, i in enumerate(calls) if group.shorts[i].expiry >= expiry]
        if not found.bounded:
            slope = sum(qty for call, _, qty in _alive(problem, expiry, {}) if call)
            rows.append((slope, dict.fromkeys(alive, 1)))
        if found.payoff * problem.scale + x[loss] < 0:
            at, scale = found.lowest, problem.scale
            constant = sum(q * payoff_at(c, k, at) for c, k, q in _alive(problem, expiry, {})) * scale
            gains = {v: payoff_at(True, group.shorts[calls[v]].strike, at) * scale for v in alive}
            rows.append((constant, {v: gain for v, gain in gains.items() if gain} | {loss: 1}))
    return rows
