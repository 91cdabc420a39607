"""An order of several legs meets the market: all legs at one instant, whole units or nothing (fill model §11).

Invariants: every leg's quote must be usable at the same decision; the legs' prices sum to the net exactly and none
lies outside its own quote; a partial fill keeps the ratio; one fill, its legs and their positions are one turn.
The unit is judged by the rules of one instrument (:mod:`actors.book.rules.matching.model`) on its net, moved up by
:data:`SHIFT` so that credits are positive there too. A short sale of a stock leg waits while the stock's short sales
are restricted. Known limits: prints are not used; chance makes no fill partial; later slices of a market unit pay the
natural price and no tick more.
"""

from __future__ import annotations

from msgspec import Struct, structs

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.evidence import Trail, evidence
from actors.book.fills import cancel
from actors.book.ids import draw_u64
from actors.book.instruments import CONTRACT_SHARES
from actors.book.rules.booking import book_fill
from actors.book.rules.margin.payoff import LegAtExpiry
from actors.book.rules.matching.ledger import side_key, used_qty
from actors.book.rules.matching.market_state import classify, is_short_restricted
from actors.book.rules.matching.model import (
    PPM,
    Situation,
    Verdict,
    collar_of,
    reservation_ppm,
)
from actors.book.rules.matching.multileg import (
    NET_TICK_PRICE,
    LegQuote,
    UnitQuote,
    allocate,
    available_units,
    evaluate_unit,
    outside_payoff,
    unit_quote,
)
from actors.book.rules.matching.profiles import Numbers
from actors.book.state.book import Consumed, Order, Watch
from actors.book.state.undo import put
from actors.book.units import QTY_PER_SHARE, value_money
from actors.book.view import buying_power
from actors.market.board import Slot
from actors.market.world import Trace, World

SHIFT = 10**12
"""Price units that make every net positive; a multiple of the step."""
_NO_WATCH = Watch()
_UNIT_STATES = ("valid", "locked")


class Sight(Struct, frozen=True):
    """The legs' quotes at one instant."""

    slots: tuple[Slot, ...]
    legs: tuple[LegQuote, ...]
    quote: UnitQuote
    used: tuple[int, ...]
    units: int
    """Whole units that the shown sizes make, less what was taken of them; -1 for any."""


def judge_unit(draft: Draft, order: Order, world: World, numbers: Numbers, taking: bool, quote_is_new: bool) -> None:
    """Evaluate a live order of several legs: fill whole units, or note why it waits."""
    sight = _sight(draft, order, world, numbers)
    watch = draft.book.watch.get(order.terms.order_no)
    if isinstance(sight, str):
        kept = watch or _NO_WATCH
        draft.watch(
            order.terms.order_no,
            Watch(0, sight, 0, kept.near_misses, kept.evaluations + 1, collar_price=kept.collar_price,
                  newly_live=kept.newly_live or taking),
        )  # fmt: skip
        world.trace((draft.book.account_no, order.terms.order_no), Trace(world.now, sight, sight, 0, 0, 0))
        return
    if watch is not None and watch.newly_live:
        taking = True
    s = _situation(draft, order, sight, world, numbers, watch, taking, quote_is_new)
    verdict = evaluate_unit(s, numbers)
    if verdict.qty and outside_payoff_of(order, verdict.price - SHIFT, world):
        verdict = Verdict("payoff_bound", near=verdict.near, far=verdict.far)
    left = order
    if verdict.qty:
        _fill(draft, order, sight, s, verdict, world, numbers, watch)
        if order.terms.order_no not in draft.book.orders:
            return
        left = draft.book.orders[order.terms.order_no]
    _wait(draft, left, s, verdict, world, watch)


