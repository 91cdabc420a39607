"""What an instrument's quote is worth at one moment (fill model §7), for stocks.

Invariant: the classes are tried in the order of the specification and the first that applies wins. A class
that is not usable is a reason to wait, never a fill.
"""

from __future__ import annotations

from actors.book.rules.admission.switches import reason_to_wait
from actors.book.rules.matching.profiles import Profile
from actors.book.units import NS_PER_MS
from actors.market.board import Slot
from actors.market.messages import Quote
from actors.market.world import World

_CORE = ("core",)
_EXTENDED = ("pre", "core", "post", "overnight")

NOT_EXCHANGE = ("D",)
"""Exchange codes of trade reporting facilities: prints there are no evidence (fill model §3)."""


def eligible_phases(extended_hours: bool) -> tuple[str, ...]:
    """Phases in which an order may trade."""
    return _EXTENDED if extended_hours else _CORE


def classify(slot: Slot | None, world: World, profile: Profile, buying: bool, extended_hours: bool) -> str:
    """``valid`` or ``locked`` when the quote may fill an order of this side, else the reason to wait."""
    if world.switches and (waits := reason_to_wait(world)):
        return waits
    quote = slot.quote if slot is not None else None
    if slot is None or quote is None or slot.quote_epoch != world.board.feed_epoch:
        return "no_live_quote"
    if slot.status is not None and slot.status.state != "trading":
        return "halted"
    if world.phase not in eligible_phases(extended_hours):
        return "session"
    if world.feed_down or slot.dead:
        return "feed_dead"
    far, size = (quote.ask, quote.ask_size) if buying else (quote.bid, quote.bid_size)
    if far <= 0 or size <= 0:
        return "no_far_side"
    if quote.bid > quote.ask > 0:
        return "crossed"
    if _outside_band(slot, far, buying):
        return "luld"
    if _stale(slot, quote, world, profile):
        return "stale"
    return "locked" if quote.bid == quote.ask else "valid"


def _outside_band(slot: Slot, far: int, buying: bool) -> bool:
    status = slot.status
    if status is None:
        return False
    if buying:
        return 0 < status.luld_upper < far
    return 0 < far < status.luld_lower


def _stale(slot: Slot, quote: Quote, world: World, profile: Profile) -> bool:
    """Old, and a print since then lies outside it. Age alone condemns nothing."""
    if world.now - quote.at <= profile.age_soft_ms * NS_PER_MS:
        return False
    last = slot.last
    if last is None or slot.last_seq <= slot.quote_seq or last.exchange in NOT_EXCHANGE:
        return False
    return last.price < quote.bid or (quote.ask > 0 and last.price > quote.ask)
