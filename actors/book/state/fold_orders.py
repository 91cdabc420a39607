"""How facts about orders change the book: live orders, what they reserve, which client ids are taken."""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.state.book import DAY_NS, RECENT_DAYS, Book, Group, Order, Undo
from actors.book.state.fold_account import Fold, nothing
from actors.book.state.undo import drop, put


def closes(terms: e.OrderAccepted) -> list[tuple[str, int]]:
    """Symbols of which an order holds quantity for closing, each with how much a unit of reserved quantity is."""
    if not terms.legs:
        return [(terms.symbol, 1)]
    return [(leg.symbol, leg.ratio) for leg in terms.legs if leg.position_intent.endswith("_to_close")]


def _hold(book: Book, symbol: str, change: int, undo: Undo | None) -> None:
    if change:
        held = book.held.get(symbol, 0) + change
        if held:
            put(book.held, symbol, held, undo)
        else:
            drop(book.held, symbol, undo)


def _hold_order(book: Book, terms: e.OrderAccepted, old: int, new: int, undo: Undo | None) -> None:
    """An order's reserved quantity changed; the exits of a group hold the same shares once."""
    if old == new:
        return
    group = book.groups.get(terms.group_no) if terms.group_no else None
    if group is not None:
        others = [book.orders[no].reserved_qty for no in group.members if no != terms.order_no]
        most = max(others, default=0)
        old, new = max(old, most), max(new, most)
    if terms.legs:
        for symbol, ratio in closes(terms):
            _hold(book, symbol, (new - old) * ratio, undo)
        return
    _hold(book, terms.symbol, new - old, undo)


def _count_side(book: Book, terms: e.OrderAccepted, change: int, undo: Undo | None) -> None:
    sides = book.open_sides
    for leg in terms.legs or (terms,):
        key = ("+" if leg.side == "buy" else "-") + leg.symbol
        count = sides.get(key, 0) + change
        if count > 0:
            put(sides, key, count, undo)
        else:
            drop(sides, key, undo)


def _join(book: Book, terms: e.OrderAccepted, undo: Undo | None) -> None:
    group = book.groups.get(terms.group_no)
    if group is None:
        entered = terms.leg == "entry"
        group = Group(terms.order_class, (), 0 if entered else terms.qty, 0, "" if entered else "filled")
    put(book.groups, terms.group_no, replace(group, members=(*group.members, terms.order_no)), undo)


def _leave(book: Book, terms: e.OrderAccepted, why: str, undo: Undo | None) -> None:
    """An order of a group ended; ``why`` is empty when another takes its place."""
    group = book.groups[terms.group_no]
    members = tuple(no for no in group.members if no != terms.order_no)
    if not members and why:
        drop(book.groups, terms.group_no, undo)
    elif terms.leg == "entry":
        put(book.groups, terms.group_no, replace(group, members=members, entry_end=why), undo)
    else:
        put(book.groups, terms.group_no, replace(group, members=members, exit_end=group.exit_end or why), undo)


def _fill_group(book: Book, terms: e.OrderAccepted, qty: int, undo: Undo | None) -> None:
    group = book.groups[terms.group_no]
    if terms.leg == "entry":
        put(book.groups, terms.group_no, replace(group, entry_qty=group.entry_qty + qty), undo)
    else:
        put(book.groups, terms.group_no, replace(group, exit_qty=group.exit_qty + qty), undo)


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
    _count_side(book, terms, 1, undo)
    if terms.group_no:
        _join(book, terms, undo)
    if terms.reserved_qty:
        _hold_order(book, terms, 0, terms.reserved_qty, undo)
    if terms.waits_for:
        put(book.closing, no, terms.waits_for, undo)
    if no >= book.next_order_no:
        book.next_order_no = no + 1


def _remember(book: Book, terms: e.OrderAccepted, at: int, undo: Undo | None) -> None:
    if terms.client_key not in book.recent:
        # An order that a corporate action adjusted goes on under its client id; a repeat is answered with the first.
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


def _end_order(book: Book, order_no: int, why: str, undo: Undo | None) -> Order:
    order = book.orders[order_no]
    drop(book.orders, order_no, undo)
    if book.by_client.get(order.terms.client_order_id) == order_no:
        drop(book.by_client, order.terms.client_order_id, undo)
    book.reserved_money -= order.reserved_money
    if order.reserved_qty:
        _hold_order(book, order.terms, order.reserved_qty, 0, undo)
    _count_side(book, order.terms, -1, undo)
    if order.terms.group_no:
        _leave(book, order.terms, why, undo)
    if book.closing:
        _stop_waiting(book, order_no, undo)
    drop(book.watch, order_no, undo)
    return order


def _stop_waiting(book: Book, order_no: int, undo: Undo | None) -> None:
    drop(book.closing, order_no, undo)
    for close_no, waits in list(book.closing.items()):
        if order_no in waits:
            put(book.closing, close_no, tuple(no for no in waits if no != order_no), undo)


def _accepted(book: Book, v: e.OrderAccepted, at: int, undo: Undo | None) -> None:
    held = (v.group_no or v.waits_for) and v.held_at_first
    _add_order(book, v, "held" if held else "accepted", at, undo)


