"""Quotes, prints, instruments and sessions for the outside, in Alpaca's field names (alpaca-api §4.7, §4.8, §5.2)."""

from __future__ import annotations

from collections.abc import Sequence
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


def render_asset(instrument: Instrument, attributes: Sequence[str]) -> dict[str, Any]:
    """Alpaca's asset object, with how it is marked."""
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
        "attributes": attributes,
        "previous_close": format_price(instrument.previous_close) if instrument.previous_close else None,
    }


def render_clock(session: Session, now: int) -> dict[str, Any]:
    """Alpaca's clock, with the phase beside it (alpaca-api §4.7).

    Invariants: ``next_close`` is the first close after now, and ``next_open`` the first open that follows it, or that
    comes before it while the market is shut. In a market that never closes those are the hours of its official
    auctions, as in its calendar: ``is_open`` is true between them too; at the close day orders end, contracts expire.
    """
    next_open, next_close = _next_hours(session, now)
    return {
        "timestamp": format_time(now),
        "is_open": session.phase == "core",
        "next_open": format_time(next_open),
        "next_close": format_time(next_close),
        "phase": session.phase,
        "trade_date": f"{session.trade_date // 10000:04d}-{session.trade_date // 100 % 100:02d}"
        f"-{session.trade_date % 100:02d}",
    }


def _next_hours(session: Session, now: int) -> tuple[int, int]:
    """The next open and the next close."""
    opens, following = session.opening_auctions
    closes, closes_then = session.closing_auctions
    if not session.never_closes:
        return opens if now < opens else following, closes if now < closes else closes_then
    # Always open, so that the next open is one after a close. Until the next date's session is told, an instant
    # after the close, its hours are those of this one a day on.
    return (following, closes) if now < closes else (following + closes_then - closes, closes_then)
