"""Which structure an order works on, and which one it would take a leg out of.

Invariants: a unit order whose closing legs all belong to one structure works on that structure, also without naming
it: on the one with the fewest other legs, then the oldest. Whatever trades a leg of a structure of several without
working on it is told so before it happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.book import events as e
from actors.book.ids import derive_structure_id
from actors.book.outcome import LegAlone
from actors.book.state.book import Book
from actors.book.state.structures import Structure


def addressed(book: Book, legs: Sequence[e.AcceptedLeg], qty: int) -> int:
    """The number of the structure whose legs a unit order closes or rolls; 0 for none."""
    closing = [
        (leg.symbol, (qty if leg.side == "buy" else -qty) * leg.ratio)
        for leg in legs
        if leg.position_intent.endswith("_to_close")
    ]
    if not closing:
        return 0
    found = [
        (len(structure.legs), no)
        for no, structure in book.structures.items()
        if all(_holds(structure, symbol, change) for symbol, change in closing)
    ]
    return min(found)[1] if found else 0


def _holds(structure: Structure, symbol: str, change: int) -> bool:
    held = structure.qty_of(symbol)
    return held * change < 0 and abs(change) <= abs(held)


def id_of(book: Book, structure_no: int, order_id: str, intents: Sequence[str]) -> str:
    """The id of the structure that an order in contracts names, else of the one that it opens; empty for neither."""
    if structure_no in book.structures:
        return book.structures[structure_no].structure_id
    for intent in intents:
        if intent.endswith("_to_open"):
            return derive_structure_id(order_id)
    return ""


def legs_alone(book: Book, terms: e.OrderAccepted) -> tuple[LegAlone, ...]:
    """Structures of several legs that an order, when it fills, takes a leg out of."""
    if terms.structure_no or terms.group_no not in (0, terms.order_no):
        return ()
    if terms.legs:
        moves = [
            (leg.symbol, terms.qty * leg.ratio, leg.side)
            for leg in terms.legs
            if leg.position_intent.endswith("_close")
        ]
    elif terms.position_intent.endswith("_to_close"):
        moves = [(terms.symbol, terms.qty, terms.side)]
    else:
        return ()
    found: list[LegAlone] = []
    for symbol, qty, side in moves:
        found += _taken_from(book, symbol, qty if side == "buy" else -qty)
    return tuple(found)


def _taken_from(book: Book, symbol: str, change: int) -> list[LegAlone]:
    position = book.positions.get(symbol)
    if position is None:
        return []
    holders = sorted(
        (len(structure.legs), no)
        for no, structure in book.structures.items()
        if structure.qty_of(symbol) * change < 0
    )
    owned = sum(book.structures[no].qty_of(symbol) for _, no in holders)
    left = abs(change) - abs(position.qty - owned)
    found = []
    for count, no in holders:
        if left <= 0:
            break
        structure = book.structures[no]
        taken = min(left, abs(structure.qty_of(symbol)))
        left -= taken
        if count > 1:
            found.append(LegAlone(structure.structure_id, structure.name, symbol, taken, no in book.exits))
    return found
