"""What one account does with a command: place, replace, cancel, close, deposit (alpaca-api §2).

Invariants: nothing here changes a book except by :meth:`Draft.emit`; a refusal leaves only an audit event.
A reply shows the order as accepted; whatever the market does with it comes as later events, even at once.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import client_key, derive_order_ids, draw_u64, uniform
from actors.book.outcome import Done, Outcome, Placed
from actors.book.rules.admission.check import account_refusal, check, read_close
from actors.book.rules.admission.parse import Parsed, parse
from actors.book.rules.admission.switches import exposure_refusal, trading_refusal
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Order
from actors.book.units import NS_PER_MS
from actors.commands import (
    CancelAll,
    CancelOrder,
    ClosePosition,
    PlaceOrder,
)
from actors.market.world import World


def latency_ns(draft: Draft, profiles: Profiles, profile: Profile, order_id: str, purpose: bytes) -> int:
    """Base plus drawn jitter of the profile (fill model §6)."""
    if not profile.latency_base_ms and not profile.latency_jitter_ms:
        return 0
    jitter = 0
    if profile.latency_jitter_ms:
        book = draft.book
        hashed = profiles.hash_of(profile.name).encode()
        jitter = uniform(
            draw_u64(book.seed, book.epoch, hashed, order_id, purpose),
            0,
            profile.latency_jitter_ms * NS_PER_MS,
        )
    return profile.latency_base_ms * NS_PER_MS + jitter


def time_in_force_ends_at(order: Parsed, world: World) -> int:
    """When the time in force of an order placed now ends; 0 when that is not a moment."""
    session = world.session
    if session is None or order.time_in_force in ("ioc", "fok"):
        return 0
    if order.time_in_force == "gtc":
        return session.gtc_expires_at or session.core_closes_at + 90 * 86_400 * 1_000_000_000
    if order.extended_hours and world.now < session.post_closes_at:
        return session.post_closes_at
    return session.core_closes_at if world.now < session.core_closes_at else session.next_core_closes_at


def place(draft: Draft, action: PlaceOrder, world: World, profiles: Profiles) -> Outcome:
    """Admit an order or say why not; a repeat of an accepted one is answered with the first."""
    outcome = _place(draft, action, world, profiles)
    if isinstance(outcome, Refusal):
        draft.emit(
            e.OrderRejected(
                (action.client_order_id or "")[:128],
                (action.symbol or "")[:24],
                (action.side or "")[:8],
                (action.type or "")[:16],
                (action.qty or action.notional or "")[:24],
                outcome.reason,
                outcome.numbers,
            )
        )
    return outcome


def _place(draft: Draft, action: PlaceOrder, world: World, profiles: Profiles) -> Outcome:
    book = draft.book
    refusal = account_refusal(book)
    if refusal is not None:
        return refusal
    order = parse(action, world.instruments)
    if isinstance(order, Refusal):
        return order
    key = 0
    if action.client_order_id is not None:
        key = client_key(action.client_order_id)
        known = book.recent.get(key)
        if known is None and (live_no := book.by_client.get(action.client_order_id)) is not None:
            known = live_no << 25 | book.orders[live_no].terms.fingerprint
        if known is not None:
            if known & 0x1FFFFFF != order.fingerprint:
                return refuse("client_order_id_not_unique", "client_order_id")
            live = book.orders.get(known >> 25)
            return Placed(live.terms if live is not None else None, known >> 25, duplicate=True)
    if world.switches and (refusal := trading_refusal(world)) is not None:
        return refusal
    need = check(book, order, world)
    if isinstance(need, Refusal):
        return need
    if world.switches and (refusal := exposure_refusal(world, need.intent)) is not None:
        return refusal
    order_no = book.next_order_no
    order_id, derived_client_id = derive_order_ids(book.seed, book.epoch, order_no)
    profile = profiles.get(book.profile)
    assert profile is not None
    client_order_id = action.client_order_id or derived_client_id
    terms = e.OrderAccepted(
        order_no, order_id, client_order_id, key or client_key(client_order_id), order.fingerprint,
        order.instrument.symbol, order.instrument.asset_id, order.side, order.type, order.time_in_force,
        order.qty, order.notional, order.limit_price, order.stop_price, order.extended_hours, need.intent, "",
        draft.at, draft.at + latency_ns(draft, profiles, profile, order_id, b"latency"),
        time_in_force_ends_at(order, world), need.money, need.qty, need.check_price, need.collar_price, book.profile,
    )  # fmt: skip
    draft.emit(terms)
    return Placed(terms, order_no)


def find_live(draft: Draft, order_id: str | None, client_order_id: str | None) -> Order | None:
    """A live order by its id or client id."""
    book = draft.book
    if order_id is not None:
        for order in book.orders.values():
            if order.terms.order_id == order_id:
                return order
        return None
    order_no = book.by_client.get(client_order_id or "")
    return book.orders.get(order_no) if order_no is not None else None


def cancel(draft: Draft, action: CancelOrder, world: World, profiles: Profiles) -> Outcome:
    """Ask for a cancel; it takes effect after the latency of the order's class."""
    order = find_live(draft, action.order_id, action.client_order_id)
    name = (action.order_id or action.client_order_id or "")[:128]
    if order is None:
        draft.emit(e.OrderCancelRejected(name, "order_not_found"))
        return refuse("order_not_found", "order_id", order_id=name)
    if order.status == "pending_cancel":
        return Done((order.terms.order_no,))
    if order.status == "pending_replace":
        draft.emit(e.OrderCancelRejected(name, "order_not_replaceable", order.terms.order_no))
        return refuse("order_not_replaceable", "order_id", status=order.status)
    ask_cancel(draft, order, profiles)
    return Done((order.terms.order_no,))


def ask_cancel(draft: Draft, order: Order, profiles: Profiles) -> None:
    """Put a live order into ``pending_cancel``."""
    profile = profiles.get(order.terms.profile)
    assert profile is not None
    wait = latency_ns(draft, profiles, profile, order.terms.order_id, b"latency/cancel")
    draft.emit(e.OrderCancelPending(order.terms.order_no, draft.at + wait))


def cancel_all(draft: Draft, action: CancelAll, world: World, profiles: Profiles) -> Outcome:
    """Ask for a cancel of every live order, oldest first."""
    touched = []
    for order_no in sorted(draft.book.orders):
        order = draft.book.orders[order_no]
        if order.status not in ("pending_cancel", "pending_replace"):
            ask_cancel(draft, order, profiles)
            touched.append(order_no)
    return Done(tuple(touched))


def close_position(draft: Draft, action: ClosePosition, world: World, profiles: Profiles) -> Outcome:
    """A market order against the position, for all of it, a quantity or a percentage."""
    instrument = world.instruments.find(action.symbol)
    position = draft.book.positions.get(instrument.symbol if instrument is not None else action.symbol)
    if position is None:
        draft.emit(e.CommandRefused("position.close", "position_not_found"))
        return refuse("position_not_found", "symbol")
    qty = read_close(position.qty, action.qty, action.percentage)
    if isinstance(qty, Refusal):
        draft.emit(e.CommandRefused("position.close", qty.reason, qty.numbers))
        return qty
    order = PlaceOrder(
        account=action.account,
        symbol=position.symbol,
        qty=qty,
        side="sell" if position.qty > 0 else "buy",
        type="market",
        time_in_force="day",
        client_order_id=action.client_order_id,
    )
    return place(draft, order, world, profiles)
