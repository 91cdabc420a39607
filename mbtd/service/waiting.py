"""Why an order waits, and how it ended, in sentences of numbers."""

from __future__ import annotations

from typing import Any, Final

from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Order
from actors.book.units import (
    NS_PER_SECOND,
    QTY_PER_SHARE,
    divide_half_even,
    format_money,
    format_price,
    format_qty,
    format_scaled,
    format_time,
)
from mbtd.records.orders import OrderRecord, average_of

Json = dict[str, Any]
_TWICE_PPM: Final = 2_000_000
"""The middle is half of what both sides make together."""


def wait_numbers(order: Order, found: Json, now: int, profiles: Profiles) -> str:
    """The wait in a few sentences of numbers, and what can be done about one that may last."""
    buying, terms = order.terms.side == "buy", order.terms
    side, other = ("ask", "bid") if buying else ("bid", "ask")
    # A quote that is not of this moment is no present fact.
    the, be = ("The last", "was") if found["reason"] in _NOT_LIVE else ("The", "is")
    parts = []
    if "phase" in found:
        parts.append(_session(order, found))
    if terms.stop_price and order.triggered:
        parts.append(f"Its stop of {format_price(terms.stop_price)} has been elected.")
    if "stop" in found:
        parts.append(_stop(found, buying))
        if "mark" in found:
            parts.append(_trail(order, found, buying))
        if terms.limit_price:
            parts.append(f"Its limit of {format_price(terms.limit_price)} counts from then on.")
        if found.get("far"):
            parts.append(f"{the} {side} {be} {format_price(found['far'])} x {found['far_size']}.")
    elif found.get("far") and "limit" in found:
        away = found["distance"]
        where = (
            f"{format_price(away)} away from" if away > 0 else "at" if away == 0 else f"{format_price(-away)} through"
        )
        parts.append(
            f"{the} {side} {be} {format_price(found['far'])} x {found['far_size']}, {where} the limit of "
            f"{format_price(found['limit'])}."
        )
    elif found.get("far"):
        parts.append(f"{the} {side} {be} {format_price(found['far'])} x {found['far_size']}.")
    if "leg_bid" in found:
        parts.append(f"It is quoted {format_price(found['leg_bid'])} to {format_price(found['leg_ask'])}.")
    if found["reason"].endswith("wide"):
        parts += _wide(order, found, profiles)
    elif order.terms.legs and found["reason"].endswith("no_far_side"):
        parts.append("It waits until somebody quotes it; you can cancel it or take other strikes.")
    if "net_far" in found:
        parts.append(_net(found))
    if "stop" not in found:
        parts += _place(found, other, buying)
    if "collar" in found and found["reason"] == "collar":
        parts.append(f"It may not trade beyond {format_price(found['collar'])}.")
    if found["reason"] == "max_slices":
        ends = f" at {format_time(terms.expires_at)}" if terms.expires_at else ""
        parts.append(f"It has taken all {found['max_slices']}; what is left ends with the order{ends}.")
    if found.get("print_by"):
        auction = _AUCTIONS.get(terms.time_in_force, "reopening")
        parts.append(f"That is the {auction} auction; without a print by {format_time(found['print_by'])} it ends.")
    if found.get("until", 0) > now:
        parts.append(f"It waits until {format_time(found['until'])}.")
    if found.get("live_at"):
        parts.append(f"It is live in the market at {format_time(found['live_at'])}.")
    return " ".join((*parts, *_history(order, found)))


_NOT_LIVE = frozenset(("feed_dead", "market_data_disabled", "no_live_quote", "stale"))


def _wide(order: Order, found: Json, profiles: Profiles) -> list[str]:
    """How wide the quote is that holds an order back, what its profile takes, and what one can do."""
    profile = profiles.get(order.terms.profile)
    if profile is None or not profile.wide_ppm:
        return []
    near, far = ("leg_bid", "leg_ask") if order.terms.legs else ("near", "far")
    low, high = sorted((found.get(near, 0), found.get(far, 0)))
    parts = [f"Profile {profile.name} takes no quote wider than {_percent(profile.wide_ppm)} of its middle"]
    if (high - low) * _TWICE_PPM > profile.wide_ppm * (high + low):
        parts.append(f", and this one is {_percent((high - low) * _TWICE_PPM // (high + low))} wide")
    if not order.terms.legs:
        return [f"{''.join(parts)}. A limit order is not held back by that."]
    any_width = [name for name in profiles.names() if (p := profiles.get(name)) is not None and not p.wide_ppm]
    other = f", or trade in an account with profile {' or '.join(any_width)}" if any_width else ""
    return [f"{''.join(parts)}. It waits until the quote is narrower; you can cancel it, take other strikes{other}."]


def _percent(ppm: int) -> str:
    return f"{format_scaled(divide_half_even(ppm, 1_000), 1)} %"


