"""The cheapest permitted pairing of a group's options and stock, exactly (margin-and-options §3.8, §3.9).

A pairing says how many contracts of every short leg are uncovered, alone or a call with a put; which lots of
stock cover what; and at which short expiry every long leg is counted. All shorts left over are margined by the
largest loss of their expiry with its longs.

Invariants: every pairing prices to a legal upper bound; the minimum is proved by the integer program or by a
bound that meets it; the result depends on positions and prices alone, never on their order. Pairings are named
by leg index, so one found at other prices can be priced again. Only the total is a fact: pairings may tie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import gcd
from typing import Final

from actors.book.rules.margin.cover import NONE
from actors.book.rules.margin.legs import Group, Leg
from actors.book.rules.margin.naked import pair
from actors.book.rules.margin.payoff import Worst, payoff_at, worst
from actors.book.rules.margin.problem import Pairing, Priced, Problem
from actors.book.rules.margin.program import Row, minimise
from actors.book.rules.margin.spreads import spreads_alone

NODES_MAX: Final = 300
SMALL_LEGS: Final = 9
SMALL_NODES_MAX: Final = 3_000
"""Groups of few legs are searched longer: their nodes cost little, and at 300 one random book in a thousand beside
stock was not proved and asked up to 135 dollars too much."""
BOUNDS: Final = 0
SMALL: Final = 3
EXACT: Final = 1 << 30
"""How far to search: groups with more short legs than this are bounded from above instead, unless the shortcut
settles them (§3.9). With three random ones a search takes up to 8 ms, with six up to 50, with thirty 400."""


def nodes_for(group: Group) -> int:
    """After how many nodes the search for a group ends."""
    return SMALL_NODES_MAX if len(group.shorts) + len(group.longs) <= SMALL_LEGS else NODES_MAX


def solve(problem: Problem, nodes_max: int | None = None) -> Priced:
    """The cheapest pairing; at the node bound the cheapest found, with ``exact`` false."""
    if nodes_max is None:
        nodes_max = nodes_for(problem.group)
    if not problem.group.shorts and not (problem.uses and problem.group.longs):
        lots = abs(problem.group.lots)
        return price(problem, Pairing(lots=((NONE, NONE, lots),) if lots else ()), settled=True)
    found = spreads_alone(problem)
    return found if found is not None else Model(problem).solve(nodes_max)


def price(problem: Problem, pairing: Pairing, *, settled: bool = False) -> Priced:
    """What a pairing asks at the problem's prices."""
    group = problem.group
    left = [leg.qty for leg in group.shorts]
    used = [0] * len(group.longs)
    options = lots = haircut = 0
    for i, n in pairing.uncovered:
        options += problem.naked[i][0] * n
        left[i] -= n
    for c, p, n in pairing.strangles:
        options += pair(problem.naked[c], problem.naked[p]) * n
        left[c] -= n
        left[p] -= n
    by_use = {(use.short, use.long): use for use in problem.uses}
    for i, k, n in pairing.lots:
        use = by_use[i, k]
        lots += use.cost_money * n
        haircut += use.haircut_money * n
        if i >= 0:
            left[i] -= n
        if k >= 0:
            used[k] += n
    for losses in _losses(problem, left, pairing.placed):
        options += max(0, -losses.payoff) * problem.scale
    for k, _, n in pairing.placed:
        used[k] += n
    lost = sum(value * n for value, n in zip(problem.loan, used, strict=True))
    return Priced(options, lots, haircut, lost, pairing, settled)


def _losses(problem: Problem, left: Sequence[int], placed: Sequence[tuple[int, int, int]]) -> Iterator[Worst]:
    sets: dict[int, list[tuple[bool, int, int]]] = {e: [] for e in problem.expiries}
    for leg, n in zip(problem.group.shorts, left, strict=True):
        if n:
            sets[leg.expiry].append((leg.call, leg.strike, -n))
    for k, expiry, n in placed:
        leg = problem.group.longs[k]
        sets[expiry].append((leg.call, leg.strike, n))
    for legs in sets.values():
        yield worst(legs)


