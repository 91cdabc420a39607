"""How facts about orders change the book: live orders, what they reserve, which client ids are taken."""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.state.book import DAY_NS, RECENT_DAYS, Book, Order, Undo
from actors.book.state.fold_account import Fold, nothing
from actors.book.state.undo import drop, put


def _hold(book: Book, symbol: str, change: int, undo: Undo | None) -> None:
    if change:
        held = book.held.get(symbol, 0) + change
        if held:
            put(book.held, symbol, held, undo)
        else:
            drop(book.held, symbol, undo)


def _add_order(book: Book, terms: e.OrderAccepted, status: str, at: int, undo: Undo | None) -> None:
    no = terms.order_no
    order = Order(
        terms,
        status,
        terms.filled_qty,
        terms.filled_money,
        terms.fill_count,
        0,
        terms.reserved_money,
        terms.reserved_qty,
        terms.live_at,
        0,
        terms.limit_price,
        False,
        at,
        0,
        0,
        0,
        None,
        "",
    )
    put(book.orders, no, order, undo)
    put(book.by_client, terms.client_order_id, no, undo)
    _remember(book, terms, at, undo)
    book.reserved_money += terms.reserved_money
    if terms.reserved_qty:
        _hold(book, terms.symbol, terms.reserved_qty, undo)
    if no >= book.next_order_no:
        book.next_order_no = no + 1


def _remember(book: Book, terms: e.OrderAccepted, at: int, undo: Undo | None) -> None:
    put(book.recent, terms.client_key, terms.order_no << 25 | terms.fingerprint, undo)
    day = at // DAY_NS
    if day in book.first_of_day:
        return
    put(book.first_of_day, day, terms.order_no, undo)
    old_days = [d for d in book.first_of_day if d < day - RECENT_DAYS]
    if not old_days:
        return
    for old in old_days:
        drop(book.first_of_day, old, undo)
    first_kept = min(book.first_of_day.values())
    for key in [k for k, packed in book.recent.items() if packed >> 25 < first_kept]:
        drop(book.recent, key, undo)


def _end_order(book: Book, order_no: int, undo: Undo | None) -> Order:
    order = book.orders[order_no]
    drop(book.orders, order_no, undo)
    if book.by_client.get(order.terms.client_order_id) == order_no:
        drop(book.by_client, order.terms.client_order_id, undo)
    book.reserved_money -= order.reserved_money
    if order.reserved_qty:
        _hold(book, order.terms.symbol, -order.reserved_qty, undo)
    drop(book.watch, order_no, undo)
    return order


def _accepted(book: Book, v: e.OrderAccepted, at: int, undo: Undo | None) -> None:
    _add_order(book, v, "accepted", at, undo)


def _with(order: Order, **changes: Any) -> Order:
    values = {name: getattr(order, name) for name in Order.__struct_fields__}
    values.update(changes)
    return Order(**values)


def _activated(book: Book, v: e.OrderActivated, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    status = "new" if o.status == "accepted" else o.status
    resume = "new" if o.resume_status == "accepted" else o.resume_status
    order = Order(
        o.terms,
        status,
        o.filled_qty,
        o.filled_money,
        o.fill_count,
        o.slice_no,
        o.reserved_money,
        o.reserved_qty,
        o.live_at,
        v.collar_price or o.collar_price,
        o.limit_price,
        o.triggered,
        at,
        o.last_fill_at,
        o.cancel_at,
        o.replace_at,
        o.replacement,
        resume,
    )
    put(book.orders, v.order_no, order, undo)


def _triggered(book: Book, v: e.OrderTriggered, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    changed = _with(o, triggered=True, live_at=v.live_at, limit_price=v.limit_price or o.limit_price, updated_at=at)
    put(book.orders, v.order_no, changed, undo)


def _filled(book: Book, v: e.OrderFilled, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    if v.status == "filled":
        _end_order(book, v.order_no, undo)
        return
    pending = o.status in ("pending_cancel", "pending_replace")
    order = Order(
        o.terms,
        o.status if pending else "partially_filled",
        v.filled_qty,
        v.filled_money,
        o.fill_count + 1,
        o.slice_no + 1,
        v.reserved_money,
        v.reserved_qty,
        o.live_at,
        o.collar_price,
        o.limit_price,
        o.triggered,
        at,
        at,
        o.cancel_at,
        o.replace_at,
        o.replacement,
        "partially_filled" if pending else o.resume_status,
    )
    put(book.orders, v.order_no, order, undo)
    book.reserved_money += v.reserved_money - o.reserved_money
    _hold(book, o.terms.symbol, v.reserved_qty - o.reserved_qty, undo)


def _cancel_pending(book: Book, v: e.OrderCancelPending, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    put(
        book.orders,
        v.order_no,
        _with(o, status="pending_cancel", cancel_at=v.effective_at, updated_at=at, resume_status=o.status),
        undo,
    )


def _ended(book: Book, v: e.OrderCanceled | e.OrderExpired, at: int, undo: Undo | None) -> None:
    _end_order(book, v.order_no, undo)


def _replace_pending(book: Book, v: e.OrderReplacePending, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    changed = _with(
        o,
        status="pending_replace",
        replace_at=v.effective_at,
        replacement=v.terms,
        reserved_money=v.reserved_money,
        reserved_qty=v.reserved_qty,
        updated_at=at,
        resume_status=o.status,
    )
    put(book.orders, v.order_no, changed, undo)
    book.reserved_money += v.reserved_money - o.reserved_money
    _hold(book, o.terms.symbol, v.reserved_qty - o.reserved_qty, undo)
    _remember(book, v.terms, at, undo)
    if v.terms.order_no >= book.next_order_no:
        book.next_order_no = v.terms.order_no + 1


def _replaced(book: Book, v: e.OrderReplaced, at: int, undo: Undo | None) -> None:
    _end_order(book, v.order_no, undo)
    _add_order(book, v.terms, "partially_filled" if v.terms.filled_qty else "new", at, undo)


def _replace_rejected(book: Book, v: e.OrderReplaceRejected, at: int, undo: Undo | None) -> None:
    o = book.orders.get(v.order_no)
    if o is None or o.status != "pending_replace":
        return
    changed = _with(
        o,
        status=o.resume_status,
        resume_status="",
        replace_at=0,
        replacement=None,
        reserved_money=v.reserved_money,
        reserved_qty=v.reserved_qty,
        updated_at=at,
    )
    put(book.orders, v.order_no, changed, undo)
    book.reserved_money += v.reserved_money - o.reserved_money
    _hold(book, o.terms.symbol, v.reserved_qty - o.reserved_qty, undo)


ORDER_FOLDS: dict[type, Fold] = {
    e.OrderRejected: nothing,
    e.OrderAccepted: _accepted,
    e.OrderActivated: _activated,
    e.OrderTriggered: _triggered,
    e.OrderFilled: _filled,
    e.OrderCancelPending: _cancel_pending,
    e.OrderCanceled: _ended,
    e.OrderCancelRejected: nothing,
    e.OrderReplacePending: _replace_pending,
    e.OrderReplaced: _replaced,
    e.OrderReplaceRejected: _replace_rejected,
    e.OrderExpired: _ended,
}
