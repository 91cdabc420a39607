"""How an order fills and how it ends in the market: the only places where either becomes a fact.

Invariants: a fill carries its evidence and is followed by what it does to the position; an order ends exactly once;
whoever waits for an answer about an order that ended (a cancel, a change) gets one.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.evidence import Trail, evidence
from actors.book.rules.booking import book_value
from actors.book.rules.matching.ledger import side_key
from actors.book.rules.matching.model import Situation, Verdict
from actors.book.rules.matching.profiles import Numbers
from actors.book.state.book import Consumed, Order
from actors.book.state.undo import put
from actors.book.units import QTY_PER_SHARE, qty_for_money, value_money
from actors.book.view import buying_power
from actors.market.board import Slot
from actors.market.world import World

_LIQUIDITY = {
    "take": "take",
    "take_slice": "take",
    "parity_partial": "take",
    "auction_open": "auction",
    "auction_close": "auction",
    "auction_halt": "auction",
}


def fill(
    draft: Draft,
    order: Order,
    slot: Slot,
    s: Situation,
    verdict: Verdict,
    world: World,
    numbers: Numbers,
    trail: Trail,
) -> None:
    """Emit the fill with its evidence, what it does to the position, and the end of the order if it is one."""
    terms = order.terms
    instrument = world.instruments.by_symbol[terms.symbol]
    qty = _affordable(draft, order, verdict, world, s)
    if qty <= 0 or (terms.time_in_force == "fok" and qty < order.leaves_qty):
        cancel(draft, order, "buying_power")
        return
    price = verdict.price
    value = value_money(price, qty, s.multiplier)
    filled_qty, filled_money = order.filled_qty + qty, order.filled_money + value
    if terms.notional:
        complete = qty_for_money(terms.notional - filled_money, price) <= 0
    else:
        complete = filled_qty >= terms.qty
    reserved_money = reserved_qty = 0
    if not complete:
        used = (
            value
            if terms.notional
            else max(value if s.buying else 0, value_money(terms.check_price, qty, s.multiplier))
        )
        reserved_money = max(0, order.reserved_money - used)
        if s.option:
            reserved_money = order.reserved_money * (order.leaves_qty - qty) // order.leaves_qty
        reserved_qty = max(0, order.reserved_qty - qty)
    used_after = _consume(draft, terms.symbol, s, verdict, qty, world, numbers)
    watch = draft.book.watch.get(terms.order_no)
    liquidity = _LIQUIDITY.get(verdict.reason, "make") if s.taking or trail.print is not None else "make"
    draft.emit(
        e.OrderFilled(
            terms.order_no, order.fill_count + 1, qty, price, verdict.reason,
            liquidity, "filled" if complete else "partially_filled",
            filled_qty, filled_money, reserved_money, reserved_qty, 0,
            evidence(order, slot, s, verdict, world, numbers, trail, used_after, watch),
        )
    )  # fmt: skip
    draft.emit(
        book_value(draft.book, instrument, s.buying, qty, value, 0, draft.at, terms.order_no, terms.lot_choice)
    )
    if not complete and qty < verdict.qty:
        cancel(draft, order, "buying_power")
    elif complete:
        _answer_pending(draft, order)


def _affordable(draft: Draft, order: Order, verdict: Verdict, world: World, s: Situation) -> int:
    """Quantity of this fill that the account can pay or deliver: all of it unless the price ran away."""
    if order.terms.position_intent.endswith("_to_close"):
        qty = min(verdict.qty, order.reserved_qty)
        if draft.book.type == "cash" and s.option and s.buying:
            free = draft.book.cash - draft.book.reserved_money + order.reserved_money
            most = qty_for_money(max(0, free), verdict.price * s.multiplier)
            qty = min(qty, most - most % QTY_PER_SHARE)
        return qty
    if order.terms.position_intent != "buy_to_open":
        return verdict.qty
    cost = value_money(verdict.price, verdict.qty, s.multiplier)
    if cost <= order.reserved_money:
        return verdict.qty
    free = buying_power(draft.book, world, cost - order.reserved_money) + order.reserved_money
    if draft.book.type == "cash" and not s.option:
        free = draft.book.cash - draft.book.reserved_money + order.reserved_money
    if cost <= free:
        return verdict.qty
    qty = qty_for_money(max(0, free), verdict.price * s.multiplier)
    return min(verdict.qty, qty if s.fraction else qty - qty % QTY_PER_SHARE)


def _consume(
    draft: Draft, symbol: str, s: Situation, verdict: Verdict, qty: int, world: World, numbers: Numbers
) -> int:
    """Take the filled quantity off what the side shows to this account."""
    if not verdict.at_touch or not numbers.consume_half_life_ms:
        return s.used_qty if verdict.at_touch else 0
    used = s.used_qty + qty
    far = s.ask if s.buying else s.bid
    entry = Consumed(far, used, world.now, numbers.consume_half_life_ms)
    put(draft.book.consumed, side_key(symbol, s.buying), entry, draft.undo)
    draft.consumers.append(symbol)
    return used


def cancel(draft: Draft, order: Order, reason: str) -> None:
    """The order ends without more fills, for a reason of its own."""
    draft.emit(e.OrderCanceled(order.terms.order_no, reason))
    _answer_pending(draft, order)


def end_at_once(draft: Draft, order: Order) -> None:
    """IOC and FOK never rest."""
    reason = "fok_unfillable" if order.terms.time_in_force == "fok" else "ioc_remainder"
    draft.emit(e.OrderCanceled(order.terms.order_no, reason))


def end_by_time(draft: Draft, order: Order, reason: str) -> None:
    """The order's time in force is over."""
    draft.emit(e.OrderExpired(order.terms.order_no, reason))
    _answer_pending(draft, order)


def _answer_pending(draft: Draft, order: Order) -> None:
    """Answer a cancel or replace that came too late: the order ended first."""
    terms = order.terms
    if order.status == "pending_cancel":
        draft.emit(e.OrderCancelRejected(terms.order_id, "order_not_open", terms.order_no))
    elif order.status == "pending_replace":
        draft.emit(e.OrderReplaceRejected(terms.order_no, terms.order_id, "order_not_open"))
