"""What happens to an order once it is accepted: going live, meeting the market, ending.

Invariants: called inside one sequenced input, so every figure it uses is of one moment; each evaluation that
does not fill leaves its reason on the order's watch; an order ends exactly once. Rule source: fill model §6–§10,
§12, §13.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import MODEL_VERSION, draw_u64
from actors.book.latency import latency_ns
from actors.book.rules.admission.switches import reason_to_wait
from actors.book.rules.booking import book_fill
from actors.book.rules.matching.ledger import side_key, used_qty
from actors.book.rules.matching.market_state import classify, eligible_phases
from actors.book.rules.matching.model import Situation, Verdict, elects, evaluate
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.rules.trailing import stop_now
from actors.book.state.book import Consumed, Order, Watch
from actors.book.state.undo import put
from actors.book.trailing import follow_trail
from actors.book.units import QTY_PER_SHARE, qty_for_money, value_money
from actors.book.view import buying_power
from actors.market.board import Slot
from actors.market.world import World

_MODEL = MODEL_VERSION.decode()
LATENCY = "latency"
"""Reason of a triggered stop on its way to the market."""


def go_live(draft: Draft, order_no: int, world: World, profiles: Profiles) -> None:
    """Let an order into the market if its time and the phase allow; judge it against the standing quote."""
    order = draft.book.orders.get(order_no)
    if order is None or world.now < order.live_at:
        return
    terms = order.terms
    if world.phase not in eligible_phases(terms.extended_hours):
        if terms.time_in_force in ("ioc", "fok"):
            _end_at_once(draft, order)
        else:
            watch = draft.book.watch.get(order_no)
            if watch is None or watch.reason != LATENCY:
                _wait(draft, order, "session")
        return
    fresh = not order.activated
    if fresh:
        draft.emit(e.OrderActivated(order_no, _collar(order, world, profiles)))
        order = draft.book.orders[order_no]
    if terms.stop_price and not order.triggered:
        draft.watch(order_no, None)
        return
    watch = draft.book.watch.get(order_no)
    arriving = fresh or (watch is not None and watch.reason == LATENCY)
    judge(draft, order, world, profiles, taking=arriving, quote_is_new=False)


def _collar(order: Order, world: World, profiles: Profiles) -> int:
    """Worst price of a market order: the far side at arrival, worsened by the profile's collar."""
    profile = profiles.get(order.terms.profile)
    slot = world.board.slots.get(order.terms.symbol)
    if profile is None or not profile.collar_ppm or slot is None or slot.quote is None:
        return 0
    if order.limit_price or not (order.terms.type == "market" or order.triggered):
        return 0
    buying = order.terms.side == "buy"
    far = slot.quote.ask if buying else slot.quote.bid
    room = far * profile.collar_ppm // 1_000_000
    return far + room if buying else max(1, far - room) if far else 0


def meet_trade(draft: Draft, order_no: int, slot: Slot, world: World, profiles: Profiles) -> None:
    """An eligible print: elect stops (core session only)."""
    order = draft.book.orders.get(order_no)
    trade = slot.last
    if order is None or trade is None:
        return
    if not order.terms.stop_price or order.triggered:
        return
    if world.switches and reason_to_wait(world):
        return
    if world.phase != "core":
        return
    mark = follow_trail(draft, order, trade.price)
    stop_price = stop_now(order, draft.book.watch.get(order_no))
    if not elects(order.terms.side == "buy", stop_price, trade.price):
        return
    profile = profiles.get(order.terms.profile)
    assert profile is not None
    limit = 0
    if order.terms.type == "stop" and order.terms.side == "buy" and profile.buy_stop_to_limit:
        limit = order.terms.collar_price
    wait = latency_ns(draft, profiles, profile, order.terms.order_id, b"latency/trigger")
    stop = (mark, stop_price) if mark else (0, 0)
    draft.emit(e.OrderTriggered(order_no, trade.price, world.tape_seq, draft.at + wait, limit, *stop))
    draft.watch(order_no, Watch(reason=LATENCY))
    if not wait:
        go_live(draft, order_no, world, profiles)


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


