"""What the official print of an auction gives an order (fill model §13).

Invariants: a fill is at the official print, or a stated number of ticks worse and never beyond the limit; an order
takes no more than its profile's share of the print; a limit takes part only when the print is at or better.
"""

from __future__ import annotations

from typing import Final

from actors.book.rules.matching.model import PPM, Verdict
from actors.book.rules.matching.profiles import Numbers
from actors.book.units import QTY_PER_SHARE, qty_for_money
from actors.market.messages import Session

REASONS: Final = {"open": "auction_open", "close": "auction_close", "halt": "auction_halt"}
TIME_IN_FORCE: Final = {"open": "opg", "close": "cls"}


def auction_at(time_in_force: str, session: Session, now: int) -> int:
    """When the auction of an on-open or on-close order that arrives now takes place."""
    first, following = session.opening_auctions if time_in_force == "opg" else session.closing_auctions
    return first if now < first else following


def evaluate_auction(
    kind: str, price: int, size: int, buying: bool, limit_price: int, leaves_qty: int, leaves_money: int, tick: int,
    fraction: bool, numbers: Numbers,
) -> Verdict:  # fmt: skip
    """Judge one order against an official print."""
    sign = 1 if buying else -1
    cost = price * sign
    limit_cost = limit_price * sign
    if limit_price and cost > limit_cost:
        return Verdict("not_marketable")
    worse = cost + numbers.auction_ticks * tick
    if limit_price:
        worse = min(worse, limit_cost)
    most = size * numbers.auction_cap_ppm // PPM * QTY_PER_SHARE
    wanted = leaves_qty or qty_for_money(leaves_money, worse * sign)
    qty = min(wanted, most)
    if not fraction:
        qty -= qty % QTY_PER_SHARE
    if qty <= 0:
        return Verdict("consumed", available_qty=most)
    return Verdict(REASONS[kind], qty, worse * sign, cost, cost, PPM, PPM, most, at_touch=False)
