"""A print meets the resting orders of one account (fill model §10).

Invariants: a print is used at most once by an account, best price and then oldest order first; a fill from a print is
at the order's own price. The caller hands in eligible prints only.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from actors.book.contingent import follow_up
from actors.book.draft import Draft
from actors.book.evidence import Trail
from actors.book.fills import fill
from actors.book.meet import is_waiting_outside, look, numbers_for, standing
from actors.book.rules.matching import prints, queue
from actors.book.rules.matching.market_state import (
    PRINTS_COUNT,
    classify,
)
from actors.book.rules.matching.model import (
    Verdict,
    theta_of,
)
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Order, Place, Watch
from actors.book.units import QTY_PER_SHARE, qty_for_money
from actors.market.board import Slot
from actors.market.messages import Trade
from actors.market.world import World


def meet_print(
    draft: Draft, order_nos: Sequence[int], slot: Slot, print_: Trade, world: World, profiles: Profiles
) -> None:
    """An eligible print reaches resting orders of one account: the best price first, then the oldest."""
    orders = draft.book.orders
    resting = []
    for order_no in order_nos:
        order = orders.get(order_no)
        if (
            order is None
            or order.terms.legs
            or world.now < order.live_at
            or order.terms.time_in_force in ("ioc", "fok")
        ):
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
            follow_up(draft, world, profiles)


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
    place = standing(order, watch, slot, world)
    if place is not None and (place.price != price or place.epoch != epoch):
        place = None
    rest_size = max(0, print_.size - -(-taken_qty // QTY_PER_SHARE))
    left = prints.usable_size(print_.size, numbers, world.is_bar_tape(slot), s.extended) * QTY_PER_SHARE - taken_qty
    offered, after, reason = 0, place, "print_through"
    if ahead < 0:
        offered = rest_size
        # Everybody at its price has traded: it is first in its queue, whatever was known of its place before.
        if place is None:
            after = Place(queue.BEHIND, price, 0, 0, 0, epoch)
        elif place.ahead_size:
            after = replace(place, ahead_size=0)
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
    if terms.order_no in draft.book.orders and after is not place:
        draft.watch(terms.order_no, replace(watch or Watch(reason="not_marketable"), place=after))
    return filled
