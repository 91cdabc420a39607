"""A small exact integer program: dual simplex and branch and bound over integers, with rows made on demand.

Minimises ``costs . x`` over non-negative ``x``, of which all but the continuous ones are whole numbers, under
rows ``constant + coefficients . x >= 0`` that a separation function adds when a solution breaks them.

Invariants: no floating point anywhere, so the answer is the same on every machine; a row of the tableau is kept
as integers over one common divisor; costs are not negative, so the empty basis is dual feasible and rows can be
added at any time; the search is bounded by a number of nodes, never by time. At the bound the best solution
found so far stands and ``exact`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import gcd, lcm
from typing import Final

from msgspec import Struct

Row = tuple[int, dict[int, int]]
"""Constant and coefficients by variable: their sum must not be negative."""
Separate = Callable[[list[int], int], list[Row]]
"""Rows that a solution breaks: numerators of all variables, and their common denominator."""

_CUT_ROUNDS: Final = 12
_CUTS_A_ROUND: Final = 8
_CUT_SCALE: Final = 1 << 20
WORK_A_NODE: Final = 100
"""Coefficients that a node may touch on average before the search ends with the best found."""
_BLAND_AFTER: Final = 400
"""Pivots of one tableau after which the rule that cannot cycle takes over."""


class Answer(Struct, frozen=True):
    """The best solution found."""

    value: int
    x: tuple[int, ...]
    exact: bool
    """Whether it is proved to be the minimum."""
    nodes: int


class Tableau:
    """A dual feasible simplex tableau. Variables not in ``rows`` are at zero."""

    __slots__ = ("cost", "cost_den", "next_slack", "pivots", "rows", "size", "value", "work")

    def __init__(self, costs: Sequence[int]) -> None:
        self.size = len(costs)
        self.rows: dict[int, tuple[int, int, dict[int, int]]] = {}
        self.cost = {j: c for j, c in enumerate(costs) if c}
        self.cost_den = 1
        self.value = 0
        self.next_slack = self.size
        self.pivots = 0
        self.work = 0
        """Coefficients touched since it was copied, long ones counted more: a clock that is the same everywhere."""

    def copy(self) -> Tableau:
        """An independent tableau; rows are shared, since they are replaced and never changed in place."""
        other = Tableau(())
        other.size, other.rows, other.cost = self.size, dict(self.rows), self.cost
        other.cost_den, other.value = self.cost_den, self.value
        other.next_slack, other.pivots = self.next_slack, self.pivots
        return other

    def add(self, constant: int, coefficients: dict[int, int]) -> None:
        """Demand ``constant + coefficients . x >= 0``."""
        rows = self.rows
        den = lcm(*(rows[j][0] for j in coefficients if j in rows))
        total = constant * den
        out: dict[int, int] = {}
        for j, c in coefficients.items():
            row = rows.get(j)
            if row is None:
                out[j] = out.get(j, 0) + c * den
                continue
            factor = c * (den // row[0])
            total += factor * row[1]
            for k, a in row[2].items():
                out[k] = out.get(k, 0) + factor * a
        rows[self.next_slack] = _reduced(den, total, out)
        self.next_slack += 1

    def add_nonbasic(self, constant: int, coefficients: dict[int, int]) -> None:
        """The same for a row over variables that are all at zero now."""
        self.rows[self.next_slack] = (1, constant, coefficients)
        self.next_slack += 1

    def drop_loose_rows(self) -> None:
        """Forget rows that do not bind."""
        self.rows = {j: row for j, row in self.rows.items() if j < self.size or row[1] <= 0}

    def bound(self, step: int) -> int:
        """The relaxation's value, rounded up to what whole solutions can cost."""
        return -(-self.value // (self.cost_den * step)) * step

    def solve(self) -> bool:
        """Pivot until no basic variable is negative; False when the rows contradict each other."""
        while True:
            leaving = self._leaving()
            if leaving < 0:
                return True
            entering = self._entering(self.rows[leaving][2])
            if entering < 0:
                return False
            self._pivot(leaving, entering)

    def _leaving(self) -> int:
        bland = self.pivots > _BLAND_AFTER
        best, best_total, best_den = -1, 0, 1
        for variable, (den, total, _) in self.rows.items():
            if total >= 0:
                continue
            left, right = total * best_den, best_total * den
            if best < 0 or (variable < best if bland or left == right else left < right):
                best, best_total, best_den = variable, total, den
        return best

    def _entering(self, coefficients: dict[int, int]) -> int:
        best, best_cost, best_by = -1, 0, 1
        cost = self.cost
        for j, a in coefficients.items():
            if a <= 0:
                continue
            c = cost.get(j, 0)
            left, right = c * best_by, best_cost * a
            if best < 0 or left < right or (left == right and j < best):
                best, best_cost, best_by = j, c, a
        return best

    def _pivot(self, leaving: int, entering: int) -> None:
        self.pivots += 1
        den, total, coefficients = self.rows.pop(leaving)
        by = coefficients[entering]
        size = 1 + by.bit_length() // 24
        solved = {j: -a for j, a in coefficients.items() if j != entering}
        solved[leaving] = den
        rows = self.rows
        for variable, (row_den, row_total, row) in list(rows.items()):
            a = row.get(entering)
            if a is not None:
                self.work += len(row) * size
                rows[variable] = _substitute(row_den, row_total, row, entering, a, by, -total, solved)
        a = self.cost.get(entering)
        if a is not None:
            self.cost_den, self.value, self.cost = _substitute(
                self.cost_den, self.value, self.cost, entering, a, by, -total, solved
            )
        rows[entering] = _reduced(by, -total, solved)

    def point(self) -> tuple[list[int], int]:
        """Numerators of the variables, and their common denominator."""
        basic = [(j, row) for j, row in self.rows.items() if j < self.size]
        den = lcm(*(row[0] for _, row in basic))
        x = [0] * self.size
        for j, row in basic:
            x[j] = row[1] * (den // row[0])
        return x, den


def _substitute(
    den: int, total: int, row: dict[int, int], entering: int, a: int, by: int, constant: int, solved: dict[int, int]
) -> tuple[int, int, dict[int, int]]:
    if by == 1:
        out = dict(row)
    else:
        out = {j: c * by for j, c in row.items()}
    del out[entering]
    for j, c in solved.items():
        value = out.get(j, 0) + a * c
        if value:
            out[j] = value
        else:
            out.pop(j, None)
    return _reduced(den * by, total * by + a * constant, out)


def _reduced(den: int, total: int, row: dict[int, int]) -> tuple[int, int, dict[int, int]]:
    if den == 1:
        return den, total, row
    common = gcd(den, total, *row.values())
    if common > 1:
        return den // common, total // common, {j: c // common for j, c in row.items()}
    return den, total, row


def minimise(
    costs: Sequence[int],
    free: frozenset[int],
    separate: Separate,
    *,
    start: tuple[int, tuple[int, ...]] | None = None,
    nodes_max: int = 2_000,
) -> Answer | None:
    """The cheapest whole solution; None when there is none.

    ``free`` are variables that come out whole when the others are, so the search need not branch on them.
    ``start`` is a known solution with its cost; without any node it is the answer. Nodes are taken in order of
    their bound, so the search ends at the first whole solution that no bound undercuts. The first descent to a
    whole solution is always made. The bound on nodes bounds
    the work of each as well: on average ``WORK_A_NODE``.
    """
    step = gcd(*costs) or 1
    best_value, best_x = start if start is not None else (-1, ())
    if nodes_max <= 0 <= best_value:
        return Answer(best_value, best_x, False, 0)
    root = Tableau(costs)
    work_max = nodes_max * WORK_A_NODE
    if not _cut(root, separate, free, best_value, step, work_max):
        return Answer(best_value, best_x, True, 1) if best_value >= 0 else None
    root.drop_loose_rows()
    queue = [(root.bound(step), 0, 0, root)]
    nodes = serial = 0
    work = root.work
    while queue:
        bound, depth, _, tableau = heappop(queue)
        if 0 <= best_value <= bound:
            break
        nodes += 1
        if nodes > 1 and (nodes > nodes_max or work > work_max):
            return Answer(best_value, best_x, False, nodes) if best_value >= 0 else None
        while True:
            x, den = tableau.point()
            branch = _most_broken(x, den, free)
            if branch < 0:
                best_value, best_x = tableau.value // tableau.cost_den, tuple(value // den for value in x)
                break
            floor = x[branch] // den
            below, above = tableau.copy(), tableau
            below.add(floor, {branch: -1})
            above.add(-floor - 1, {branch: 1})
            depth -= 1
            above.work = 0
            alive = [child for child in (below, above) if _relax(child, separate, best_value, step)]
            work += below.work + above.work
            if not alive:
                break
            alive.sort(key=lambda child: child.bound(step))
            for child in alive[1:]:
                serial += 1
                heappush(queue, (child.bound(step), depth, serial, child))
            tableau = alive[0]
            nodes += 1
    return Answer(best_value, best_x, True, nodes) if best_value >= 0 else None


def _most_broken(x: list[int], den: int, free: frozenset[int]) -> int:
    branch, nearest = -1, 0
    for j, value in enumerate(x):
        rest = value % den
        if rest and j not in free and min(rest, den - rest) > nearest:
            branch, nearest = j, min(rest, den - rest)
    return branch


def _relax(tableau: Tableau, separate: Separate, best_value: int, step: int) -> bool:
    """Solve the relaxation with all rows that matter; False when nothing better can lie below."""
    while True:
        if not tableau.solve():
            return False
        if 0 <= best_value <= tableau.bound(step):
            return False
        rows = separate(*tableau.point())
        if not rows:
            return True
        for constant, coefficients in rows:
            tableau.add(constant, coefficients)


def _cut(
    tableau: Tableau, separate: Separate, free: frozenset[int], best_value: int, step: int, work_max: int
) -> bool:
    """Solve the root's relaxation and tighten it with Gomory cuts; False when nothing better can lie below."""
    if not _relax(tableau, separate, best_value, step):
        return False
    for _ in range(_CUT_ROUNDS):
        broken = [
            (min(total % den, den - total % den) * _CUT_SCALE // den, j)
            for j, (den, total, _) in tableau.rows.items()
            if j < tableau.size and j not in free and total % den
        ]
        if not broken or tableau.work > work_max // 4:
            return True
        before, before_den = tableau.value, tableau.cost_den
        for _, j in sorted(broken, key=lambda entry: (-entry[0], entry[1]))[:_CUTS_A_ROUND]:
            tableau.add_nonbasic(-_CUT_SCALE, _gomory(*tableau.rows[j]))
        if not _relax(tableau, separate, best_value, step):
            return False
        if (tableau.value * before_den - before * tableau.cost_den) * 10_000 <= before * tableau.cost_den:
            return True
    return True


def _gomory(den: int, total: int, row: dict[int, int]) -> dict[int, int]:
    """Coefficients of a cut whose right side is ``_CUT_SCALE``: rounded up, which weakens and never breaks it."""
    f0 = total % den
    side = f0 * (den - f0)
    out = {}
    for j, a in row.items():
        f = -a % den
        if f:
            exact = f * (den - f0) if f <= f0 else (den - f) * f0
            out[j] = -(-exact * _CUT_SCALE // side)
    return out
