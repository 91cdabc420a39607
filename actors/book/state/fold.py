"""``fold``: apply one event to a book. It calls no rule, reads no clock, and accepts every event ever written.

Invariants: each fold raises ``book.n`` by one. Entries are written through :mod:`actors.book.state.undo`
so that a caller with an undo list can take them back; scalars are saved by the caller.
"""

from __future__ import annotations

from typing import Any

from actors.book.state.book import Book, Undo
from actors.book.state.fold_account import ACCOUNT_FOLDS, Fold
from actors.book.state.fold_actions import ACTION_FOLDS
from actors.book.state.fold_money import MONEY_FOLDS
from actors.book.state.fold_options import OPTION_FOLDS
from actors.book.state.fold_orders import ORDER_FOLDS
from actors.book.state.fold_structures import STRUCTURE_FOLDS

SCALARS = (
    "n",
    "status",
    "profile",
    "margin_profile",
    "options_level",
    "fractional_trading",
    "no_shorting",
    "suspend_trade",
    "max_margin_multiplier",
    "quarantined",
    "cash",
    "reserved_money",
    "next_order_no",
    "next_activity_no",
    "next_lot_no",
    "epoch",
    "money",
    "settings",
    "assigned_on",
    "actions_through",
    "action_last",
    "action_due",
)
"""Fields that a fold may assign; what a draft must save beside its undo list."""

FOLDS: dict[type, Fold] = {
    **ACCOUNT_FOLDS,
    **ORDER_FOLDS,
    **MONEY_FOLDS,
    **OPTION_FOLDS,
    **STRUCTURE_FOLDS,
    **ACTION_FOLDS,
}


def fold(book: Book, event: Any, at: int, undo: Undo | None = None) -> None:
    """Apply one event that happened at ``at``. Raises ``KeyError`` if it does not fit the book."""
    FOLDS[type(event)](book, event, at, undo)
    book.n += 1
