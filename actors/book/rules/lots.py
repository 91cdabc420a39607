"""Which tax lots a closing fill takes: by the account's method, or as its order says.

Where the reference is silent it is as US retail brokers have it: first in, first out unless the account or the order
says otherwise (Treas. Reg. 1.1012-1(c)). Invariants: every method orders the same lots and none makes or loses a
share or a cent; equal lots go oldest first; what an order's own lots cannot cover any more goes first in, first out.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from actors.book.events.base import Lot, LotChoice
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import BadNumber, format_qty, parse_qty
from actors.commands import LotPick

FIFO: Final = "fifo"
SPECIFIC: Final = "specific"
METHODS: Final = (FIFO, "lifo", "highest_cost", "lowest_cost")


def take_order(lots: tuple[Lot, ...], method: str, picks: tuple[tuple[int, int], ...] = ()) -> list[tuple[Lot, int]]:
    """The lots in the order in which they are used, each with how much of it may be."""
    if method == "lifo":
        return [(lot, abs(lot.qty)) for lot in reversed(lots)]
    if method in ("highest_cost", "lowest_cost"):
        sign = -1 if method == "highest_cost" else 1
        return [(lot, abs(lot.qty)) for lot in sorted(lots, key=lambda lot: sign * _cost(lot))]
    if method != SPECIFIC:
        return [(lot, abs(lot.qty)) for lot in lots]
    left = {lot.lot_no: abs(lot.qty) for lot in lots}
    by_no = {lot.lot_no: lot for lot in lots}
    out = []
    for lot_no, qty in picks:
        if left.get(lot_no):
            part = min(qty or left[lot_no], left[lot_no])
            out.append((by_no[lot_no], part))
            left[lot_no] -= part
    return out + [(lot, left[lot.lot_no]) for lot in lots if left[lot.lot_no]]


def _cost(lot: Lot) -> Fraction:
    """What makes a closing earn less: the price paid; of a short lot, minus the price received."""
    return Fraction(lot.basis_money, abs(lot.qty))


def read_choice(
    book: Book, symbol: str, intent: str, qty: int, method: str | None, picks: Iterable[LotPick] | None
) -> LotChoice | Refusal | None:
    """What an order says of the lots that it closes, held against what the account has; None for nothing."""
    if method is None and picks is None:
        return None
    if not intent.endswith("_to_close"):
        return refuse("lots_not_accepted", "lots" if picks is not None else "lot_method")
    if picks is None:
        if method not in METHODS:
            return refuse("invalid_lots", "lot_method", problem=f"lot_method is one of {', '.join(METHODS)}")
        return LotChoice(method)
    if method not in (None, SPECIFIC):
        return refuse("invalid_lots", "lot_method", problem="give lots or lot_method, not both")
    return _read_picks(book, symbol, qty, tuple(picks))


def read_part(pick: LotPick, size: int) -> int | Refusal:
    """How much of a lot of this size is chosen."""
    if pick.qty is None:
        return size
    try:
        part = parse_qty(pick.qty)
    except BadNumber:
        problem = f"qty {pick.qty[:24]} of lot {pick.lot_no} is no plain decimal number such as 12.5"
        return refuse("invalid_lots", "lots", problem=problem)
    if not 0 < part <= size:
        return refuse("invalid_lots", "lots", problem=f"lot {pick.lot_no} has {format_qty(size)}")
    return part


def _read_picks(book: Book, symbol: str, qty: int, picks: tuple[LotPick, ...]) -> LotChoice | Refusal:
    position = book.positions.get(symbol)
    sizes = {lot.lot_no: abs(lot.qty) for lot in position.lots} if position is not None else {}
    read: list[tuple[int, int]] = []
    for pick in picks:
        size = sizes.pop(pick.lot_no, 0)
        if not size:
            return refuse("invalid_lots", "lots", problem=f"there is no open lot {pick.lot_no} of {symbol} left")
        part = read_part(pick, size)
        if isinstance(part, Refusal):
            return part
        read.append((pick.lot_no, part))
    chosen = sum(part for _, part in read)
    if chosen < qty:
        problem = f"the lots have {format_qty(chosen)} of the order's {format_qty(qty)}"
        return refuse("invalid_lots", "lots", problem=problem)
    return LotChoice(SPECIFIC, tuple(read))
