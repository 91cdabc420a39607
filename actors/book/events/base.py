"""What every fact is made of: the base and the tax lot."""

from __future__ import annotations

from msgspec import Struct


class Fact(Struct, frozen=True, gc=False, array_like=True, tag_field="fact"):
    """Base of all events."""


class Lot(Struct, frozen=True, gc=False, array_like=True):
    """A tax lot: one opening fill, or what is left of it."""

    lot_no: int
    qty: int
    """Signed: negative for a short lot."""
    basis_money: int
    """Signed like ``qty``: what was paid, or minus what was received."""
    opened_at: int
    order_no: int


class LotChoice(Struct, frozen=True, gc=False, array_like=True):
    """Which lots an order closes."""

    method: str
    """``fifo``, ``lifo``, ``highest_cost``, ``lowest_cost`` or ``specific``."""
    lots: tuple[tuple[int, int], ...] = ()
    """Of ``specific``: lot and quantity, in the order of their use."""


class LotUse(Struct, frozen=True, gc=False, array_like=True):
    """Part of a lot taken off by a closing fill."""

    lot_no: int
    qty: int
    basis_money: int
    proceeds_money: int
    opened_at: int = 0
    order_no: int = 0
    """Of the order that opened the lot."""


class Closing(Struct, frozen=True, gc=False, array_like=True):
    """A fill that closed stock: its lots may be chosen until it settles."""

    n: int
    """Number of the event with its change of the position."""
    order_no: int
    fill_no: int
    closed: tuple[LotUse, ...]
