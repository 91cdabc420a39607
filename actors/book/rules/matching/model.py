"""Whether, how much and at what price an order fills now (fill model §2, §9, §10, §13).

Everything is compared as *cost*, larger being worse for the trader: a price for buys, its negative for sells.
Invariants: pure and integer-only; a fill never costs more than the limit or the price band; a resting order fills
at its own limit unless its profile says otherwise; taking liquidity never costs more than the far side, further
slices never more than the collar; every evaluation without a fill names its reason. One instrument at a time: a
unit of several legs is judged on the same :class:`Situation`, made from its legs' quotes (fill model §11).
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.rules.matching.profiles import Numbers
from actors.book.units import QTY_PER_SHARE, qty_for_money

FAR_REASONS = frozenset({"not_marketable"})
"""Reasons after which an order behind the market sleeps until the market comes to its limit."""
SESSION_REASONS = frozenset({"session"})
"""Reasons after which an order sleeps until the next phase."""
PPM = 1_000_000


class Situation(Struct, frozen=True, gc=False):
    """One order against one quote, in plain numbers."""

    buying: bool
    market: bool
    limit_price: int
    """The limit it acts on now: its own, or what the short-sale restriction makes of it."""
    bid: int
    ask: int
    bid_size: int
    ask_size: int
    leaves_qty: int
    """0 when the order goes by money."""
    leaves_money: int
    fraction: bool
    """Whether parts of a share may trade."""
    used_qty: int
    taking: bool
    """It became live just now, or is a market order; otherwise it rests."""
    slice_no: int
    last_fill_at: int
    cond_since: int
    collar_price: int
    now: int
    quote_is_new: bool
    extended: bool
    tick_price: int
    """Step of order prices."""
    option: bool = False
    multiplier: int = 1
    wide: bool = False
    """The quote is too wide for fills inside the spread and for market orders."""
    band_price: int = 0
    """Worst price that the symbol's price band lets this side trade at; 0 for none."""
    converted: bool = False
    """A short sale under the restriction, turned into a limit above the bid."""
    reserve_ppm: int = 0
    """The drawn reservation of fills inside the spread; 0 for none."""
    inside_since: int = 0
    inside_from_start: bool = False


class Verdict(Struct, frozen=True, gc=False):
    """What an evaluation came to. ``qty`` 0 means no fill, and ``reason`` says why."""

    reason: str
    qty: int = 0
    price: int = 0
    near: int = 0
    far: int = 0
    theta_ppm: int = 0
    theta_take_ppm: int = 0
    available_qty: int = 0
    condition: bool = False
    """The far side stands at the limit (the dwell may run)."""
    due_at: int = 0
    """When to look again without a message; 0 for never."""
    inside: bool = False
    """The limit is good enough for a fill inside the spread (its dwell may run)."""
    at_touch: bool = True
    """The fill takes displayed size of the far side."""


def theta_of(cost: int, near: int, far: int) -> int:
    """Where a cost lies in the spread, ppm; 1,000,000 in a spread of nothing."""
    width = far - near
    return (cost - near) * PPM // width if width > 0 else PPM


