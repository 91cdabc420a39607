"""Orders that depend on other orders: brackets, OCO, OTO, and closes that wait for cancels.

Invariants: the exits of a group hold the same shares once and never more than the entry has filled and the exits
have not (fill model §12); what one exit fills the other gives up before anything else is evaluated; a group whose
exit is done, or of which any order is cancelled, ends with all its orders in the same step. Everything here follows
from the group as it stands, so looking twice changes nothing. Rule source: alpaca-api §2.7, §2.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import client_key, derive_order_ids
from actors.book.latency import latency_ns
from actors.book.rules.admission.check import buy_stop_collar
from actors.book.rules.admission.closing import uncovering
from actors.book.rules.admission.parse import Parsed
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.state.book import Book, Group, Order
from actors.book.view import available_qty
from actors.market.world import World

# ── beginning ───────────────────────────────────────────────────────────────────────────────────────────


def accept_exits(draft: Draft, order: Parsed, first: e.OrderAccepted) -> tuple[e.OrderAccepted, ...]:
    """Put the exits of a group beside its first order, which has just been accepted; each is held."""
    exits = order.exits
    oco = order.order_class == "oco"
    legs: list[e.OrderAccepted] = []
    if exits.take_profit and not oco:
        legs.append(_exit(draft, first, "take_profit", "limit", exits.take_profit, 0, len(legs) + 1))
    if exits.stop_loss:
        kind = "stop_limit" if exits.stop_loss_limit else "stop"
        legs.append(
            _exit(draft, first, "stop_loss", kind, exits.stop_loss_limit, exits.stop_loss, len(legs) + 1, oco)
        )
    for leg in legs:
        draft.emit(leg)
    return tuple(legs)


def _exit(
    draft: Draft, first: e.OrderAccepted, leg: str, kind: str, limit: int, stop: int, offset: int, oco: bool = False
) -> e.OrderAccepted:
    book = draft.book
    order_no = first.order_no + offset
    order_id, client_id = derive_order_ids(book.seed, book.epoch, order_no)
    side = first.side if oco else "sell" if first.side == "buy" else "buy"
    return replace(
        first,
        order_no=order_no,
        order_id=order_id,
        client_order_id=client_id,
        client_key=client_key(client_id),
        side=side,
        type=kind,
        limit_price=limit,
        stop_price=stop,
        position_intent=f"{side}_to_close",
        reserved_money=0,
        reserved_qty=first.qty if oco else 0,
        check_price=0,
        collar_price=buy_stop_collar(stop) if kind == "stop" and side == "buy" else 0,
        leg=leg,
    )


# ── following ───────────────────────────────────────────────────────────────────────────────────────────


def follow_up(draft: Draft, world: World, profiles: Profiles) -> None:
    """Do what this draft's changes of groups and waiting closes since the last look lead to."""
    book = draft.book
    if not book.groups and not book.closing:
        return
    while draft.followed < len(draft.undo):
        entries = draft.undo[draft.followed :]
        draft.followed = len(draft.undo)
        groups = {key for table, key, _ in entries if table is book.groups}
        closes = {key for table, key, _ in entries if table is book.closing}
        for group_no in sorted(groups):
            group = book.groups.get(group_no)
            if group is not None:
                _settle(draft, group, world, profiles)
        for order_no in sorted(closes):
            if book.closing.get(order_no) == ():
                _begin_close(draft, order_no, world, profiles)


def sequence(book: Book, order_nos: Sequence[int], profiles: Profiles) -> Sequence[int]:
    """The order in which simultaneous wakes are served: a stop before the target of its group where the profile
    says so, else oldest first."""
    if not book.groups or len(order_nos) < 2:
        return order_nos

    def place(order_no: int) -> tuple[int, int, int]:
        order = book.orders.get(order_no)
        if order is None or not order.terms.group_no:
            return order_no, 0, order_no
        profile = profiles.get(order.terms.profile)
        first = profile is not None and profile.stop_first and order.terms.leg == "stop_loss"
        return order.terms.group_no, 0 if first else 1, order_no

    return sorted(order_nos, key=place)


def _settle(draft: Draft, group: Group, world: World, profiles: Profiles) -> None:
    """Bring the live orders of a group to what its fills and ends imply."""
    entry_lives = not group.entry_end
    dead = group.exit_end or (group.entry_end == "user_cancel" or (not entry_lives and not group.entry_qty))
    if dead:
        reason = "exit_filled" if group.exit_end == "filled" else "group_ended"
        for order_no in group.members:
            end(draft, order_no, reason)
        return
    exits = [
        order for no in group.members if (order := draft.book.orders[no]).terms.leg in ("take_profit", "stop_loss")
    ]
    if not exits:
        return
    profile = profiles.get(exits[0].terms.profile)
    assert profile is not None
    if entry_lives and not profile.exits_in_proportion:
        return
    left = group.entry_qty - group.exit_qty
    if left <= 0:
        return
    left = min(left, _room(draft.book, exits))
    if left <= 0:
        # The shares went another way before any exit held them.
        for order in exits if group.entry_end else ():
            end(draft, order.terms.order_no, "nothing_to_close")
        return
    for order in exits:
        if order.reserved_qty != left or order.leaves_qty != left:
            _adjust(draft, order, order.filled_qty + left, left, profiles, profile)


def _room(book: Book, exits: list[Order]) -> int:
    """Shares that the exits hold already or that nobody holds."""
    terms = exits[0].terms
    free = available_qty(book, terms.symbol)
    return (free if terms.side == "sell" else -free) + max(order.reserved_qty for order in exits)


def _adjust(draft: Draft, order: Order, qty: int, reserved: int, profiles: Profiles, profile: Profile) -> None:
    live_at = order.live_at
    if order.dormant:
        live_at = draft.at + latency_ns(draft, profiles, profile, order.terms.order_id, b"latency")
    draft.emit(e.OrderAdjusted(order.terms.order_no, qty, reserved, live_at))


def _begin_close(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """Every order that a close waited for has ended: let it close what is there now, if anything is.

    Not what covers something short that is still there: then it ends.
    """
    book = draft.book
    order = book.orders.get(order_no)
    if order is None or not order.dormant:
        return
    terms = order.terms
    free = available_qty(book, terms.symbol)
    qty = min(terms.qty, free if terms.side == "sell" else -free)
    if qty <= 0:
        end(draft, order_no, "nothing_to_close")
        return
    if (refused := uncovering(book, terms.symbol, terms.side == "buy", qty, world, order_no)) is not None:
        end(draft, order_no, refused.reason)
        return
    profile = profiles.get(terms.profile)
    assert profile is not None
    _adjust(draft, order, qty, qty, profiles, profile)


# ── ending ──────────────────────────────────────────────────────────────────────────────────────────────


def end(draft: Draft, order_no: int, reason: str, ca_id: str = "") -> None:
    """End a live order at once, as expired when its time is over too; a pending change of it is refused.

    ``ca_id`` is the corporate action that did it.
    """
    order = draft.book.orders.get(order_no)
    if order is None:
        return
    terms = order.terms
    event: Any = e.OrderCanceled(order_no, reason, ca_id)
    if 0 < terms.expires_at <= draft.at:
        event = e.OrderExpired(order_no)
    draft.emit(event)
    if order.status == "pending_replace":
        draft.emit(e.OrderReplaceRejected(order_no, terms.order_id, "order_not_open"))
