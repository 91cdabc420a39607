"""Orders of several legs: what makes a unit valid, what it costs, and what each leg trades at (fill model §11).

Everything is cost a share of one unit, larger being worse; a credit is a negative cost. A leg's ratio is signed
(positive is bought), whole contracts or lots of 100 shares.

Invariants: the legs' prices sum to the net exactly; no leg trades outside its own quote; every partial fill keeps
the ratio; integers only. A leg is split over two neighbouring prices only when no other allocation is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final

from msgspec import Struct, structs

from actors.book.rules.margin.payoff import LegAtExpiry, bounds, payoff_at
from actors.book.rules.matching.model import PPM, Situation, Verdict, evaluate
from actors.book.rules.matching.profiles import Numbers

LEGS_MAX: Final = 8
NET_TICK_PRICE: Final = 100
"""Legs and nets of complex orders step by a cent."""
LOT_SHARES: Final = 100


class UnitLeg(Struct, frozen=True, gc=False):
    """One leg of an order, by what decides whether the unit is valid."""

    symbol: str
    underlying: str
    """The stock's own symbol for a stock leg."""
    ratio: int
    """Signed: contracts, or shares for a stock leg."""
    stock: bool = False


class LegQuote(Struct, frozen=True, gc=False):
    """One leg at one moment."""

    ratio: int
    bid: int
    """Price units."""
    ask: int


class UnitQuote(Struct, frozen=True, gc=False):
    """What a unit costs at best and at the natural price, price units."""

    near: int
    far: int

    @property
    def width(self) -> int:
        """The legs' spreads together."""
        return self.far - self.near


class LegLine(Struct, frozen=True, gc=False):
    """What so many contracts of a leg trade at, in each unit."""

    leg: int
    """Index of the leg."""
    contracts: int
    """Of one unit, signed."""
    price: int


class UnitProblem(Struct, frozen=True, gc=False):
    """Why a unit is not valid: a stable reason, and the leg it is about."""

    reason: str
    leg: str = ""


def invalid(legs: Sequence[UnitLeg], legs_max: int = LEGS_MAX, stock_allowed: bool = True) -> UnitProblem | None:
    """The first rule of alpaca-api §2.13 that a unit breaks: count, stock leg, ratios, symbols, underlying."""
    if not 2 <= len(legs) <= legs_max:
        return UnitProblem("leg_count")
    seen: set[str] = set()
    for leg in legs:
        if leg.ratio == 0 or (leg.stock and leg.ratio % LOT_SHARES):
            return UnitProblem("leg_ratio", leg.symbol)
        if leg.stock and not stock_allowed:
            return UnitProblem("stock_leg", leg.symbol)
        if leg.symbol in seen:
            return UnitProblem("leg_repeated", leg.symbol)
        seen.add(leg.symbol)
        if leg.underlying != legs[0].underlying:
            return UnitProblem("underlying_mismatch", leg.symbol)
    if sum(leg.stock for leg in legs) > 1:
        return UnitProblem("stock_leg", next(leg.symbol for leg in reversed(legs) if leg.stock))
    if gcd(*(lots(leg) for leg in legs)) != 1:
        return UnitProblem("ratio_not_reduced")
    return None


def lots(leg: UnitLeg) -> int:
    """The leg's ratio as the unit counts it."""
    return leg.ratio // LOT_SHARES if leg.stock else leg.ratio


def unit_quote(legs: Sequence[LegQuote]) -> UnitQuote:
    """Best and natural cost of a unit."""
    near = far = 0
    for leg in legs:
        ratio = leg.ratio
        if ratio > 0:
            near += ratio * leg.bid
            far += ratio * leg.ask
        else:
            near += ratio * leg.ask
            far += ratio * leg.bid
    return UnitQuote(near, far)


