"""The place of a resting order in the queue at its price (fill model §10).

Invariants: sizes are whole shares or contracts; the queue ahead only shrinks while the order keeps its price and
its symbol's tape is whole; what prints have taken off is not taken off again by the quote that follows.
``ahead_size`` -1 means unknown: the near side has not come to the order's price yet. Known limit: when most of a
queue cancels at once, the power rule can leave less before an order that stood further back.
"""

from __future__ import annotations

from actors.book.rules.matching.profiles import Numbers
from actors.book.state.book import Place

JOINED, INSIDE, BEHIND = "joined", "inside", "behind"
UNKNOWN = -1
NO_EPOCH = -1


def level_of(limit_cost: int, near: int | None) -> str:
    """Where a resting limit stands against the near side (``None``: nobody quotes it)."""
    if near is None or limit_cost > near:
        return INSIDE
    return JOINED if limit_cost == near else BEHIND


def enter(price: int, limit_cost: int, near: int | None, near_size: int, numbers: Numbers, epoch: int = 0) -> Place:
    """The place of an order that rests from now on: behind everybody at its price."""
    level = level_of(limit_cost, near)
    if level == JOINED:
        return Place(JOINED, price, _scaled(near_size, numbers), near_size, 0, epoch)
    return Place(level, price, 0 if level == INSIDE else UNKNOWN, 0, 0, epoch)


def lost(place: Place | None) -> Place | None:
    """What stays of a place after a gap: the price at which the order rests, of no epoch, so that it joins anew."""
    return Place(BEHIND, place.price, UNKNOWN, 0, 0, NO_EPOCH) if place is not None else None


def _scaled(size: int, numbers: Numbers) -> int:
    if numbers.queue_rule == "none":
        return 0
    return -(-size * numbers.queue_scale_ppm // 1_000_000)


def follow_quote(place: Place, limit_cost: int, near: int | None, near_size: int, numbers: Numbers) -> Place:
    """The place after a new quote."""
    level = level_of(limit_cost, near)
    if level == INSIDE:
        return place if place.level == INSIDE else Place(INSIDE, place.price, 0, 0, 0, place.epoch)
    if level == BEHIND:
        return place if place.level == BEHIND else Place(BEHIND, place.price, place.ahead_size, 0, 0, place.epoch)
    ahead = place.ahead_size
    if ahead == UNKNOWN:
        ahead = _scaled(near_size, numbers)
    elif place.level == JOINED:
        ahead = _after_change(place, near_size, numbers)
    else:
        ahead = min(ahead, near_size)
    if (
        ahead == place.ahead_size
        and near_size == place.shown_size
        and not place.traded_size
        and place.level == JOINED
    ):
        return place
    return Place(JOINED, place.price, ahead, near_size, 0, place.epoch)


def _after_change(place: Place, size: int, numbers: Numbers) -> int:
    ahead = place.ahead_size
    left = place.shown_size - place.traded_size
    gone = left - size
    if gone <= 0 or numbers.queue_rule != "power":
        return min(ahead, size)
    back = max(0, left - ahead)
    in_front, behind = ahead**numbers.queue_power, back**numbers.queue_power
    whole = in_front + behind
    before = gone * in_front // whole if whole else 0
    excess = max(0, gone - before - back)
    return max(0, min(ahead - before - excess, size))


def after_print(place: Place, size: int) -> tuple[int, Place]:
    """What a print at the order's own price leaves for it, and its place afterwards."""
    if place.ahead_size == UNKNOWN:
        return 0, place
    excess = max(0, size - place.ahead_size)
    ahead = max(0, place.ahead_size - size)
    return excess, Place(place.level, place.price, ahead, place.shown_size, place.traded_size + size, place.epoch)
