"""A trailing stop's mark on the tape: it moves in the order's watch, without an event (architecture §6)."""

from __future__ import annotations

from msgspec.structs import replace

from actors.book.draft import Draft
from actors.book.rules.trailing import follow_price, high_water_mark, trails
from actors.book.state.book import Order, Watch


def follow_trail(draft: Draft, order: Order, price: int) -> int:
    """Move the mark by one price of the trigger's source; the mark after it, 0 for an order that does not trail.

    Call it before the stop is looked at, in the core session only.
    """
    if not trails(order.terms):
        return 0
    order_no = order.terms.order_no
    watch = draft.book.watch.get(order_no)
    mark = follow_price(order, watch, price)
    if mark != high_water_mark(order, watch):
        draft.watch(order_no, replace(watch or Watch(), high_water_mark=mark))
    return mark
