"""Replacing a live order (alpaca-api §2.8).

Invariants: the replacement has its own id and names the order it replaces; ``qty`` is the new total, fills are
carried over, so leaves = qty - filled; meanwhile the account reserves the larger of both needs; what does not
pass at the moment of effect leaves the old order as it was.
"""

from __future__ import annotations

import msgspec

from actors.book import events as e
from actors.book.decide import admit_unit, find_live, needed_without_change, start_trail, time_in_force_ends_at
from actors.book.draft import Draft
from actors.book.forced import by_house, refuse_forced
from actors.book.ids import client_key, derive_order_ids
from actors.book.latency import kind_of, latency_ns
from actors.book.leg_ids import leg_refusal
from actors.book.meet import judge, place_to_keep
from actors.book.meet_auctions import await_auction
from actors.book.osi import is_option_symbol
from actors.book.outcome import Outcome, Placed
from actors.book.rules.admission.check import Need, account_refusal, buy_stop_collar, check, stop_refusal
from actors.book.rules.admission.conflicts import conflict
from actors.book.rules.admission.parse import Parsed, parse, price_refusal
from actors.book.rules.admission.switches import TRADING, exposure_refusal, trading_refusal
from actors.book.rules.matching.market_state import AUCTION_TIMES
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.trailing import high_water_mark, stop_from, trails
from actors.book.state.book import Book, Order, Watch
from actors.book.structures.address import id_of
from actors.book.units import format_price, format_qty, format_scaled, value_money
from actors.commands import OrderLeg, PlaceOrder, ReplaceOrder
from actors.market.world import World


def replace(draft: Draft, action: ReplaceOrder, world: World, profiles: Profiles) -> Outcome:
    """Ask for a change; the answer is the replacement, which takes effect after the order's latency."""
    target_client = action.client_order_id if action.order_id is None else None
    if action.order_id is None and target_client is None:
        draft.emit(e.OrderReplaceRejected(0, "", "order_id_missing"))
        return refuse("order_id_missing", "order_id")
    order = find_live(draft, action.order_id, target_client)
    name = (action.order_id or action.client_order_id or "")[:128]
    if order is None:
        if (refused := leg_refusal(draft.book, name, "leg_not_replaceable")) is not None:
            draft.emit(e.OrderReplaceRejected(0, name, refused.reason))
            return refused
        draft.emit(e.OrderReplaceRejected(0, name, "order_not_found"))
        return refuse("order_not_found", "order_id", order_id=name)
    outcome = _prepare(draft, order, action, world)
    if isinstance(outcome, Refusal):
        # A rejection that names the order would end the change that is already under way.
        order_no = order.terms.order_no if order.status != "pending_replace" else 0
        draft.emit(e.OrderReplaceRejected(order_no, name, outcome.reason, order.reserved_money, order.reserved_qty))
        return outcome
    return _ask(draft, order, action, outcome[0], outcome[1], world, profiles)


def _prepare(draft: Draft, order: Order, action: ReplaceOrder, world: World) -> tuple[Parsed, Need] | Refusal:
    terms = order.terms
    if by_house(terms):
        return refuse_forced(terms)
    if (refusal := account_refusal(draft.book)) is not None:
        return refusal
    if world.switches and (refusal := trading_refusal(world)) is not None:
        return refusal
    if order.status not in ("new", "partially_filled") and not (order.status == "held" and terms.leg):
        return refuse("order_not_replaceable", "order_id", status=order.status)
    if order.triggered:
        return refuse("order_not_replaceable", "order_id", status="triggered")
    if terms.notional:
        return refuse("notional_not_replaceable", "qty")
    if terms.group_no and action.qty is not None:
        return refuse("qty_of_group", "qty")
    if action.trail is not None and not trails(terms):
        return refuse("trail_kind", "trail")
    if action.limit_price is not None and not terms.limit_price and not (terms.legs and terms.type == "limit"):
        return price_refusal(terms.type, "limit_price")
    if action.stop_price is not None and (not terms.stop_price or trails(terms)):
        return price_refusal(terms.type, "stop_price")
    new_client_id = action.client_order_id if action.order_id is not None else None
    book = draft.book
    if new_client_id is not None and (client_key(new_client_id) in book.recent or new_client_id in book.by_client):
        return refuse("client_order_id_not_unique", "client_order_id")
    if terms.legs:
        return _compare_unit(book, order, action, new_client_id, world)
    order_new = parse(
        PlaceOrder(
            symbol=terms.symbol,
            qty=action.qty or format_qty(terms.qty),
            side=terms.side,
            type=terms.type,
            time_in_force=action.time_in_force or terms.time_in_force,
            limit_price=action.limit_price or (format_price(terms.limit_price) if terms.limit_price else None),
            stop_price=_stop_text(terms, action),
            trail_price=(action.trail or format_price(terms.trail_price)) if terms.trail_price else None,
            trail_percent=(action.trail or format_scaled(terms.trail_ppm, 4)) if terms.trail_ppm else None,
            extended_hours=terms.extended_hours,
            client_order_id=new_client_id,
        ),
        world.instruments,
    )
    if isinstance(order_new, Refusal):
        return order_new
    if terms.group_no and order_new.time_in_force != terms.time_in_force:
        return refuse("invalid_time_in_force", "time_in_force")
    return _compare(draft, order, order_new, world)


