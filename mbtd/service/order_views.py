"""Orders from history for the reads: by id or client id, with the exits that they show."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.book.leg_ids import parent_ids
from actors.book.state.book import Book, Order
from mbtd.records.orders import OrderRecord, carries_legs, change_of, live_legs, record_of, render_leg, render_order
from mbtd.records.projection import decode_order
from mbtd.rpc.errors import Refusal, RpcError
from mbtd.service.reads import OrderGet
from storage.history import History

_BODY = -1


def find_live(book: Book, params: OrderGet) -> dict[str, Any] | None:
    """The order that a request names, if it is live or on its way to take a live one's place.

    Raises for a request that names none.
    """
    order: Order | None
    if params.order_id is not None:
        order = next((o for o in book.orders.values() if o.terms.order_id == params.order_id), None)
    elif params.client_order_id is not None:
        order = book.orders.get(book.by_client.get(params.client_order_id, 0))
    else:
        raise msgspec.ValidationError("Object missing required field `order_id`")
    if order is not None:
        return render_order(record_of(book, order), live_legs(book, order.terms))
    change = find_change(book, params.order_id, params.client_order_id)
    return render_order(change) if change is not None else None


def find_change(book: Book, order_id: str | None, client_order_id: str | None) -> OrderRecord | None:
    """The order of this id, or else client id, that is on its way to take a live one's place."""
    for order in book.orders.values():
        new = order.replacement if order.status == "pending_replace" else None
        if new is not None and (
            new.order_id == order_id or (order_id is None and new.client_order_id == client_order_id)
        ):
            return change_of(book, order)
    return None


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
