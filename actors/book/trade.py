"""The life of an accepted order outside the market: going live, being elected, being cancelled, running out.

Invariants: called inside one sequenced input; what an order does in the market is decided in
:mod:`actors.book.meet`, and every fill and end becomes a fact in :mod:`actors.book.fills`. Rule source: fill
model §6, §12, §13.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.book import events as e
from actors.book.contingent import follow_up
from actors.book.draft import Draft
from actors.book.fills import cancel, end_at_once, end_by_time
from actors.book.latency import latency_ns
from actors.book.meet import AWAITING_PRINT, LATENCY, judge, numbers_for
from actors.book.meet_auctions import await_auction
from actors.book.meet_prints import meet_print
from actors.book.rules.admission.switches import reason_to_wait
from actors.book.rules.matching.market_state import AUCTION_TIMES, classify, eligible_phases
from actors.book.rules.matching.model import SESSION_REASONS, collar_of, elects
from actors.book.rules.matching.profiles import Numbers, Profiles
from actors.book.rules.trailing import stop_now
from actors.book.state.book import Order, Watch
from actors.book.trailing import follow_trail
from actors.market.board import Slot
from actors.market.messages import Trade
from actors.market.world import World

_ON_ITS_WAY = SESSION_REASONS | {LATENCY}


def go_live(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """Let an order into the market if its time and the phase allow; judge it against the standing quote."""
    order = draft.book.orders.get(order_no)
    if order is None or world.now < order.live_at:
        return
    terms = order.terms
    watch = draft.book.watch.get(order_no)
    if order.activated and watch is not None and watch.reason not in _ON_ITS_WAY:
        return  # A message of the same instant has met it already.
    if terms.time_in_force in AUCTION_TIMES and world.session is not None:
        if not order.activated:
            draft.emit(e.OrderActivated(order_no))
        if not order.activated or watch is None or not watch.due_at:
            await_auction(draft, draft.book.orders[order_no], world, profiles)
        return
    if terms.stop_price and order.activated and not order.triggered:
        return  # It waits at the broker, in whatever phase; only a print or quote of the core session elects it.
    if world.phase not in eligible_phases(terms.extended_hours):
        if terms.time_in_force in ("ioc", "fok"):
            end_at_once(draft, order)
        elif watch is None or watch.reason not in _ON_ITS_WAY:
            kept = (watch.near_misses, watch.evaluations + 1) if watch is not None else (0, 1)
            draft.watch(order_no, Watch(0, "session", 0, *kept))
        return
    fresh = not order.activated
    if fresh:
        collar = _collar(order, world, profiles) if terms.type == "market" else 0
        draft.emit(e.OrderActivated(order_no, collar))
        order = draft.book.orders[order_no]
    if terms.stop_price and not order.triggered:
        draft.watch(order_no, None)
        return
    arriving = fresh or (watch is not None and watch.reason == LATENCY)
    judge(draft, order, world, profiles, taking=arriving, quote_is_new=False)


def _collar(order: Order, world: World, profiles: Profiles) -> int:
    """Worst price of a market order: the far side at arrival, worsened by the profile's collar."""
    slot = world.board.slots.get(order.terms.symbol)
    if slot is None or slot.quote is None or order.limit_price:
        return 0
    return collar_of(order.terms.side == "buy", slot.quote.bid, slot.quote.ask, numbers_for(order, slot, profiles))


# ── stops ────────────────────────────────────────────────────────────────────────────────────────────────────


def meet_trade(draft: Draft, order_nos: Sequence[int], slot: Slot, world: World, profiles: Profiles) -> None:
    """An eligible print that concerns orders of one account: elect stops, then offer it to what rests."""
    print_ = slot.print
    assert print_ is not None
    if world.switches and reason_to_wait(world):
        return
    for order_no in order_nos:
        order = draft.book.orders.get(order_no)
        if order is not None and order.terms.stop_price and not order.triggered:
            _meet_stop(draft, order, slot, print_, world, profiles)
            follow_up(draft, world, profiles)
    meet_print(draft, order_nos, slot, print_, world, profiles)


