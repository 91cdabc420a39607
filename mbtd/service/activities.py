"""Activity rows in Alpaca's shape (alpaca-api §4.5)."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.book.events import ActivityBooked
from actors.book.state.book import Book
from actors.book.units import format_money, format_qty, format_time


def render_activity(row: tuple[Any, ...], book: Book) -> dict[str, Any]:
    """One row of the activities table."""
    _, _, activity_id, activity_type, at, body = row
    event = msgspec.msgpack.decode(body, type=ActivityBooked)
    return {
        "id": activity_id,
        "account_id": book.account_id,
        "activity_type": activity_type,
        "date": format_time(at)[:10],
        "created_at": format_time(at),
        "net_amount": format_money(event.net_money),
        "description": event.description,
        "symbol": event.symbol or None,
        "qty": format_qty(event.qty) if event.qty else None,
        "status": "executed",
    }
