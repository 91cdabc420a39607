"""What one account does with a command about orders: place and cancel (alpaca-api §2).

Invariants: nothing here changes a book except by :meth:`Draft.emit`; a refusal leaves only an audit event; a repeat
of an accepted order is answered with it whatever the account may do by now. A reply shows the order as accepted;
whatever the market does with it comes as later events, even at once.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.contingent import accept_exits
from actors.book.draft import Draft
from actors.book.events.base import LotChoice
from actors.book.forced import by_house, refuse_forced
from actors.book.ids import client_key, derive_order_ids
from actors.book.instruments import CONTRACT_SHARES, Instrument, Instruments
from actors.book.latency import kind_of, unit_kind
from actors.book.latency import latency_ns as latency_ns
from actors.book.leg_ids import leg_refusal
from actors.book.osi import is_option_symbol, parse_osi
from actors.book.outcome import Done, Outcome, Placed
from actors.book.rules.admission.check import Need, account_refusal, check
from actors.book.rules.admission.conflicts import (
    auction_at,
    conflict,
    group_refusal,
    related_orders,
    window_refusal,
)
from actors.book.rules.admission.parse import Parsed, parse
from actors.book.rules.admission.switches import exposure_refusal, trading_refusal
from actors.book.rules.admission.unit_form import ParsedUnit
from actors.book.rules.admission.units import check_unit
from actors.book.rules.lots import read_choice
from actors.book.rules.matching.profiles import OPTION, STOCK, Profiles
from actors.book.rules.matrix import AUCTIONS
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.trailing import stop_from
from actors.book.state.book import Book, Order
from actors.book.structures.address import addressed, id_of, legs_alone
from actors.book.units import MONEY_PER_DOLLAR, value_money
from actors.commands import CancelAll, CancelOrder, PlaceOrder
from actors.market.world import World

_GTC_NS = 90 * 86_400 * 1_000_000_000
_AUCTION_WAIT_NS = 30 * 60 * 1_000_000_000
"""How long after its instant an auction may be held at the latest; then its orders expire in any case."""


def time_in_force_ends_at(order: Parsed, world: World) -> int:
    """When the time in force of an order placed now ends; 0 when that is not a moment."""
    session, now = world.session, world.now
    in_force = order.time_in_force
    if session is None or in_force in ("ioc", "fok"):
        return 0
    if in_force == "gtc":
        return session.gtc_expires_at or session.core_closes_at + _GTC_NS
    if in_force in AUCTIONS:
        auction = auction_at(in_force, session, now)
        return auction and auction + _AUCTION_WAIT_NS
    if not order.extended_hours:
        return session.core_closes_at if now < session.core_closes_at else session.next_core_closes_at
    if now < session.post_closes_at:
        return session.post_closes_at
    return session.next_core_closes_at + session.post_closes_at - session.core_closes_at


def place(draft: Draft, action: PlaceOrder, world: World, profiles: Profiles) -> Outcome:
    """Admit an order or say why not; a repeat of an accepted one is answered with the first."""
    outcome = _place(draft, action, world, profiles)
    if type(outcome) is Refusal:
        note_rejected(draft, action, outcome)
    return outcome


def note_rejected(draft: Draft, action: PlaceOrder, refusal: Refusal) -> None:
    """The audit event of an order that was refused."""
    draft.emit(
        e.OrderRejected(
            (action.client_order_id or "")[:128],
            (action.symbol or "")[:24],
            (action.side or "")[:8],
            (action.type or "")[:16],
            (action.qty or action.notional or "")[:24],
            refusal.reason,
            refusal.numbers,
        )
    )


def _place(draft: Draft, action: PlaceOrder, world: World, profiles: Profiles) -> Outcome:
    book = draft.book
    order = parse(action, world.instruments)
    if type(order) is Refusal:
        return repeat_of_unlisted(book, action, world) or account_refusal(book) or order
    key = 0
    if action.client_order_id is not None:
        key = client_key(action.client_order_id)
        first = first_of(book, action.client_order_id, key, order.fingerprint)
        if first is not None:
            return first
    refusal = account_refusal(book)
    if refusal is None and world.switches:
        refusal = trading_refusal(world)
    if refusal is not None:
        return refusal
    admitted = admit(book, order, world)
    if type(admitted) is Refusal:
        return admitted
    order, need = admitted
    choice: LotChoice | Refusal | None = None
    if action.lots is not None or action.lot_method is not None:
        intent = "" if order.order_class else need.intent
        choice = read_choice(book, order.instrument.symbol, intent, order.qty, action.lot_method, action.lots)
    if type(choice) is Refusal:
        return choice
    return accept(
        draft,
        order,
        need,
        action.client_order_id,
        key,
        world,
        profiles,
        lot_choice=choice,
        do_not_reduce=action.do_not_reduce,
    )


def first_of(book: Book, client_order_id: str, key: int, fingerprint: int) -> Placed | Refusal | None:
    """The order that was accepted under this client id before, if there is one."""
    known = book.recent.get(key)
    if known is None and (live_no := book.by_client.get(client_order_id)) is not None:
        known = live_no << 25 | book.orders[live_no].terms.fingerprint
    if known is None:
        return None
    if known & 0x1FFFFFF != fingerprint:
        return refuse("client_order_id_not_unique", "client_order_id")
    live = book.orders.get(known >> 25)
    return Placed(live.terms if live is not None else None, known >> 25, duplicate=True)


def repeat_of_unlisted(book: Book, action: PlaceOrder, world: World) -> Placed | Refusal | None:
    """The order that was accepted before its instrument changed, when this repeats it: a repeat is no new order.

    For an order that cannot be read as it stands; ``None`` when it never could, or when the client id is new.
    """
    client_id = action.client_order_id
    if client_id is None:
        return None
    key = client_key(client_id)
    if key not in book.recent and client_id not in book.by_client:
        return None
    live = book.orders.get(book.recent.get(key, 0) >> 25)
    symbols = [leg.symbol for leg in action.legs or ()] or [action.symbol or ""]
    found = [world.instruments.find(symbol) or _gone(symbol, live) for symbol in symbols]
    if None in found:
        return None
    listed = Instruments(replace(each, active=True, tradable=True, fractionable=True) for each in found if each)
    order = parse(action, listed)
    return None if isinstance(order, Refusal) else first_of(book, client_id, key, order.fingerprint)


def _gone(symbol: str, live: Order | None) -> Instrument | None:
    """An instrument that is not listed at all any more, as far as the words of a live order in it need it."""
    if live is None or live.terms.symbol != symbol:
        return None
    contract = parse_osi(symbol)
    if contract is None:
        return Instrument(live.terms.asset_id, symbol)
    return Instrument(live.terms.asset_id, symbol, "us_option", underlying=contract.root, multiplier=CONTRACT_SHARES)


def admit(book: Book, order: Parsed, world: World) -> tuple[Parsed, Need] | Refusal:
    """Whether this account may have this order now, with what it needs and a trailing stop's first stop."""
    if order.unit is not None:
        found = admit_unit(book, order.unit, world)
        return found if type(found) is Refusal else (order, found)
    refusal: Refusal | None = None
    if order.time_in_force in AUCTIONS:
        refusal = window_refusal(order.time_in_force, world)
    if order.order_class and refusal is None:
        base = order.limit_price or order.stop_price or world.mark(order.instrument.symbol)
        refusal = group_refusal(book, order, base)
    if refusal is not None:
        return refusal
    if order.trail_price or order.trail_ppm:
        trailing = start_trail(order, world.mark(order.instrument.symbol))
        if isinstance(trailing, Refusal):
            return trailing
        order = trailing
    elif order.order_class == "oco":
        # The stop of an exit pair is held against the market as any stop is.
        judged = check(book, replace(order, stop_price=order.exits.stop_loss), world)
        if type(judged) is Refusal and judged.field == "stop_price":
            return replace(judged, field="stop_loss.stop_price")
    need = check(book, order, world)
    if type(need) is Refusal:
        return related_orders(book, need)
    if order.side == "buy" and order.qty and 0 < need.money < MONEY_PER_DOLLAR and order.fractional:
        return refuse("notional_too_small", "qty")
    if world.switches and (refusal := exposure_refusal(world, need.intent)) is not None:
        return refusal
    return conflict(book, order, need.intent) or (order, need)


