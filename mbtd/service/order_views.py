"""Orders from history for the reads: by id or client id, with the exits that they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.book.leg_ids import parent_ids
from actors.book.state.book import Book
from mbtd.records.orders import OrderRecord, carries_legs, record_of, render_leg
from mbtd.records.projection import decode_order
from mbtd.rpc.errors import Refusal, RpcError
from mbtd.service.reads import OrderGet
from storage.history import History

_BODY = -1


def find_live(book: Book, params: OrderGet) -> Any:
    """The live order that a request names, if it is live. Raises for a request that names none."""
    if params.order_id is not None:
        return next((o for o in book.orders.values() if o.terms.order_id == params.order_id), None)
    if params.client_order_id is not None:
        return book.orders.get(book.by_client.get(params.client_order_id, 0))
    raise msgspec.ValidationError("Object missing required field `order_id`")


async def find_order(
    history: History, account_no: int, order_id: str | None, client_order_id: str | None
) -> OrderRecord | None:
    """An account's newest order of this id or client id."""
    if order_id is not None:
        row = await history.order_by_id(order_id)
    else:
        rows = await history.orders_by_client_id(account_no, client_order_id or "", 1)
        row = rows[0] if rows else None
    return decode_order(row[_BODY]) if row is not None and row[0] == account_no else None


async def find_leg(history: History, account_no: int, leg_id: str, missing: RpcError) -> dict[str, Any]:
    """One leg of an account's order of several, by the leg's own id; Refusal when there is none."""
    for order_id in parent_ids(leg_id):
        record = await find_order(history, account_no, order_id, None)
        if record is not None and (leg := render_leg(record, leg_id)) is not None:
            return leg
    raise Refusal(missing)


async def past_legs(history: History, account_no: int, record: OrderRecord) -> list[OrderRecord]:
    """The exits that an order shows; those that others replaced are left out."""
    if not carries_legs(record.terms):
        return []
    first = record
    if record.terms.group_no != record.terms.order_no:
        row = await history.order(account_no, record.terms.group_no)
        first = decode_order(row[_BODY]) if row is not None else record
    rows = [await history.order(account_no, order_no) for order_no in first.leg_nos]
    legs = [decode_order(row[_BODY]) for row in rows if row is not None]
    return [leg for leg in legs if leg.status != "replaced"]


def open_orders(
    book: Book,
    symbols: Sequence[str] | None,
    side: str | None,
    after: int | None,
    until: int | None,
    limit: int,
    descending: bool,
) -> list[OrderRecord]:
    """An account's live orders by (``submitted_at``, ``order_no``), as history would list them."""
    found = [
        order
        for order in book.orders.values()
        if (symbols is None or order.terms.symbol in symbols)
        and (side is None or order.terms.side == side)
        and (after is None or order.terms.submitted_at > after)
        and (until is None or order.terms.submitted_at <= until)
    ]
    found.sort(key=lambda order: (order.terms.submitted_at, order.terms.order_no), reverse=descending)
    return [record_of(book, order) for order in found[:limit]]


def as_of_now(book: Book, record: OrderRecord) -> OrderRecord:
    """A live trailing stop shows the stop of the moment; nothing else moves without an event."""
    live = book.orders.get(record.terms.order_no) if record.terms.high_water_mark else None
    return record if live is None else replace(record, terms=record_of(book, live).terms)
