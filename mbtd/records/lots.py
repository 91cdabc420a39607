"""Closed tax lots: what was bought when and for how much, sold when and for how much.

Invariants: a row is made of one closing event alone; the sum of an account's rows is the realised profit of
its positions, to the money unit. Quantities are signed like the lot: negative for a short one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from actors.book import events as e
from actors.book.assign_lots import find_closing
from actors.book.state.book import Book
from actors.book.units import NS_PER_SECOND, format_money, format_qty, format_time
from mbtd.records.money_lines import date_text


class ClosedLot(Struct, frozen=True, array_like=True):
    """One lot, or a part of one, taken off by one fill or booking."""

    symbol: str
    lot_no: int
    qty: int
    basis_money: int
    """What was paid; of a short lot minus what was received."""
    proceeds_money: int
    opened_at: int
    closed_at: int
    open_order_no: int
    close_order_no: int
    n: int
    """Of the account's event that closed it."""
    seq: int
    lot_method: str = ""
    """By which it was chosen; empty for first in, first out."""

    @property
    def realized_money(self) -> int:
        """Profit in money units, fees of the trade apart."""
        return self.proceeds_money - self.basis_money

    @property
    def term(self) -> str:
        """``long`` when held more than a year."""
        opened = datetime.fromtimestamp(self.opened_at // NS_PER_SECOND, UTC).date()
        closed = datetime.fromtimestamp(self.closed_at // NS_PER_SECOND, UTC).date()
        try:
            anniversary = opened.replace(year=opened.year + 1)
        except ValueError:
            anniversary = opened.replace(year=opened.year + 1, month=3, day=1)
        return "long" if closed > anniversary else "short"


def closed_lots(
    event: e.PositionChanged | e.PositionAdjusted, order_no: int, n: int, seq: int, at: int
) -> Iterator[ClosedLot]:
    """The rows of one event. ``order_no`` is that of the fill it belongs to, 0 for a booking."""
    method = event.lot_method if isinstance(event, e.PositionChanged) else ""
    for use in event.closed:
        yield _closed(event.symbol, use, at, order_no, n, seq, method)


def assigned_lots(event: e.LotsAssigned, seq: int) -> Iterator[ClosedLot]:
    """The rows of a closing for which other lots were chosen.

    A lot that is not among them any more keeps a row of quantity 0, which nobody is shown.
    """
    chosen = {use.lot_no for use in event.closed}
    gone = [use for use in event.given_back if use.lot_no not in chosen]
    empty = [e.LotUse(use.lot_no, 0, 0, 0, use.opened_at, use.order_no) for use in gone]
    for use in (*event.closed, *empty):
        yield _closed(event.symbol, use, event.closed_at, event.close_order_no, event.closing_n, seq, "specific")


def _closed(symbol: str, use: e.LotUse, at: int, order_no: int, n: int, seq: int, method: str) -> ClosedLot:
    """The row of one lot that a fill or a booking used."""
    return ClosedLot(
        symbol, use.lot_no, use.qty, use.basis_money, use.proceeds_money, use.opened_at, at, use.order_no, order_no,
        n, seq, method,
    )  # fmt: skip


def render_closing(book: Book, fill_id: str) -> dict[str, Any]:
    """A closing that has not settled, with the lots that it takes now."""
    n = find_closing(book, fill_id, 0)
    closing = book.closings[n]
    event = e.LotsAssigned(n, closing.symbol, closing.order_no, closing.fill_no, closing.at, (), closing.closed, 0)
    rows = [render_lot(row) for row in assigned_lots(event, 0)]
    realized = sum(use.proceeds_money - use.basis_money for use in closing.closed)
    return {
        "fill_id": fill_id,
        "symbol": closing.symbol,
        "settles_on": date_text(closing.settles_on),
        "realized_pl": format_money(realized),
        "lots": rows,
    }


def decode_lot(body: bytes) -> ClosedLot:
    """A ``closed_lots`` row's body."""
    return msgspec.msgpack.decode(body, type=ClosedLot)


def render_lot(lot: ClosedLot) -> dict[str, Any]:
    """One row for clients."""
    return {
        "symbol": lot.symbol,
        "lot_no": lot.lot_no,
        "side": "long" if lot.qty > 0 else "short",
        "qty": format_qty(abs(lot.qty)),
        "opened_at": format_time(lot.opened_at),
        "closed_at": format_time(lot.closed_at),
        "cost_basis": format_money(lot.basis_money),
        "proceeds": format_money(lot.proceeds_money),
        "realized_pl": format_money(lot.realized_money),
        "term": lot.term,
        "lot_method": lot.lot_method or "fifo",
    }
