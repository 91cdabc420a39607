"""Trailing stops: the stop that follows from the best price (alpaca-api §2.6, fill model §12).

Invariants: the high-water mark moves only in the order's favour (up for sales, down for buys) and only with the
trigger's own price source; the stop is looked at after the mark has moved. The mark lives in the order's watch and
is saved by value; the terms hold the one that they began with. Stops have four decimals and no grid.
"""

from __future__ import annotations

from actors.book.events import OrderAccepted
from actors.book.state.book import Order, Watch
from actors.book.units import divide_half_even


def trails(terms: OrderAccepted) -> bool:
    """Whether these are the terms of a trailing stop."""
    return terms.trail_price > 0 or terms.trail_ppm > 0


def stop_from(buying: bool, mark: int, trail_price: int, trail_ppm: int) -> int:
    """The stop price at a high-water mark; not positive when the trail is wider than the price."""
    width = trail_price or divide_half_even(mark * trail_ppm, 1_000_000)
    return mark + width if buying else mark - width


def high_water_mark(order: Order, watch: Watch | None) -> int:
    """The best price since the order's terms began."""
    return (watch.high_water_mark if watch is not None else 0) or order.terms.high_water_mark


def follow_price(order: Order, watch: Watch | None, price: int) -> int:
    """The high-water mark after one more price of the trigger's source."""
    mark = high_water_mark(order, watch)
    return min(mark, price) if order.terms.side == "buy" else max(mark, price)


def stop_now(order: Order, watch: Watch | None) -> int:
    """Stop price of any order as it stands now; 0 for one without."""
    terms = order.terms
    if order.triggered or not trails(terms):
        return terms.stop_price
    mark = high_water_mark(order, watch)
    return stop_from(terms.side == "buy", mark, terms.trail_price, terms.trail_ppm)