def available_units(ratios: Sequence[int], available: Sequence[int]) -> int:
    """Whole units that the legs' available contracts make."""
    return min(have // abs(ratio) for ratio, have in zip(ratios, available, strict=True))


def take_cost(quote: UnitQuote, theta_ppm: int) -> int:
    """Cost of taking at ``theta`` of the width, on the cent grid, rounded against the trader, at most ``far``."""
    cost = quote.near - (-quote.width * theta_ppm // 1_000_000)
    return min(quote.far, -(-cost // NET_TICK_PRICE) * NET_TICK_PRICE)


def sign_suspect(quote: UnitQuote, limit_cost: int) -> bool:
    """Whether the limit says debit where the market is a credit, or the reverse."""
    return (quote.far < 0 < limit_cost) or (quote.near > 0 > limit_cost)


def evaluate_unit(s: Situation, numbers: Numbers) -> Verdict:
    """Judge a unit as one instrument; a net beyond the natural price would take a leg outside its quote, so the
    unit trades at the natural price then: a limit that the market has passed, a later slice of a market order."""
    verdict = evaluate(s, numbers)
    if verdict.qty and verdict.price > verdict.far:
        return structs.replace(verdict, price=verdict.far, theta_ppm=PPM)
    return verdict


def payoff_bounds(legs: Sequence[LegAtExpiry]) -> tuple[int | None, int | None]:
    """Least and largest payoff at expiry of one unit; None on a side without bound.

    For legs of one expiry. Each leg is (call, strike, ratio).
    """
    return bounds(legs)


def outside_payoff(legs: Sequence[LegAtExpiry], net_cost: int, tick_price: int = NET_TICK_PRICE) -> bool:
    """Whether a net lies outside what the unit can pay, by more than one tick a leg: a stale leg."""
    low, high = payoff_bounds(legs)
    slack = tick_price * len(legs)
    return (low is not None and net_cost < low - slack) or (high is not None and net_cost > high + slack)


def allocate(legs: Sequence[LegQuote], net_cost: int, tick_price: int = NET_TICK_PRICE) -> list[LegLine]:
    """Leg prices for a net between ``near`` and ``far``: exact, and every leg at its own part of its spread.

    ValueError when the net lies outside the unit's quote or a leg is crossed. Quotes off the tick make the steps
    finer, so that the sum stays exact.
    """
    quote = unit_quote(legs)
    if not quote.near <= net_cost <= quote.far:
        raise ValueError("the net lies outside the unit's quote")
    widths = [leg.ask - leg.bid for leg in legs]
    if min(widths) < 0:
        raise ValueError("a leg is crossed")
    if net_cost == quote.far:
        return [LegLine(index, leg.ratio, leg.ask if leg.ratio > 0 else leg.bid) for index, leg in enumerate(legs)]
    give = net_cost - quote.near
    tick = gcd(tick_price, net_cost, *(leg.bid for leg in legs), *(leg.ask for leg in legs))
    steps, rest = _whole_steps(legs, widths, give, quote.width, tick)
    lines = []
    for index, leg in enumerate(legs):
        worse = 0
        if rest and rest < abs(leg.ratio) * tick and steps[index] + tick <= widths[index]:
            worse, rest = rest // tick, 0
        lines.extend(_lines(index, leg, steps[index], tick, worse))
    assert rest == 0, "the legs' spreads add up to the width"
    return lines


def _whole_steps(
    legs: Sequence[LegQuote], widths: Sequence[int], give: int, width: int, tick: int
) -> tuple[list[int], int]:
    """Every leg's part of its spread on the grid, and what whole legs cannot take."""
    if not width:
        return [0] * len(legs), 0
    steps = [give * w // width // tick * tick for w in widths]
    rest = give - sum(abs(leg.ratio) * step for leg, step in zip(legs, steps, strict=True))
    order = sorted(range(len(legs)), key=lambda i: (steps[i] * width - give * widths[i], i))
    moved = True
    while rest and moved:
        moved = False
        for i in order:
            cost = abs(legs[i].ratio) * tick
            if cost <= rest and steps[i] + tick <= widths[i]:
                steps[i] += tick
                rest -= cost
                moved = True
    return steps, rest


def _lines(index: int, leg: LegQuote, step: int, tick: int, worse: int) -> list[LegLine]:
    side = 1 if leg.ratio > 0 else -1
    price = leg.bid + step if side > 0 else leg.ask - step
    lines = [LegLine(index, leg.ratio - side * worse, price)]
    if worse:
        lines.append(LegLine(index, side * worse, price + side * tick))
    return lines


def intrinsic(legs: Sequence[LegAtExpiry], price: int) -> int:
    """What a unit pays at a settlement price, price units."""
    return sum(ratio * payoff_at(call, strike, price) for call, strike, ratio in legs)
