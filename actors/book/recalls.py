"""Borrowed shares that are called back, and bought in when they are not returned (rules §12).

Invariants: a recall is settled once the account is not short of the symbol any more; what is still short when it
falls due is bought by a market order of the house, and orders that would add to the short are cancelled.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.forced import BUY_IN_PREFIX, place_forced
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.market.world import World


def recall_due_at(book: Book, world: World) -> int:
    """When the next recall falls due; 0 for none."""
    recalls = book.ledger().recalls
    return min([recall.due_at for recall in recalls]) if recalls else 0


def buy_in(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Buy what was called back and is still short."""
    book = draft.book
    for recall in book.ledger().recalls:
        if recall.due_at > at:
            continue
        position = book.positions.get(recall.symbol)
        short = -position.qty if position is not None and position.qty < 0 else 0
        qty = min(recall.qty, short)
        if qty:
            for order_no in sorted(book.orders, reverse=True):
                if book.orders[order_no].terms.symbol == recall.symbol:
                    draft.emit(e.OrderCanceled(order_no, "buy_in"))
            place_forced(draft, recall.symbol, qty, world, profiles, BUY_IN_PREFIX)
        draft.emit(e.BorrowRecalled(recall.symbol, 0, recall.due_at))