def _meet_stop(draft: Draft, order: Order, slot: Slot, print_: Trade, world: World, profiles: Profiles) -> None:
    numbers = numbers_for(order, slot, profiles)
    if not order.activated or world.phase != "core" or elected_by_quote(order, numbers):
        return
    _try_stop(draft, order, print_.price, numbers, world, profiles)


def _try_stop(draft: Draft, order: Order, price: int, numbers: Numbers, world: World, profiles: Profiles) -> None:
    """One price of the trigger's source: a trail's mark moves first, then the stop is looked at."""
    mark = follow_trail(draft, order, price)
    stop_price = stop_now(order, draft.book.watch.get(order.terms.order_no))
    if elects(order.terms.side == "buy", stop_price, price):
        elect(draft, order, price, numbers, world, profiles, (mark, stop_price) if mark else (0, 0))


def elected_by_quote(order: Order, numbers: Numbers) -> bool:
    """Whether the far side of the quote elects a stop instead of a print (exits in careful profiles, §14)."""
    return numbers.exit_stop_trigger == "far" and order.terms.position_intent.endswith("_to_close")


def meet_stop_quote(draft: Draft, order: Order, slot: Slot, world: World, profiles: Profiles) -> None:
    """A quote may elect a stop: its far side must be usable and at or beyond the stop, in the core session."""
    terms = order.terms
    numbers = numbers_for(order, slot, profiles)
    if not order.activated or not elected_by_quote(order, numbers) or world.phase != "core":
        return
    buying = terms.side == "buy"
    if slot.quote is None or classify(slot, world, numbers, buying, False) not in ("valid", "locked", "wide"):
        return
    far = slot.quote.ask if buying else slot.quote.bid
    _try_stop(draft, order, far, numbers, world, profiles)


def elect(
    draft: Draft,
    order: Order,
    price: int,
    numbers: Numbers,
    world: World,
    profiles: Profiles,
    trailed: tuple[int, int] = (0, 0),
) -> None:
    """A stop is elected: it goes to the market with the latency of its class.

    ``trailed`` is a trailing stop's mark and the stop that followed from it.
    """
    terms = order.terms
    limit = 0
    if terms.type == "stop" and terms.side == "buy" and numbers.buy_stop_to_limit:
        limit = terms.collar_price
    profile = profiles.get(terms.profile)
    assert profile is not None
    wait = latency_ns(draft, profiles, profile, terms.order_id, b"latency/trigger")
    draft.emit(e.OrderTriggered(terms.order_no, price, world.tape_seq, draft.at + wait, limit, *trailed))
    draft.watch(terms.order_no, Watch(reason=LATENCY))
    if not wait:
        go_live(draft, terms.order_no, world, profiles)


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


def finish_cancel(draft: Draft, order_no: int) -> None:
    """A pending cancel takes effect."""
    order = draft.book.orders.get(order_no)
    if order is not None and order.status == "pending_cancel" and draft.at >= order.cancel_at:
        draft.emit(e.OrderCanceled(order_no, "user_cancel"))


def expire(draft: Draft, order_no: int) -> None:
    """The order's time in force is over."""
    order = draft.book.orders.get(order_no)
    if order is None or not 0 < order.terms.expires_at <= draft.at:
        return
    watch = draft.book.watch.get(order_no)
    waited = watch is not None and watch.reason == AWAITING_PRINT
    end_by_time(draft, order, "no_auction_print" if waited else "expired")


__all__ = [
    "AWAITING_PRINT",
    "LATENCY",
    "cancel",
    "elect",
    "expire",
    "finish_cancel",
    "go_live",
    "judge",
    "meet_stop_quote",
    "meet_trade",
]
