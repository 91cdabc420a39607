"""When an order of given terms may trade: now, later, or never (corporate-actions-and-market-rules §10).

Invariants: pure; depends on the order's terms, the instant and the calendar only. It explains and previews;
what an account accepts is decided by the rules of the book.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Final, Literal

from msgspec import Struct

from actors.book.units import NS_PER_SECOND
from mbtd.market.calendar import NEW_YORK, Calendar

_OPG_CUTOFF_NS: Final = 2 * 60 * NS_PER_SECOND
_CLS_CUTOFF_NS: Final = 10 * 60 * NS_PER_SECOND
_AUCTION_ORDERS_FROM: Final = time(19)


class OrderTerms(Struct, frozen=True, kw_only=True):
    """What of an order decides when it may trade; Alpaca's words."""

    type: str
    time_in_force: str
    extended_hours: bool = False
    fractional: bool = False
    asset_class: str = "us_equity"


class Eligibility(Struct, frozen=True):
    """The decision, and the first instant at which the order may trade; 0 when rejected."""

    decision: Literal["live", "queued", "rejected"]
    first_executable_at: int = 0


_REJECTED: Final = Eligibility("rejected")


def eligibility(order: OrderTerms, at: int, calendar: Calendar) -> Eligibility:
    """When an order sent at ``at`` may trade first."""
    if not _allowed(order):
        return _REJECTED
    if order.time_in_force in ("opg", "cls"):
        return _auction(order, at, calendar)
    session = calendar.session_at(at)
    if order.extended_hours:
        if session.phase != "closed":
            return Eligibility("live", at)
        return Eligibility("queued", calendar.next_change(at).at)
    if session.phase == "core":
        return Eligibility("live", at)
    if order.time_in_force in ("ioc", "fok"):
        return _REJECTED
    return Eligibility("queued", session.core_opens_at if at < session.core_opens_at else session.next_core_opens_at)


def _allowed(order: OrderTerms) -> bool:
    """Combinations that no hour of the day makes valid."""
    if order.asset_class == "us_option":
        return order.type in ("market", "limit") and order.time_in_force == "day" and not order.extended_hours
    if order.extended_hours and (order.type != "limit" or order.time_in_force not in ("day", "gtc")):
        return False
    return not order.fractional or order.time_in_force == "day"


def _auction(order: OrderTerms, at: int, calendar: Calendar) -> Eligibility:
    """On-open and on-close orders: refused from their cut-off to 19:00 New York, else queued."""
    session = calendar.session_at(at)
    opening = order.time_in_force == "opg"
    today = session.core_opens_at if opening else session.core_closes_at
    cutoff = today - (_OPG_CUTOFF_NS if opening else _CLS_CUTOFF_NS)
    if at < cutoff:
        return Eligibility("queued", today)
    if datetime.fromtimestamp(at // NS_PER_SECOND, NEW_YORK).time() < _AUCTION_ORDERS_FROM:
        return _REJECTED
    return Eligibility("queued", session.next_core_opens_at if opening else session.next_core_closes_at)
