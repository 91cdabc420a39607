"""What a command came to: the answer that its client gets."""

from __future__ import annotations

from msgspec import Struct

from actors.book import events as e
from actors.book.rules.reasons import Refusal


class Placed(Struct, frozen=True):
    """An order is accepted, or was accepted before (``duplicate``)."""

    terms: e.OrderAccepted | None
    order_no: int
    duplicate: bool = False


class Done(Struct, frozen=True):
    """The command took effect; ``order_nos`` names the orders that it touched."""

    order_nos: tuple[int, ...] = ()


Outcome = Placed | Done | Refusal
