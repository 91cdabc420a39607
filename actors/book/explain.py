"""Why an order filled as it did, recomputed from the fill's record alone; and why one has not.

Invariants: nothing but the record (or the standing market) is looked at; a fill that does not come out again is
said to be unexplained, never dressed up. What other profiles would have done is computed when it is asked for, from
the record and by the taking and inside rules only: the tape that a queue needs is not in the record.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from actors.book.events import Evidence, OrderAccepted, OrderFilled
from actors.book.instruments import CONTRACT_SHARES
from actors.book.meet import numbers_for
from actors.book.meet_units import SHIFT
from actors.book.rules.matching.auctions import evaluate_auction
from actors.book.rules.matching.market_state import classify
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
from actors.book.rules.matching.multileg import LegQuote, evaluate_unit, unit_quote
from actors.book.rules.matching.profiles import Numbers, Profiles
from actors.book.rules.matching.words import SENTENCES
from actors.book.rules.trailing import high_water_mark, stop_now, trails
from actors.book.state.book import Book, Order, Watch
from actors.book.units import QTY_PER_SHARE, qty_for_money
from actors.market.board import Slot
from actors.market.world import World

PRINT_REASONS = ("queue", "print_through")
AUCTION_KINDS = {"auction_open": "open", "auction_close": "close", "auction_halt": "halt"}


def situation_of(terms: OrderAccepted, fill: OrderFilled, at: int, numbers: Numbers) -> Situation:
    """The numbers of the decision, from the record."""
    v = fill.evidence
    by_money = terms.notional > 0
    taking = fill.liquidity == "take"
    buying = terms.side == "buy"
    if terms.legs:
        market = terms.type == "market"
        return Situation(
            True, market, 0 if market else v.acting_limit + SHIFT, v.near + SHIFT, v.far + SHIFT, v.bid_size,
            v.ask_size, v.leaves_before, 0, False, v.consumed_before, taking, v.slice_no, v.last_fill_at,
            v.dwell_since, v.collar_price + SHIFT if v.collar_price else 0, at, v.quote_is_new, False, v.tick, True,
            CONTRACT_SHARES, False, 0, False, v.reserve_ppm, v.inside_since, v.inside_from_start,
        )  # fmt: skip
    return Situation(
        buying, v.acting_limit == 0, v.acting_limit, v.bid, v.ask, v.bid_size, v.ask_size,
        0 if by_money else v.leaves_before, v.leaves_before if by_money else 0,
        by_money or terms.qty % QTY_PER_SHARE != 0 or v.leaves_before % QTY_PER_SHARE != 0,
        v.consumed_before, taking, v.slice_no, v.last_fill_at,
        v.dwell_since, v.collar_price, at, v.quote_is_new, v.session != "core", v.tick, v.kind > 0, 1,
        v.quote_class == "wide", v.luld_upper if buying else v.luld_lower, v.acting_limit != v.limit_price,
        v.reserve_ppm, v.inside_since, v.inside_from_start,
    )  # fmt: skip


def recompute(terms: OrderAccepted, fill: OrderFilled, at: int, numbers: Numbers) -> Verdict:
    """What the model gives for the fill's own record."""
    v = fill.evidence
    s = situation_of(terms, fill, at, numbers)
    if fill.reason in PRINT_REASONS:
        return _recompute_print(s, v, numbers)
    if fill.reason in AUCTION_KINDS:
        return evaluate_auction(
            AUCTION_KINDS[fill.reason], v.print_price, v.print_size, s.buying, v.limit_price, s.leaves_qty,
            s.leaves_money, v.tick, s.fraction, numbers,
        )  # fmt: skip
    if terms.legs:
        verdict = evaluate_unit(s, numbers)
        return replace(verdict, price=verdict.price - SHIFT) if verdict.qty else verdict
    verdict = evaluate(s, numbers)
    if verdict.qty and v.draw and v.draw % PPM < numbers.partial_ppm:
        return replace(verdict, qty=random_part(verdict.qty, v.draw_size), reason="parity_partial")
    return verdict


