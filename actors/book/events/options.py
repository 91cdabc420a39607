"""Facts about option contracts that move neither cash nor positions: instructions, and what their last day brings."""

from __future__ import annotations

from actors.book.events.base import Fact
from actors.book.instruments import Instrument


class OptionInstructed(Fact, frozen=True, gc=False, array_like=True, tag="xi"):
    """What the holder wants done at expiry; it replaces what was said before of this contract."""

    symbol: str
    kind: str
    """``exercise``, ``do_not_exercise``, or empty: nothing any more."""
    qty: int
    """Quantity units."""
    settles_on: int
    """YYYYMMDD of the expiry that it is for."""


class ExpiryReviewed(Fact, frozen=True, array_like=True, tag="xr"):
    """Contracts were looked at on their last day: the warnings before this fact are all there were."""

    symbols: tuple[str, ...]
    stage: int
    """1 at the open, 2 an hour before the close, 3 half an hour before it."""
    contracts: tuple[Instrument, ...] = ()
    """The contracts by value: they stay known after their last day, when no reference data lists them."""


class OptionWarned(Fact, frozen=True, array_like=True, tag="xw"):
    """The holder of contracts was told of a risk, or of what their end left, with the numbers."""

    underlying: str
    kind: str
    symbols: tuple[str, ...]
    numbers: dict[str, str]


class OptionAwaiting(Fact, frozen=True, array_like=True, tag="xa"):
    """Contracts that ended cannot be settled yet; they stay in the book and are looked at again."""

    symbols: tuple[str, ...]
    underlying: str
    settles_on: int
    """YYYYMMDD."""
    reason: str
    missing: str
    """The symbol whose price or deliverable is not known."""
    retry_at: int
    contracts: tuple[Instrument, ...] = ()
    """As in :class:`ExpiryReviewed`."""


class AssignmentDrawn(Fact, frozen=True, gc=False, array_like=True, tag="xd"):
    """Early assignment was drawn for every American short of the account on the evening of a trade date."""

    trade_date: int


class OptionAssigned(Fact, frozen=True, array_like=True, tag="xe"):
    """Why contracts were assigned early; the bookings before this fact are what it did."""

    symbol: str
    qty: int
    """Quantity units, positive."""
    rule: str
    """``dividend``, ``carry`` or ``deep`` (fill model §15)."""
    probability_ppm: int
    draws_ppm: tuple[int, ...]
    """Of each short contract, by index; below the probability means assigned."""
    numbers: dict[str, int]