def _compare_unit(
    book: Book, order: Order, action: ReplaceOrder, client_id: str | None, world: World
) -> tuple[Parsed, Need] | Refusal:
    """A change of quantity or net limit of an order of several legs."""
    terms = order.terms
    limit = action.limit_price or format_price(terms.limit_price)
    new = parse(
        PlaceOrder(
            qty=action.qty or format_qty(terms.qty),
            type=terms.type,
            time_in_force=action.time_in_force or terms.time_in_force,
            limit_price=limit if terms.type == "limit" else None,
            client_order_id=client_id,
            order_class="mleg",
            any_sign=action.any_sign,
            legs=tuple(OrderLeg(symbol=leg.symbol, ratio_qty=str(leg.ratio), side=leg.side) for leg in terms.legs),
        ),
        world.instruments,
    )
    if isinstance(new, Refusal):
        return new
    assert new.unit is not None
    if (new.qty, new.limit_price) == (terms.qty, terms.limit_price):
        return refuse("nothing_changed")
    if new.qty <= order.filled_qty:
        return refuse("qty_not_above_filled", "qty", qty=format_qty(new.qty), filled_qty=format_qty(order.filled_qty))
    leaves = msgspec.structs.replace(new.unit, qty=new.qty - order.filled_qty)
    need = admit_unit(book, leaves, world, order.reserved_money, order.reserved_qty, terms.order_no)
    if isinstance(need, Refusal):
        return need
    if need.intents != tuple(leg.position_intent for leg in terms.legs) and order.filled_qty == 0:
        return refuse("order_not_replaceable", "order_id", status=order.status)
    return new, need


def _stop_text(terms: e.OrderAccepted, action: ReplaceOrder) -> str | None:
    if not terms.stop_price or trails(terms):
        return None
    return action.stop_price or format_price(terms.stop_price)


def _compare(draft: Draft, order: Order, new: Parsed, world: World) -> tuple[Parsed, Need] | Refusal:
    terms, book = order.terms, draft.book
    same = (new.qty, new.limit_price, new.stop_price, new.time_in_force, new.trail_price, new.trail_ppm) == (
        terms.qty, terms.limit_price, 0 if trails(terms) else terms.stop_price, terms.time_in_force,
        terms.trail_price, terms.trail_ppm,
    )  # fmt: skip
    if same:
        return refuse("nothing_changed")
    if new.qty <= order.filled_qty:
        return refuse("qty_not_above_filled", "qty", qty=format_qty(new.qty), filled_qty=format_qty(order.filled_qty))
    if trails(terms):
        trailing = start_trail(new, high_water_mark(order, book.watch.get(terms.order_no)))
        if isinstance(trailing, Refusal):
            return trailing
        new = trailing
    if terms.group_no and (refusal := _out_of_line(book, order, new)) is not None:
        return refusal
    if terms.leg in ("take_profit", "stop_loss"):
        if (refusal := stop_refusal(new, world)) is not None and order.reserved_qty:
            return refusal
        collar = buy_stop_collar(new.stop_price) if new.type == "stop" and new.side == "buy" else 0
        return new, Need(0, order.reserved_qty, terms.check_price, collar, terms.position_intent)
    leaves = msgspec.structs.replace(new, qty=new.qty - order.filled_qty, position_intent="")
    need = check(book, leaves, world, order.reserved_money, order.reserved_qty, terms.order_no)
    if isinstance(need, Refusal):
        return need
    more = need.money > order.reserved_money or need.qty > order.reserved_qty
    if world.switches and (refusal := exposure_refusal(world, need.intent, more=more)) is not None:
        return refusal
    if not terms.group_no and (refusal := conflict(book, new, need.intent, but_not=terms.order_no)) is not None:
        return refusal
    return new, need


def _out_of_line(book: Book, order: Order, new: Parsed) -> Refusal | None:
    """The exits of a group stay on the right sides of each other."""
    terms = order.terms
    prices = {terms.leg: new.stop_price if terms.leg == "stop_loss" else new.limit_price}
    for order_no in book.groups[terms.group_no].members:
        other = book.orders[order_no].terms
        prices.setdefault(other.leg, other.stop_price if other.leg == "stop_loss" else other.limit_price)
    profit, loss = prices.get("take_profit", 0), prices.get("stop_loss", 0)
    above = (terms.side == "buy") == (terms.leg == "entry")
    if profit and loss and (profit <= loss if above else profit >= loss):
        return refuse("exits_crossed", "limit_price" if terms.leg != "stop_loss" else "stop_price",
                      relation=">" if above else "<")  # fmt: skip
    return None