def admit_unit(
    book: Book, unit: ParsedUnit, world: World, freed_money: int = 0, freed_qty: int = 0, but_not: int = 0
) -> Need | Refusal:
    """Whether this account may have an order of several legs now."""
    need = check_unit(book, unit, world, freed_money, freed_qty, but_not)
    if type(need) is Refusal:
        return related_orders(book, need)
    opening = [intent for intent in need.intents if intent.endswith("_to_open")]
    if (
        world.switches
        and (refusal := exposure_refusal(world, opening[0] if opening else need.intents[0])) is not None
    ):
        return refusal
    if opening and book.ledger().call.state in ("call", "liquidating"):
        return refuse("margin_call")
    return Need(need.money, need.qty, need.check_price, 0, "", need.intents)


def start_trail(order: Parsed, mark: int) -> Parsed | Refusal:
    """A trailing stop with its stop at a high-water mark."""
    if not mark:
        return refuse("no_market_price", "symbol", symbol=order.instrument.symbol)
    stop = stop_from(order.side == "buy", mark, order.trail_price, order.trail_ppm)
    if stop <= 0:
        return refuse("invalid_trail", "trail_price" if order.trail_price else "trail_percent")
    return replace(order, high_water_mark=mark, stop_price=stop)


def accept(
    draft: Draft,
    order: Parsed,
    need: Need,
    client_order_id: str | None,
    key: int,
    world: World,
    profiles: Profiles,
    waits_for: tuple[int, ...] = (),
    structure_no: int = 0,
    lot_choice: LotChoice | None = None,
    do_not_reduce: bool = False,
) -> Placed:
    """The order exists from now on, and so do the exits of its group."""
    book = draft.book
    order_no = book.next_order_no
    order_id, client_id = derive_order_ids(book.seed, book.epoch, order_no, client_order_id)
    profile = profiles.get(book.profile)
    assert profile is not None
    leg = ""
    if order.order_class and order.unit is None:
        leg = "take_profit" if order.order_class == "oco" else "entry"
    kind = OPTION if order.option else STOCK
    symbol, asset_id = order.instrument.symbol, order.instrument.asset_id
    unit_legs: tuple[e.AcceptedLeg, ...] = ()
    if order.unit is not None:
        kind, symbol, asset_id = unit_kind(len(order.unit.legs)), "", ""
        unit_legs = accepted_legs(order.unit, need.intents)
        if book.structures and not structure_no:
            structure_no = addressed(book, unit_legs, order.qty)
    structure_id = ""
    if unit_legs or order.option or structure_no:
        structure_id = id_of(book, structure_no, order_id, need.intents or (need.intent,))
    wait = latency_ns(draft, profiles, profile, order_id, b"latency", kind)
    terms = e.OrderAccepted(
        order_no, order_id, client_id, key or client_key(client_id), order.fingerprint,
        symbol, asset_id, order.side, order.type, order.time_in_force,
        order.qty, order.notional, order.limit_price, order.stop_price, order.extended_hours, need.intent,
        order.order_class, draft.at, draft.at + wait,
        time_in_force_ends_at(order, world), need.money, need.qty, need.check_price, need.collar_price, book.profile,
        0, 0, 0, 0, order.trail_price, order.trail_ppm, order.high_water_mark, order_no if leg else 0, leg, waits_for,
        unit_legs, structure_no, lot_choice, do_not_reduce, structure_id,
    )  # fmt: skip
    draft.emit(terms)
    legs = accept_exits(draft, order, terms) if leg else ()
    return Placed(terms, order_no, legs=legs, warnings=legs_alone(book, terms) if book.structures else ())


