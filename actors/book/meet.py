"""A live order meets the market: a quote, a print, an auction, or a change of what the standing quote is worth.

Invariants: called inside one sequenced input, so every figure it uses is of one moment; each evaluation that does
not fill leaves its reason on the order's watch; a print is used at most once by an account, best price and then
oldest order first. Rule source: fill model §6–§10, §13. Known limit: one instrument an order.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book.draft import Draft
from actors.book.evidence import Trail
from actors.book.fills import cancel, end_at_once, end_by_time, fill
from actors.book.ids import draw_u64
from actors.book.rules.matching import auctions, prints, queue
from actors.book.rules.matching.ledger import side_key, used_qty
from actors.book.rules.matching.market_state import (
    AUCTION_TIMES,
    PRINTS_COUNT,
    USABLE,
    band_price,
    classify,
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
from actors.book.units import QTY_PER_SHARE, qty_for_money
from actors.market.board import Slot
from actors.market.messages import Auction, Trade
from actors.market.world import Trace, World

LATENCY = "latency"
"""Reason of a triggered stop on its way to the market."""
AWAITING_PRINT = "awaiting_print"
"""Reason of an order that waits for an auction."""
_NO_WATCH = Watch()
_PLAIN = Trail()


def numbers_for(order: Order, slot: Slot | None, profiles: Profiles) -> Numbers:
    """The profile's numbers for the order's class of instrument."""
    return profiles.numbers(order.terms.profile, OPTION if slot is not None and slot.option else STOCK)


def is_waiting_outside(order: Order, watch: Watch | None) -> bool:
    """Whether an order is not in the market: not live yet, not elected, on its way, or waiting for an auction."""
    if not order.activated or (order.terms.stop_price and not order.triggered):
        return True
    return watch is not None and watch.reason in (LATENCY, AWAITING_PRINT, "session")


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
    if not buying and slot.status is not None and slot.status.short_restricted:
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
        terms.notional > 0 or terms.qty % QTY_PER_SHARE != 0,
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
    watch = draft.book.watch.get(order.terms.order_no) or _NO_WATCH
    place, quote = watch.place, slot.quote if slot is not None else None
    if (
        is_new
        and place is not None
        and quote is not None
        and slot is not None
        and place.epoch == world.board.rejoins + slot.rejoins
    ):
        buying = order.terms.side == "buy"
        near, size = (quote.bid, quote.bid_size) if buying else (-quote.ask, quote.ask_size)
        cost = place.price if buying else -place.price
        place = queue.follow_quote(place, cost, near if near else None, size, numbers)
    stopped = slot is not None and slot.status is not None and slot.status.state != "trading"
    due_at = watch.due_at if order.terms.time_in_force in AUCTION_TIMES else 0
    draft.watch(
        order.terms.order_no,
        Watch(
            0, state, due_at, watch.near_misses, watch.evaluations + 1, place, 0, False, watch.collar_price,
            watch.newly_live or (state == "halted" and stopped), watch.gap_at,
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


# ── prints ───────────────────────────────────────────────────────────────────────────────────────────────────


def meet_print(
    draft: Draft, order_nos: list[int], slot: Slot, print_: Trade, world: World, profiles: Profiles
) -> None:
    """An eligible print reaches resting orders of one account: the best price first, then the oldest."""
    orders = draft.book.orders
    resting = []
    for order_no in order_nos:
        order = orders.get(order_no)
        if order is None or world.now < order.live_at or order.terms.time_in_force in ("ioc", "fok"):
            continue
        watch = draft.book.watch.get(order_no)
        if is_waiting_outside(order, watch):
            continue
        price = watch.place.price if watch is not None and watch.place is not None else order.limit_price
        if price:
            resting.append((-price if order.terms.side == "buy" else price, order_no))
    resting.sort()
    taken = 0
    for _, order_no in resting:
        order = orders.get(order_no)
        if order is not None:
            taken += _offer_print(draft, order, slot, print_, taken, world, profiles)


def _offer_print(
    draft: Draft, order: Order, slot: Slot, print_: Trade, taken_qty: int, world: World, profiles: Profiles
) -> int:
    """What one order makes of a print of which this account has taken some already; returns what it takes."""
    terms = order.terms
    numbers = numbers_for(order, slot, profiles)
    buying = terms.side == "buy"
    state = classify(slot, world, numbers, buying, terms.extended_hours)
    if state not in PRINTS_COUNT or slot.quote is None:
        return 0
    watch = draft.book.watch.get(terms.order_no)
    s, reserve_draw = look(draft, order, slot, world, numbers, watch, state, False, False)
    if s.market:
        return 0
    price = min(s.limit_price, s.band_price or s.limit_price) if buying else max(s.limit_price, s.band_price)
    ahead = print_.price - price if buying else price - print_.price
    if ahead > 0:
        return 0
    epoch = world.board.rejoins + slot.rejoins
    place = watch.place if watch is not None else None
    if place is not None and (place.price != price or place.epoch != epoch):
        place = None
    rest_size = max(0, print_.size - -(-taken_qty // QTY_PER_SHARE))
    left = prints.usable_size(print_.size, numbers, world.is_bar_tape(slot), s.extended) * QTY_PER_SHARE - taken_qty
    offered, after, reason = 0, place, "print_through"
    if ahead < 0:
        offered = rest_size
        after = replace(place, ahead_size=0) if place is not None else None
    else:
        contra = prints.SELLER if buying else prints.BUYER
        if place is None or prints.aggressor(print_.price, slot.quote) not in (contra, prints.EITHER):
            return 0
        offered, after = queue.after_print(place, rest_size)
        reason = "queue"
    wanted = s.leaves_qty or qty_for_money(s.leaves_money, price)
    qty = min(wanted, offered * QTY_PER_SHARE, max(0, left))
    if numbers.print_fills == "no" or (numbers.print_fills == "through" and reason == "queue"):
        qty = 0
    if not s.fraction:
        qty -= qty % QTY_PER_SHARE
    filled = 0
    if qty:
        before = place.ahead_size if place is not None else queue.UNKNOWN
        trail = Trail(
            state, 0, 0, reserve_draw, place.level if place is not None else queue.BEHIND, before,
            after.ahead_size if after is not None else queue.UNKNOWN, print_, left, rest_size,
        )  # fmt: skip
        near, far = (s.bid, s.ask) if buying else (-s.ask, -s.bid)
        cost = price if buying else -price
        verdict = Verdict(reason, qty, price, near, far, theta_of(cost, near, far), 0, left, at_touch=False)
        already = order.filled_qty
        fill(draft, order, slot, s, verdict, world, numbers, trail)
        still = draft.book.orders.get(terms.order_no)
        filled = still.filled_qty - already if still is not None else qty
    if terms.order_no in draft.book.orders and after is not place and watch is not None:
        draft.watch(terms.order_no, replace(watch, place=after))
    return filled


# ── auctions ─────────────────────────────────────────────────────────────────────────────────────────────────


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
    if order is None or watch is None or not order.activated:
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
    if message.kind == "halt" and is_short_restricted(slot) and terms.position_intent == "sell_to_open":
        return
    fraction = terms.notional > 0 or terms.qty % QTY_PER_SHARE != 0
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


def place_to_keep(draft: Draft, order: Order, limit_price: int, qty: int) -> Watch | None:
    """What an order's replacement keeps of its watch: its place, if only the quantity gets smaller (§6)."""
    watch = draft.book.watch.get(order.terms.order_no)
    if watch is None or watch.place is None or limit_price != order.terms.limit_price or qty >= order.terms.qty:
        return None
    return Watch(reason="not_marketable", place=watch.place, gap_at=watch.gap_at)


__all__ = [
    "AWAITING_PRINT",
    "LATENCY",
    "auction_is_over",
    "await_auction",
    "cancel",
    "evaluate",
    "judge",
    "meet_auction",
    "meet_change",
    "meet_print",
    "meet_quote",
    "place_to_keep",
]
