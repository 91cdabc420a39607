"""Facts about option contracts that move neither cash nor positions."""

from __future__ import annotations

from actors.book.events.base import Fact


class OptionInstructed(Fact, frozen=True, gc=False, array_like=True, tag="xi"):
    """What the holder wants done at expiry; it replaces what was said before of this contract."""

    symbol: str
    kind: str
    """``exercise``, ``do_not_exercise``, or empty: nothing any more."""
    qty: int
    """Quantity units."""
    settles_on: int
    """YYYYMMDD of the expiry that it is for."""