def _ask(
    draft: Draft, order: Order, action: ReplaceOrder, new: Parsed, need: Need, world: World, profiles: Profiles
) -> Outcome:
    book, old = draft.book, order.terms
    profile = profiles.get(old.profile)
    assert profile is not None
    order_no = book.next_order_no
    order_id, derived = derive_order_ids(book.seed, book.epoch, order_no)
    client_id = action.client_order_id if action.order_id is not None and action.client_order_id else derived
    effective_at = draft.at + latency_ns(draft, profiles, profile, order_id, b"latency", kind_of(old))
    terms = msgspec.structs.replace(
        old,
        order_no=order_no,
        order_id=order_id,
        client_order_id=client_id,
        client_key=client_key(client_id),
        fingerprint=new.fingerprint,
        time_in_force=new.time_in_force,
        qty=new.qty,
        limit_price=new.limit_price,
        stop_price=new.stop_price,
        trail_price=new.trail_price,
        trail_ppm=new.trail_ppm,
        high_water_mark=new.high_water_mark,
        submitted_at=draft.at,
        live_at=effective_at,
        expires_at=(old.expires_at if new.time_in_force == old.time_in_force else time_in_force_ends_at(new, world)),
        reserved_money=need.money,
        reserved_qty=need.qty,
        check_price=need.check_price,
        collar_price=need.collar_price,
        replaces=old.order_no,
    )
    draft.emit(
        e.OrderReplacePending(
            old.order_no,
            effective_at,
            max(order.reserved_money, need.money),
            max(order.reserved_qty, need.qty),
            terms,
        )
    )
    return Placed(terms, order_no)


def finish_replace(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """A pending replace takes effect, or is refused because the order filled or was elected meanwhile."""
    order = draft.book.orders.get(order_no)
    if order is None or order.status != "pending_replace" or draft.at < order.replace_at:
        return
    new = order.replacement
    assert new is not None
    reason = "order_not_replaceable" if order.triggered else ""
    if new.qty <= order.filled_qty:
        reason = "qty_not_above_filled"
    if TRADING in world.switches:
        reason = TRADING
    if reason:
        draft.emit(e.OrderReplaceRejected(order_no, order.terms.order_id, reason, *needed_without_change(order)))
        return
    leaves_share = new.qty - order.filled_qty
    if new.legs or is_option_symbol(new.symbol):
        money = min(order.reserved_money, new.reserved_money)
    else:
        money = min(order.reserved_money, value_money(new.check_price, leaves_share)) if new.reserved_money else 0
    qty = min(new.reserved_qty, leaves_share) if new.reserved_qty else 0
    no = new.structure_no or (order_no if order_no in draft.book.structures else 0)
    structure_id = new.structure_id
    if structure_id:
        intents = [leg.position_intent for leg in new.legs] or [new.position_intent]
        structure_id = id_of(draft.book, no, new.order_id, intents)
    terms = msgspec.structs.replace(
        new,
        filled_qty=order.filled_qty,
        filled_money=order.filled_money,
        fill_count=order.fill_count,
        reserved_money=money,
        reserved_qty=qty,
        structure_no=no,
        structure_id=structure_id,
    )
    if trails(terms):
        mark = high_water_mark(order, draft.book.watch.get(order_no))
        stop = stop_from(terms.side == "buy", mark, terms.trail_price, terms.trail_ppm)
        terms = msgspec.structs.replace(terms, high_water_mark=mark, stop_price=max(1, stop))
    waited = draft.book.watch.get(order_no)
    kept = place_to_keep(draft, order, terms.limit_price, terms.qty)
    draft.emit(e.OrderReplaced(order_no, terms))
    if kept is not None:
        draft.watch(terms.order_no, kept)
    live = draft.book.orders[terms.order_no]
    if terms.time_in_force in AUCTION_TIMES and world.session is not None and live.status != "held":
        _wait_for_auction(draft, order, live, waited, world, profiles)
    elif not live.terms.stop_price and live.status != "held":
        judge(draft, live, world, profiles, taking=True, quote_is_new=False)


def _wait_for_auction(
    draft: Draft, old: Order, live: Order, waited: Watch | None, world: World, profiles: Profiles
) -> None:
    """The changed order waits for the auction of the first one, or for that of its new time in force."""
    if waited is None or not waited.due_at or old.terms.time_in_force != live.terms.time_in_force:
        await_auction(draft, live, world, profiles)
        return
    draft.watch(live.terms.order_no, waited)
    judge(draft, live, world, profiles, taking=True, quote_is_new=False)
