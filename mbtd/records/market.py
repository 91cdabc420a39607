"""Quotes, prints, instruments and sessions for the outside, in Alpaca's field names (alpaca-api §4.7, §4.8, §5.2)."""

from __future__ import annotations

from typing import Any

from actors.book.instruments import Instrument
from actors.book.units import format_price, format_time
from actors.market.board import Slot
from actors.market.messages import Session


def render_quote(slot: Slot) -> dict[str, Any]:
    """The standing quote and last print of a symbol; sides that were never quoted are null."""
    quote, last = slot.quote, slot.last
    out: dict[str, Any] = {"symbol": slot.symbol, "status": slot.status.state if slot.status else "trading"}
    if quote is not None:
        out |= {
            "bid_price": format_price(quote.bid) if quote.bid else None,
            "bid_size": quote.bid_size,
            "ask_price": format_price(quote.ask) if quote.ask else None,
            "ask_size": quote.ask_size,
            "timestamp": format_time(quote.at),
        }
    if last is not None:
        out["last_price"] = format_price(last.price)
        out["last_size"] = last.size
        out["last_timestamp"] = format_time(last.at)
    return out


def render_asset(instrument: Instrument) -> dict[str, Any]:
    """Alpaca's asset object."""
    return {
        "id": instrument.asset_id,
        "class": instrument.asset_class,
        "exchange": instrument.exchange,
        "symbol": instrument.symbol,
        "name": instrument.name,
        "status": "active" if instrument.active else "inactive",
        "tradable": instrument.tradable,
        "marginable": instrument.marginable,
        "shortable": instrument.shortable,
        "easy_to_borrow": instrument.easy_to_borrow,
        "fractionable": instrument.fractionable,
        "previous_close": format_price(instrument.previous_close) if instrument.previous_close else None,
    }


def render_clock(session: Session | None, now: int) -> dict[str, Any]:
    """Alpaca's clock, with the phase beside it."""
    if session is None:
        return {"timestamp": format_time(now), "is_open": False, "phase": "closed"}
    is_open = session.phase == "core"
    before = now < session.core_opens_at
    next_open = session.core_opens_at if before else session.next_core_opens_at
    next_close = session.core_closes_at if now < session.core_closes_at else session.next_core_closes_at
    return {
        "timestamp": format_time(now),
        "is_open": is_open,
        "next_open": format_time(next_open),
        "next_close": format_time(next_close),
        "phase": session.phase,
        "trade_date": f"{session.trade_date // 10000:04d}-{session.trade_date // 100 % 100:02d}"
        f"-{session.trade_date % 100:02d}",
    }
