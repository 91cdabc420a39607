"""Receipts and explanations in words and numbers (fill model §17).

Invariants: a receipt is computed from the fill's record alone and says so when the fill does not come out of it
again; an explanation of a waiting order names the market's numbers, never only a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from actors.book.events import Evidence, OrderAccepted
from actors.book.explain import AUCTION_KINDS, PRINT_REASONS, elsewhere, reproduces, why_waiting
from actors.book.forced import BUY_IN_PREFIX, EXPIRY_PREFIX, FORCED_PREFIX
from actors.book.ids import derive_fill_id
from actors.book.rules.matching.model import Verdict
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.matching.words import sentence
from actors.book.state.book import Book, Order
from actors.book.structures.exits import EXIT_PREFIX
from actors.book.units import (
    QTY_PER_SHARE,
    format_money,
    format_price,
    format_qty,
    format_scaled,
    format_time,
    value_money,
)
from actors.market.world import Trace, World
from mbtd.records.orders import OrderRecord, render_order
from mbtd.records.projection import FillRecord
from mbtd.service.waiting import end_numbers, net_words, wait_numbers

Json = dict[str, Any]
_OF_THE_MARKET: Final = frozenset(
    {
        "near",
        "far",
        "near_size",
        "far_size",
        "last",
        "distance",
        "theta",
        "quote_class",
        "queue_ahead",
        "net_near",
        "net_far",
        "leg_bid",
        "leg_ask",
    }
)
"""What of an explanation tells where the market stands."""


def _price(value: int) -> str | None:
    return format_price(value) if value else None


def _cost(cost: int, buying: bool) -> str:
    return format_price(cost if buying else -cost)


def _time(at: int) -> str | None:
    return format_time(at) if at else None


def _share(ppm: int) -> str:
    return f"{format_scaled(ppm, 4)} %"


def render_fill(record: FillRecord) -> Json:
    """A fill as lists show it."""
    terms, fill = record.terms, record.fill
    value = value_money(fill.price, fill.qty, fill.evidence.multiplier)
    return {
        "fill_id": derive_fill_id(terms.order_id, fill.fill_no),
        "order_id": terms.order_id,
        "client_order_id": terms.client_order_id,
        "symbol": terms.symbol,
        "side": terms.side,
        "qty": format_qty(fill.qty),
        "price": format_price(fill.price),
        "net_amount": format_money(-value if terms.side == "buy" else value),
        "filled_qty": format_qty(fill.filled_qty),
        "order_status": fill.status,
        "reason": fill.reason,
        "liquidity": fill.liquidity,
        "profile": fill.evidence.profile,
        "transaction_time": format_time(record.at),
        "seq": record.seq,
    }


# ── fills ────────────────────────────────────────────────────────────────────────────────────────────────────


def receipt(record: FillRecord, profiles: Profiles) -> Json:
    """The evidence of a fill, whether the fill comes out of it again, and what other profiles would have done."""
    terms, fill = record.terms, record.fill
    v, buying = fill.evidence, terms.side == "buy"
    same, verdict = reproduces(terms, fill, record.at, profiles)
    out = render_fill(record)
    out["explanation"] = f"{sentence(fill.reason) or fill.reason} {_fill_numbers(record)}"
    out["evidence"] = _evidence(v, record.at)
    out["decision"] = _decision(record)
    out["reproduced"] = same
    if not same:
        out["reproduction"] = (
            "the profile of this fill is not loaded or has changed"
            if verdict is None
            else f"the record gives {format_qty(verdict.qty)} at {format_price(verdict.price)} ({verdict.reason})"
        )
    else:
        out["other_profiles"] = _other_profiles(record, profiles, buying)
    return out


def _fill_numbers(record: FillRecord) -> str:
    """The fill in one sentence of numbers."""
    terms, fill = record.terms, record.fill
    if terms.legs:
        return _unit_fill_numbers(record)
    v, verb = fill.evidence, "Bought" if terms.side == "buy" else "Sold"
    done = f"{verb} {format_qty(fill.qty)} at {format_price(fill.price)}"
    if v.limit_price:
        done += f" (limit {format_price(v.limit_price)})"
    quote = f"bid {format_price(v.bid)} x {v.bid_size}, ask {format_price(v.ask)} x {v.ask_size}"
    if fill.reason in AUCTION_KINDS:
        return f"{done}; the official print was {v.print_size} at {format_price(v.print_price)}."
    if fill.reason == "queue":
        return (
            f"{done}: the print was {v.print_size} at {format_price(v.print_price)}, {v.ahead_before} stood before "
            f"the order, and it could have up to {format_qty(v.print_left_qty)} of it."
        )
    if fill.reason == "print_through":
        return (
            f"{done}: the print was {v.print_size} at {format_price(v.print_price)}, beyond the limit, and the order "
            f"could have up to {format_qty(v.print_left_qty)} of it."
        )
    if fill.reason in ("far_through", "inside"):
        since = v.inside_since if fill.reason == "inside" else v.dwell_since
        waited = (record.at - since) // 1_000_000 if since else 0
        return f"{done} against {quote}, after the market had stood there for {waited} ms."
    far, name = (v.ask, "ask") if terms.side == "buy" else (v.bid, "bid")
    better = far - fill.price if terms.side == "buy" else fill.price - far
    if better > 0:
        gain = format_money(value_money(better, fill.qty, v.multiplier))
        return f"{done} against {quote}: {format_price(better)} better than the {name}, {gain} dollars in all."
    if better < 0:
        worse = format_price(-better)
        return f"{done} against {quote}: {worse} beyond the {name}, as an order larger than the quote moves it."
    return f"{done} against {quote}: at the {name}."


def _unit_fill_numbers(record: FillRecord) -> str:
    """The fill of an order of several legs: its net, where their quotes stood together, and each leg."""
    fill, v = record.fill, record.fill.evidence
    count = "1 unit" if fill.qty == QTY_PER_SHARE else f"{format_qty(fill.qty)} units"
    done = f"{count} at {net_words(fill.price)}"
    where = f"the legs together stood at a net of {format_price(v.bid)} to {format_price(v.ask)}"
    waited = ""
    if fill.reason in ("far_through", "inside"):
        since = v.inside_since if fill.reason == "inside" else v.dwell_since
        waited = f" for {(record.at - since) // 1_000_000 if since else 0} ms"
    legs = "; ".join(
        f"{'bought' if leg.side == 'buy' else 'sold'} {format_qty(leg.qty)} {leg.symbol} at {format_price(leg.price)}"
        for leg in record.legs
    )
    share = f"{_share(v.theta_ppm)} of the way from the near to the far side"
    return f"{done}: {where}{waited}, and that is {share}. {legs[:1].upper()}{legs[1:]}."


def _evidence(v: Evidence, at: int) -> Json:
    out: Json = {
        "bid": _price(v.bid),
        "bid_size": v.bid_size if v.bid_size >= 0 else None,
        "ask": _price(v.ask),
        "ask_size": v.ask_size if v.ask_size >= 0 else None,
        "quote_class": v.quote_class or None,
        "quote_time": format_time(v.quote_at),
        "quote_age_ms": max(0, (at - v.quote_at) // 1_000_000),
        "bid_exchange": v.bid_exchange or None,
        "ask_exchange": v.ask_exchange or None,
        "last_price": _price(v.last_price),
        "tape_seq": v.tape_seq,
        "quote_seq": v.quote_seq,
        "session": v.session,
        "data_class": v.data_class,
        "feed": v.feed,
        "limit_down": _price(v.luld_lower),
        "limit_up": _price(v.luld_upper),
        "short_sale_restriction": v.short_restricted or None,
        "underlying_price": _price(v.underlying_price),
        "messages_lost_at": _time(v.gap_at),
    }
    if v.print_price:
        out["print"] = {
            "price": format_price(v.print_price),
            "size": v.print_size,
            "time": format_time(v.print_at),
            "exchange": v.print_exchange or None,
            "conditions": v.print_conditions or None,
            "left_for_this_account": format_qty(v.print_left_qty),
            "whole_bar": v.bar_tape or None,
        }
    return out


def _decision(record: FillRecord) -> Json:
    terms, fill, v = record.terms, record.fill, record.fill.evidence
    buying = terms.side == "buy"
    return {
        "near": _cost(v.near, buying),
        "far": _cost(v.far, buying),
        "width": format_price(v.far - v.near),
        "theta": format_scaled(v.theta_ppm, 6),
        "theta_take": format_scaled(v.theta_take_ppm, 6) if v.theta_take_ppm else None,
        "reservation": format_scaled(v.reserve_ppm, 6) if v.reserve_ppm else None,
        "limit_price": _price(v.limit_price),
        "acting_limit": _price(v.acting_limit) if v.acting_limit != v.limit_price else None,
        "stood": v.level or None,
        "queue_ahead_before": v.ahead_before if v.ahead_before >= 0 and fill.reason in PRINT_REASONS else None,
        "queue_ahead_after": v.ahead_after if v.ahead_after >= 0 and fill.reason in PRINT_REASONS else None,
        "size_available": format_qty(v.available_qty),
        "taken_before": format_qty(v.consumed_before),
        "taken_after": format_qty(v.consumed_after),
        "slice": v.slice_no,
        "dwell_since": _time(v.dwell_since),
        "latency_ms": (terms.live_at - terms.submitted_at) // 1_000_000,
        "collar_price": _price(v.collar_price),
        "draw": v.draw or None,
        "profile": v.profile,
        "profile_hash": v.profile_hash,
        "model": v.model,
    }


def _other_profiles(record: FillRecord, profiles: Profiles, buying: bool) -> Json:
    reason = record.fill.reason
    if reason in PRINT_REASONS or reason == "far_through":
        return {"note": "A resting order's fill depends on the tape before it; its record says nothing of others."}
    out: Json = {}
    for name, verdict in elsewhere(record.terms, record.fill, record.at, profiles).items():
        out[name] = _would(verdict)
    return out


def _would(verdict: Verdict) -> str:
    if verdict.qty:
        return f"{format_qty(verdict.qty)} at {format_price(verdict.price)} ({verdict.reason})"
    return f"no_fill ({verdict.reason})"


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────


def why_live(
    book: Book, order: Order, record: OrderRecord, world: World, profiles: Profiles, *, present: bool = True
) -> Json:
    """Why a live order has not filled (completely); without ``present`` nothing that would tell today's market."""
    found = why_waiting(book, order, world, profiles)
    note = ""
    if not present:
        found = {name: value for name, value in found.items() if name not in _OF_THE_MARKET}
        found |= {"trace": [], "near_misses": 0, "evaluations": 0}
        note = " Quotes come late to this account, so the market's numbers are left out."
    prices = (
        "leg_bid",
        "leg_ask",
        "near",
        "far",
        "last",
        "limit",
        "distance",
        "stop",
        "collar",
        "net_near",
        "net_far",
        "net_limit",
    )
    numbers: Json = {name: format_price(found[name]) for name in prices if name in found}
    numbers |= {name: found[name] for name in ("near_size", "far_size", "queue_ahead") if name in found}
    if 0 <= found.get("theta", -1) <= 1_000_000:
        numbers["limit_stands_at"] = f"{_share(found['theta'])} of the spread"
    reason = found["reason"]
    shown = {
        "order": render_order(record),
        "state": "waiting",
        "reason": reason,
        "explanation": f"{sentence(reason) or reason} {wait_numbers(order, found, world.now, profiles)}".strip()
        + note,
        "quote_class": found.get("quote_class"),
        "numbers": numbers,
        "stands": found.get("level"),
        "near_misses": found["near_misses"] if present else None,
        "evaluations": found["evaluations"] if present else None,
        "last_evaluations": _runs(found["trace"]),
        "reserved": format_money(order.reserved_money),
    }
    return _told(shown, order.terms)