def _net(found: Json) -> str:
    """What the legs cost together (a negative net is received), and how far that is from the limit."""
    near, far = format_price(found["net_near"]), format_price(found["net_far"])
    text = f"Its legs together stand at a net of {near} to {far}"
    if "net_limit" not in found:
        return f"{text}."
    away = found["distance"]
    where = f"{format_price(away)} away from" if away > 0 else "at" if away == 0 else f"{format_price(-away)} through"
    return f"{text}, {where} the limit of {format_price(found['net_limit'])}."


_AUCTIONS = {"opg": "opening", "cls": "closing"}
_PHASES = {
    "pre": "It is the session before the open",
    "post": "It is the session after the close",
    "overnight": "It is the overnight session",
    "closed": "The market is closed",
}


def _session(order: Order, found: Json) -> str:
    """Which session it is, in which one the order trades, and when that begins."""
    terms = order.terms
    now = _PHASES.get(found["phase"], "It is the core session")
    opens = f", which opens at {format_time(found['opens_at'])}" if found["opens_at"] else ""
    if terms.extended_hours:
        return f"{now}; the order waits for the next session."
    hint = " (a limit order with extended_hours trades before and after it, too)"
    return f"{now}; the order waits for the core session{opens}{hint}."


def _trail(order: Order, found: Json, buying: bool) -> str:
    """What a trailing stop follows, and how far behind."""
    terms = order.terms
    by = format_price(terms.trail_price) if terms.trail_price else f"{format_scaled(terms.trail_ppm, 4)} %"
    best = "lowest" if buying else "highest"
    return f"It trails the {best} price so far, {format_price(found['mark'])}, by {by}."


def _stop(found: Json, buying: bool) -> str:
    stop, last = found["stop"], found.get("last")
    if not last:
        return f"The stop is {format_price(stop)}."
    way, away = ("rise", stop - last) if buying else ("fall", last - stop)
    if away <= 0:
        return f"The stop is {format_price(stop)}; the last price is {format_price(last)}."
    now = f"The last price is {format_price(last)}"
    return f"{now}; it must {way} by {format_price(away)} to the stop at {format_price(stop)}."


def _place(found: Json, other: str, buying: bool) -> list[str]:
    """Where the order stands among those that wait on its side."""
    near, limit = found.get("near", 0), found.get("limit", 0)
    if found.get("queue_ahead") and found.get("level") == "joined":
        return [f"{found['queue_ahead']} stand before it at the best {other}, which shows {found['near_size']}."]
    if found.get("level") == "inside" and near:
        return [f"It is itself the best {other}; the best of the others is {format_price(near)}."]
    behind = (near - limit if buying else limit - near) if near and limit else 0
    if behind > 0:
        return [f"The best {other} is {format_price(near)} x {found['near_size']}, {format_price(behind)} before it."]
    return []


def _history(order: Order, found: Json) -> list[str]:
    """How near it has come: partial fills, near misses and the closest look."""
    parts = []
    if order.filled_qty:
        parts.append(f"{format_qty(order.filled_qty)} have filled so far.")
    times = found["evaluations"]
    if times:
        looks = [entry.distance for entry in found["trace"] if entry.far]
        closest = min((*looks, *([found["distance"]] if "distance" in found else [])), default=0)
        missed = found["near_misses"]
        text = f"It was checked against the market {times} time{_s(times)}"
        if missed:
            text += f", {missed} of them near miss{'' if missed == 1 else 'es'} (within a tick, or too short)"
        parts.append(f"{text}; the closest of late was {format_price(closest)} away." if closest > 0 else f"{text}.")
    return parts


def net_words(net: int) -> str:
    """A net of several legs a share, positive when it is paid, as a debit or a credit."""
    kind = "debit" if net > 0 else "credit" if net < 0 else "net"
    return f"a {kind} of {format_price(abs(net))}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def end_numbers(record: OrderRecord) -> str:
    """What an ended order did, and when it ended."""
    terms = record.terms
    ended_at = record.filled_at or record.canceled_at or record.expired_at or record.replaced_at or record.updated_at
    if terms.notional:
        done = f"{format_money(record.filled_money)} of {format_money(terms.notional)} dollars were filled"
    else:
        were = "was" if record.filled_qty == QTY_PER_SHARE else "were"
        done = f"{format_qty(record.filled_qty)} of {format_qty(terms.qty)} {were} filled"
    if record.filled_qty:
        average = average_of(record)
        done += f" at {net_words(average) if terms.legs else format_price(average)} on average"
    limit = net_words(terms.limit_price) if terms.legs else format_price(terms.limit_price)
    limited = terms.limit_price or (terms.legs and terms.type == "limit")
    price = f", with a limit of {limit}" if limited else ""
    if terms.stop_price:
        stop = "that was elected" if record.triggered else "that was not reached"
        price += f", with a stop of {format_price(terms.stop_price)} {stop}"
    lived = max(0, ended_at - terms.submitted_at)
    return f"{done}{price}; it ended at {format_time(ended_at)}, {lived / NS_PER_SECOND:.3f} s after it was placed."