def accepted_legs(unit: ParsedUnit, intents: tuple[str, ...]) -> tuple[e.AcceptedLeg, ...]:
    """The legs as the order's terms name them."""
    return tuple(
        e.AcceptedLeg(
            leg.instrument.symbol, leg.instrument.asset_id, "buy" if leg.buying else "sell", leg.ratio, intent,
            leg.instrument.multiplier,
        )
        for leg, intent in zip(unit.legs, intents, strict=True)
    )  # fmt: skip


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
    """Ask for a cancel; it takes effect after the latency of the order's class, and ends the order's whole group.

    An order that is being changed is cancelled too, by either of its names, and the change comes to nothing
    (alpaca-api §2.9 names no state of an open order in which a cancel is refused). An order of the house stays.
    """
    if action.order_id is None and action.client_order_id is None:
        draft.emit(e.OrderCancelRejected("", "order_id_missing"))
        return refuse("order_id_missing", "order_id")
    order = find_live(draft, action.order_id, action.client_order_id) or _being_changed(draft.book, action)
    name = (action.order_id or action.client_order_id or "")[:128]
    if order is None:
        if (refused := leg_refusal(draft.book, name, "leg_not_cancelable")) is not None:
            draft.emit(e.OrderCancelRejected(name, refused.reason))
            return refused
        draft.emit(e.OrderCancelRejected(name, "order_not_found"))
        return refuse("order_not_found", "order_id", order_id=name)
    if by_house(order.terms):
        draft.emit(e.OrderCancelRejected(name, "order_of_house"))
        return refuse_forced(order.terms)
    if order.status == "pending_cancel":
        return Done((order.terms.order_no,))
    ask_cancel(draft, order, profiles)
    return Done((order.terms.order_no,))


