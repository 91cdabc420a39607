"""A live order meets a quote, or a change of what the standing quote is worth.

Invariants: called inside one sequenced input, so every figure it uses is of one moment; each evaluation that does
not fill leaves its reason on the order's watch. Rule source: fill model §6–§10, §13. Known limit: one instrument an
order.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book.draft import Draft
from actors.book.evidence import Trail
from actors.book.fills import end_at_once, fill
from actors.book.ids import draw_u64
from actors.book.latency import kind_of
from actors.book.meet_units import judge_unit
from actors.book.rules.matching import queue
from actors.book.rules.matching.ledger import side_key, used_qty
from actors.book.rules.matching.market_state import (
    AUCTION_TIMES,
    USABLE,
    band_price,
    classify,
    eligible_phases,
    is_short_restricted,
)
from actors.book.rules.matching.model import (
    PPM,
    Situation,
    Verdict,
    collar_of,
    evaluate,
    random_part,
    reservation_ppm,
    theta_of,
)
from actors.book.rules.matching.profiles import OPTION, STOCK, Numbers, Profiles
from actors.book.state.book import Order, Place, Watch
from actors.book.units import QTY_PER_SHARE
from actors.market.board import Slot
from actors.market.world import Trace, World

LATENCY = "latency"
"""Reason of a triggered stop on its way to the market."""
AWAITING_PRINT = "awaiting_print"
"""Reason of an order that waits for an auction."""
_NO_WATCH = Watch()


def numbers_for(order: Order, slot: Slot | None, profiles: Profiles) -> Numbers:
    """The profile's numbers for the order's class of instrument."""
    if order.terms.legs:
        return profiles.numbers(order.terms.profile, kind_of(order.terms))
    return profiles.numbers(order.terms.profile, OPTION if slot is not None and slot.option else STOCK)


def is_waiting_outside(order: Order, watch: Watch | None) -> bool:
    """Whether an order is not in the market: not live yet, not elected, on its way, or waiting for an auction.

    One that noted that it waits for its phase is in the market as soon as the phase has begun; the class of the quote
    says whether it has.
    """
    if not order.activated or (order.terms.stop_price and not order.triggered):
        return True
    return watch is not None and watch.reason in (LATENCY, AWAITING_PRINT)


def meet_quote(draft: Draft, order_no: int, world: World, profiles: Profiles, quote_is_new: bool = True) -> None:
    """A new quote that concerns a live order."""
    order = draft.book.orders.get(order_no)
    if order is None or not order.activated or world.now < order.live_at:
        return
    if order.terms.stop_price and not order.triggered:
        return
    judge(draft, order, world, profiles, taking=False, quote_is_new=quote_is_new)


def meet_change(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """The standing quote may be worth something else now (status, phase, feed); it is no new quote."""
    meet_quote(draft, order_no, world, profiles, quote_is_new=False)


def judge(draft: Draft, order: Order, world: World, profiles: Profiles, taking: bool, quote_is_new: bool) -> None:
    """Evaluate a live order against the standing quote: fill it, end it, or note why it waits."""
    terms = order.terms
    if terms.legs:
        judge_unit(draft, order, world, profiles.numbers(terms.profile, kind_of(terms)), taking, quote_is_new)
        return
    slot = world.board.slots.get(terms.symbol)
    numbers = numbers_for(order, slot, profiles)
    watch = draft.book.watch.get(terms.order_no)
    if watch is not None and watch.reason == AWAITING_PRINT:
        return
    anywhere = terms.extended_hours or terms.time_in_force in AUCTION_TIMES
    state = classify(slot, world, numbers, terms.side == "buy", anywhere)
    at_once = terms.time_in_force in ("ioc", "fok")
    if slot is None or state not in USABLE:
        if at_once:
            end_at_once(draft, order)
        else:
            _wait_unusable(draft, order, slot, world, numbers, state, quote_is_new)
        return
    if watch is not None and watch.newly_live:
        taking = True
    s, reserve_draw = look(draft, order, slot, world, numbers, watch, state, taking, quote_is_new)
    verdict = evaluate(s, numbers)
    if terms.time_in_force == "fok" and verdict.qty < (s.leaves_qty or 1):
        end_at_once(draft, order)
        return
    place = None if s.market else _place(s, slot, world, numbers, watch, quote_is_new)
    left = order
    if verdict.qty:
        verdict, trail = _draws(draft, order, verdict, numbers, state, reserve_draw, place)
        fill(draft, order, slot, s, verdict, world, numbers, trail)
        if terms.order_no not in draft.book.orders:
            return
        left = draft.book.orders[terms.order_no]
    if at_once:
        end_at_once(draft, left)
        return
    _wait(draft, left, world, s, verdict, state, place)


def look(
    draft: Draft, order: Order, slot: Slot, world: World, numbers: Numbers, watch: Watch | None, state: str,
    taking: bool, quote_is_new: bool,
) -> tuple[Situation, int]:  # fmt: skip
    """The plain numbers of one order against the standing quote, and the draw of its reservation."""
    terms, quote, instrument = order.terms, slot.quote, slot.instrument
    assert quote is not None
    buying = terms.side == "buy"
    limit, converted = order.limit_price, False
    if not buying and (slot.status is not None or world.officials) and is_short_restricted(slot, world):
        limit, converted = _above_bid(order, slot, quote.bid, watch)
    market = limit == 0
    far = quote.ask if buying else quote.bid
    collar = order.collar_price
    if market and not collar:
        collar = watch.collar_price if watch is not None and watch.collar_price else 0
        collar = collar or collar_of(buying, quote.bid, quote.ask, numbers)
    reserve_draw = reserve = 0
    if numbers.inside_cap_ppm and not market:
        book = draft.book
        reserve_draw = draw_u64(book.seed, book.epoch, numbers.hashed, terms.order_id, b"reservation")
        reserve = reservation_ppm(reserve_draw, numbers)
    consumed = draft.book.consumed.get(side_key(terms.symbol, buying)) if draft.book.consumed else None
    return Situation(
        buying, market, limit, quote.bid, quote.ask, quote.bid_size, quote.ask_size,
        order.leaves_qty, terms.notional - order.filled_money if terms.notional else 0,
        is_fractional(order),
        used_qty(consumed, far, world.now, numbers.consume_half_life_ms), taking or market, order.slice_no,
        order.last_fill_at, watch.cond_since if watch is not None else 0, collar, world.now,
        quote_is_new, world.phase != "core", tick_of(slot, far), slot.option,
        instrument.multiplier if instrument is not None else 1, state == "wide", band_price(slot, buying), converted,
        reserve, watch.inside_since if watch is not None else 0,
        taking or (watch is not None and watch.inside_from_start),
    ), reserve_draw  # fmt: skip


def tick_of(slot: Slot, price: int) -> int:
    """Step of order prices at a price."""
    instrument = slot.instrument
    if slot.option:
        return instrument.tick_price if instrument is not None else 100
    return (instrument.tick_price if instrument is not None else 100) if price >= 10_000 else 1


def _above_bid(order: Order, slot: Slot, bid: int, watch: Watch | None) -> tuple[int, bool]:
    """The limit of a short sale under the restriction: its own where that is above the bid, else a tick above it."""
    if order.terms.position_intent != "sell_to_open" or slot.option or bid <= 0 or order.limit_price > bid:
        return order.limit_price, False
    held = watch.place.price if watch is not None and watch.place is not None else 0
    return (held if held > bid else bid + tick_of(slot, bid)), True


def _place(s: Situation, slot: Slot, world: World, numbers: Numbers, watch: Watch | None, is_new: bool) -> Place:
    """The order's place in the queue after this look at the quote."""
    price = s.limit_price
    if s.band_price:
        price = min(price, s.band_price) if s.buying else max(price, s.band_price)
    near, size = (s.bid, s.bid_size) if s.buying else (-s.ask, s.ask_size)
    near_cost = near if near else None
    limit_cost = price if s.buying else -price
    epoch = world.board.rejoins + slot.rejoins
    place = watch.place if watch is not None else None
    if place is None or place.price != price or place.epoch != epoch:
        return queue.enter(price, limit_cost, near_cost, size, numbers, epoch)
    return queue.follow_quote(place, limit_cost, near_cost, size, numbers) if is_new else place


