"""Facts about structures: contracts that were opened together, and what became of them.

Invariant: ``order_no`` of these facts is minus the structure's number, so that they are never taken for an order's
and a structure's story can be looked up like one. Prices are nets a share of one unit, from the side of who closes
it: positive is paid, negative is received.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.events.base import Fact


class HeldLeg(Struct, frozen=True, gc=False, array_like=True):
    """What a structure holds of one instrument."""

    symbol: str
    qty: int
    """Quantity units, signed."""
    basis_money: int
    """What was paid for it, or minus what was received."""


class StructureExit(Struct, frozen=True, gc=False, array_like=True):
    """Levels at which a structure is closed (fill model §12): held until they are cancelled."""

    take_profit: int | None = None
    stop_loss: int | None = None
    stop_limit: int | None = None
    """Worst net of the order that the stop submits; null for a market order."""
    set_at: int = 0
    submitted: str = ""
    """``take_profit`` or ``stop_loss``: what submitted the newest order."""
    by_order_no: int = 0
    """That order."""


class StructureChanged(Fact, frozen=True, array_like=True, tag="sc"):
    """What one trade or settlement did to a structure. Without legs it has ended."""

    structure_no: int
    """``order_no`` of the order that opened it."""
    structure_id: str
    change: str
    """``opened``, ``added``, ``reduced``, ``rolled``, ``leg_alone``, ``exercised``, ``assigned``, ``expired`` or
    ``adjusted``."""
    underlying: str
    name: str
    """What traders call it; of an ended one, what it was called before."""
    legs: tuple[HeldLeg, ...]
    """After the change."""
    net_money: int
    """Cash of this change: positive is received."""
    realized_money: int
    """Profit that this change realised, without fees."""
    opened_at: int
    total_net_money: int
    """After the change, since it was opened."""
    total_realized_money: int
    premium_money: int
    """Premium received less premium paid, over all rolls."""
    rolls: int
    broken: bool
    """One of its legs was traded alone."""
    cover_qty: int = 0
    """Shares held beside it that stand behind its short calls, quantity units."""
    by_order_no: int = 0
    """The order that did it; 0 for a settlement."""
    rolled_by: int = 0
    """The order that rolled it last."""
    fees_pico: int = 0
    """What the fills of this change accrued in fees, before any rounding."""
    total_fees_pico: int = 0
    """The same since it was opened."""
    ca_id: str = ""
    """The corporate action that ``adjusted`` it."""

    @property
    def order_no(self) -> int:
        return -self.structure_no


class StructureExitSet(Fact, frozen=True, gc=False, array_like=True, tag="sx"):
    """Its exits are these from now on; null takes them off, and ``reason`` says why."""

    structure_no: int
    structure_id: str
    exit: StructureExit | None
    reason: str = ""
    """``user``, ``rolled`` or ``leg_alone``; empty when they were set."""

    @property
    def order_no(self) -> int:
        return -self.structure_no


class LegSeen(Struct, frozen=True, gc=False, array_like=True):
    """A leg's quote when an exit was decided."""

    symbol: str
    bid: int
    ask: int
    quote_at: int


class StructureExitTriggered(Fact, frozen=True, array_like=True, tag="st"):
    """An exit was reached; directly before the order that it submits, or alone with the reason why there is none."""

    structure_no: int
    structure_id: str
    exit: str
    """``take_profit`` or ``stop_loss``."""
    level: int
    middle_doubled: int
    """Twice the net at the middle of all legs, so that no half is lost."""
    since: int
    """Since when the level had been reached without a break."""
    legs: tuple[LegSeen, ...]
    by_order_no: int = 0
    """The order; 0 when it was refused."""
    reason: str = ""
    """Why it was refused."""

    @property
    def order_no(self) -> int:
        return -self.structure_no
