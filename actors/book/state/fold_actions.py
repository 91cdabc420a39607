"""How facts about corporate actions change the book.

Invariants: what the book knows of an action is replaced whole; ``actions_through`` never steps back; a position that
is gone takes with it what was said about its last day.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.state.book import Book, Position, Undo
from actors.book.state.fold_account import Fold
from actors.book.state.undo import drop, put

_LIVE = ("entitled", "applied")


def _applied(book: Book, v: e.CorporateActionApplied, at: int, undo: Undo | None) -> None:
    record, old = v.record, book.actions.get(v.record.ca_id)
    put(book.actions, record.ca_id, record, undo)
    book.action_due = min((pay.at for each in book.actions.values() for pay in each.pays), default=0)
    fresh = record.stage in _LIVE and (old is None or old.stage not in _LIVE)
    if fresh and record.effective_at >= book.actions_through:
        book.actions_through, book.action_last = record.effective_at, record.ca_id
    for contract in v.contracts:
        put(book.contracts, contract.symbol, contract, undo)
    for group_no, entry_qty, exit_qty in v.groups:
        group = replace(book.groups[group_no], entry_qty=entry_qty, exit_qty=exit_qty)
        put(book.groups, group_no, group, undo)


def _adjusted(book: Book, v: e.PositionAdjusted, at: int, undo: Undo | None) -> None:
    old = book.positions.get(v.symbol)
    for n in [n for n, closing in book.closings.items() if closing.symbol == v.symbol]:
        drop(book.closings, n, undo)
    for side in ("/a", "/b"):
        drop(book.consumed, v.symbol + side, undo)
    if not v.qty:
        drop(book.positions, v.symbol, undo)
        for table in (book.instructions, book.expiring, book.contracts):
            if table:
                drop(table, v.symbol, undo)
        return
    realized = v.realized_money + (old.realized_money if old is not None else 0)
    put(book.positions, v.symbol, Position(v.symbol, v.asset_id, v.qty, v.basis_money, v.lots, realized), undo)
    book.next_lot_no = max(book.next_lot_no, 1 + max(lot.lot_no for lot in v.lots))


ACTION_FOLDS: dict[type, Fold] = {
    e.CorporateActionApplied: _applied,
    e.PositionAdjusted: _adjusted,
}