def standing(order: Order, watch: Watch | None, slot: Slot, world: World) -> Place | None:
    """The place that a live order had at the last look.

    A limit without a watch stands behind the near side: nothing was worth noting.
    """
    if watch is not None or not order.limit_price:
        return watch.place if watch is not None else None
    return Place(queue.BEHIND, order.limit_price, queue.UNKNOWN, 0, 0, world.board.rejoins + slot.rejoins)


def is_fractional(order: Order) -> bool:
    """Whether parts of a share may trade: it is for one, or one is left since its quantity was changed."""
    terms = order.terms
    return terms.notional > 0 or terms.qty % QTY_PER_SHARE != 0 or order.leaves_qty % QTY_PER_SHARE != 0


def _draws(
    draft: Draft, order: Order, verdict: Verdict, numbers: Numbers, state: str, reserve_draw: int, place: Place | None
) -> tuple[Verdict, Trail]:
    """Let chance make a fill partial where the profile says so, and note what was drawn; a FOK stays whole."""
    draw = draw_size = 0
    if numbers.partial_ppm and order.terms.time_in_force != "fok":
        book, count = draft.book, order.fill_count
        draw = draw_u64(book.seed, book.epoch, numbers.hashed, order.terms.order_id, b"partial", count)
        if draw % PPM < numbers.partial_ppm:
            draw_size = draw_u64(book.seed, book.epoch, numbers.hashed, order.terms.order_id, b"partial_size", count)
            verdict = replace(verdict, qty=random_part(verdict.qty, draw_size), reason="parity_partial")
    level = place.level if place is not None and verdict.reason in ("far_through", "inside") else ""
    return verdict, Trail(state, draw, draw_size, reserve_draw, level)


