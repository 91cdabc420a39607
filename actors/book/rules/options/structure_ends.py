"""How each structure ends when its contracts do, although the account holds one netted position a contract.

Invariants: a leg ends as the contract did; contracts that lapsed or were exercised by wish fall to the structures in
the order listed (the oldest first), never to a fraction of a contract. Worth is counted at the settlement price, so
that the ends of structures that make up a whole position add up to what that position moved.

Known limits: legs of one contract that offset each other between structures end here each by itself, while the
account settled their difference; shares and cash are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from actors.book.rules.options.expiry import SETTLE, ExpiryPolicy, Group, Settled, is_in_the_money
from actors.book.rules.options.outcome import How
from actors.book.units import QTY_PER_SHARE

_AGAINST_THE_RULE = ("do_not_exercise", "beyond_means", "instructed")


class StructureLegs(Struct, frozen=True):
    """What a structure holds: signed quantity units by contract."""

    structure_id: str
    legs: Mapping[str, int]


class LegEnd(Struct, frozen=True):
    """The end of some contracts of one leg."""

    symbol: str
    how: How
    qty: int
    """Signed quantity units that the structure held."""
    reason: str
    worth_money: int
    """What they brought at the settlement price, signed; 0 when they ended with nothing."""


class StructureEnd(Struct, frozen=True):
    """One structure's legs of a group."""

    structure_id: str
    legs: tuple[LegEnd, ...]

    @property
    def worth_money(self) -> int:
        """What all legs brought together."""
        return sum(leg.worth_money for leg in self.legs)


def structure_ends(
    group: Group, settled: Settled, structures: Sequence[StructureLegs], policy: ExpiryPolicy = SETTLE
) -> list[StructureEnd]:
    """The ends of structures, in their order; a structure without a leg in the group is left out."""
    instruments = {holding.instrument.symbol: holding.instrument for holding in group.holdings}
    worths = {outcome.symbol: outcome.intrinsic_money for outcome in settled.outcomes}
    left: dict[str, tuple[int, str]] = {
        outcome.symbol: (-outcome.qty, outcome.reason)
        for outcome in settled.outcomes
        if outcome.reason in _AGAINST_THE_RULE
    }
    found = []
    for structure in structures:
        legs: list[LegEnd] = []
        for symbol, qty in sorted(structure.legs.items()):
            if symbol not in instruments or not qty:
                continue
            inside = is_in_the_money(instruments[symbol], worths[symbol], policy)
            odd, reason = left.get(symbol, (0, ""))
            odd = min(odd, qty) if qty > 0 else 0
            if odd:
                left[symbol] = (left[symbol][0] - odd, reason)
                legs.append(_end(symbol, odd, not inside, reason, worths[symbol]))
            if qty - odd:
                plain = "in_the_money" if inside else "not_in_the_money"
                legs.append(_end(symbol, qty - odd, inside, plain, worths[symbol]))
        if legs:
            found.append(StructureEnd(structure.structure_id, tuple(legs)))
    return found


def _end(symbol: str, qty: int, settles: bool, reason: str, worth: int) -> LegEnd:
    if not settles:
        return LegEnd(symbol, "expired", qty, reason, 0)
    how: How = "exercised" if qty > 0 else "assigned"
    return LegEnd(symbol, how, qty, reason, worth * (qty // QTY_PER_SHARE))