def situation(
    order: Order, slot: Slot, world: World, profile: Profile, draft: Draft, taking: bool, quote_is_new: bool
) -> Situation:
    """The plain numbers of one order against the standing quote."""
    terms, quote = order.terms, slot.quote
    assert quote is not None
    buying = terms.side == "buy"
    market = order.limit_price == 0
    consumed = draft.book.consumed.get(side_key(terms.symbol, buying))
    far = quote.ask if buying else quote.bid
    draw = 0
    if profile.partial_ppm:
        hashed = _hash(profile, world)
        draw = draw_u64(draft.book.seed, draft.book.epoch, hashed, terms.order_id, b"partial", order.fill_count)
    watch = draft.book.watch.get(terms.order_no)
    instrument = world.instruments.by_symbol.get(terms.symbol)
    return Situation(
        buying, market, order.limit_price, quote.bid, quote.ask, quote.bid_size, quote.ask_size,
        order.leaves_qty, terms.notional - order.filled_money if terms.notional else 0,
        terms.notional > 0 or terms.qty % QTY_PER_SHARE != 0,
        used_qty(consumed, far, world.now, profile.consume_half_life_ms), taking or market, order.slice_no,
        order.last_fill_at, watch.cond_since if watch is not None else 0, order.collar_price, world.now,
        quote_is_new, world.phase != "core",
        (instrument.tick_price if instrument is not None else 100) if far >= 10_000 else 1, draw,
    )  # fmt: skip


def _hash(profile: Profile, world: World) -> bytes:
    return world.profile_hashes[profile.name].encode()


def judge(draft: Draft, order: Order, world: World, profiles: Profiles, taking: bool, quote_is_new: bool) -> None:
    """Evaluate a live order against the standing quote: fill it, end it, or note why it waits."""
    terms = order.terms
    profile = profiles.get(terms.profile)
    assert profile is not None
    slot = world.board.slots.get(terms.symbol)
    buying = terms.side == "buy"
    state = classify(slot, world, profile, buying, terms.extended_hours)
    at_once = terms.time_in_force in ("ioc", "fok")
    if slot is None or state not in ("valid", "locked"):
        if at_once:
            _end_at_once(draft, order)
        else:
            _wait(draft, order, state)
        return
    s = situation(order, slot, world, profile, draft, taking, quote_is_new)
    verdict = evaluate(s, profile)
    if terms.time_in_force == "fok" and verdict.qty < (s.leaves_qty or 1):
        _end_at_once(draft, order)
        return
    if verdict.qty:
        _fill(draft, order, slot, s, verdict, world, profile)
        order_after = draft.book.orders.get(terms.order_no)
        if order_after is None:
            return
        if at_once:
            _end_at_once(draft, order_after)
        else:
            _wait(draft, order_after, _remainder_reason(order_after, verdict), verdict, world.now)
    elif at_once:
        _end_at_once(draft, order)
    else:
        _wait(draft, order, verdict.reason, verdict, world.now)


def _remainder_reason(order: Order, verdict: Verdict) -> str:
    """Why the rest of a partly filled order waits: the next message must look at it."""
    return "reslice" if order.limit_price == 0 or verdict.condition else verdict.reason


def _wait(draft: Draft, order: Order, reason: str, verdict: Verdict | None = None, now: int = 0) -> None:
    """Note why an order waits, and since when its fill condition has held."""
    book, order_no = draft.book, order.terms.order_no
    watch = book.watch.get(order_no)
    condition = verdict is not None and verdict.condition
    if watch is None:
        if reason == "not_marketable":
            return
        watch = Watch()
    draft.watch(
        order_no,
        Watch(
            (watch.cond_since or now) if condition else 0,
            reason,
            verdict.due_at if verdict is not None else 0,
            watch.near_misses + condition,
            watch.evaluations + 1,
        ),
    )


def _end_at_once(draft: Draft, order: Order) -> None:
    """IOC and FOK never rest."""
    reason = "fok_unfillable" if order.terms.time_in_force == "fok" else "ioc_remainder"
    draft.emit(e.OrderCanceled(order.terms.order_no, reason))


def _affordable(draft: Draft, order: Order, verdict: Verdict, world: World, fraction: bool) -> int:
    """Quantity of this fill that the account can pay or deliver: all of it unless the price ran away."""
    if order.terms.position_intent.endswith("_to_close"):
        return min(verdict.qty, order.reserved_qty)
    if order.terms.position_intent != "buy_to_open":
        return verdict.qty
    cost = value_money(verdict.price, verdict.qty)
    if cost <= order.reserved_money:
        return verdict.qty
    free = buying_power(draft.book, world) + order.reserved_money
    if draft.book.type == "cash":
        free = draft.book.cash - draft.book.reserved_money + order.reserved_money
    if cost <= free:
        return verdict.qty
    qty = qty_for_money(max(0, free), verdict.price)
    return min(verdict.qty, qty if fraction else qty - qty % QTY_PER_SHARE)