def _runs(trace: Iterable[Trace]) -> list[Json]:
    """The last evaluations, neighbours of one reason and class as one line; the newest last."""
    runs: list[Json] = []
    for entry in trace:
        last = runs[-1] if runs else None
        if last is None or (last["reason"], last["quote_class"]) != (entry.reason, entry.quote_class):
            last = {"reason": entry.reason, "quote_class": entry.quote_class, "times": 0, "from": entry.at}
            runs.append(last)
        last["times"] += 1
        last["until"] = entry.at
        if entry.far:
            last["closest"] = min(last.get("closest", entry.distance), entry.distance)
    for run in runs:
        run["from"], run["until"] = format_time(run["from"]), format_time(run["until"])
        if "closest" in run:
            run["closest"] = format_price(run["closest"])
    return runs


def _by_house(terms: OrderAccepted) -> str:
    """What an order is for that no client placed; empty for any other."""
    if terms.structure_no and terms.client_order_id == f"{EXIT_PREFIX}{terms.structure_no}-{terms.order_no}":
        return _OF_EXIT
    if terms.fingerprint:
        return ""
    if terms.client_order_id.startswith(BUY_IN_PREFIX):
        owed = f"{format_qty(terms.qty)} {terms.symbol}"
        return f"The house placed this order to buy back {owed} that the account was short of and had to return."
    return next((words for prefix, words in _HOUSE.items() if terms.client_order_id.startswith(prefix)), "")


