"""A structure as the book holds it: legs that were opened together, and their common account."""

from __future__ import annotations

from msgspec import Struct

from actors.book.events.structures import HeldLeg


class Structure(Struct, frozen=True, gc=False, array_like=True):
    """An open structure. Its number is that of the order that opened it."""

    structure_no: int
    structure_id: str
    underlying: str
    name: str
    opened_at: int
    legs: tuple[HeldLeg, ...]
    """Never empty; no two of one symbol, none of quantity 0."""
    net_money: int
    """All cash that it moved; positive was received."""
    realized_money: int
    premium_money: int
    rolls: int
    broken: bool
    cover_qty: int
    updated_at: int
    rolled_by: int = 0
    """The order that rolled it last: its further fills are the same roll."""
    fees_pico: int = 0
    """Fees of all its fills as they accrued; profit and cost are without them."""

    def qty_of(self, symbol: str) -> int:
        """Signed quantity units that it holds of an instrument."""
        for leg in self.legs:
            if leg.symbol == symbol:
                return leg.qty
        return 0
