"""What a fill does to lots, cash and the position.

Invariants: lots are used as the order or the account says, first in, first out if neither does; the basis of a partly
used lot is shared by quantity, rounded half-even, and the rest stays with the rest, so no cent appears or is lost.
Cash moves by price x quantity and fees, exactly.
"""

from __future__ import annotations

from actors.book.events import Lot, LotChoice, LotUse, PositionChanged
from actors.book.instruments import Instrument
from actors.book.rules.lots import FIFO, take_order
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
    choice: LotChoice | None = None,
) -> PositionChanged:
    """The change that ``qty`` at ``price`` makes; ``qty`` is positive."""
    value = value_money(price, qty, instrument.multiplier)
    return book_value(book, instrument, buying, qty, value, fee_money, at, order_no, choice)


def book_value(
    book: Book,
    instrument: Instrument,
    buying: bool,
    qty: int,
    value: int,
    fee_money: int,
    at: int,
    order_no: int,
    choice: LotChoice | None = None,
) -> PositionChanged:
    """The change that ``qty`` for ``value`` in all makes; both positive, ``value`` may be 0."""
    net = -value - fee_money if buying else value - fee_money
    position = book.positions.get(instrument.symbol)
    held = position.qty if position is not None else 0
    basis = position.basis_money if position is not None else 0
    change = qty if buying else -qty
    closing = min(qty, abs(held)) if held and (held < 0) == buying else 0
    method = ""
    if position is not None and closing:
        method = choice.method if choice is not None else book.rules().lot_method
        picks = choice.lots if choice is not None else ()
        uses, used_basis = _use_lots(position.lots, closing, value, qty, buying, method, picks)
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
        "" if method == FIFO else method,
    )


def _share(value: int, part: int, whole: int) -> int:
    return value if part == whole else divide_half_even(value * part, whole)


def _use_lots(
    lots: tuple[Lot, ...],
    closing: int,
    value: int,
    qty: int,
    buying: bool,
    method: str,
    picks: tuple[tuple[int, int], ...],
) -> tuple[tuple[LotUse, ...], int]:
    """Lots by the method; returns the uses, one a lot, and the signed basis that they take with them."""
    uses: list[LotUse] = []
    left, taken_value, used_basis = closing, 0, 0
    closed_value = _share(value, closing, qty)
    for lot, take in _parts(lots, closing, method, picks):
        basis = _share(lot.basis_money, take, abs(lot.qty))
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


def _parts(
    lots: tuple[Lot, ...], closing: int, method: str, picks: tuple[tuple[int, int], ...]
) -> list[tuple[Lot, int]]:
    """How much of which lots, a lot once, in the order of their use."""
    if len(lots) == 1 or (lots and method == FIFO and abs(lots[0].qty) >= closing):
        return [(lots[0], closing)]
    taken: dict[int, int] = {}
    by_no = {lot.lot_no: lot for lot in lots}
    for lot, most in take_order(lots, method, picks):
        if not closing:
            break
        part = min(closing, most)
        taken[lot.lot_no] = taken.get(lot.lot_no, 0) + part
        closing -= part
    return [(by_no[lot_no], part) for lot_no, part in taken.items()]
