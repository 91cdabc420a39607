"""Alpaca's names for what happens to an order: the ``event`` of ``trade_updates`` (alpaca-api §3.3).

Invariant: every fact about one order has exactly one name here or is none of that stream's business; the order of
facts is the order of updates, so an order's updates follow its life cycle.
"""

from __future__ import annotations

from typing import Any, Final

from actors.book import events as e

_NAMES: Final[dict[type, str]] = {
    e.OrderActivated: "new",
    e.OrderCancelPending: "pending_cancel",
    e.OrderCanceled: "canceled",
    e.OrderExpired: "expired",
    e.OrderReplacePending: "pending_replace",
    e.OrderReplaced: "replaced",
    e.OrderAdjusted: "restated",
}


def trade_update(event: Any, *, was_held: bool = False) -> str | None:
    """The update that a fact is, or nothing.

    A replacement's own ``new`` follows the ``replaced`` of its order; ``was_held`` says that the order was held, so
    that the election of a held stop is its ``new``. A refusal that names no live order is only an answer.
    """
    match event:
        case e.OrderAccepted():
            return "held" if event.held_at_first else "accepted"
        case e.OrderFilled():
            return "fill" if event.status == "filled" else "partial_fill"
        case e.OrderTriggered():
            return "new" if was_held else None
        case e.OrderCancelRejected():
            return "order_cancel_rejected" if event.order_no else None
        case e.OrderReplaceRejected():
            return "order_replace_rejected" if event.order_no else None
        case _:
            return _NAMES.get(type(event))
