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


def follow(entry: Consumed, price: int, size: int, now: int) -> Consumed | None:
    """The entry after a new quote of its side; ``None`` when it is void. What counts never exceeds what is shown."""
    if price != entry.price:
        return None
    shown = size * QTY_PER_SHARE
    if used_qty(entry, price, now, entry.half_life_ms) > shown:
        return Consumed(price, shown, now, entry.half_life_ms)
    return entry
