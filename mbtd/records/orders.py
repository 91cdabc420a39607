"""An order as a record of its whole life, and the one rendering of it in Alpaca's shape (alpaca-api §2.1).

Invariants: a live order's record comes from the book, an ended one's from the projection that followed the same
events, and both render alike. Numbers are texts, times RFC 3339.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from actors.book import events as e
from actors.book.ids import derive_order_ids
from actors.book.instruments import CONTRACT_SHARES
from actors.book.leg_ids import leg_ids_of
from actors.book.osi import is_option_symbol
from actors.book.rules.trailing import high_water_mark, stop_now, trails
from actors.book.state.book import Book, Order
from actors.book.state.fold_orders import trailed, with_leg
from actors.book.units import (
    average_price,
    divide_half_even,
    format_money,
    format_price,
    format_qty,
    format_scaled,
    format_time,
)

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
    resume_status: str = ""
    """Status to go back to when a pending replace is refused."""
    leg_nos: tuple[int, ...] = ()
    """First order of a group: ``order_no`` of every exit that ever belonged to it, replacements too."""
    leg_fills: tuple[tuple[int, int], ...] = ()
    """Of several legs: filled quantity of each, and the sum of price x quantity in their units."""
    ca_id: str = ""
    """The corporate action that ended it, or put another in its place."""
    change_no: int = 0
    """``order_no`` of the order that is to take its place, while that is on its way; 0 for none."""


class OrderView(Struct, frozen=True, gc=False):
    """Alpaca's order object, with our ``reason`` and ``profile`` beside it. The names are the wire's."""

    id: str
    client_order_id: str
    created_at: str
    updated_at: str
    submitted_at: str
    filled_at: str | None
    expired_at: str | None
    expires_at: str | None
    canceled_at: str | None
    failed_at: str | None
    replaced_at: str | None
    replaced_by: str | None
    replaces: str | None
    asset_id: str | None
    symbol: str | None
    asset_class: str | None
    notional: str | None
    qty: str | None
    filled_qty: str
    filled_avg_price: str | None
    order_class: str
    order_type: str | None
    type: str | None
    side: str | None
    position_intent: str | None
    time_in_force: str
    limit_price: str | None
    stop_price: str | None
    trail_percent: str | None
    trail_price: str | None
    hwm: str | None
    extended_hours: bool
    legs: list[OrderView] | list[dict[str, Any]] | None
    status: str
    reason: str | None
    profile: str
    structure_id: str | None
    """The structure that it names or opens."""


class LegView(OrderView, frozen=True, gc=False):
    """A leg of an order of several, in the same shape."""

    ratio_qty: str


def record_of(book: Book, order: Order) -> OrderRecord:
    """The record of a live order; a trailing stop with its stop of the moment."""
    terms = order.terms
    if trails(terms) and not order.triggered:
        watch = book.watch.get(terms.order_no)
        terms = replace(terms, high_water_mark=high_water_mark(order, watch), stop_price=stop_now(order, watch))
    replaces = derive_order_ids(book.seed, book.epoch, terms.replaces)[0] if terms.replaces else ""
    return OrderRecord(
        terms,
        order.status,
        order.filled_qty,
        order.filled_money,
        order.updated_at,
        replaces_id=replaces,
        triggered=order.triggered,
        leg_fills=order.leg_fills,
    )


def live_legs(book: Book, terms: e.OrderAccepted) -> list[OrderRecord]:
    """The live exits of a group, for the order that carries them; none for any other order."""
    group = book.groups.get(terms.group_no)
    if group is None or not carries_legs(terms):
        return []
    return [
        record_of(book, book.orders[no])
        for no in group.members
        if no != terms.order_no and not carries_legs(book.orders[no].terms)
    ]


def carries_legs(terms: e.OrderAccepted) -> bool:
    """Whether it shows its group's other orders as its legs: the entry, or the target of an OCO."""
    return terms.leg == "entry" or (terms.order_class == "oco" and terms.leg == "take_profit")


def accepted_record(terms: e.OrderAccepted, at: int) -> OrderRecord:
    """The record of an order at the moment of its acceptance: what a place answers."""
    held = (terms.group_no or terms.waits_for) and terms.held_at_first
    status = "held" if held else "accepted"
    return OrderRecord(terms, status, terms.filled_qty, terms.filled_money, at)


