"""An order as a record of its whole life, and the one rendering of it in Alpaca's shape (alpaca-api §2.1).

Invariants: a live order's record comes from the book, an ended one's from the projection that followed the same
events, and both render alike. Numbers are texts, times RFC 3339.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actors.book import events as e
from actors.book.ids import derive_order_ids
from actors.book.state.book import Book, Order
from actors.book.units import average_price, format_money, format_price, format_qty, format_time

TERMINAL = ("filled", "canceled", "expired", "replaced", "rejected")


class OrderRecord(Struct, frozen=True, array_like=True):
    """Everything about one order that outlives it."""

    terms: e.OrderAccepted
    status: str
    filled_qty: int = 0
    filled_money: int = 0
    updated_at: int = 0
    filled_at: int = 0
    canceled_at: int = 0
    expired_at: int = 0
    replaced_at: int = 0
    replaces_id: str = ""
    replaced_by: str = ""
    reason: str = ""
    """Why it ended, for ends that have one."""
    triggered: bool = False


def record_of(book: Book, order: Order) -> OrderRecord:
    """The record of a live order."""
    terms = order.terms
    replaces = derive_order_ids(book.seed, book.epoch, terms.replaces)[0] if terms.replaces else ""
    return OrderRecord(
        terms,
        order.status,
        order.filled_qty,
        order.filled_money,
        order.updated_at,
        replaces_id=replaces,
        triggered=order.triggered,
    )


def accepted_record(terms: e.OrderAccepted, at: int) -> OrderRecord:
    """The record of an order at the moment of its acceptance: what a place answers."""
    return OrderRecord(terms, "accepted", terms.filled_qty, terms.filled_money, at)


def follow(record: OrderRecord, event: Any, at: int) -> OrderRecord:
    """The record after one more event of its order."""
    match event:
        case e.OrderActivated():
            status = "new" if record.status == "accepted" else record.status
            return replace(record, status=status, updated_at=at)
        case e.OrderTriggered():
            return replace(record, triggered=True, updated_at=at)
        case e.OrderFilled():
            return _filled(record, event, at)
        case e.OrderCancelPending():
            return replace(record, status="pending_cancel", updated_at=at)
        case e.OrderReplacePending():
            return replace(record, status="pending_replace", updated_at=at)
        case e.OrderCanceled():
            return replace(record, status="canceled", canceled_at=at, updated_at=at, reason=event.reason)
        case e.OrderExpired():
            return replace(record, status="expired", expired_at=at, updated_at=at, reason=event.reason)
        case e.OrderReplaced():
            return replace(record, status="replaced", replaced_at=at, updated_at=at, replaced_by=event.terms.order_id)
        case e.OrderReplaceRejected():
            if record.status != "pending_replace":
                return record
            back = "partially_filled" if record.filled_qty else "new"
            return replace(record, status=back, updated_at=at)
        case _:
            return record


def _filled(record: OrderRecord, event: e.OrderFilled, at: int) -> OrderRecord:
    pending = record.status in ("pending_cancel", "pending_replace") and event.status != "filled"
    return replace(
        record,
        status=record.status if pending else event.status,
        filled_qty=event.filled_qty,
        filled_money=event.filled_money,
        updated_at=at,
        filled_at=at if event.status == "filled" else 0,
    )


def _time(at: int) -> str | None:
    return format_time(at) if at else None


_end_of_day = lru_cache(64)(format_time)
"""Very many orders end at the same few instants."""


def render_order(record: OrderRecord) -> dict[str, Any]:
    """Alpaca's order object, with our ``reason`` beside it."""
    terms = record.terms
    submitted = format_time(terms.submitted_at)
    updated_at = record.updated_at or terms.submitted_at
    average = average_price(record.filled_money, record.filled_qty)
    return {
        "id": terms.order_id,
        "client_order_id": terms.client_order_id,
        "created_at": submitted,
        "updated_at": submitted if updated_at == terms.submitted_at else format_time(updated_at),
        "submitted_at": submitted,
        "filled_at": _time(record.filled_at),
        "expired_at": _time(record.expired_at),
        "expires_at": _end_of_day(terms.expires_at) if terms.expires_at else None,
        "canceled_at": _time(record.canceled_at),
        "failed_at": None,
        "replaced_at": _time(record.replaced_at),
        "replaced_by": record.replaced_by or None,
        "replaces": record.replaces_id or None,
        "asset_id": terms.asset_id,
        "symbol": terms.symbol,
        "asset_class": "us_equity",
        "notional": format_money(terms.notional) if terms.notional else None,
        "qty": format_qty(terms.qty) if terms.qty else None,
        "filled_qty": format_qty(record.filled_qty),
        "filled_avg_price": format_price(average) if record.filled_qty else None,
        "order_class": terms.order_class,
        "order_type": terms.type,
        "type": terms.type,
        "side": terms.side,
        "position_intent": terms.position_intent,
        "time_in_force": terms.time_in_force,
        "limit_price": format_price(terms.limit_price) if terms.limit_price else None,
        "stop_price": format_price(terms.stop_price) if terms.stop_price else None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "extended_hours": terms.extended_hours,
        "legs": None,
        "status": record.status,
        "reason": record.reason or None,
        "profile": terms.profile,
    }
