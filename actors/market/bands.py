"""Price bands and the short-sale restriction, computed from prints where no status message says them (rules §11).

Invariants: nothing is computed for a symbol whose previous close is not known with its date, outside the core
session, or once the feed has sent bands of its own; a halt, lost messages and a new trade date begin anew, so an
engine that was started again has what one has that ran on. Known limits: bands begin with the first print of the
session; a symbol is taken to be of the second tier, whose bands are the wider; a limit state does not become a pause
by itself.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec.structs import replace

from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR
from actors.market.board import Slot
from actors.market.messages import Session, Status, Trade

WINDOW_NS: Final = 300 * NS_PER_SECOND
LAST_PART_NS: Final = 25 * 60 * NS_PER_SECOND
"""So long before the close bands are twice as wide, for the cheap symbols of the second tier too."""
SHORT_RESTRICTED: Final = "short_restricted"
"""Kind of the house's fact that short sales of a symbol are restricted on a date."""
_CENT: Final = PRICE_PER_DOLLAR // 100
_CHEAP: Final = 3 * PRICE_PER_DOLLAR
_VERY_CHEAP: Final = PRICE_PER_DOLLAR * 3 // 4
_LEAST_MOVE: Final = 100
"""The reference moves when the mean is a hundredth away from it."""


class Bands:
    """The reference price of one symbol and the prints that it is the mean of."""

    __slots__ = ("prints", "reference", "total", "trade_date")

    def __init__(self, trade_date: int) -> None:
        self.trade_date = trade_date
        self.prints: deque[tuple[int, int]] = deque()
        self.total = 0
        self.reference = 0

    def note(self, at: int, price: int) -> None:
        """Take in an eligible print."""
        self.prints.append((at, price))
        self.total += price
        while self.prints[0][0] <= at - WINDOW_NS:
            self.total -= self.prints.popleft()[1]
        mean = (2 * self.total + len(self.prints)) // (2 * len(self.prints))
        if not self.reference or abs(mean - self.reference) * _LEAST_MOVE >= self.reference:
            self.reference = mean


def limits(reference: int, previous_close: int, leverage: int, last_part: bool) -> tuple[int, int]:
    """Lower and upper band around a reference, to the nearest cent."""
    if previous_close > _CHEAP:
        width = reference * 10 * leverage // 100
    elif previous_close >= _VERY_CHEAP:
        width = reference * 20 * leverage // 100
    else:
        width = min(15 * _CENT, reference * 75 // 100) * leverage
    if last_part and previous_close <= _CHEAP:
        width *= 2
    lower, upper = ((price + _CENT // 2) // _CENT * _CENT for price in (reference - width, reference + width))
    return max(1, lower), upper


def note_print(slot: Slot, trade: Trade, session: Session | None) -> bool:
    """Follow an eligible print; whether it brings the short-sale restriction (a tenth below the previous close)."""
    instrument = slot.instrument
    if instrument is None or session is None or session.phase != "core" or instrument.asset_class != "us_equity":
        return False
    close = instrument.previous_close
    if not close or not 0 < instrument.previous_close_date < session.trade_date:
        return False
    if not slot.bands_told:
        bands = slot.bands
        if bands is None or bands.trade_date != session.trade_date:
            bands = slot.bands = Bands(session.trade_date)
        bands.note(trade.at, trade.price)
        last_part = trade.at >= session.core_closes_at - LAST_PART_NS
        _show(slot, trade, *limits(bands.reference, close, instrument.leverage, last_part))
    return trade.price * 10 <= close * 9


def _show(slot: Slot, trade: Trade, lower: int, upper: int) -> None:
    status = slot.status
    if status is None:
        slot.status = Status(slot.symbol, "trading", trade.at, "", lower, upper)
    elif (status.luld_lower, status.luld_upper) != (lower, upper):
        slot.status = replace(status, luld_lower=lower, luld_upper=upper)


def note_told(slot: Slot, message: Status) -> None:
    """A status came: with bands of its own none are computed any more; a halt's end begins anew."""
    if message.luld_upper:
        slot.bands_told = True
    if slot.bands is not None and (slot.bands_told or message.state != "trading"):
        slot.bands = None


def forget(slot: Slot) -> None:
    """The session ended or messages were lost: computed bands hold no longer, and the feed has told none yet."""
    slot.bands_told = False
    if slot.bands is not None:
        slot.bands = None
        if slot.status is not None:
            slot.status = replace(slot.status, luld_lower=0, luld_upper=0)
