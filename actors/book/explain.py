"""Why an order filled as it did, recomputed from the fill's record alone; and why one has not.

Invariant: nothing but the record (or the standing market) is looked at; a fill that does not come out again is
said to be unexplained, never dressed up.
"""

from __future__ import annotations

from typing import Any

from actors.book.events import OrderAccepted, OrderFilled
from actors.book.rules.matching.market_state import classify
from actors.book.rules.matching.model import Situation, Verdict, evaluate
from actors.book.rules.matching.profiles import Profile, Profiles
from actors.book.state.book import Book, Order
from actors.book.units import QTY_PER_SHARE
from actors.market.world import World

SENTENCES: dict[str, str] = {
    "take": "The order could trade at once and took from the far side of the quote.",
    "take_slice": "The rest of a market order took a further slice from the far side.",
    "far_through": "The far side of the market came to the resting order's limit and stayed there long enough.",
    "parity_partial": "The profile fills one eligible event in ten only in part; the draw said so.",
    "latency": "The order is still on its way to the market.",
    "trading_disabled": "Trading is switched off on this server; nothing is matched.",
    "market_data_disabled": "Market data is switched off on this server; orders wait.",
    "no_live_quote": "There has been no live quote for the symbol since the feed subscribed to it.",
    "halted": "Trading in the symbol is halted.",
    "session": "The order may not trade in this phase of the market; it waits for the next one.",
    "feed_dead": "The market data feed is down; nothing fills until it is back.",
    "no_far_side": "Nobody quotes the side that the order needs.",
    "crossed": "The quote is crossed (bid above ask) and is not trusted.",
    "luld": "The quote lies outside the symbol's price band.",
    "stale": "The quote is old and a later print lies outside it.",
    "not_marketable": "The market has not reached the order's limit.",
    "dwell": "The market is at the limit; it must stay there a moment longer.",
    "reslice": "The rest of the order waits for the next quote after the last slice.",
    "consumed": "This account has already taken what the far side shows.",
    "collar": "The market has moved further than a market order may follow it.",
    "max_slices": "A market order takes no more slices than its profile allows.",
    "stop": "The stop has not been elected by a print.",
    "fok_unfillable": "Not all of the order could be filled at once, so none was.",
    "ioc_remainder": "What could not be filled at once was cancelled.",
    "user_cancel": "The owner cancelled the order.",
    "expired": "The order's time in force ended.",
    "buying_power": "The price ran away and the account could not pay for the rest.",
}


def recompute(terms: OrderAccepted, fill: OrderFilled, at: int, profile: Profile) -> Verdict:
    """What the model gives for the fill's own record."""
    v = fill.evidence
    by_money = terms.notional > 0
    situation = Situation(
        terms.side == "buy",
        v.limit_price == 0,
        v.limit_price,
        v.bid,
        v.ask,
        v.bid_size,
        v.ask_size,
        0 if by_money else v.leaves_before,
        v.leaves_before if by_money else 0,
        by_money or terms.qty % QTY_PER_SHARE != 0,
        v.consumed_before,
        fill.liquidity == "take",
        v.slice_no,
        0,
        v.dwell_since,
        v.collar_price,
        at,
        True,
        v.session != "core",
        v.tick,
        v.draw,
    )
    return evaluate(situation, profile)


def reproduces(terms: OrderAccepted, fill: OrderFilled, at: int, profiles: Profiles) -> tuple[bool, Verdict | None]:
    """Whether a fill comes out again from its record, and what came out; ``None`` when its profile has changed."""
    profile = profiles.get(fill.evidence.profile)
    if profile is None or profiles.hash_of(profile.name) != fill.evidence.profile_hash:
        return False, None
    verdict = recompute(terms, fill, at, profile)
    same = (verdict.price, verdict.qty, verdict.reason) == (
        fill.price,
        fill.evidence.model_qty or fill.qty,
        fill.reason,
    )
    return same, verdict


def why_waiting(book: Book, order: Order, world: World, profiles: Profiles) -> dict[str, Any]:
    """Reason and numbers for a live order that has not filled, judged against the standing market."""
    terms = order.terms
    buying = terms.side == "buy"
    slot = world.board.slots.get(terms.symbol)
    watch = book.watch.get(terms.order_no)
    numbers: dict[str, Any] = {
        "near_misses": watch.near_misses if watch is not None else 0,
        "evaluations": watch.evaluations if watch is not None else 0,
    }
    if slot is not None and slot.quote is not None:
        numbers["far"] = slot.quote.ask if buying else slot.quote.bid
        numbers["near"] = slot.quote.bid if buying else slot.quote.ask
        numbers["last"] = slot.mark()
        if order.limit_price and numbers["far"]:
            numbers["distance"] = numbers["far"] - order.limit_price if buying else order.limit_price - numbers["far"]
    if world.now < order.live_at:
        return {"reason": "latency", **numbers}
    profile = profiles.get(terms.profile)
    assert profile is not None
    state = classify(slot, world, profile, buying, terms.extended_hours)
    numbers["quote_class"] = state
    if terms.stop_price and not order.triggered:
        return {"reason": "stop", "stop": terms.stop_price, **numbers}
    if state not in ("valid", "locked"):
        return {"reason": state, **numbers}
    return {"reason": watch.reason if watch is not None and watch.reason else "not_marketable", **numbers}