def _recompute_print(s: Situation, v: Evidence, numbers: Numbers) -> Verdict:
    price = v.acting_limit
    band = s.band_price
    if band:
        price = min(price, band) if s.buying else max(price, band)
    beyond = price - v.print_price if s.buying else v.print_price - price
    if beyond < 0 or numbers.print_fills == "no":
        return Verdict("not_marketable")
    reason = "print_through" if beyond else "queue"
    if reason == "queue" and (numbers.print_fills == "through" or v.ahead_before < 0):
        return Verdict("queue_ahead")
    offered = v.print_rest_size if beyond else max(0, v.print_rest_size - v.ahead_before)
    share = v.print_size * (numbers.bar_print_ppm if v.bar_tape else numbers.live_print_ppm) // PPM
    most = min(v.print_left_qty, (share // 2 if s.extended else share) * QTY_PER_SHARE)
    qty = min(s.leaves_qty or qty_for_money(s.leaves_money, price), offered * QTY_PER_SHARE, most)
    if not s.fraction:
        qty -= qty % QTY_PER_SHARE
    return Verdict(reason if qty > 0 else "queue_ahead", max(0, qty), price)


def reproduces(terms: OrderAccepted, fill: OrderFilled, at: int, profiles: Profiles) -> tuple[bool, Verdict | None]:
    """Whether a fill comes out again from its record, and what came out; ``None`` when its profile has changed."""
    name = fill.evidence.profile
    if profiles.get(name) is None or profiles.hash_of(name) != fill.evidence.profile_hash:
        return False, None
    verdict = recompute(terms, fill, at, profiles.numbers(name, fill.evidence.kind))
    same = (verdict.price, verdict.qty, verdict.reason) == (
        fill.price,
        fill.evidence.model_qty or fill.qty,
        fill.reason,
    )
    return same, verdict


def elsewhere(terms: OrderAccepted, fill: OrderFilled, at: int, profiles: Profiles) -> dict[str, Verdict]:
    """What each other profile would have done at that instant with the same order and quote (fill model §17)."""
    v, out = fill.evidence, {}
    for name in profiles.names():
        if name == v.profile:
            continue
        numbers = profiles.numbers(name, v.kind)
        if fill.reason in AUCTION_KINDS:
            if numbers.auctions == "print":
                out[name] = recompute(terms, fill, at, numbers)
            continue
        if fill.reason in PRINT_REASONS or fill.reason == "far_through":
            continue
        s = situation_of(terms, fill, at, numbers)
        reserve = reservation_ppm(v.reserve_draw, numbers) if v.reserve_draw else 0
        collar = collar_of(s.buying, v.bid, v.ask, numbers) if s.market and not s.slice_no else s.collar_price
        wide = bool(numbers.wide_ppm) and (v.ask - v.bid) * 2 * PPM > numbers.wide_ppm * (v.ask + v.bid)
        if terms.legs:
            collar, wide = (collar_of(True, s.bid, s.ask, numbers) if s.market else 0), False
        judge = evaluate_unit if terms.legs else evaluate
        out[name] = judge(replace(s, reserve_ppm=reserve, collar_price=collar, wide=wide), numbers)
        if terms.legs and out[name].qty:
            out[name] = replace(out[name], price=out[name].price - SHIFT)
    return out


def why_waiting(book: Book, order: Order, world: World, profiles: Profiles) -> dict[str, Any]:
    """Reason and numbers for a live order that has not filled, judged against the standing market."""
    terms = order.terms
    slot = world.board.slots.get(terms.symbol)
    watch = book.watch.get(terms.order_no)
    numbers = numbers_for(order, slot, profiles)
    found: dict[str, Any] = {
        "near_misses": watch.near_misses if watch is not None else 0,
        "evaluations": watch.evaluations if watch is not None else 0,
        "trace": list(world.traces.get((book.account_no, terms.order_no), ())),
    }
    found |= _market_numbers(order, slot, watch, numbers)
    state = classify(slot, world, numbers, terms.side == "buy", terms.extended_hours)
    found["quote_class"] = state
    reason = watch.reason if watch is not None else ""
    if order.dormant:
        return found | {"reason": "held"}
    if world.now < order.live_at:
        return found | {"reason": "latency", "live_at": order.live_at}
    if terms.legs:
        found["quote_class"] = None
        found |= _unit_numbers(order, world) | _held_by(reason, world)
        return found | {"reason": reason or "not_marketable"}
    if reason == "awaiting_print":
        return found | {"reason": reason, "print_by": watch.due_at if watch is not None else 0}
    if terms.stop_price and not order.triggered:
        if trails(terms):
            found["mark"] = high_water_mark(order, watch)
        return found | {"reason": "stop", "stop": stop_now(order, watch)}
    if state == "session" and world.session is not None:
        session = world.session
        ahead = (session.core_opens_at, session.next_core_opens_at)
        found |= {"phase": world.phase, "opens_at": next((at for at in ahead if at > world.now), 0)}
    if state not in ("valid", "locked", "wide"):
        return found | {"reason": state}
    if reason == "max_slices":
        found["max_slices"] = numbers.max_slices
    if reason == "dwell" and watch is not None:
        found["until"] = watch.due_at
        found["since"] = watch.cond_since or watch.inside_since
    return found | {"reason": reason if reason in SENTENCES else "not_marketable"}


def _held_by(reason: str, world: World) -> dict[str, Any]:
    """The quote of the leg that a unit waits for."""
    kind, _, rest = reason.partition(":")
    slot = world.board.slots.get(rest.partition(":")[0]) if kind == "leg" else None
    if slot is None or slot.quote is None:
        return {}
    return {"leg_bid": slot.quote.bid, "leg_ask": slot.quote.ask}


def _unit_numbers(order: Order, world: World) -> dict[str, Any]:
    """The net that the legs make, positive paid and negative received; nothing while one has no far side."""
    legs = []
    for leg in order.terms.legs:
        slot = world.board.slots.get(leg.symbol)
        quote = slot.quote if slot is not None else None
        buying = leg.side == "buy"
        if quote is None or not (quote.ask if buying else quote.bid):
            return {}
        legs.append(LegQuote(leg.lots if buying else -leg.lots, quote.bid, quote.ask))
    net = unit_quote(legs)
    found: dict[str, Any] = {"net_near": net.near, "net_far": net.far}
    if order.terms.type == "limit":
        found |= {"net_limit": order.limit_price, "distance": net.far - order.limit_price}
    return found


def _market_numbers(order: Order, slot: Slot | None, watch: Watch | None, numbers: Numbers) -> dict[str, Any]:
    if slot is None or slot.quote is None:
        return {}
    buying, quote = order.terms.side == "buy", slot.quote
    found: dict[str, Any] = {
        "far": quote.ask if buying else quote.bid,
        "near": quote.bid if buying else quote.ask,
        "far_size": quote.ask_size if buying else quote.bid_size,
        "near_size": quote.bid_size if buying else quote.ask_size,
        "last": slot.mark(),
    }
    place = watch.place if watch is not None else None
    limit = place.price if place is not None else order.limit_price
    if limit:
        found["limit"] = limit
        if found["far"]:
            found["distance"] = found["far"] - limit if buying else limit - found["far"]
        if found["far"] and found["near"]:
            near, far, cost = (quote.bid, quote.ask, limit) if buying else (-quote.ask, -quote.bid, -limit)
            found["theta"] = theta_of(cost, near, far)
    if place is not None:
        found["level"] = place.level
        if numbers.queue_rule != "none" and place.ahead_size >= 0:
            found["queue_ahead"] = place.ahead_size
    collar = order.collar_price or (watch.collar_price if watch is not None else 0)
    if collar and not order.limit_price:
        found["collar"] = collar
    return found
