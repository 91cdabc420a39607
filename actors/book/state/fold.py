"""``fold``: apply one event to a book. It calls no rule, reads no clock, and accepts every event ever written.

Invariants: each fold raises ``book.n`` by one. Dictionary entries are written through :func:`put` and
:func:`drop` so that a caller with an undo list can take them back; scalars are saved by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.book import events as e
from actors.book.state.book import DAY_NS, MISSING, RECENT_DAYS, Book, Order, Position, Undo

SCALARS = (
    "n",
    "status",
    "profile",
    "margin_profile",
    "options_level",
    "fractional_trading",
    "no_shorting",
    "suspend_trade",
    "max_margin_multiplier",
    "quarantined",
    "cash",
    "reserved_money",
    "next_order_no",
    "next_activity_no",
    "next_lot_no",
)
"""Fields that a fold may assign; what a draft must save beside its undo list."""


def put(table: dict[Any, Any], key: Any, value: Any, undo: Undo | None) -> None:
    """Set an entry."""
    if undo is not None:
        undo.append((table, key, table.get(key, MISSING)))
    table[key] = value


def drop(table: dict[Any, Any], key: Any, undo: Undo | None) -> None:
    """Remove an entry if it is there."""
    old = table.pop(key, MISSING)
    if undo is not None and old is not MISSING:
        undo.append((table, key, old))


def take_back(undo: Undo) -> None:
    """Undo every entry, newest first. The order of keys of a restored entry is not kept."""
    for table, key, old in reversed(undo):
        if old is MISSING:
            table.pop(key, None)
        else:
            table[key] = old
    undo.clear()


def _created(book: Book, v: e.AccountCreated, at: int, undo: Undo | None) -> None:
    book.account_id = v.account_id
    book.user_id = v.user_id
    book.seed = v.seed
    book.type = v.type
    book.cash = v.cash
    book.options_level = v.options_level
    book.profile = v.profile
    book.margin_profile = v.margin_profile
    book.created_at = at
    if v.type == "cash":
        book.max_margin_multiplier = 1


def _configured(book: Book, v: e.AccountConfigured, at: int, undo: Undo | None) -> None:
    book.profile = v.profile
    book.margin_profile = v.margin_profile
    book.options_level = v.options_level
    book.fractional_trading = v.fractional_trading
    book.no_shorting = v.no_shorting
    book.suspend_trade = v.suspend_trade
    book.max_margin_multiplier = v.max_margin_multiplier


def _closed(book: Book, v: e.AccountClosed, at: int, undo: Undo | None) -> None:
    book.status = "ACCOUNT_CLOSED"


def _quarantined(book: Book, v: e.AccountQuarantined, at: int, undo: Undo | None) -> None:
    book.quarantined = v.reason


def _nothing(book: Book, v: object, at: int, undo: Undo | None) -> None:
    """Audit only."""


def _booked(book: Book, v: e.ActivityBooked, at: int, undo: Undo | None) -> None:
    book.cash = v.cash
    book.next_activity_no = v.activity_no + 1


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


def _position(book: Book, v: e.PositionChanged, at: int, undo: Undo | None) -> None:
    book.cash = v.cash
    old = book.positions.get(v.symbol)
    lots = old.lots if old is not None else ()
    if v.closed:
        taken = {use.lot_no: use for use in v.closed}
        kept = []
        for lot in lots:
            use = taken.get(lot.lot_no)
            if use is None:
                kept.append(lot)
            elif lot.qty != use.qty:
                kept.append(
                    e.Lot(
                        lot.lot_no,
                        lot.qty - use.qty,
                        lot.basis_money - use.basis_money,
                        lot.opened_at,
                        lot.order_no,
                    )
                )
        lots = tuple(kept)
    if v.opened is not None:
        lots = (*lots, v.opened)
        book.next_lot_no = v.opened.lot_no + 1
    if v.qty == 0:
        drop(book.positions, v.symbol, undo)
        return
    realized = v.realized_money + (old.realized_money if old is not None else 0)
    put(book.positions, v.symbol, Position(v.symbol, v.asset_id, v.qty, v.basis_money, lots, realized), undo)


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


_FOLDS: dict[type, Callable[[Book, Any, int, Undo | None], None]] = {
    e.AccountCreated: _created,
    e.AccountConfigured: _configured,
    e.AccountClosed: _closed,
    e.AccountQuarantined: _quarantined,
    e.CommandRefused: _nothing,
    e.ActivityBooked: _booked,
    e.OrderRejected: _nothing,
    e.OrderAccepted: _accepted,
    e.OrderActivated: _activated,
    e.OrderTriggered: _triggered,
    e.OrderFilled: _filled,
    e.PositionChanged: _position,
    e.OrderCancelPending: _cancel_pending,
    e.OrderCanceled: _ended,
    e.OrderCancelRejected: _nothing,
    e.OrderReplacePending: _replace_pending,
    e.OrderReplaced: _replaced,
    e.OrderReplaceRejected: _replace_rejected,
    e.OrderExpired: _ended,
    e.MarketGapped: _nothing,
}


def fold(book: Book, event: Any, at: int, undo: Undo | None = None) -> None:
    """Apply one event that happened at ``at``. Raises ``KeyError`` if it does not fit the book."""
    _FOLDS[type(event)](book, event, at, undo)
    book.n += 1
