"""A step's work on one book: events are emitted and folded at once, and all of it can be taken back.

Invariants: between :meth:`Draft.begin` and :meth:`Draft.commit` only this draft writes the book; after
:meth:`Draft.discard` the book is exactly what it was. A preview is a draft that is discarded.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import fields

from actors.book.events import Event, PositionChanged
from actors.book.state.book import Book, Order, Position, Undo, Watch
from actors.book.state.fold import FOLDS, SCALARS
from actors.book.state.undo import drop, put, take_back


class BrokenInvariant(Exception):
    """A book that a decision produced cannot be right."""


Savepoint = tuple[int, int, int, int, Book, dict[str, list[Any]]]
"""How many events, undo entries, moved orders and consumers there were, the book's scalars, its tables' keys."""
_TABLES: Final = tuple(found.name for found in fields(Book) if found.default_factory is dict)


class Draft:
    """One step's changes to one book."""

    __slots__ = ("_before", "at", "book", "consumers", "events", "followed", "moved", "undo")

    def __init__(self, book: Book, at: int) -> None:
        self.book = book
        self.at = at
        self.events: list[Event] = []
        self.undo: Undo = []
        self.followed = 0
        """Entries of ``undo`` whose consequences for other orders have been drawn."""
        self.moved: list[int] = []
        """Orders whose watch changed."""
        self.consumers: list[str] = []
        """Symbols of which displayed size was taken."""
        self._before = book.__copy__()  # type: ignore[attr-defined]
        """Its scalars as they were; the tables are the book's own."""

    def emit(self, event: Any) -> None:
        """Record a fact and fold it."""
        self.events.append(event)
        book = self.book
        FOLDS[type(event)](book, event, self.at, self.undo)
        book.n += 1

    def watch(self, order_no: int, watch: Watch | None) -> None:
        """Set or drop what an order remembers of the tape; it can be taken back and is named as moved."""
        if watch is None:
            drop(self.book.watch, order_no, self.undo)
        else:
            put(self.book.watch, order_no, watch, self.undo)
        self.moved.append(order_no)

    def discard(self) -> None:
        """Put the book back as it was."""
        take_back(self.undo)
        for name in SCALARS:
            setattr(self.book, name, getattr(self._before, name))
        self.events = []

    def savepoint(self) -> Savepoint:
        """Where the work stands now: :meth:`back_to` takes back what follows."""
        copy = self.book.__copy__()  # type: ignore[attr-defined]
        keys = {name: list(getattr(self.book, name)) for name in _TABLES}
        return len(self.events), len(self.undo), len(self.moved), len(self.consumers), copy, keys

    def back_to(self, point: Savepoint) -> None:
        """Put book and draft back as they were at a savepoint: what was tried is nothing that happened.

        The work goes on from there, so the tables keep the order in which facts alone would have filled them.
        """
        events, undo, moved, consumers, copy, keys = point
        take_back(self.undo, undo)
        for name, order in keys.items():
            table = getattr(self.book, name)
            if list(table) != order:
                entries = {key: table[key] for key in order}
                table.clear()
                table.update(entries)
        for name in SCALARS:
            setattr(self.book, name, getattr(copy, name))
        del self.events[events:], self.moved[moved:], self.consumers[consumers:]
        self.followed = min(self.followed, undo)

    def check(self) -> None:
        """Raise :class:`BrokenInvariant` if the changed book cannot be right."""
        book = self.book
        if book.reserved_money < 0:
            raise BrokenInvariant(f"reserved money {book.reserved_money}")
        # A settlement may overdraw a cash account: its activity moves the cash, and lack of means never prevents it.
        # So may covering what a settlement made short. Opening may not.
        overdrawn = book.type == "cash" and book.cash < 0
        if overdrawn and any(
            type(event) is PositionChanged and event.opened is not None and event.net_money < 0
            for event in self.events
        ):
            raise BrokenInvariant(f"cash account with cash {book.cash}")
        orders, positions, held = book.orders, book.positions, book.held
        for table, key, _ in self.undo:
            if table is orders:
                if key in orders:
                    _check_order(orders[key])
            elif table is positions:
                if key in positions:
                    _check_position(positions[key])
            elif table is held and held.get(key, 0) < 0:
                raise BrokenInvariant(f"held quantity of {key} {held[key]}")


def _check_order(order: Order) -> None:
    terms = order.terms
    if terms.qty and order.filled_qty > terms.qty:
        raise BrokenInvariant(f"order {terms.order_no} overfilled")
    if order.reserved_money < 0 or order.reserved_qty < 0:
        raise BrokenInvariant(f"order {terms.order_no} reserves less than nothing")


def _check_position(position: Position) -> None:
    qty = basis = 0
    for lot in position.lots:
        qty += lot.qty
        basis += lot.basis_money
    if position.qty != qty:
        raise BrokenInvariant(f"lots of {position.symbol} do not add up")
    if position.basis_money != basis:
        raise BrokenInvariant(f"basis of {position.symbol} does not add up")
