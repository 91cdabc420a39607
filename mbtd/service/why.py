"""Receipts and explanations in words and numbers (fill model §17)."""

from __future__ import annotations

from typing import Any

from actors.book.explain import SENTENCES, reproduces, why_waiting
from actors.book.ids import derive_fill_id
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book, Order
from actors.book.units import (
    format_money,
    format_price,
    format_qty,
    format_scaled,
    format_time,
    value_money,
)
from actors.market.world import World
from mbtd.records.orders import OrderRecord, render_order
from mbtd.records.projection import FillRecord


def _price(value: int) -> str | None:
    return format_price(value) if value else None


def _cost(cost: int, buying: bool) -> str:
    return format_price(cost if buying else -cost)


def render_fill(record: FillRecord) -> dict[str, Any]:
    """A fill as lists show it."""
    terms, fill = record.terms, record.fill
    value = value_money(fill.price, fill.qty)
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


def receipt(record: FillRecord, profiles: Profiles) -> dict[str, Any]:
    """The evidence of a fill and whether the fill comes out of it again."""
    terms, fill = record.terms, record.fill
    v = fill.evidence
    same, verdict = reproduces(terms, fill, record.at, profiles)
    buying = terms.side == "buy"
    out = render_fill(record)
    out["explanation"] = SENTENCES.get(fill.reason, fill.reason)
    out["evidence"] = {
        "bid": _price(v.bid),
        "bid_size": v.bid_size,
        "ask": _price(v.ask),
        "ask_size": v.ask_size,
        "quote_time": format_time(v.quote_at),
        "quote_age_ms": max(0, (record.at - v.quote_at) // 1_000_000),
        "bid_exchange": v.bid_exchange or None,
        "ask_exchange": v.ask_exchange or None,
        "last_price": _price(v.last_price),
        "tape_seq": v.tape_seq,
        "quote_seq": v.quote_seq,
        "session": v.session,
        "data_class": v.data_class,
        "feed": v.feed,
    }
    out["decision"] = {
        "near": _cost(v.near, buying),
        "far": _cost(v.far, buying),
        "width": format_price(v.far - v.near),
        "theta": format_scaled(v.theta_ppm, 6),
        "theta_take": format_scaled(v.theta_take_ppm, 6),
        "limit_price": _price(v.limit_price),
        "size_available": format_qty(v.available_qty),
        "taken_before": format_qty(v.consumed_before),
        "slice": v.slice_no,
        "dwell_since": format_time(v.dwell_since) if v.dwell_since else None,
        "latency_ms": (terms.live_at - terms.submitted_at) // 1_000_000,
        "collar_price": _price(v.collar_price),
        "draw": v.draw or None,
        "profile": v.profile,
        "profile_hash": v.profile_hash,
        "model": v.model,
    }
    out["reproduced"] = same
    if not same:
        out["reproduction"] = (
            "the profile of this fill is not loaded or has changed"
            if verdict is None
            else f"the record gives {format_qty(verdict.qty)} at {format_price(verdict.price)} ({verdict.reason})"
        )
    return out


def why_live(book: Book, order: Order, record: OrderRecord, world: World, profiles: Profiles) -> dict[str, Any]:
    """Why a live order has not filled (completely)."""
    found = why_waiting(book, order, world, profiles)
    numbers = {
        name: format_price(found[name]) for name in ("near", "far", "last", "distance", "stop") if name in found
    }
    reason = found["reason"]
    return {
        "order": render_order(record),
        "state": "waiting",
        "reason": reason,
        "explanation": SENTENCES.get(reason, reason),
        "quote_class": found.get("quote_class"),
        "numbers": numbers,
        "near_misses": found["near_misses"],
        "evaluations": found["evaluations"],
        "reserved": format_money(order.reserved_money),
    }


def why_ended(record: OrderRecord) -> dict[str, Any]:
    """How an order ended."""
    reason = record.reason or record.status
    return {
        "order": render_order(record),
        "state": "ended",
        "reason": reason,
        "explanation": SENTENCES.get(reason, f"The order is {record.status}."),
    }