def _being_changed(book: Book, action: CancelOrder) -> Order | None:
    """The order whose replacement, still on its way, has the name: the answer to the change gave it out."""
    for order in book.orders.values():
        new = order.replacement if order.status == "pending_replace" else None
        if new is not None and (
            new.order_id == action.order_id
            if action.order_id is not None
            else new.client_order_id == action.client_order_id
        ):
            return order
    return None


def ask_cancel(draft: Draft, order: Order, profiles: Profiles) -> None:
    """Put a live order into ``pending_cancel``; a change that is on its way gives way to it."""
    terms = order.terms
    profile = profiles.get(terms.profile)
    assert profile is not None
    if order.status == "pending_replace":
        draft.emit(
            e.OrderReplaceRejected(terms.order_no, terms.order_id, "cancel_requested", *needed_without_change(order))
        )
    wait = latency_ns(draft, profiles, profile, terms.order_id, b"latency/cancel", kind_of(terms))
    draft.emit(e.OrderCancelPending(terms.order_no, draft.at + wait))


def needed_without_change(order: Order) -> tuple[int, int]:
    """Money and quantity that an order needs when its pending replace comes to nothing."""
    terms = order.terms
    if terms.legs or is_option_symbol(terms.symbol):
        money = min(order.reserved_money, terms.reserved_money * order.leaves_qty // (terms.qty - terms.filled_qty))
    else:
        money = min(order.reserved_money, value_money(terms.check_price, order.leaves_qty))
    return money, min(order.reserved_qty, order.leaves_qty)


def cancel_all(draft: Draft, action: CancelAll, world: World, profiles: Profiles) -> Outcome:
    """Ask for a cancel of every live order, oldest first, also of those that are being changed.

    Orders of the house are left alone, and named.
    """
    touched, left = [], []
    for order_no in sorted(draft.book.orders):
        order = draft.book.orders[order_no]
        if by_house(order.terms):
            left.append((order.terms.order_id, refuse_forced(order.terms)))
        elif order.status != "pending_cancel":
            ask_cancel(draft, order, profiles)
            touched.append(order_no)
    return Done(tuple(touched), tuple(left))