def _sight(draft: Draft, order: Order, world: World, numbers: Numbers) -> Sight | str:
    """All legs' quotes, or which leg's may not be used and why."""
    slots, legs, used, sizes = [], [], [], []
    for leg in order.terms.legs:
        buying = leg.side == "buy"
        slot = world.board.slots.get(leg.symbol)
        state = classify(slot, world, numbers, buying, False)
        if state not in _UNIT_STATES:
            return state if state == "session" else f"leg:{leg.symbol}:{state}"
        assert slot is not None
        assert slot.quote is not None
        quote = slot.quote
        if quote.ask <= 0:
            return f"leg:{leg.symbol}:no_far_side"
        if leg.is_stock and leg.position_intent == "sell_to_open" and is_short_restricted(slot, world):
            return f"leg:{leg.symbol}:ssr"
        far, size = (quote.ask, quote.ask_size) if buying else (quote.bid, quote.bid_size)
        consumed = draft.book.consumed.get(side_key(leg.symbol, buying)) if draft.book.consumed else None
        taken = used_qty(consumed, far, world.now, numbers.consume_half_life_ms)
        slots.append(slot)
        legs.append(LegQuote(leg.lots if buying else -leg.lots, quote.bid, quote.ask))
        used.append(taken)
        sizes.append(max(0, size * QTY_PER_SHARE * numbers.depth_ppm // PPM - taken) // QTY_PER_SHARE)
    units = available_units([leg.ratio for leg in order.terms.legs], sizes) if numbers.depth_ppm else -1
    return Sight(tuple(slots), tuple(legs), unit_quote(legs), tuple(used), units)


def _situation(
    draft: Draft, order: Order, sight: Sight, world: World, numbers: Numbers, watch: Watch | None, taking: bool,
    quote_is_new: bool,
) -> Situation:  # fmt: skip
    terms, quote = order.terms, sight.quote
    near, far = quote.near + SHIFT, quote.far + SHIFT
    market = terms.type == "market"
    collar = 0
    if market:
        collar = watch.collar_price if watch is not None else 0
        collar = collar or collar_of(True, near, far, numbers)
    reserve = 0
    if numbers.inside_cap_ppm and not market:
        book = draft.book
        draw = draw_u64(book.seed, book.epoch, numbers.hashed, terms.order_id, b"reservation")
        reserve = reservation_ppm(draw, numbers)
    size = max(0, sight.units)
    shown = size * QTY_PER_SHARE * numbers.depth_ppm // PPM
    return Situation(
        True, market, 0 if market else order.limit_price + SHIFT, near, far, size, size, order.leaves_qty, 0, False,
        shown - size * QTY_PER_SHARE, taking or market, order.slice_no, order.last_fill_at,
        watch.cond_since if watch is not None else 0, collar, world.now, quote_is_new, False, NET_TICK_PRICE, True,
        CONTRACT_SHARES, False, 0, False, reserve, watch.inside_since if watch is not None else 0,
        taking or (watch is not None and watch.inside_from_start),
    )  # fmt: skip


def outside_payoff_of(order: Order, net: int, world: World) -> bool:
    """Whether a net lies outside what a unit of one expiry can pay: a stale leg. A share is a call struck at 0."""
    found: list[LegAtExpiry] = []
    ends = set()
    for leg in order.terms.legs:
        signed = leg.lots if leg.side == "buy" else -leg.lots
        if leg.is_stock:
            found.append((True, 0, signed))
            continue
        instrument = world.instruments.by_symbol[leg.symbol]
        ends.add((instrument.expiry_date, instrument.settles, instrument.style))
        found.append((instrument.right == "call", instrument.strike, signed))
    return len(ends) == 1 and outside_payoff(found, net)


def _affordable(draft: Draft, order: Order, net: int, units: int, world: World) -> bool:
    """Whether a net worse than the checked one can still be paid: only market orders get there."""
    worse = net - order.terms.check_price
    if worse <= 0:
        return True
    missing = value_money(worse, units, CONTRACT_SHARES) - order.reserved_money
    return missing <= 0 or missing <= buying_power(draft.book, world, missing)


def _fill(
    draft: Draft, order: Order, sight: Sight, s: Situation, verdict: Verdict, world: World, numbers: Numbers,
    watch: Watch | None,
) -> None:  # fmt: skip
    """Emit the fill of whole units, then each leg with what it does to its position."""
    terms, qty, net = order.terms, verdict.qty, verdict.price - SHIFT
    if not _affordable(draft, order, net, qty, world):
        cancel(draft, order, "buying_power")
        return
    filled = order.filled_qty + qty
    complete = filled >= terms.qty
    left = order.leaves_qty - qty
    proof = structs.replace(
        evidence(order, sight.slots[0], s, verdict, world, numbers, Trail("valid"), 0, watch),
        bid=sight.quote.near, ask=sight.quote.far, bid_size=sight.units, ask_size=sight.units,
        near=sight.quote.near, far=sight.quote.far, acting_limit=order.limit_price, multiplier=CONTRACT_SHARES,
        collar_price=s.collar_price - SHIFT if s.collar_price else 0,
    )  # fmt: skip
    fill_no = order.fill_count + 1
    draft.emit(
        e.OrderFilled(
            terms.order_no, fill_no, qty, net, verdict.reason, "take" if s.taking else "make",
            "filled" if complete else "partially_filled", filled,
            order.filled_money + value_money(net, qty, CONTRACT_SHARES),
            order.reserved_money * left // order.leaves_qty, max(0, order.reserved_qty - qty) if left else 0, 0,
            proof,
        )
    )  # fmt: skip
    done: dict[int, int] = {}
    for line in allocate(sight.legs, net):
        leg, slot = terms.legs[line.leg], sight.slots[line.leg]
        quote = slot.quote
        assert quote is not None
        buying = leg.side == "buy"
        traded = abs(line.contracts) * (leg.ratio // leg.lots) * qty
        before = sight.used[line.leg] + done.get(line.leg, 0)
        done[line.leg] = done.get(line.leg, 0) + traded
        after = _consume(
            draft, leg.symbol, buying, quote.ask if buying else quote.bid, before + traded, world, numbers
        )
        draft.emit(
            e.OrderLegFilled(
                terms.order_no, fill_no, line.leg, leg.symbol, leg.side, traded, line.price,
                order.filled_qty * leg.ratio + done[line.leg], quote.bid, quote.bid_size, quote.ask, quote.ask_size,
                quote.at, slot.quote_seq, before, after, numbers.name,
            )
        )  # fmt: skip
        instrument = world.instruments.by_symbol[leg.symbol]
        draft.emit(book_fill(draft.book, instrument, buying, traded, line.price, 0, draft.at, terms.order_no))
    if complete:
        _answer_pending(draft, order)


def _answer_pending(draft: Draft, order: Order) -> None:
    terms = order.terms
    if order.status == "pending_cancel":
        draft.emit(e.OrderCancelRejected(terms.order_id, "order_not_open", terms.order_no))
    elif order.status == "pending_replace":
        draft.emit(e.OrderReplaceRejected(terms.order_no, terms.order_id, "order_not_open"))


def _consume(draft: Draft, symbol: str, buying: bool, far: int, used: int, world: World, numbers: Numbers) -> int:
    """Take a leg's contracts off what its side shows to this account."""
    if not numbers.consume_half_life_ms:
        return 0
    entry = Consumed(far, used, world.now, numbers.consume_half_life_ms)
    put(draft.book.consumed, side_key(symbol, buying), entry, draft.undo)
    draft.consumers.append(symbol)
    return used


def _wait(draft: Draft, order: Order, s: Situation, verdict: Verdict, world: World, watch: Watch | None) -> None:
    """Note why the unit waits, and since when its conditions have held."""
    kept = watch or _NO_WATCH
    reason = verdict.reason
    if verdict.qty:
        reason = "dwell" if reason == "inside" else "reslice"
    inside_since = 0
    if verdict.inside:
        inside_since = world.now if verdict.qty else kept.inside_since or world.now
    missed = not verdict.qty and (verdict.condition or verdict.inside)
    draft.watch(
        order.terms.order_no,
        Watch(
            (kept.cond_since or world.now) if verdict.condition else 0, reason, verdict.due_at,
            kept.near_misses + missed, kept.evaluations + 1, None, inside_since,
            verdict.inside and s.inside_from_start, s.collar_price if s.market else 0, False, kept.gap_at,
        ),
    )  # fmt: skip
    if not verdict.qty:
        far = verdict.far - SHIFT if verdict.far else 0
        away = far - order.limit_price if not s.market else 0
        entry = Trace(world.now, reason, "valid", far, away, 0)
        world.trace((draft.book.account_no, order.terms.order_no), entry)
