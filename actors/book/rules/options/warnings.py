"""What to tell a holder of expiring contracts, with the numbers (margin-and-options §5.4).

Invariants: a warning says what would happen at the present price and on both sides of it, by the very rules that
settle; it changes nothing. One kind of warning is given once for an underlying and day, the weightiest first.

Known limits: how far the price can go until the close is the larger of 1 % and half of what the caller expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.options.expiry import SETTLE, ExpiryPolicy, Group, Waiting, resolve
from actors.book.rules.options.means import Judge
from actors.book.rules.options.outcome import Holding, NetChange, Prices, net_change
from actors.book.rules.options.precheck import Touch
from actors.book.units import format_money, format_price, format_qty

WarningKind = Literal[
    "cannot_settle",
    "pin_risk",
    "short_in_the_money",
    "one_leg_ends_alone",
    "dividend_assignment_risk",
    "awaiting_price",
]
OF_PRICES: Final = frozenset(
    {"cannot_settle", "pin_risk", "short_in_the_money", "one_leg_ends_alone", "awaiting_price"}
)
"""Kinds that end when the price no longer says so."""
_BAND_PARTS: Final = 100


class Warned(Struct, frozen=True):
    """One warning: its kind, the contracts it is about, and the numbers as texts."""

    kind: WarningKind
    symbols: tuple[str, ...]
    numbers: dict[str, str]


class Side(Struct, frozen=True):
    """What a group does to the account at one price of its underlying."""

    price: int
    change: NetChange
    deficit_money: int
    ended: dict[str, str]
    """How each contract ends."""


def pin_band(price: int, expected_move_price: int = 0) -> int:
    """How far to look on both sides: the larger of 1 % and half the expected move to the close; price units."""
    return max(price // _BAND_PARTS, expected_move_price // 2)


def sides(
    group: Group, prices: Prices, band: int, judge: Judge, policy: ExpiryPolicy = SETTLE
) -> list[Side] | Waiting:
    """The group's end at the present price, below it and above it, in this order."""
    price = prices.get(group.underlying, 0)
    found = []
    for at in (price, max(1, price - band), price + band):
        settled = resolve(group, {**prices, group.underlying: at}, policy)
        if isinstance(settled, Waiting):
            return settled
        change = net_change(settled.outcomes)
        ended: dict[str, str] = {outcome.symbol: outcome.how for outcome in settled.outcomes}
        found.append(Side(at, change, judge(change), ended))
    return found


def expiry_warnings(
    group: Group,
    prices: Prices,
    judge: Judge,
    policy: ExpiryPolicy = SETTLE,
    expected_move_price: int = 0,
) -> list[Warned]:
    """All warnings about a group that expires today, the weightiest first."""
    price = prices.get(group.underlying, 0)
    symbols = tuple(holding.instrument.symbol for holding in group.holdings)
    if not price:
        return [Warned("awaiting_price", symbols, {"underlying": group.underlying})]
    looked = sides(group, prices, pin_band(price, expected_move_price), judge, policy)
    if isinstance(looked, Waiting):
        return [Warned("awaiting_price", symbols, {"missing": looked.missing, "reason": looked.reason})]
    now, below, above = looked
    numbers = _numbers(group, now, below, above)
    found = []
    if any(side.deficit_money for side in looked):
        found.append(Warned("cannot_settle", symbols, numbers))
    pinned = tuple(symbol for symbol in symbols if below.ended[symbol] != above.ended[symbol])
    if pinned:
        found.append(Warned("pin_risk", pinned, numbers))
    short = tuple(
        h.instrument.symbol for h in group.holdings if h.qty < 0 and now.ended[h.instrument.symbol] == "assigned"
    )
    if short:
        found.append(Warned("short_in_the_money", short, numbers))
    if _alone(group, now):
        found.append(Warned("one_leg_ends_alone", symbols, numbers))
    return found


def dividend_warning(
    holding: Holding, price: int, touch: Touch | None, dividend_price: int, ex_date: int
) -> Warned | None:
    """Of a short call on the last session before its stock goes ex: whether a holder gains by exercising."""
    instrument = holding.instrument
    worth = price - instrument.strike
    if not is_assignable(instrument) or instrument.right != "call" or holding.qty >= 0 or worth <= 0:
        return None
    value = time_value(instrument, price, touch)
    if value is None or dividend_price <= value:
        return None
    return Warned(
        "dividend_assignment_risk",
        (instrument.symbol,),
        {
            "dividend": format_price(dividend_price),
            "time_value": format_price(value),
            "ex_date": f"{ex_date // 10_000}-{ex_date // 100 % 100:02d}-{ex_date % 100:02d}",
            "strike": format_price(instrument.strike),
            "price": format_price(price),
        },
    )


def is_assignable(instrument: Instrument) -> bool:
    """Whether a short of this contract can be assigned before its expiry."""
    return instrument.is_option and instrument.style == "american"


def time_value(instrument: Instrument, price: int, touch: Touch | None) -> int | None:
    """What the middle price exceeds the intrinsic value by, at least 0; ``None`` without a two-sided quote."""
    if touch is None or not touch.bid or not touch.ask:
        return None
    worth = price - instrument.strike if instrument.right == "call" else instrument.strike - price
    return max(0, (touch.bid + touch.ask) // 2 - max(0, worth))


def _alone(group: Group, now: Side) -> bool:
    """Whether shares are left of a group that holds longs and shorts."""
    both = {holding.qty > 0 for holding in group.holdings}
    return len(both) == 2 and bool(now.change.shares)


def _numbers(group: Group, now: Side, below: Side, above: Side) -> dict[str, str]:
    numbers = {"underlying": group.underlying}
    named: Mapping[str, Side] = {"now": now, "below": below, "above": above}
    for name, side in named.items():
        numbers[f"price_{name}"] = format_price(side.price)
        numbers[f"cash_{name}"] = format_money(side.change.cash_money)
        for symbol, qty in side.change.shares.items():
            numbers[f"shares_{name}" if symbol == group.underlying else f"{symbol}_{name}"] = format_qty(qty)
        if side.deficit_money:
            numbers[f"missing_{name}"] = format_money(side.deficit_money)
    return numbers
