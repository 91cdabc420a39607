"""What a structure looks like: its unit, its name, what stands behind its short calls.

Invariants: a unit is the smallest whole ratio of the legs, with shares counted in lots of a hundred; prices of a unit
are nets a share from the side of who closes it, positive is paid. Names are for people: nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd

from msgspec import Struct

from actors.book.events.structures import HeldLeg
from actors.book.instruments import CONTRACT_SHARES, Instrument, Instruments
from actors.book.osi import is_option_symbol
from actors.book.rules.options.structures import StructureLeg, name
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE, divide_half_even

UNCOVERED_LEVEL = 4
_LOT_QTY = CONTRACT_SHARES * QTY_PER_SHARE


class UnitPart(Struct, frozen=True, gc=False):
    """One leg of a unit."""

    symbol: str
    ratio: int
    """Signed contracts, or lots of shares, that the structure holds for each unit."""
    stock: bool


class Unit(Struct, frozen=True):
    """A structure as so many equal units."""

    parts: tuple[UnitPart, ...]
    count: int

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of its legs, in their order."""
        return tuple(part.symbol for part in self.parts)


def unit_of(legs: Sequence[HeldLeg]) -> Unit | None:
    """The unit of some legs; None when shares are not whole lots."""
    counts = []
    for leg in legs:
        whole, rest = divmod(leg.qty, QTY_PER_SHARE if is_option_symbol(leg.symbol) else _LOT_QTY)
        if rest:
            return None
        counts.append(whole)
    count = gcd(*counts)
    return Unit(
        tuple(
            UnitPart(leg.symbol, whole // count, not is_option_symbol(leg.symbol))
            for leg, whole in zip(legs, counts, strict=True)
        ),
        count,
    )


def same_shape(before: Sequence[HeldLeg], after: Sequence[HeldLeg]) -> bool:
    """Whether two sets of legs are units of one kind, so that a net a unit means the same."""
    old, new = unit_of(before), unit_of(after)
    if old is None or new is None:
        return False
    return {(part.symbol, part.ratio) for part in old.parts} == {(part.symbol, part.ratio) for part in new.parts}


def entry_net(legs: Sequence[HeldLeg], count: int) -> int:
    """What opening one unit cost, price units a share; negative when it brought a credit."""
    total = sum(leg.basis_money for leg in legs)
    # money units to price units a share of a contract: 1e-6 dollar a hundred shares, 1e-4 dollar a share
    return divide_half_even(total, count * 100 * CONTRACT_SHARES)


def option_legs(legs: Iterable[HeldLeg], instruments: Instruments) -> list[tuple[HeldLeg, Instrument]] | None:
    """The contracts among legs; None when one is not known any more."""
    found = []
    for leg in legs:
        if is_option_symbol(leg.symbol):
            contract = instruments.by_symbol.get(leg.symbol)
            if contract is None:
                return None
            found.append((leg, contract))
    return found


def stock_qty(legs: Iterable[HeldLeg]) -> int:
    """Signed quantity of shares among legs."""
    return sum(leg.qty for leg in legs if not is_option_symbol(leg.symbol))


def name_of(legs: Sequence[HeldLeg], cover_qty: int, book: Book, instruments: Instruments) -> str:
    """What traders call it (margin-and-options §3): shares that stand behind all its short calls count."""
    parts: list[StructureLeg] = []
    shares = short_calls = 0
    for leg in legs:
        if not is_option_symbol(leg.symbol):
            shares += leg.qty
            continue
        contract = instruments.by_symbol.get(leg.symbol)
        if contract is None or contract.is_adjusted:
            return "custom"
        call = contract.right == "call"
        if call and leg.qty < 0:
            short_calls -= leg.qty
        expiry = contract.settlement_date * 2 + (contract.settles != "am")
        parts.append(StructureLeg(call, contract.strike, expiry, leg.qty // QTY_PER_SHARE))
    if not shares and short_calls and cover_qty >= short_calls * CONTRACT_SHARES:
        shares = cover_qty
    lots, rest = divmod(shares, _LOT_QTY)
    if rest:
        return "custom" if parts else ("long_stock" if shares > 0 else "short_stock")
    secured = book.type == "cash" or book.options_level < UNCOVERED_LEVEL
    return name(parts, lots, cash_secured=secured)


def free_cover(book: Book, structure_no: int, underlying: str) -> int:
    """Shares of the underlying that stand behind no other structure, quantity units."""
    position = book.positions.get(underlying)
    if position is None or position.qty <= 0:
        return 0
    used = sum(
        other.cover_qty
        for no, other in book.structures.items()
        if no != structure_no and other.underlying == underlying
    )
    return max(0, position.qty - used)


def cover_needed(legs: Sequence[HeldLeg], instruments: Instruments) -> int:
    """Shares that would cover a lone short call; 0 for anything else."""
    if len(legs) != 1:
        return 0
    contracts = option_legs(legs, instruments)
    if not contracts:
        return 0
    leg, contract = contracts[0]
    if leg.qty >= 0 or contract.right != "call" or contract.settlement != "physical":
        return 0
    return -leg.qty * CONTRACT_SHARES
