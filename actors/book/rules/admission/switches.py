"""What the kill switches forbid (architecture §11): one rule for everything that admits or matches an order.

Invariants: a switch is thrown while at least one of its sources holds it; cancels, reads and whatever falls due by
time go on under every switch. Callers ask only when :attr:`World.switches` is not empty, so a plain order pays one
test of a set.
"""

from __future__ import annotations

from typing import Final

from actors.book.rules.reasons import Refusal, refuse
from actors.market.world import World

TRADING: Final = "trading_disabled"
"""No place, no replace, no matching."""
NEW_ORDERS: Final = "new_orders_disabled"
"""Nothing that raises exposure is accepted; resting orders still fill."""
MARKET_DATA: Final = "market_data_disabled"
"""The live feed is closed; orders wait."""

SWITCHES: Final = (TRADING, NEW_ORDERS, MARKET_DATA)
SOURCES: Final = ("environment", "configuration", "console")
"""Who can throw a switch; each clears only its own."""


def trading_refusal(world: World) -> Refusal | None:
    """Why nothing may be placed or changed at all."""
    return refuse(TRADING) if TRADING in world.switches else None


def exposure_refusal(world: World, intent: str, *, more: bool = True) -> Refusal | None:
    """Why an order of this intent may not be taken on; ``more`` is false where it needs no more than before."""
    if NEW_ORDERS in world.switches and more and not intent.endswith("_to_close"):
        return refuse(NEW_ORDERS)
    return None


def reason_to_wait(world: World) -> str:
    """Why nothing is matched now; empty when it may be."""
    if TRADING in world.switches:
        return TRADING
    return MARKET_DATA if MARKET_DATA in world.switches else ""