def change_record(event: e.OrderReplacePending, old_id: str, at: int) -> OrderRecord:
    """The record of an order that is to take another's place and is on its way to it."""
    return replace(accepted_record(event.terms, at), replaces_id=old_id)


def change_of(book: Book, order: Order) -> OrderRecord | None:
    """The record of the order that is to take a live order's place, if one is on its way."""
    new = order.replacement if order.status == "pending_replace" else None
    if new is None:
        return None
    return replace(accepted_record(new, new.submitted_at), replaces_id=order.terms.order_id)


ENDED_BEFORE = "order_not_open"
"""Why a change came to nothing whose order ended first, when nothing else is said of it."""


def came_to_nothing(change: OrderRecord, reason: str, at: int) -> OrderRecord:
    """The record of an order that did not take another's place: its owner cancelled it, or it came too late."""
    if reason == "cancel_requested":
        return replace(change, status="canceled", canceled_at=at, updated_at=at, reason=reason)
    return replace(change, status="rejected", updated_at=at, reason=reason)


def replacing_record(record: OrderRecord, event: e.OrderReplaced, at: int) -> OrderRecord:
    """The record of the order that took another's place."""
    terms = event.terms
    status = "partially_filled" if terms.filled_qty else "new"
    for waiting in ("held", "accepted"):
        if waiting in (record.status, record.resume_status):
            status = waiting
    return OrderRecord(terms, status, terms.filled_qty, terms.filled_money, at, replaces_id=record.terms.order_id)


def follow(record: OrderRecord, event: Any, at: int) -> OrderRecord:
    """The record after one more event of its order."""
    match event:
        case e.OrderActivated():
            return replace(_no_longer_held(record), updated_at=at)
        case e.OrderTriggered():
            record = _no_longer_held(record)
            return replace(record, triggered=True, terms=trailed(record.terms, event), updated_at=at)
        case e.OrderAdjusted():
            return replace(record, terms=replace(record.terms, qty=event.qty), updated_at=at)
        case e.OrderFilled():
            return _filled(record, event, at)
        case e.OrderLegFilled():
            return replace(record, leg_fills=with_leg(record.leg_fills, record.terms, event))
        case e.OrderCancelPending():
            return replace(record, status="pending_cancel", updated_at=at)
        case e.OrderReplacePending():
            return replace(
                record, status="pending_replace", updated_at=at, resume_status=record.status,
                change_no=event.terms.order_no,
            )  # fmt: skip
        case e.OrderCanceled():
            return replace(
                record, status="canceled", canceled_at=at, updated_at=at, reason=event.reason, ca_id=event.ca_id
            )
        case e.OrderExpired():
            return replace(record, status="expired", expired_at=at, updated_at=at, reason=event.reason)
        case e.OrderReplaced():
            reason = "corporate_action" if event.ca_id else record.reason
            return replace(
                record, status="replaced", replaced_at=at, updated_at=at, replaced_by=event.terms.order_id,
                reason=reason, ca_id=event.ca_id, change_no=0,
            )  # fmt: skip
        case e.OrderReplaceRejected():
            record = replace(record, change_no=0) if record.change_no else record
            if record.status != "pending_replace":
                return record
            back = "partially_filled" if record.filled_qty else record.resume_status or "new"
            return replace(record, status=back, updated_at=at, resume_status="")
        case _:
            return record


def _no_longer_held(record: OrderRecord) -> OrderRecord:
    """Live in the market, under a pending change too."""
    waits = ("accepted", "held")
    return replace(
        record,
        status="new" if record.status in waits else record.status,
        resume_status="new" if record.resume_status in waits else record.resume_status,
    )


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


def average_of(record: OrderRecord) -> int:
    """Price units a share of everything filled; of several legs their net, positive paid. 0 when nothing filled."""
    shares = CONTRACT_SHARES if record.terms.legs or is_option_symbol(record.terms.symbol) else 1
    return average_price(record.filled_money, record.filled_qty * shares)


_end_of_day = lru_cache(64)(format_time)
"""Very many orders end at the same few instants."""