def take_cost(near: int, far: int, theta_ppm: int, tick: int) -> int:
    """Cost of taking at ``theta`` of the spread, rounded up to a tick, never above ``far``."""
    return min(far, near - (-(far - near) * theta_ppm // (PPM * tick)) * tick)


def taking_theta(s: Situation, numbers: Numbers, near_missing: bool, width: int) -> int:
    """The share of the spread that taking costs: all of it where there is nothing to improve on."""
    if near_missing or s.extended or (s.option and width <= s.tick_price):
        return PPM
    return numbers.theta_take_ppm


def available(s: Situation, numbers: Numbers) -> int:
    """Quantity units that may be taken from the far side now; -1 for any quantity."""
    if numbers.depth_ppm == 0:
        return -1
    size = s.ask_size if s.buying else s.bid_size
    shown = size * QTY_PER_SHARE * numbers.depth_ppm // PPM
    if s.extended:
        shown //= 2
    return max(0, shown - s.used_qty)


def evaluate(s: Situation, numbers: Numbers) -> Verdict:
    """Judge one order against a usable quote."""
    near, far = (s.bid, s.ask) if s.buying else (-s.ask, -s.bid)
    near_missing = (s.bid if s.buying else s.ask) <= 0
    if near_missing:
        near = far
    if s.market:
        if s.wide:
            return Verdict("wide", near=near, far=far)
        return _market(s, numbers, near, far, near_missing)
    limit_cost = _within_band(s, s.limit_price if s.buying else -s.limit_price)
    if s.taking and limit_cost >= far:
        theta = taking_theta(s, numbers, near_missing, far - near)
        cost = min(limit_cost, take_cost(near, far, theta, s.tick_price if s.option else 1))
        return _fill(s, numbers, "take", cost, near, far, theta)
    return _rest(s, numbers, limit_cost, near, far, near_missing)


def _within_band(s: Situation, cost: int) -> int:
    if not s.band_price:
        return cost
    return min(cost, s.band_price if s.buying else -s.band_price)


def _market(s: Situation, numbers: Numbers, near: int, far: int, near_missing: bool) -> Verdict:
    if s.slice_no == 0:
        theta = taking_theta(s, numbers, near_missing, far - near)
        cost = take_cost(near, far, theta, s.tick_price if s.option else 1)
        return _collared(s, numbers, "take", cost, near, far, theta)
    if numbers.max_slices and s.slice_no >= numbers.max_slices:
        return Verdict("max_slices", near=near, far=far)
    if not s.quote_is_new or s.now < s.last_fill_at + numbers.reslice_ns:
        return Verdict("reslice", near=near, far=far)
    cost = far if numbers.depth_ppm == 0 else far + s.slice_no * s.tick_price
    return _collared(s, numbers, "take_slice", _within_band(s, cost), near, far, PPM)


def _collared(s: Situation, numbers: Numbers, reason: str, cost: int, near: int, far: int, theta: int) -> Verdict:
    if s.collar_price:
        worst = s.collar_price if s.buying else -s.collar_price
        if far > worst:
            return Verdict("collar", near=near, far=far)
        cost = min(cost, worst)
    return _fill(s, numbers, reason, cost, near, far, theta)


def _rest(s: Situation, numbers: Numbers, limit_cost: int, near: int, far: int, near_missing: bool) -> Verdict:
    through = limit_cost >= far
    inside = (
        s.reserve_ppm > 0
        and not s.wide
        and not near_missing
        and far > near
        and theta_of(limit_cost, near, far) >= s.reserve_ppm
    )
    if not through and not inside:
        return Verdict("ssr" if s.converted else "not_marketable", near=near, far=far)
    due_at = 0
    if through:
        ready_at = (s.cond_since or s.now) + (numbers.dwell_ns // 2 if far < limit_cost else numbers.dwell_ns)
        if s.now >= ready_at:
            if s.last_fill_at and (not s.quote_is_new or s.now < s.last_fill_at + numbers.reslice_ns):
                return Verdict("reslice", near=near, far=far, condition=True, inside=inside)
            cost = far if numbers.fill_at_quote else limit_cost
            return _fill(s, numbers, "far_through", cost, near, far, PPM)
        due_at = ready_at
    if inside:
        ready_at = (s.inside_since or s.now) + numbers.dwell_ns
        if s.now >= ready_at:
            return _fill_inside(s, numbers, limit_cost, near, far, through)
        due_at = min(due_at, ready_at) if due_at else ready_at
    return Verdict("dwell", near=near, far=far, condition=through, inside=inside, due_at=due_at)


def _fill_inside(s: Situation, numbers: Numbers, limit_cost: int, near: int, far: int, through: bool) -> Verdict:
    theta = taking_theta(s, numbers, False, far - near)
    cost = limit_cost
    if s.inside_from_start:
        cost = min(limit_cost, take_cost(near, far, theta, s.tick_price))
    size = max(1, min(s.bid_size, s.ask_size) * numbers.inside_cap_ppm // PPM) * QTY_PER_SHARE
    return Verdict(
        "inside", min(s.leaves_qty, size), cost if s.buying else -cost, near, far, theta_of(cost, near, far), theta,
        size, through, s.now + numbers.dwell_ns, True, False,
    )  # fmt: skip


def _fill(s: Situation, numbers: Numbers, reason: str, cost: int, near: int, far: int, theta_take: int) -> Verdict:
    price = cost if s.buying else -cost
    size = available(s, numbers)
    wanted = s.leaves_qty or qty_for_money(s.leaves_money, price)
    qty = wanted if size < 0 else min(wanted, size)
    if not s.fraction:
        qty -= qty % QTY_PER_SHARE
    if qty <= 0:
        return Verdict("consumed", near=near, far=far, condition=True, available_qty=max(0, size))
    return Verdict(
        reason, qty, price, near, far, theta_of(cost, near, far), theta_take, size if size >= 0 else wanted, True
    )


def random_part(qty: int, draw: int) -> int:
    """A whole number of shares below ``qty``, uniform; ``qty`` itself when there is no such number."""
    whole = (qty - 1) // QTY_PER_SHARE
    return (1 + draw % whole) * QTY_PER_SHARE if whole >= 1 else qty


def reservation_ppm(draw: int, numbers: Numbers) -> int:
    """The share of the spread from which a resting order may fill inside it (fill model §10); 0 for never."""
    if not numbers.inside_mean_ppm or not numbers.inside_cap_ppm:
        return 0
    drawn = numbers.inside_mean_ppm - numbers.inside_range_ppm + draw % (2 * numbers.inside_range_ppm + 1)
    return min(max(300_000, min(drawn, PPM)), numbers.theta_take_ppm)


def collar_of(s_buying: bool, bid: int, ask: int, numbers: Numbers) -> int:
    """Worst price of a market order that found this quote; 0 for none (fill model §9)."""
    far = ask if s_buying else bid
    if far <= 0:
        return 0
    if numbers.kind:
        if not numbers.collar_price:
            return 0
        room = max(numbers.collar_price, (ask - bid) // 4)
    else:
        room = far * numbers.collar_ppm // PPM
        if not numbers.collar_ppm:
            return 0
    return far + room if s_buying else max(1, far - room)


def elects(buying: bool, stop_price: int, trigger_price: int) -> bool:
    """Whether a price at ``trigger_price`` elects a stop (fill model §12)."""
    return trigger_price >= stop_price if buying else trigger_price <= stop_price
