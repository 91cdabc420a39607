"""What an account does with ``lot.assign``: other tax lots for a closing fill that has not settled.

Invariants: a closing can be told other lots up to the end of its settlement date, as often as wanted; nothing but the
lots, their basis and the realised profit changes. Known limits: closings of stock by orders of one instrument, the
newest 500 of an account; a corporate action on the stock settles the choice; the profit of a structure stays as
it was told at the fill, and so do violations of a cash account, which are about the money that paid for the shares.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import derive_fill_id, derive_order_ids
from actors.book.outcome import Done, Outcome
from actors.book.rules.lots_later import read_later, used
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.view import trade_date
from actors.commands import AssignLots
from actors.market.world import World


def fill_id_of(book: Book, n: int) -> str:
    """The id of the fill behind a closing that has not settled."""
    closing = book.closings[n]
    return derive_fill_id(derive_order_ids(book.seed, book.epoch, closing.order_no)[0], closing.fill_no)


def find_closing(book: Book, fill_id: str, today: int) -> int:
    """Number of the event of an unsettled closing; 0 for none."""
    for n, closing in book.closings.items():
        if closing.settles_on >= today and fill_id_of(book, n) == fill_id:
            return n
    return 0


def assign_lots(draft: Draft, action: AssignLots, world: World, profiles: Profiles) -> Outcome:
    """Give a closing the lots that its owner names."""
    found = _assign(draft, action, world)
    if found is not None:
        draft.emit(e.CommandRefused("lot.assign", found.reason, found.numbers))
        return found
    return Done()


def _assign(draft: Draft, action: AssignLots, world: World) -> Refusal | None:
    book = draft.book
    n = find_closing(book, action.fill_id, trade_date(world))
    if not n:
        return refuse("fill_settled", "fill_id", fill_id=action.fill_id[:64])
    closing = book.closings[n]
    position = book.positions.get(closing.symbol)
    chosen = read_later(position.lots if position is not None else (), closing.closed, closing.at, action.lots)
    if isinstance(chosen, Refusal):
        return chosen
    proceeds = sum(use.proceeds_money for use in closing.closed)
    uses = used(chosen, proceeds)
    realized = proceeds - sum(use.basis_money for use in uses)
    draft.emit(
        e.LotsAssigned(
            n, closing.symbol, closing.order_no, closing.fill_no, closing.at, closing.closed, uses, realized
        )
    )
    return None
