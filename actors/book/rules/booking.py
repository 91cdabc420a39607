"""What a fill does to lots, cash and the position.

Invariants: lots are used first in, first out; the basis of a partly used lot is shared by quantity, rounded
half-even, and the rest stays with the rest, so no cent appears or is lost. Cash moves by price x quantity and
fees, exactly.
"""

from __future__ import annotations

from actors.book.events import Lot, LotUse, PositionChanged
from actors.book.instruments import Instrument
from actors.book.state.book import Book
from actors.book.units import divide_half_even, value_money


def book_fill(
    book: Book,
    instrument: Instrument,
    buying: bool,
    qty: int,
    price: int,
    fee_money: int,
    at: int,
    order_no: int,
) -> PositionChanged:
    """The change that ``qty`` at ``price`` makes; ``qty`` is positive."""
    value = value_money(price, qty, instrument.multiplier)
    net = -value - fee_money if buying else value - fee_money
    position = book.positions.get(instrument.symbol)
    held = position.qty if position is not None else 0
    basis = position.basis_money if position is not None else 0
    change = qty if buying else -qty
    closing = min(qty, abs(held)) if held and (held < 0) == buying else 0
    if position is not None and closing:
        uses, used_basis = _use_lots(position.lots, closing, value, qty, buying)
    else:
        uses, used_basis = (), 0
    opening = qty - closing
    closed_value = _share(value, closing, qty)
    opened = None
    realized = 0
    if closing:
        realized = (-closed_value if buying else closed_value) - used_basis
        basis -= used_basis
    if opening:
        opened_value = value - closed_value
        signed = opening if buying else -opening
        opened = Lot(book.next_lot_no, signed, opened_value if buying else -opened_value, at, order_no)
        basis += opened.basis_money
    return PositionChanged(
        instrument.symbol,
        instrument.asset_id,
        held + change,
        basis,
        book.cash + net,
        net,
        realized,
        opened,
        uses,
    )


def _share(value: int, part: int, whole: int) -> int:
    return value if part == whole else divide_half_even(value * part, whole)


def _use_lots(
    lots: tuple[Lot, ...], closing: int, value: int, qty: int, buying: bool
) -> tuple[tuple[LotUse, ...], int]:
    """Oldest lots first; returns the uses and the signed basis that they take with them."""
    uses: list[LotUse] = []
    left, taken_value, used_basis = closing, 0, 0
    closed_value = _share(value, closing, qty)
    for lot in lots:
        if not left:
            break
        size = abs(lot.qty)
        take = min(left, size)
        basis = _share(lot.basis_money, take, size)
        left -= take
        proceeds = closed_value - taken_value if not left else _share(closed_value, take, closing)
        taken_value += proceeds
        used_basis += basis
        uses.append(
            LotUse(
                lot.lot_no,
                -take if buying else take,
                basis,
                -proceeds if buying else proceeds,
                lot.opened_at,
                lot.order_no,
            )
        )
    return tuple(uses), used_basis
