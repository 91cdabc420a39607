"""How much of the displayed size an account has taken already (fill model §8).

Invariants: a repeated quote never restores size; only a different price or an increase does. ``used_qty`` halves
with every half-life of tape time.
"""

from __future__ import annotations

from actors.book.state.book import Consumed
from actors.book.units import NS_PER_MS, QTY_PER_SHARE


def side_key(symbol: str, buying: bool) -> str:
    """Key of the side that an order of this direction takes from."""
    return f"{symbol}/a" if buying else f"{symbol}/b"


def used_qty(entry: Consumed | None, price: int, now: int, half_life_ms: int) -> int:
    """What counts as taken from ``price`` at ``now``."""
    if entry is None or entry.price != price or half_life_ms == 0:
        return 0
    halvings = (now - entry.updated_at) // (half_life_ms * NS_PER_MS)
    return entry.used_qty >> halvings if halvings < 64 else 0


def follow(entry: Consumed, price: int, size: int) -> bool:
    """Have an entry follow a new quote of its side; ``False`` when it is void."""
    if price != entry.price:
        return False
    shown = size * QTY_PER_SHARE
    if entry.used_qty > shown:
        entry.used_qty = shown
    return True
