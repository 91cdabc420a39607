"""Activity rows in Alpaca's shape (alpaca-api §4.5): what was booked, and the fills among it.

Invariants: ids are ``YYYYMMDDHHMMSSmmm::<uuid>`` in UTC, so they sort by time; fills and bookings share one order,
by time, bookings before fills of the same instant; an id says where a page goes on. A fill of an order of several
legs is an activity of each leg's own order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from actors.book import events as e
from actors.book.leg_ids import leg_id_of
from actors.book.rules.matching.multileg import LEGS_MAX
from actors.book.units import NS_PER_MS, format_money, format_price, format_qty, format_scaled, format_time
from mbtd.market.calendar import new_york_date, to_date, to_int

TYPES: Final = frozenset(
    [
        "FILL",
        "TRANS",
        "CSD",
        "CSW",
        "JNL",
        "JNLC",
        "JNLS",
        "ACATC",
        "ACATS",
        "DIV",
        "DIVCGL",
        "DIVCGS",
        "DIVFEE",
        "DIVFT",
        "DIVNRA",
        "DIVROC",
        "DIVTW",
        "DIVTXEX",
        "DIVWH",
        "INT",
        "INTNRA",
        "INTPNL",
        "INTTW",
        "FEE",
        "CFEE",
        "PTC",
        "SPLIT",
        "SPIN",
        "MA",
        "NC",
        "REO",
        "REORG",
        "SC",
        "SSO",
        "SSP",
        "CIL",
        "VOF",
        "WH",
        "OPCA",
        "OPASN",
        "OPCSH",
        "OPEXC",
        "OPEXP",
        "OPTRD",
        "OPXRC",
        "MISC",
        "MEM",
        "FXTRD",
        "SWP",
        "EXTRD",
        "OCT",
    ]
)
_FAMILIES: Final = {"TRANS": ("CSD", "CSW")}
_MASK: Final = (1 << 128) - 1
_ID: Final = re.compile(r"[0-9]{17}::[0-9a-f-]{36}\Z")


def types_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The types that a request's names stand for."""
    return tuple(kind for name in names for kind in _FAMILIES.get(name, (name,)))