class Model:
    """The integer program of §3.9 for one problem: its variables, and the rows that a solution breaks."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.costs: list[int] = []
        group = problem.group
        shorts, longs = range(len(group.shorts)), range(len(group.longs))
        self.alone = {i: self._new(problem.naked[i][0]) for i in shorts}
        self.order = sorted(shorts, key=lambda i: (-problem.naked[i][0], -problem.naked[i][1], i))
        """Short legs, the dearest uncovered first: only a later one can be the lesser side of a strangle."""
        both = len({leg.call for leg in group.shorts}) == 2
        self.lesser: dict[int, int] = {}
        """By short leg: contracts that ask their premium only, beside a dearer uncovered one of the other right."""
        if problem.paired and both:
            self.lesser = {i: self._new(whole - extra) for i, (whole, extra) in enumerate(problem.naked)}
        loan = problem.loan
        self.uses = {
            (use.short, use.long): self._new(
                use.cost_money + use.haircut_money + (loan[use.long] if use.long >= 0 else 0)
            )
            for use in problem.uses
        }
        self.placed = {(k, e): self._new(loan[k]) for k in longs for e in problem.placements(k)}
        self.unit = gcd(*(leg.strike for leg in (*group.shorts, *group.longs))) or 1
        self.loss = {e: self._new(problem.scale * self.unit) for e in problem.expiries}
        self.taking: dict[int, list[int]] = {i: [self.alone[i]] for i in shorts}
        """By short leg: the variables that take contracts out of its spread."""
        self.drawing: dict[int, list[int]] = defaultdict(list)
        """By long leg: the variables that use its contracts."""
        for i, v in self.lesser.items():
            self.taking[i].append(v)
        for (i, k), v in self.uses.items():
            if i >= 0:
                self.taking[i].append(v)
            if k >= 0:
                self.drawing[k].append(v)
        for (k, _), v in self.placed.items():
            self.drawing[k].append(v)

    def _new(self, cost: int) -> int:
        self.costs.append(cost)
        return len(self.costs) - 1

    def solve(self, nodes_max: int) -> Priced:
        """Minimise and read the pairing off the solution."""
        answer = minimise(
            self.costs, frozenset(self.loss.values()), self.broken, start=self._start(), nodes_max=nodes_max
        )
        assert answer is not None, "leaving every short uncovered is always a solution"
        x = answer.x
        uncovered, strangles = self._strangles(x)
        return price(
            self.problem,
            Pairing(
                uncovered,
                strangles,
                tuple((i, k, x[v]) for (i, k), v in self.uses.items() if x[v]),
                tuple((k, e, x[v]) for (k, e), v in self.placed.items() if x[v]),
                answer.exact,
            ),
        )

    def _strangles(self, x: Sequence[int]) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int, int], ...]]:
        """Who is uncovered alone, and which call goes with which put: first come, first served."""
        alone = {i: x[v] for i, v in self.alone.items()}
        waiting: dict[bool, list[int]] = {False: [], True: []}
        pairs = []
        for i in self.order:
            call = self.problem.group.shorts[i].call
            need = x[self.lesser[i]] if self.lesser else 0
            while need:
                other = waiting[not call][0]
                n = min(need, alone[other])
                pairs.append((i, other, n) if call else (other, i, n))
                alone[other] -= n
                need -= n
                if not alone[other]:
                    waiting[not call].pop(0)
            if alone[i]:
                waiting[call].append(i)
        return tuple((i, n) for i, n in alone.items() if n), tuple(pairs)

    def _start(self) -> tuple[int, tuple[int, ...]]:
        """A good solution without search: expiry by expiry, what is cheaper uncovered leaves its spread.

        Every long is counted at its latest expiry. Calls beyond what the longs bound leave first, the cheapest
        uncovered; then each short leg in turn leaves as a whole where that is cheaper.
        """
        x = [0] * len(self.costs)
        if self.uses:
            x[self.uses[NONE, NONE]] = abs(self.problem.group.lots)
        shorts, longs = self.problem.group.shorts, self.problem.group.longs
        done: set[int] = set()
        sets: dict[int, list[tuple[bool, int, int]]] = {e: [] for e in self.problem.expiries}
        for (k, e), v in self.placed.items():
            if k not in done:
                done.add(k)
                x[v] = longs[k].qty
                sets[e].append((longs[k].call, longs[k].strike, longs[k].qty))
        for e, bought in sets.items():
            mine = [i for i in self.order[::-1] if shorts[i].expiry == e]
            left = {i: shorts[i].qty for i in mine}
            spare = sum(qty for call, _, qty in bought if call) - sum(left[i] for i in mine if shorts[i].call)
            for i in mine:
                if spare < 0 and shorts[i].call:
                    out = min(left[i], -spare)
                    left[i] -= out
                    spare += out
            lost = self._loss(bought, left)
            for i in mine:
                if not left[i] or not lost:
                    continue
                without = self._loss(bought, left | {i: 0})
                if without * self.problem.scale + left[i] * self.problem.naked[i][0] < lost * self.problem.scale:
                    left[i], lost = 0, without
            for i in mine:
                x[self.alone[i]] = shorts[i].qty - left[i]
            x[self.loss[e]] = lost // self.unit
        self._cover(x)
        self._pair(x)
        return sum(c * n for c, n in zip(self.costs, x, strict=True)), tuple(x)

    def _cover(self, x: list[int]) -> None:
        """Let lots of stock cover what is uncovered, the largest saving first."""
        if not self.uses:
            return
        plain = self.uses[NONE, NONE]
        saved = sorted(
            (self.costs[v] - self.costs[plain] - self.problem.naked[i][0], i, v)
            for (i, k), v in self.uses.items()
            if i >= 0 and k == NONE
        )
        for saving, i, v in saved:
            n = min(x[self.alone[i]], x[plain]) if saving < 0 else 0
            x[v] += n
            x[plain] -= n
            x[self.alone[i]] -= n

    def _pair(self, x: list[int]) -> None:
        """Make strangles of what is uncovered: a contract beside a dearer one of the other right."""
        if not self.lesser:
            return
        free = {False: 0, True: 0}
        for i in self.order:
            call, alone = self.problem.group.shorts[i].call, x[self.alone[i]]
            n = min(alone, free[not call])
            x[self.lesser[i]] = n
            x[self.alone[i]] = alone - n
            free[not call] -= n
            free[call] += alone - n

    def _loss(self, bought: list[tuple[bool, int, int]], left: dict[int, int]) -> int:
        """Largest loss of the longs of an expiry with what is left of its shorts, which the longs bound."""
        shorts = self.problem.group.shorts
        sold = [(shorts[i].call, shorts[i].strike, -n) for i, n in left.items() if n]
        return max(0, -worst([*bought, *sold]).payoff) if sold else 0

    def broken(self, x: list[int], den: int) -> list[Row]:
        """Rows that a solution breaks."""
        group = self.problem.group
        rows: list[Row] = []
        for i, variables in self.taking.items():
            _at_most(rows, group.shorts[i].qty, variables, x, den)
        for k, variables in self.drawing.items():
            _at_most(rows, group.longs[k].qty, variables, x, den)
        if self.uses:
            lots = abs(group.lots)
            if sum(x[v] for v in self.uses.values()) < lots * den:
                rows.append((-lots, dict.fromkeys(self.uses.values(), 1)))
            _at_most(rows, lots, [v for use, v in self.uses.items() if use != (NONE, NONE)], x, den)
        if self.lesser:
            self._beside(rows, x)
        for expiry in self.problem.expiries:
            self._spread(rows, expiry, x, den)
        return rows

    def _beside(self, rows: list[Row], x: list[int]) -> None:
        """Down to every leg: lesser calls need as many dearer puts uncovered alone, and the reverse."""
        free = {False: 0, True: 0}
        row: dict[bool, dict[int, int]] = {False: {}, True: {}}
        for i in self.order:
            call, v = self.problem.group.shorts[i].call, self.lesser[i]
            free[not call] -= x[v]
            row[not call][v] = -1
            if free[not call] < 0 and x[v]:
                rows.append((0, dict(row[not call])))
            free[call] += x[self.alone[i]]
            row[call][self.alone[i]] = 1

    def _spread(self, rows: list[Row], expiry: int, x: list[int], den: int) -> None:
        group = self.problem.group
        legs: list[tuple[Leg, int, list[int]]] = []
        for i, leg in enumerate(group.shorts):
            if leg.expiry == expiry:
                legs.append((leg, -leg.qty, self.taking[i]))
        for (k, at), v in self.placed.items():
            if at == expiry:
                legs.append((group.longs[k], 0, [v]))
        amounts = [(leg, qty * den + sum(x[v] for v in variables)) for leg, qty, variables in legs]
        found = worst((leg.call, leg.strike, n) for leg, n in amounts if n)
        if not found.bounded:
            rows.append(_sum((1 if leg.call else 0, qty, variables) for leg, qty, variables in legs))
        v = self.loss[expiry]
        unit = self.unit
        if found.payoff + x[v] * unit < 0:
            for at in {found.lowest: 0, found.highest: 0}:
                constant, coefficients = _sum(
                    (payoff_at(leg.call, leg.strike, at) // unit, qty, variables) for leg, qty, variables in legs
                )
                rows.append((constant, coefficients | {v: 1}))


def _at_most(rows: list[Row], limit: int, variables: list[int], x: list[int], den: int) -> None:
    if sum(x[v] for v in variables) > limit * den:
        rows.append((limit, dict.fromkeys(variables, -1)))


def _sum(terms: Iterator[tuple[int, int, list[int]]]) -> Row:
    constant = 0
    coefficients: dict[int, int] = {}
    for weight, qty, variables in terms:
        if weight:
            constant += weight * qty
            for v in variables:
                coefficients[v] = coefficients.get(v, 0) + weight
    return constant, coefficients


__all__ = ["BOUNDS", "EXACT", "SMALL", "Model", "Pairing", "Priced", "Problem", "nodes_for", "price", "solve"]
