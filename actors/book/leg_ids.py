"""Ids of the legs of an order of several: the order's own id, counted on, so that a leg leads back to its order."""

from __future__ import annotations

from uuid import UUID

from actors.book.rules.matching.multileg import LEGS_MAX
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book

_MASK = (1 << 128) - 1


def leg_id_of(order_id: str, index: int) -> str:
    """The id of a leg."""
    return _text(int(order_id.replace("-", ""), 16) + index + 1)


def leg_ids_of(order_id: str, legs: int) -> list[str]:
    """The ids of all legs."""
    first = int(order_id.replace("-", ""), 16) + 1
    return [_text(first + index) for index in range(legs)]


def _text(number: int) -> str:
    digits = f"{number & _MASK:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parent_ids(leg_id: str) -> list[str]:
    """Ids that the order of a leg of this id can have, nearest first; none for what is no id."""
    try:
        number = UUID(leg_id).int
    except ValueError:
        return []
    return [str(UUID(int=(number - n) & _MASK)) for n in range(1, LEGS_MAX + 1)]


def leg_refusal(book: Book, named: str, reason: str) -> Refusal | None:
    """The refusal to do something with a leg alone, when the name is that of a live order's leg."""
    parents = set(parent_ids(named))
    for order in book.orders.values() if parents else ():
        terms = order.terms
        if terms.order_id in parents and named in [leg_id_of(terms.order_id, n) for n in range(len(terms.legs))]:
            return refuse(reason, "order_id", order_id=terms.order_id)
    return None
