"""How facts about structures change the book.

Invariant: exits and what they remember of the tape go when their structure ends.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.state.book import Book, Undo
from actors.book.state.fold_account import Fold
from actors.book.state.structures import Structure
from actors.book.state.undo import drop, put


def _changed(book: Book, v: e.StructureChanged, at: int, undo: Undo | None) -> None:
    no = v.structure_no
    if not v.legs:
        drop(book.structures, no, undo)
        drop_exit(book, no, undo)
        return
    structure = Structure(
        no, v.structure_id, v.underlying, v.name, v.opened_at, v.legs, v.total_net_money, v.total_realized_money,
        v.premium_money, v.rolls, v.broken, v.cover_qty, at, v.rolled_by,
        v.total_fees_pico,
    )  # fmt: skip
    put(book.structures, no, structure, undo)


def drop_exit(book: Book, structure_no: int, undo: Undo | None) -> None:
    """Take a structure's exits off."""
    drop(book.exits, structure_no, undo)
    drop(book.watch, -structure_no, undo)


def drop_structures(book: Book, undo: Undo | None) -> None:
    """Know no structure any more: the account was reset."""
    for no in list(book.exits):
        drop_exit(book, no, undo)
    for no in list(book.structures):
        drop(book.structures, no, undo)


def _exit_set(book: Book, v: e.StructureExitSet, at: int, undo: Undo | None) -> None:
    if v.exit is None:
        drop_exit(book, v.structure_no, undo)
    else:
        drop(book.watch, -v.structure_no, undo)
        put(book.exits, v.structure_no, v.exit, undo)


def _triggered(book: Book, v: e.StructureExitTriggered, at: int, undo: Undo | None) -> None:
    held = book.exits.get(v.structure_no)
    if held is not None and v.by_order_no:
        put(book.exits, v.structure_no, replace(held, submitted=v.exit, by_order_no=v.by_order_no), undo)


STRUCTURE_FOLDS: dict[type, Fold] = {
    e.StructureChanged: _changed,
    e.StructureExitSet: _exit_set,
    e.StructureExitTriggered: _triggered,
}
