"""What a command came to: the answer that its client gets."""

from __future__ import annotations

from msgspec import Struct

from actors.book import events as e
from actors.book.rules.reasons import Refusal


class LegAlone(Struct, frozen=True):
    """A warning: an order takes one leg out of a structure, which names no longer what is left."""

    structure_id: str
    name: str
    symbol: str
    qty: int
    exits: bool
    """Its exits are taken off when that happens."""


class Placed(Struct, frozen=True):
    """An order is accepted, or was accepted before (``duplicate``)."""

    terms: e.OrderAccepted | None
    order_no: int
    duplicate: bool = False
    legs: tuple[e.OrderAccepted, ...] = ()
    """The exits that were accepted with it."""
    warnings: tuple[LegAlone, ...] = ()


class Done(Struct, frozen=True):
    """The command took effect; ``order_nos`` names the orders that it touched."""

    order_nos: tuple[int, ...] = ()
    left: tuple[tuple[str, Refusal], ...] = ()
    """By id the orders that were meant too and were left alone, and why."""


class Closed(Struct, frozen=True):
    """Positions were asked to be closed: by symbol the order that does it, or why there is none.

    An order of the house that stood against a position and was left alone has an entry of its own.
    """

    items: tuple[tuple[str, Placed | Refusal], ...]


Outcome = Placed | Done | Closed | Refusal