_HOUSE: Final = {
    FORCED_PREFIX: "The house placed this order to meet the account's margin call.",
    EXPIRY_PREFIX: "The house placed this order to close what ends today and the account could not settle.",
}
_OF_EXIT: Final = "A profit target or stop of the structure placed this order."


def _told(found: Json, terms: OrderAccepted) -> Json:
    house = _by_house(terms)
    if not house:
        return found
    return found | {"placed_by": "house", "explanation": f"{house} {found['explanation']}"}


def why_ended(record: OrderRecord, told: Sequence[Json] = ()) -> Json:
    """How an order ended; ``told`` is what corporate actions made of it."""
    reason = record.reason or record.status
    by_action = told[-1]["explanation"] if record.ca_id and told else ""
    because = by_action or sentence(reason) or f"The order is {record.status}."
    shown = {
        "order": render_order(record),
        "state": "ended",
        "reason": reason,
        "explanation": f"{because} {end_numbers(record)}",
    }
    return _told(shown, record.terms)


def why_coming(change: OrderRecord) -> Json:
    """An order that is on its way to take another's place."""
    shown = {
        "order": render_order(change),
        "state": "waiting",
        "reason": "pending_replace",
        "explanation": f"It takes the place of order {change.replaces_id} as soon as that change takes effect.",
    }
    return _told(shown, change.terms)


def with_actions(found: Json, told: Sequence[Json]) -> Json:
    """An explanation of a live order, and what corporate actions made of it before."""
    if not told:
        return found
    words = [found["explanation"], *(each["explanation"] for each in told if found["state"] == "waiting")]
    return found | {"explanation": " ".join(words), "corporate_actions": list(told)}
