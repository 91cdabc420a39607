"""An official print meets the orders that wait for it; what becomes of those it never came for (fill model §13).

Invariants: an on-open or on-close order trades in its auction or not at all, and ends with it.
"""

from __future__ import annotations

from actors.book.draft import Draft
from actors.book.evidence import Trail
from actors.book.fills import end_by_time, fill
from actors.book.meet import AWAITING_PRINT, is_fractional, judge, numbers_for, tick_of
from actors.book.rules.admission.switches import reason_to_wait
from actors.book.rules.matching import auctions
from actors.book.rules.matching.market_state import (
    is_short_restricted,
)
from actors.book.rules.matching.model import (
    Situation,
)
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Order, Watch
from actors.market.board import Slot
from actors.market.messages import Auction
from actors.market.world import World


def await_auction(draft: Draft, order: Order, world: World, profiles: Profiles) -> None:
    """An on-open or on-close order is live: it waits for its auction, and not for ever."""
    session = world.session
    assert session is not None
    numbers = numbers_for(order, world.board.slots.get(order.terms.symbol), profiles)
    at = auctions.auction_at(order.terms.time_in_force, session, world.now)
    due_at = at + numbers.auction_wait_ns if numbers.auctions == "print" else at
    draft.watch(order.terms.order_no, Watch(reason=AWAITING_PRINT, due_at=due_at))


def auction_is_over(draft: Draft, order: Order, watch: Watch, world: World, profiles: Profiles) -> None:
    """The time of an auction order has come: it trades at the quote where its profile does so, else it ends."""
    numbers = numbers_for(order, world.board.slots.get(order.terms.symbol), profiles)
    if watch.reason == AWAITING_PRINT and numbers.auctions == "quote":
        due_at = watch.due_at + numbers.auction_wait_ns
        draft.watch(order.terms.order_no, Watch(reason="not_marketable", due_at=due_at))
        judge(draft, order, world, profiles, taking=True, quote_is_new=False)
    else:
        end_by_time(draft, order, "no_auction_print" if order.filled_qty == 0 else "expired")


def meet_auction(draft: Draft, order_no: int, slot: Slot, message: Auction, world: World, profiles: Profiles) -> None:
    """An official print: on-open and on-close orders take part and end; after a halt, all live orders take part."""
    order = draft.book.orders.get(order_no)
    watch = draft.book.watch.get(order_no)
    if order is None or watch is None or not order.activated or (world.switches and reason_to_wait(world)):
        return
    terms = order.terms
    numbers = numbers_for(order, slot, profiles)
    if message.kind == "halt":
        if not watch.newly_live or world.now < order.live_at or world.phase != "core":
            return
    elif terms.time_in_force != auctions.TIME_IN_FORCE[message.kind] or watch.reason != AWAITING_PRINT:
        return
    if numbers.auctions == "quote" or message.size <= 0:
        return
    if message.kind == "halt" and is_short_restricted(slot, world) and terms.position_intent == "sell_to_open":
        return
    fraction = is_fractional(order)
    money = terms.notional - order.filled_money if terms.notional else 0
    buying, tick = terms.side == "buy", tick_of(slot, message.price)
    verdict = auctions.evaluate_auction(
        message.kind, message.price, message.size, buying, order.limit_price, order.leaves_qty, money, tick, fraction,
        numbers,
    )  # fmt: skip
    if verdict.qty:
        quote = slot.quote
        s = Situation(
            buying, order.limit_price == 0, order.limit_price, quote.bid if quote else 0, quote.ask if quote else 0,
            quote.bid_size if quote else 0, quote.ask_size if quote else 0, order.leaves_qty, money, fraction, 0,
            True, order.slice_no, order.last_fill_at, 0, order.collar_price, world.now, False, world.phase != "core",
            tick, slot.option, slot.instrument.multiplier if slot.instrument is not None else 1,
        )  # fmt: skip
        fill(draft, order, slot, s, verdict, world, numbers, Trail(print=message))
    left = draft.book.orders.get(order_no)
    if left is not None and message.kind != "halt":
        end_by_time(draft, left, "expired")