def render_order(record: OrderRecord, legs: list[OrderRecord] | None = None) -> dict[str, Any]:
    """Alpaca's order object, with our ``reason`` beside it and its exits in ``legs``."""
    shown = asdict(view_order(record, legs))
    if record.terms.legs:
        shown["legs"] = [asdict(leg) for leg in shown["legs"]]
    return shown


def _view_leg(record: OrderRecord, parent: OrderView, leg_id: str, index: int) -> LegView:
    """One leg with its order's times and status, under an id of its own (alpaca-api §2.13)."""
    terms = record.terms
    leg = terms.legs[index]
    qty, weight = record.leg_fills[index] if record.leg_fills else (0, 0)
    return LegView(
        leg_id,
        leg_id,
        parent.created_at,
        parent.updated_at,
        parent.submitted_at,
        parent.filled_at,
        parent.expired_at,
        parent.expires_at,
        parent.canceled_at,
        parent.failed_at,
        parent.replaced_at,
        parent.replaced_by,
        parent.replaces,
        leg.asset_id,
        leg.symbol,
        "us_equity" if leg.is_stock else "us_option",
        None,
        format_qty(terms.qty * leg.ratio),
        format_qty(qty) if qty else "0",
        format_price(divide_half_even(weight, qty)) if qty else None,
        parent.order_class,
        None,
        None,
        leg.side,
        leg.position_intent,
        parent.time_in_force,
        None,
        None,
        None,
        None,
        None,
        parent.extended_hours,
        None,
        parent.status,
        parent.reason,
        parent.profile,
        parent.structure_id,
        str(leg.ratio),
    )


def render_leg(record: OrderRecord, leg_id: str) -> dict[str, Any] | None:
    """One leg of an order by its own id; None when the order has no such leg."""
    parent = view_order(record, None)
    return next((asdict(leg) for leg in parent.legs or () if isinstance(leg, LegView) and leg.id == leg_id), None)


def view_order(record: OrderRecord, legs: list[OrderRecord] | None) -> OrderView:
    """An order in Alpaca's shape: its exits as its ``legs``, or what it trades when that is several legs."""
    terms = record.terms
    unit = bool(terms.legs)
    submitted_at, updated_at = terms.submitted_at, record.updated_at
    submitted = format_time(submitted_at)
    option = is_option_symbol(terms.symbol)
    average = format_price(average_of(record)) if record.filled_qty else None
    limit = format_price(terms.limit_price) if terms.limit_price or (unit and terms.type == "limit") else None
    view = OrderView(
        terms.order_id,
        terms.client_order_id,
        submitted,
        format_time(updated_at) if updated_at and updated_at != submitted_at else submitted,
        submitted,
        format_time(record.filled_at) if record.filled_at else None,
        format_time(record.expired_at) if record.expired_at else None,
        _end_of_day(terms.expires_at) if terms.expires_at else None,
        format_time(record.canceled_at) if record.canceled_at else None,
        format_time(updated_at) if record.status == "rejected" else None,
        format_time(record.replaced_at) if record.replaced_at else None,
        record.replaced_by or None,
        record.replaces_id or None,
        None if unit else terms.asset_id,
        None if unit else terms.symbol,
        None if unit else "us_option" if option else "us_equity",
        format_money(terms.notional) if terms.notional else None,
        format_qty(terms.qty) if terms.qty else None,
        format_qty(record.filled_qty) if record.filled_qty else "0",
        average,
        terms.order_class,
        terms.type,
        terms.type,
        None if unit else terms.side,
        None if unit else terms.position_intent,
        terms.time_in_force,
        limit,
        format_price(terms.stop_price) if terms.stop_price else None,
        format_scaled(terms.trail_ppm, 4) if terms.trail_ppm else None,
        format_price(terms.trail_price) if terms.trail_price else None,
        format_price(terms.high_water_mark) if terms.high_water_mark else None,
        terms.extended_hours,
        [render_order(leg) for leg in legs] if legs and not unit else None,
        record.status,
        record.reason or None,
        terms.profile,
        terms.structure_id or None,
    )
    if not unit:
        return view
    ids = leg_ids_of(terms.order_id, len(terms.legs))
    return replace(view, legs=[_view_leg(record, view, leg_id, n) for n, leg_id in enumerate(ids)])
