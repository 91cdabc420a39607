"""The slow part of every synthetic price: a function of seed and time, so that a restart continues it.

Each series is a sum of octaves from four months down to two minutes. An octave draws one normal number for
each of its knots and goes smoothly from knot to knot; the amplitudes make the changes over any span from
minutes to weeks about as large as the series' volatility says, while the level stays around its middle.

Invariants: a value depends on (seed, stream, time) only, never on what was asked before.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
YEAR: Final = 365.25 * _DAY
"""Seconds; volatilities are annual in calendar time."""
_PERIODS: Final = (
    120 * _DAY,
    30 * _DAY,
    8 * _DAY,
    2 * _DAY,
    _DAY / 2,
    _DAY / 8,
    45 * _MINUTE,
    10 * _MINUTE,
    2 * _MINUTE,
)
_AMPLITUDE: Final = 0.56
"""Of an octave, in volatility x sqrt(period): the octaves then add up to about a random walk's variance."""


class Levels:
    """Smooth random series, one for each volatility given."""

    def __init__(self, seed: int, stream: int, volatilities: Floats) -> None:
        self._key = [seed & (2**64 - 1), stream]
        self._size = len(volatilities)
        self._amplitudes = [volatilities * (_AMPLITUDE * math.sqrt(period / YEAR)) for period in _PERIODS]
        self._knots: dict[tuple[int, int], Floats] = {}

    def at(self, seconds: float) -> Floats:
        """The value of every series ``seconds`` after 1970."""
        value = np.zeros(self._size)
        for octave, period in enumerate(_PERIODS):
            knot, place = divmod(seconds, period)
            left, right = self._knot(octave, int(knot)), self._knot(octave, int(knot) + 1)
            weight = place / period
            weight *= weight * (3.0 - 2.0 * weight)
            value += left + (right - left) * weight
        return value

    def _knot(self, octave: int, knot: int) -> Floats:
        known = self._knots.get((octave, knot))
        if known is None:
            if len(self._knots) > 256:
                self._knots.clear()
            draw = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, octave, knot]))
            known = self._knots[octave, knot] = draw.standard_normal(self._size) * self._amplitudes[octave]
        return known
