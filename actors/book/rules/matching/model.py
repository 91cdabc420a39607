"""Whether, how much and at what price an order fills now (fill model §2, §9, §10).

Everything is compared as *cost*, larger being worse for the trader: a price for buys, its negative for sells.
Invariants: pure and integer-only; a fill never costs more than the limit; a resting order fills at its own
limit unless its profile says otherwise; taking liquidity never costs more than the far side; every evaluation
without a fill names its reason. Known limits: stocks only; no queue, print, inside or auction fills.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.rules.matching.profiles import Profile
from actors.book.units import NS_PER_MS, QTY_PER_SHARE, qty_for_money

FAR_REASONS = frozenset({"not_marketable"})
"""Reasons after which an order sleeps until the market reaches its limit."""
SESSION_REASONS = frozenset({"session"})
"""Reasons after which an order sleeps until the next phase."""


class Situation(Struct, frozen=True, gc=False):
    """One order against one quote, in plain numbers."""

    buying: bool
    market: bool
    limit_price: int
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
    draw: int


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
    tick: int = 1
    condition: bool = False
    """The fill condition holds (the dwell may run)."""
    due_at: int = 0
    """When to look again without a message; 0 for never."""


def take_cost(near: int, far: int, theta_ppm: int) -> int:
    """Cost of taking at ``theta`` of the spread, rounded against the trader, never above ``far``."""
    width = far - near
    return min(far, near - (-width * theta_ppm // 1_000_000))


def available(s: Situation, profile: Profile) -> int:
    """Quantity units that may be taken from the far side now; -1 for any quantity."""
    if profile.depth_ppm == 0:
        return -1
    size = s.ask_size if s.buying else s.bid_size
    shown = size * QTY_PER_SHARE * profile.depth_ppm // 1_000_000
    if s.extended:
        shown //= 2
    return max(0, shown - s.used_qty)


def evaluate(s: Situation, profile: Profile) -> Verdict:
    """Judge one order against a usable quote."""
    near, far = (s.bid, s.ask) if s.buying else (-s.ask, -s.bid)
    near_missing = (s.bid if s.buying else s.ask) <= 0
    limit_cost = s.limit_price if s.buying else -s.limit_price
    if near_missing:
        near = far
    if s.market:
        return _market(s, profile, near, far, near_missing)
    if limit_cost < far:
        return Verdict("not_marketable", near=near, far=far)
    if s.taking:
        theta = 1_000_000 if near_missing or s.extended else profile.theta_take_ppm
        cost = min(limit_cost, take_cost(near, far, theta))
        return _fill(s, profile, "take", cost, near, far, theta)
    return _rest(s, profile, limit_cost, near, far)


def _market(s: Situation, profile: Profile, near: int, far: int, near_missing: bool) -> Verdict:
    if s.slice_no == 0:
        theta = 1_000_000 if near_missing or s.extended else profile.theta_take_ppm
        return _collared(s, profile, "take", take_cost(near, far, theta), near, far, theta)
    if profile.max_slices and s.slice_no >= profile.max_slices:
        return Verdict("max_slices", near=near, far=far)
    wait_until = s.last_fill_at + profile.reslice_ms * NS_PER_MS
    if not s.quote_is_new or s.now < wait_until:
        return Verdict("reslice", near=near, far=far)
    cost = far if profile.depth_ppm == 0 else far + s.slice_no * s.tick_price
    return _collared(s, profile, "take_slice", cost, near, far, 1_000_000)


def _collared(s: Situation, profile: Profile, reason: str, cost: int, near: int, far: int, theta: int) -> Verdict:
    if s.collar_price:
        worst = s.collar_price if s.buying else -s.collar_price
        if far > worst:
            return Verdict("collar", near=near, far=far)
        cost = min(cost, worst)
    return _fill(s, profile, reason, cost, near, far, theta)


def _rest(s: Situation, profile: Profile, limit_cost: int, near: int, far: int) -> Verdict:
    since = s.cond_since or s.now
    dwell_ns = profile.dwell_ms * NS_PER_MS
    if far < limit_cost:
        dwell_ns //= 2
    if s.now < since + dwell_ns:
        return Verdict("dwell", near=near, far=far, condition=True, due_at=since + dwell_ns)
    if s.last_fill_at and (not s.quote_is_new or s.now < s.last_fill_at + profile.reslice_ms * NS_PER_MS):
        return Verdict("reslice", near=near, far=far, condition=True)
    cost = far if profile.fill_at_quote else limit_cost
    return _fill(s, profile, "far_through", cost, near, far, 1_000_000)


def _fill(s: Situation, profile: Profile, reason: str, cost: int, near: int, far: int, theta_take: int) -> Verdict:
    price = cost if s.buying else -cost
    size = available(s, profile)
    wanted = s.leaves_qty or qty_for_money(s.leaves_money, price)
    qty = wanted if size < 0 else min(wanted, size)
    if not s.fraction:
        qty -= qty % QTY_PER_SHARE
    if qty <= 0:
        return Verdict("consumed", near=near, far=far, condition=True, available_qty=max(0, size))
    if s.draw and profile.partial_ppm and s.draw % 1_000_000 < profile.partial_ppm:
        qty, reason = _random_part(qty, s.draw), "parity_partial"
    width = far - near
    theta = (cost - near) * 1_000_000 // width if width > 0 else 1_000_000
    return Verdict(reason, qty, price, near, far, theta, theta_take, size if size >= 0 else wanted, 1, condition=True)


def _random_part(qty: int, draw: int) -> int:
    """A whole number of shares below ``qty``, uniform; ``qty`` itself when there is no such number."""
    whole = (qty - 1) // QTY_PER_SHARE
    if whole < 1:
        return qty
    return (1 + (draw // 1_000_000) % whole) * QTY_PER_SHARE


def elects(buying: bool, stop_price: int, trigger_price: int) -> bool:
    """Whether a print at ``trigger_price`` elects a stop (fill model §12)."""
    return trigger_price >= stop_price if buying else trigger_price <= stop_price
