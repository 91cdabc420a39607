"""How facts about option contracts change the book.

Invariant: what the book knows of a contract's last day goes with the position (``fold_account``).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.state.book import Book, Expiring, Instructed, Undo
from actors.book.state.fold_account import Fold, nothing
from actors.book.state.undo import drop, put

_NEW = Expiring()


def _instructed(book: Book, v: e.OptionInstructed, at: int, undo: Undo | None) -> None:
    if v.kind:
        put(book.instructions, v.symbol, Instructed(v.kind, v.qty, v.settles_on), undo)
    else:
        drop(book.instructions, v.symbol, undo)


def _reviewed(book: Book, v: e.ExpiryReviewed, at: int, undo: Undo | None) -> None:
    for symbol in v.symbols:
        put(book.expiring, symbol, replace(book.expiring.get(symbol, _NEW), stage=v.stage), undo)
    _keep(book, v.contracts, undo)


def _warned(book: Book, v: e.OptionWarned, at: int, undo: Undo | None) -> None:
    for symbol in v.symbols:
        if symbol in book.positions:
            known = book.expiring.get(symbol, _NEW)
            put(book.expiring, symbol, replace(known, warned=(*known.warned, v.kind)), undo)


def _awaiting(book: Book, v: e.OptionAwaiting, at: int, undo: Undo | None) -> None:
    for symbol in v.symbols:
        known = book.expiring.get(symbol, _NEW)
        put(book.expiring, symbol, replace(known, retry_at=v.retry_at, reason=v.reason, missing=v.missing), undo)
    _keep(book, v.contracts, undo)


def _keep(book: Book, contracts: Iterable[Instrument], undo: Undo | None) -> None:
    for contract in contracts:
        put(book.contracts, contract.symbol, contract, undo)


def _drawn(book: Book, v: e.AssignmentDrawn, at: int, undo: Undo | None) -> None:
    book.assigned_on = v.trade_date


OPTION_FOLDS: dict[type, Fold] = {
    e.OptionInstructed: _instructed,
    e.ExpiryReviewed: _reviewed,
    e.OptionWarned: _warned,
    e.OptionAwaiting: _awaiting,
    e.AssignmentDrawn: _drawn,
    e.OptionAssigned: nothing,
}
