"""One group under one profile as a question about pairings, and what an answer to it looks like.

Invariants: pairings name legs by their index in the group, so one found at other prices can be priced again; every
cost of a contract or a lot is computed once, when the problem is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from actors.book.rules.margin.cover import Use, uses
from actors.book.rules.margin.legs import MONEY_PER_PRICE, Group
from actors.book.rules.margin.naked import Naked, nakeds
from actors.book.rules.margin.profiles import MarginProfile


class Pairing(Struct, frozen=True, array_like=True):
    """One permitted pairing, by leg index. Append-only: it can be part of a sequenced input."""

    uncovered: tuple[tuple[int, int], ...] = ()
    """Short leg, contracts."""
    strangles: tuple[tuple[int, int, int], ...] = ()
    """Short call, short put, contracts of each."""
    lots: tuple[tuple[int, int, int], ...] = ()
    """Short leg or -1, long leg or -1, lots of stock."""
    placed: tuple[tuple[int, int, int], ...] = ()
    """Long leg, expiry of the shorts it is counted with, contracts."""
    exact: bool = True
    """Whether it was proved cheapest at the prices it was found at."""


class Priced(Struct, frozen=True):
    """What a pairing asks, money units."""

    options_money: int
    """Uncovered shorts and the losses of spreads."""
    lots_money: int
    """Whole lots of stock with what they cover."""
    haircut_money: int
    loan_lost_money: int
    """Loan value of long options that cannot count because they offset something."""
    pairing: Pairing
    settled: bool = False
    """Whether it was found without a search, and so is the same however far one may search."""

    @property
    def total_money(self) -> int:
        """What is minimised."""
        return self.options_money + self.lots_money + self.haircut_money + self.loan_lost_money


class Problem:
    """One group under one profile: all costs a contract, computed once."""

    __slots__ = (
        "_served",
        "expiries",
        "group",
        "initial",
        "loan",
        "naked",
        "offsets",
        "paired",
        "profile",
        "scale",
        "uses",
    )

    def __init__(self, profile: MarginProfile, group: Group, loan: Sequence[int], *, initial: bool = False) -> None:
        self.profile, self.group, self.initial = profile, group, initial
        self.scale = group.multiplier * MONEY_PER_PRICE
        self.loan = tuple(loan)
        """Loan value lost by using one contract of each long leg."""
        self.naked: list[Naked] = nakeds(profile, group, group.shorts)
        self.expiries = sorted({leg.expiry for leg in group.shorts})
        self.uses: list[Use] = uses(profile, group, initial=initial) if group.lots else []
        self.offsets = profile.spreads == "all" or (group.european and not group.physical)
        self.paired = profile.naked == "formula"
        self._served: dict[int, list[int]] = {}

    def placements(self, k: int) -> list[int]:
        """Expiries at which a long leg may be counted, the latest first."""
        if not self.offsets:
            return []
        expiry = self.group.longs[k].expiry
        found = self._served.get(expiry)
        if found is None:
            if self.group.european and not self.profile.european_calendars:
                found = [e for e in self.expiries if e == expiry]
            else:
                found = [e for e in reversed(self.expiries) if e <= expiry]
            self._served[expiry] = found
        return found
