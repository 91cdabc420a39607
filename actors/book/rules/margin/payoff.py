"""The least that a set of options is worth at expiry, premiums ignored (margin-and-options §3.4).

Invariant: exact for every settlement price from 0 upwards, not only at the strikes.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

LegAtExpiry = tuple[bool, int, int]
"""Call or not, strike, signed number of contracts."""


class Worst(Struct, frozen=True, gc=False):
    """Where a set pays least."""

    payoff: int
    """Price units, summed over contracts; the loss when it is negative."""
    lowest: int
    """Lowest settlement price with that payoff."""
    highest: int
    """Highest kink with that payoff."""
    nearest: int
    """The kink with that payoff nearest to the price asked for."""
    bounded: bool
    """False when the loss grows without end above the top strike."""


def _kinks(legs: Iterable[LegAtExpiry]) -> tuple[int, int, list[tuple[int, int]]]:
    """Payoff and slope at 0, and by how much the slope changes at which strike, in order."""
    value = slope = 0
    kinks = []
    for call, strike, qty in legs:
        kinks.append((strike, qty))
        if not call:
            value += qty * strike
            slope -= qty
    kinks.sort()
    return value, slope, kinks


def worst(legs: Iterable[LegAtExpiry], near: int = 0) -> Worst:
    """Sweep the payoff from 0 over all strikes; its kinks are nowhere else."""
    value, slope, kinks = _kinks(legs)
    least, lowest, highest, nearest, at = value, 0, 0, 0, 0
    for strike, qty in kinks:
        if strike != at:
            value += slope * (strike - at)
            at = strike
            if value < least:
                least, lowest, highest, nearest = value, at, at, at
            elif value == least:
                highest = at
                if abs(at - near) < abs(nearest - near):
                    nearest = at
        slope += qty
    return Worst(least, lowest, highest, nearest, slope >= 0)


def bounds(legs: Iterable[LegAtExpiry]) -> tuple[int | None, int | None]:
    """The least and the most that a set pays; None on a side without bound. The same sweep as :func:`worst`."""
    value, slope, kinks = _kinks(legs)
    least = most = value
    at = 0
    for strike, qty in kinks:
        if strike != at:
            value += slope * (strike - at)
            at = strike
            if value < least:
                least = value
            elif value > most:
                most = value
        slope += qty
    return (least if slope >= 0 else None), (most if slope <= 0 else None)


def payoff_at(call: bool, strike: int, price: int) -> int:
    """Intrinsic value of one option, price units."""
    return max(0, price - strike if call else strike - price)
