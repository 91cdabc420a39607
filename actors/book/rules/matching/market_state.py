"""What an instrument's quote is worth at one moment (fill model §7), and where an order may trade (§13).

Invariant: the classes are tried in the order of the specification and the first that applies wins. A class
that is not usable is a reason to wait, never a fill. Known limit: an option's delta is a proxy from moneyness and
time value, because no Greeks reach the book.
"""

from __future__ import annotations

from actors.book.rules.admission.switches import reason_to_wait
from actors.book.rules.matching.profiles import Numbers
from actors.market.bands import SHORT_RESTRICTED
from actors.market.board import Slot
from actors.market.messages import Quote
from actors.market.world import World

_CORE = ("core",)
_EXTENDED = ("pre", "core", "post", "overnight")
AUCTION_TIMES = ("opg", "cls")
USABLE = frozenset({"valid", "locked", "wide"})
PRINTS_COUNT = frozenset({"valid", "locked", "wide", "stale", "no_far_side"})
"""Classes in which a print may fill a resting order."""


def eligible_phases(extended_hours: bool) -> tuple[str, ...]:
    """Phases in which an order may trade."""
    return _EXTENDED if extended_hours else _CORE


def classify(slot: Slot | None, world: World, numbers: Numbers, buying: bool, extended_hours: bool) -> str:
    """``valid``, ``locked`` or ``wide`` when the quote may fill an order of this side, else the reason to wait."""
    if world.switches and (waits := reason_to_wait(world)):
        return waits
    quote = slot.quote if slot is not None else None
    if slot is None or quote is None or slot.quote_epoch != world.board.feed_epoch:
        return "no_live_quote"
    if is_halted(slot):
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
    band = band_price(slot, buying)
    if band and (far > band if buying else far < band):
        return "luld"
    if world.now - quote.at > numbers.age_soft_ns and _drifted(slot, quote):
        return "stale"
    if quote.bid == quote.ask:
        return "locked"
    if numbers.wide_ppm and (quote.ask - quote.bid) * 2_000_000 > numbers.wide_ppm * (quote.ask + quote.bid):
        return "wide"
    return "valid"


def is_halted(slot: Slot) -> bool:
    """Whether trading is stopped in the instrument, or in the stock under an option."""
    if slot.status is not None and slot.status.state != "trading":
        return True
    under = slot.underlying
    return under is not None and under.status is not None and under.status.state != "trading"


def band_price(slot: Slot, buying: bool) -> int:
    """The price beyond which the price band lets no order of this side trade; 0 for none."""
    if slot.status is None:
        return 0
    return slot.status.luld_upper if buying else slot.status.luld_lower


def is_short_restricted(slot: Slot, world: World) -> bool:
    """Whether short sales must be above the bid (rule 201): the feed says so, or a print did today or yesterday."""
    if slot.status is not None and slot.status.short_restricted:
        return True
    if not world.officials or world.session is None:
        return False
    return world.official(slot.symbol, world.session.trade_date, SHORT_RESTRICTED) > 0


def _drifted(slot: Slot, quote: Quote) -> bool:
    """Whether something since an old quote says that it means nothing any more. Age alone condemns nothing."""
    if slot.option:
        return _option_drifted(slot, quote)
    last = slot.print
    if last is None or slot.print_seq <= slot.quote_seq:
        return False
    return last.price < quote.bid or (quote.ask > 0 and last.price > quote.ask)


def _option_drifted(slot: Slot, quote: Quote) -> bool:
    instrument, under, then = slot.instrument, slot.underlying, slot.underlying_quote
    if instrument is None or under is None or under.quote is None or then is None or then is under.quote:
        return False
    before, now = _middle(then), _middle(under.quote)
    if not before or not now or not quote.ask:
        return False
    moved = delta_ppm(instrument.right == "call", instrument.strike, before, (quote.bid + quote.ask) // 2)
    half = (quote.ask - quote.bid) // 2
    return moved * abs(now - before) > max(half, instrument.tick_price) * 1_000_000


def _middle(quote: Quote) -> int:
    return (quote.bid + quote.ask) // 2 if quote.bid and quote.ask else 0


def delta_ppm(call: bool, strike: int, spot: int, value: int) -> int:
    """Size of an option's delta from moneyness and time value: a half at the money, towards 1 in it, 0 out of it."""
    moneyness = spot - strike if call else strike - spot
    time_value = max(0, value - max(0, moneyness))
    distance = time_value + abs(moneyness)
    half = 500_000 * time_value // distance if distance else 500_000
    return 1_000_000 - half if moneyness > 0 else half