def _stamp(at: int) -> str:
    seconds, ms = divmod(at // NS_PER_MS, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d%H%M%S}{ms:03d}"


def activity_id_of(account_no: int, activity_no: int, at: int) -> str:
    """Id of a booking."""
    digest = blake2b(f"{account_no}/{activity_no}".encode(), digest_size=16, person=b"mbtd activity").digest()
    return f"{_stamp(at)}::{UUID(bytes=digest, version=4)}"


def activity_date(event: e.ActivityBooked, at: int) -> int:
    """Date (YYYYMMDD) under which a booking is shown: its own, or New York's of the instant that it belongs to."""
    return event.dated or to_int(new_york_date(event.booked_for_at or at))


def fill_activity_id(fill_id: str, at: int) -> str:
    """Id of a fill's row."""
    return f"{_stamp(at)}::{fill_id}"


def fill_id_in(activity_id: str) -> str | None:
    """The part of an id that may be a fill's id; ``None`` when it is no activity id."""
    return activity_id[19:] if _ID.match(activity_id) else None


def group_id_of(account_no: int, group_no: int) -> str:
    """Id that the rows of one event share."""
    digest = blake2b(f"{account_no}/{group_no}".encode(), digest_size=16, person=b"mbtd group").digest()
    return str(UUID(bytes=digest, version=4))


def render_activity(row: tuple[Any, ...], account_id: str) -> dict[str, Any]:
    """One row of the activities table."""
    account_no, _, activity_id, activity_type, at, _, body = row
    event = msgspec.msgpack.decode(body, type=e.ActivityBooked)
    if event.activity_type == "FILL":
        return _render_reinvested(activity_id, event, at, account_id)
    shown = {
        "id": activity_id,
        "account_id": account_id,
        "activity_type": activity_type,
        "activity_sub_type": event.activity_sub_type or None,
        "date": to_date(activity_date(event, at)).isoformat(),
        "created_at": format_time(at),
        "net_amount": format_money(event.net_money),
        "description": event.description,
        "symbol": event.symbol or None,
        "qty": format_qty(event.qty) if event.qty else None,
        "group_id": group_id_of(account_no, event.group_no) if event.group_no else None,
        "currency": "USD",
        "status": event.status,
    }
    if event.ca_id:
        shown["ca_id"] = event.ca_id
    if event.price:
        shown["price"] = format_price(event.price)
    if event.rate:
        shown["per_share_amount"] = format_scaled(event.rate, 9)
    if event.previous_no:
        shown["previous_id"] = activity_id_of(account_no, event.previous_no, event.previous_at)
    return shown


def _render_reinvested(activity_id: str, event: e.ActivityBooked, at: int, account_id: str) -> dict[str, Any]:
    """A dividend that bought shares, in the shape of a fill without an order."""
    return {
        "id": activity_id,
        "account_id": account_id,
        "activity_type": "FILL",
        "activity_sub_type": event.activity_sub_type,
        "transaction_time": format_time(at),
        "type": "fill",
        "price": format_price(event.price),
        "qty": format_qty(event.qty),
        "side": "buy" if event.qty > 0 else "sell",
        "symbol": event.symbol,
        "leaves_qty": "0",
        "cum_qty": format_qty(event.qty),
        "order_id": activity_id[19:],
        "order_status": "filled",
        "net_amount": format_money(event.net_money),
        "status": event.status,
        "ca_id": event.ca_id,
    }


def execution_id_of(fill_id: str, line: int) -> str:
    """Id of what one leg traded in a fill: the fill's own, counted on."""
    return str(UUID(int=(UUID(fill_id).int + line + 1) & _MASK))


def fills_of_execution(execution_id: str) -> list[tuple[str, int]]:
    """Fills that an execution of this id can belong to, each with its line; none for what is no id."""
    try:
        number = UUID(execution_id).int
    except ValueError:
        return []
    return [(str(UUID(int=(number - line - 1) & _MASK)), line) for line in range(2 * LEGS_MAX)]


def render_fill_activities(
    fill_id: str, terms: e.OrderAccepted, fill: e.OrderFilled, legs: Sequence[e.OrderLegFilled], at: int,
    account_id: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """A fill as activities: one, or of an order of several legs one for each price of each leg."""
    if not terms.legs:
        return [_render_fill(fill_id, terms, fill, at, account_id)]
    return [_render_leg_fill(fill_id, line, terms, leg, at, account_id) for line, leg in enumerate(legs)]


def _render_leg_fill(
    fill_id: str, line: int, terms: e.OrderAccepted, leg: e.OrderLegFilled, at: int, account_id: str
) -> dict[str, Any]:
    part = terms.legs[leg.leg]
    whole = terms.qty * part.ratio
    done = leg.filled_qty >= whole
    short = part.is_stock and part.position_intent == "sell_to_open"
    return {
        "id": fill_activity_id(execution_id_of(fill_id, line), at),
        "account_id": account_id,
        "activity_type": "FILL",
        "transaction_time": format_time(at),
        "type": "fill" if done else "partial_fill",
        "price": format_price(leg.price),
        "qty": format_qty(leg.qty),
        "side": "sell_short" if short else leg.side,
        "symbol": leg.symbol,
        "leaves_qty": format_qty(max(0, whole - leg.filled_qty)),
        "cum_qty": format_qty(leg.filled_qty),
        "order_id": leg_id_of(terms.order_id, leg.leg),
        "order_status": "filled" if done else "partially_filled",
        "parent_order_id": terms.order_id,
    }


def _render_fill(
    fill_id: str, terms: e.OrderAccepted, fill: e.OrderFilled, at: int, account_id: str
) -> dict[str, Any]:
    short = terms.position_intent == "sell_to_open" and len(terms.symbol) <= 12
    return {
        "id": fill_activity_id(fill_id, at),
        "account_id": account_id,
        "activity_type": "FILL",
        "transaction_time": format_time(at),
        "type": "fill" if fill.status == "filled" else "partial_fill",
        "price": format_price(fill.price),
        "qty": format_qty(fill.qty),
        "side": "sell_short" if short else terms.side,
        "symbol": terms.symbol,
        "leaves_qty": format_qty(max(0, terms.qty - fill.filled_qty)) if terms.qty else "0",
        "cum_qty": format_qty(fill.filled_qty),
        "order_id": terms.order_id,
        "order_status": fill.status,
    }