def _fill(
    draft: Draft,
    order: Order,
    slot: Slot,
    s: Situation,
    verdict: Verdict,
    world: World,
    profile: Profile,
) -> None:
    """Emit the fill with its evidence, what it does to the position, and the end of the order if it is one."""
    terms = order.terms
    instrument = world.instruments.by_symbol[terms.symbol]
    qty = _affordable(draft, order, verdict, world, s.fraction)
    if qty <= 0 or (terms.time_in_force == "fok" and qty < order.leaves_qty):
        draft.emit(e.OrderCanceled(terms.order_no, "buying_power"))
        _refuse_pending(draft, order)
        return
    price = verdict.price
    value = value_money(price, qty, instrument.multiplier)
    filled_qty, filled_money = order.filled_qty + qty, order.filled_money + value
    if terms.notional:
        complete = qty_for_money(terms.notional - filled_money, price) <= 0
    else:
        complete = filled_qty >= terms.qty
    reserved_money = reserved_qty = 0
    if not complete:
        used = value if terms.notional else max(value if s.buying else 0, value_money(terms.check_price, qty))
        reserved_money = max(0, order.reserved_money - used)
        reserved_qty = max(0, order.reserved_qty - qty)
    consumed_after = _consume(draft, order, slot, s, qty, world, profile)
    evidence = _evidence(order, slot, s, verdict, world, profile, consumed_after)
    draft.emit(
        e.OrderFilled(
            terms.order_no, order.fill_count + 1, qty, price, verdict.reason,
            "take" if s.taking else "make", "filled" if complete else "partially_filled",
            filled_qty, filled_money, reserved_money, reserved_qty, 0, evidence,
        )
    )  # fmt: skip
    draft.emit(book_fill(draft.book, instrument, s.buying, qty, price, 0, draft.at, terms.order_no))
    if not complete and qty < verdict.qty:
        draft.emit(e.OrderCanceled(terms.order_no, "buying_power"))
    if terms.order_no not in draft.book.orders:
        _refuse_pending(draft, order)


def _consume(draft: Draft, order: Order, slot: Slot, s: Situation, qty: int, world: World, profile: Profile) -> int:
    """Take the filled quantity off what the side shows to this account."""
    if not profile.consume_half_life_ms:
        return 0
    key = side_key(order.terms.symbol, s.buying)
    used = s.used_qty + qty
    far = s.ask if s.buying else s.bid
    put(draft.book.consumed, key, Consumed(far, used, world.now, profile.consume_half_life_ms), draft.undo)
    draft.consumers.append(order.terms.symbol)
    return used


def _evidence(
    order: Order, slot: Slot, s: Situation, verdict: Verdict, world: World, profile: Profile, used_after: int
) -> e.Evidence:
    quote, last = slot.quote, slot.last
    assert quote is not None
    return e.Evidence(
        quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.at, world.tape_seq, slot.quote_seq,
        quote.bid_exchange, quote.ask_exchange, quote.condition, quote.received_at,
        last.price if last is not None else 0, last.at if last is not None else 0, world.phase,
        world.data_class, slot.feed or world.feed, verdict.near, verdict.far,
        verdict.theta_ppm, verdict.theta_take_ppm,
        verdict.available_qty, s.used_qty, used_after, s.leaves_qty or s.leaves_money, s.slice_no, s.cond_since,
        s.tick_price, order.limit_price, s.draw, profile.name, world.profile_hashes[profile.name], _MODEL,
        s.collar_price, verdict.qty,
    )  # fmt: skip


def finish_cancel(draft: Draft, order_no: int) -> None:
    """A pending cancel takes effect."""
    order = draft.book.orders.get(order_no)
    if order is not None and order.status == "pending_cancel" and draft.at >= order.cancel_at:
        draft.emit(e.OrderCanceled(order_no, "user_cancel"))


def expire(draft: Draft, order_no: int) -> None:
    """The order's time in force is over."""
    order = draft.book.orders.get(order_no)
    if order is not None and 0 < order.terms.expires_at <= draft.at:
        draft.emit(e.OrderExpired(order_no))
        _refuse_pending(draft, order)


def _refuse_pending(draft: Draft, order: Order) -> None:
    """Answer a cancel or replace that came too late: the order ended first."""
    terms = order.terms
    if order.status == "pending_cancel":
        draft.emit(e.OrderCancelRejected(terms.order_id, "order_not_open", terms.order_no))
    elif order.status == "pending_replace":
        draft.emit(e.OrderReplaceRejected(terms.order_no, terms.order_id, "order_not_open"))