def _activated(book: Book, v: e.OrderActivated, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    status = "new" if o.status in ("accepted", "held") else o.status
    resume = "new" if o.resume_status in ("accepted", "held") else o.resume_status
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
        o.leg_fills,
    )
    put(book.orders, v.order_no, order, undo)


def _triggered(book: Book, v: e.OrderTriggered, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    changed = replace(
        o,
        terms=trailed(o.terms, v),
        status="new" if o.status == "held" else o.status,
        resume_status="new" if o.resume_status == "held" else o.resume_status,
        triggered=True,
        live_at=v.live_at,
        limit_price=v.limit_price or o.limit_price,
        updated_at=at,
    )
    put(book.orders, v.order_no, changed, undo)


def trailed(terms: e.OrderAccepted, v: e.OrderTriggered) -> e.OrderAccepted:
    """The terms with the stop that a trailing stop had when it was elected."""
    if not v.high_water_mark:
        return terms
    return replace(terms, high_water_mark=v.high_water_mark, stop_price=v.stop_price)


def _adjusted(book: Book, v: e.OrderAdjusted, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    replacement = o.replacement
    if replacement is not None:
        replacement = replace(replacement, qty=v.qty, reserved_qty=v.reserved_qty)
    changed = replace(
        o,
        terms=replace(o.terms, qty=v.qty),
        replacement=replacement,
        reserved_qty=v.reserved_qty,
        live_at=v.live_at,
        updated_at=at,
    )
    put(book.orders, v.order_no, changed, undo)
    _hold_order(book, o.terms, o.reserved_qty, v.reserved_qty, undo)


def _filled(book: Book, v: e.OrderFilled, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    if o.terms.group_no:
        _fill_group(book, o.terms, v.qty, undo)
    if v.status == "filled":
        _end_order(book, v.order_no, "filled", undo)
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
        o.leg_fills,
    )
    put(book.orders, v.order_no, order, undo)
    book.reserved_money += v.reserved_money - o.reserved_money
    _hold_order(book, o.terms, o.reserved_qty, v.reserved_qty, undo)


def _leg_filled(book: Book, v: e.OrderLegFilled, at: int, undo: Undo | None) -> None:
    o = book.orders.get(v.order_no)
    if o is not None:
        put(book.orders, v.order_no, replace(o, leg_fills=with_leg(o.leg_fills, o.terms, v)), undo)


def with_leg(
    fills: tuple[tuple[int, int], ...], terms: e.OrderAccepted, v: e.OrderLegFilled
) -> tuple[tuple[int, int], ...]:
    """Quantity and price times quantity of each leg after one more line."""
    done = list(fills or ((0, 0),) * len(terms.legs))
    qty, weight = done[v.leg]
    done[v.leg] = (qty + v.qty, weight + v.price * v.qty)
    return tuple(done)


def _cancel_pending(book: Book, v: e.OrderCancelPending, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    put(
        book.orders,
        v.order_no,
        replace(o, status="pending_cancel", cancel_at=v.effective_at, updated_at=at, resume_status=o.status),
        undo,
    )


def _ended(book: Book, v: e.OrderCanceled | e.OrderExpired, at: int, undo: Undo | None) -> None:
    _end_order(book, v.order_no, v.reason, undo)


def _replace_pending(book: Book, v: e.OrderReplacePending, at: int, undo: Undo | None) -> None:
    o = book.orders[v.order_no]
    changed = replace(
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
    _hold_order(book, o.terms, o.reserved_qty, v.reserved_qty, undo)
    _remember(book, v.terms, at, undo)
    if v.terms.order_no >= book.next_order_no:
        book.next_order_no = v.terms.order_no + 1


def _replaced(book: Book, v: e.OrderReplaced, at: int, undo: Undo | None) -> None:
    old = _end_order(book, v.order_no, "", undo)
    status = "partially_filled" if v.terms.filled_qty else "new"
    for waiting in ("held", "accepted"):
        if waiting in (old.status, old.resume_status):
            status = waiting
    _add_order(book, v.terms, status, at, undo)


def _replace_rejected(book: Book, v: e.OrderReplaceRejected, at: int, undo: Undo | None) -> None:
    o = book.orders.get(v.order_no)
    if o is None or o.status != "pending_replace":
        return
    changed = replace(
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
    _hold_order(book, o.terms, o.reserved_qty, v.reserved_qty, undo)


ORDER_FOLDS: dict[type, Fold] = {
    e.OrderRejected: nothing,
    e.OrderAccepted: _accepted,
    e.OrderActivated: _activated,
    e.OrderTriggered: _triggered,
    e.OrderFilled: _filled,
    e.OrderLegFilled: _leg_filled,
    e.OrderCancelPending: _cancel_pending,
    e.OrderCanceled: _ended,
    e.OrderCancelRejected: nothing,
    e.OrderReplacePending: _replace_pending,
    e.OrderReplaced: _replaced,
    e.OrderReplaceRejected: _replace_rejected,
    e.OrderExpired: _ended,
    e.OrderAdjusted: _adjusted,
}
