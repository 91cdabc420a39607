"""What pricing needs beside the market: interest by tenor, dividends, and time to the real moment of expiry.

Invariants: time is actual/365 in seconds until the contract really ends, never less than a minute, so that the
Greeks of an expiry day stay sane (margin-and-options §6). Rates and yields are annual, continuous, within
[0, 1]; they are inputs, never guesses of this package.
"""

from __future__ import annotations

import bisect
from typing import Annotated, Final

from msgspec import Meta, Struct

from actors.book.units import NS_PER_SECOND

YEAR_SECONDS: Final = 365 * 86_400
LEAST_SECONDS: Final = 60
Rate = Annotated[float, Meta(ge=0, le=1)]


class Dividend(Struct, frozen=True, order=True):
    """One cash dividend a share."""

    ex_at: int
    """The first instant without it (the open of the ex-date), nanoseconds UTC."""
    amount: Annotated[float, Meta(gt=0)]
    """Dollars."""


class PricingInputs(Struct, frozen=True):
    """Interest and dividends as of now."""

    rates: tuple[tuple[float, Rate], ...] = ((1.0, 0.04),)
    """Tenor in years, and rate; between two of them linear, outside them flat."""
    yields: dict[str, Rate] = {}
    """Continuous dividend yield of indexes and funds, by symbol."""
    dividends: dict[str, tuple[Dividend, ...]] = {}
    """Announced dividends by symbol, the earliest first; a symbol here has no yield."""

    def rate(self, years: float) -> float:
        """Interest for a tenor."""
        tenors = [tenor for tenor, _ in self.rates]
        place = bisect.bisect_left(tenors, years)
        if place == 0 or place == len(tenors):
            return self.rates[min(place, len(tenors) - 1)][1]
        (near, low), (far, high) = self.rates[place - 1], self.rates[place]
        return low + (high - low) * (years - near) / (far - near)

    def market(self, symbol: str, spot: float, at: int, expires_at: int) -> Market:
        """The market of one underlying for contracts that end at ``expires_at``."""
        rate = self.rate(years_until(at, expires_at))
        known = self.dividends.get(symbol)
        if known is None:
            return Market(spot, rate, self.yields.get(symbol, 0.0))
        coming = tuple((years_until(at, d.ex_at), d.amount) for d in known if at < d.ex_at <= expires_at)
        return Market(spot, rate, 0.0, coming)


class Market(Struct, frozen=True):
    """What the worth of a contract depends on beside its own terms and its volatility."""

    spot: float
    rate: float = 0.0
    dividend_yield: float = 0.0
    dividends: tuple[tuple[float, float], ...] = ()
    """Years until the ex-date, and dollars; the earliest first."""


def years_until(at: int, expires_at: int) -> float:
    """Years of 365 days between two instants, at least one minute."""
    return max(float(LEAST_SECONDS), (expires_at - at) / NS_PER_SECOND) / YEAR_SECONDS