def _wait_unusable(
    draft: Draft, order: Order, slot: Slot | None, world: World, numbers: Numbers, state: str, is_new: bool
) -> None:
    """The quote may not be used: nothing that was being measured on it goes on, but the queue does."""
    known = draft.book.watch.get(order.terms.order_no)
    watch = known or _NO_WATCH
    place, quote = watch.place, slot.quote if slot is not None else None
    if is_new and quote is not None and slot is not None:
        place = standing(order, known, slot, world)
        if place is not None and place.epoch == world.board.rejoins + slot.rejoins:
            buying = order.terms.side == "buy"
            near, size = (quote.bid, quote.bid_size) if buying else (-quote.ask, quote.ask_size)
            cost = place.price if buying else -place.price
            place = queue.follow_quote(place, cost, near if near else None, size, numbers)
    stopped = slot is not None and slot.status is not None and slot.status.state != "trading"
    # A halt outside its phases is none for an order that is not in the market.
    in_phase = world.phase in eligible_phases(order.terms.extended_hours)
    due_at = watch.due_at if order.terms.time_in_force in AUCTION_TIMES else 0
    draft.watch(
        order.terms.order_no,
        Watch(
            0, state, due_at, watch.near_misses, watch.evaluations + 1, place, 0, False, watch.collar_price,
            watch.newly_live or (stopped and state == "halted" and in_phase), watch.gap_at,
        ),
    )  # fmt: skip
    world.trace((draft.book.account_no, order.terms.order_no), Trace(world.now, state, state, 0, 0, 0))


def _wait(
    draft: Draft, order: Order, world: World, s: Situation, verdict: Verdict, state: str, place: Place | None
) -> None:
    """Note why an order waits, since when its conditions have held, and its place in the queue."""
    terms = order.terms
    order_no = terms.order_no
    watch = draft.book.watch.get(order_no)
    reason = verdict.reason
    if verdict.qty:
        reason = "dwell" if verdict.reason == "inside" else "reslice"
    if watch is None:
        if reason == "not_marketable" and place is not None and place.level == queue.BEHIND:
            return
        watch = _NO_WATCH
    if reason == "not_marketable" and place is not None and place.level == queue.JOINED and place.ahead_size > 0:
        reason = "queue_ahead"
    inside_since = 0
    if verdict.inside:
        inside_since = world.now if verdict.qty else watch.inside_since or world.now
    limit_cost = s.limit_price if s.buying else -s.limit_price
    away = verdict.far - limit_cost if s.limit_price else 0
    missed = not verdict.qty and (verdict.condition or verdict.inside or (s.limit_price > 0 and away <= s.tick_price))
    due_at = watch.due_at if terms.time_in_force in AUCTION_TIMES else verdict.due_at
    draft.watch(
        order_no,
        Watch(
            (watch.cond_since or world.now) if verdict.condition else 0, reason, due_at,
            watch.near_misses + missed, watch.evaluations + 1, place, inside_since,
            verdict.inside and s.inside_from_start, s.collar_price if s.market else 0, False, watch.gap_at,
        ),
    )  # fmt: skip
    if not verdict.qty:
        theta = theta_of(limit_cost, verdict.near, verdict.far) if s.limit_price else PPM
        entry = Trace(world.now, reason, state, verdict.far if s.buying else -verdict.far, away, theta)
        world.trace((draft.book.account_no, order_no), entry)


def place_to_keep(draft: Draft, order: Order, limit_price: int, qty: int) -> Watch | None:
    """What an order's replacement keeps of its watch: its place, if only the quantity gets smaller (§6)."""
    watch = draft.book.watch.get(order.terms.order_no)
    if watch is None or watch.place is None or limit_price != order.terms.limit_price or qty >= order.terms.qty:
        return None
    return Watch(reason="not_marketable", place=watch.place, gap_at=watch.gap_at)
