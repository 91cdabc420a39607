"""Alpaca's names for what happens to an order: the ``event`` of ``trade_updates`` (alpaca-api §3.3).

Invariant: every fact about one order has exactly one name here or is none of that stream's business; the order of
facts is the order of updates, so an order's updates follow its life cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

from actors.book import events as e
from actors.book.ids import derive_fill_id
from actors.book.leg_ids import leg_id_of
from actors.book.units import NS_PER_MS, format_price, format_qty
from mbtd.records.activities import execution_id_of
from mbtd.records.orders import OrderRecord, follow

_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NAMES: Final[dict[type, str]] = {
    e.OrderActivated: "new",
    e.OrderCancelPending: "pending_cancel",
    e.OrderCanceled: "canceled",
    e.OrderExpired: "expired",
    e.OrderReplacePending: "pending_replace",
    e.OrderReplaced: "replaced",
    e.OrderAdjusted: "restated",
}


def event_id_of(account_no: int, n: int, line: int, at: int) -> str:
    """A ULID, as Alpaca's ids of events are: by time, then by the account's ``n``, then by the line of its event."""
    account = int.from_bytes(blake2b(b"%d" % account_no, digest_size=4, person=b"mbtd event").digest(), "big")
    number = (at // NS_PER_MS & (1 << 48) - 1) << 80 | (n & (1 << 47) - 1) << 33 | line << 32 | account
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


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


def _legs_after(events: Sequence[Any], index: int) -> Iterator[tuple[e.OrderLegFilled, e.PositionChanged | None]]:
    """What the legs of the fill at ``index`` traded, each with what it did to its position."""
    fill = events[index]
    for place in range(index + 1, len(events)):
        leg = events[place]
        if isinstance(leg, e.OrderLegFilled) and (leg.order_no, leg.fill_no) == (fill.order_no, fill.fill_no):
            after = events[place + 1] if place + 1 < len(events) else None
            yield leg, after if isinstance(after, e.PositionChanged) else None
        elif isinstance(leg, e.OrderFilled):
            return


def with_legs(record: OrderRecord, events: Sequence[Any], index: int) -> OrderRecord:
    """The record of an order of several legs after the whole of the fill at ``index``."""
    for leg, _ in _legs_after(events, index):
        record = follow(record, leg, 0)
    return record


def unit_execution(record: OrderRecord, events: Sequence[Any], index: int, time: str) -> dict[str, Any]:
    """What Alpaca adds to an execution of several legs: each leg's own, and the positions after it (§3.3)."""
    order_id = record.terms.order_id
    fill_id = derive_fill_id(order_id, events[index].fill_no)
    legs, positions = [], {}
    for line, (leg, change) in enumerate(_legs_after(events, index)):
        legs.append(
            {
                "execution_id": execution_id_of(fill_id, line),
                "order_id": leg_id_of(order_id, leg.leg),
                "symbol": leg.symbol,
                "side": leg.side,
                "price": format_price(leg.price),
                "qty": format_qty(leg.qty),
                "timestamp": time,
            }
        )
        if change is not None:
            positions[leg.symbol] = format_qty(change.qty)
    return {"legs": legs, "position_qtys": positions}
