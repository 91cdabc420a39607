"""Which option contracts the synthetic market lists on a trade date.

Invariants: the list of a date is a function of (seed, date) only: what was listed on earlier dates around
earlier prices and has not expired stays listed, whether or not the market was running on those dates.
Expiries are exchange days, also in a market that never closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

from actors.book.units import PRICE_PER_DOLLAR
from mbtd.market.calendar import CORE_CLOSES, Calendar, new_york_ns, to_date, to_int
from mbtd.market.expiries import Expiry, Kind, expiries_between
from mbtd.market.synthetic.prices import PriceLevels
from mbtd.market.synthetic.universe import INDEXES, OPTIONS, STOCKS

_WEEKS: Final = 5
_DAYS_AHEAD: Final = 124
_DAYS_BACK: Final = 130
"""More than the life of any contract."""
_STRIKES_EACH_SIDE: Final = 10
_LISTED: Final[dict[Kind, int]] = {"monthly": 4, "weekly": _WEEKS, "month_end": 1, "quarterly": 1}
"""How many expiries of each kind are open at a time; of the daily ones the universe says how many."""
RIGHTS: Final[tuple[Literal["call"], Literal["put"]]] = ("call", "put")
_UNDERLYINGS: Final = [spec.symbol for spec in STOCKS] + [spec.symbol for spec in INDEXES]
PLACES: Final = {symbol: place for place, symbol in enumerate(_UNDERLYINGS)}
"""Place of each underlying in the spots."""


class Contract(Struct, frozen=True, order=True):
    """One listed contract; sorts by root, expiry, strike, right."""

    spec: int
    """Place of its root in the universe's options."""
    expiry: Expiry
    strike: int
    """Price units."""
    right: Literal["call", "put"]


def open_expiries(dates: Sequence[Expiry], dailies: int, day: int) -> list[Expiry]:
    """Those of a root's expiries that are open for trading on ``day``."""
    ahead = to_int(to_date(day) + timedelta(days=_DAYS_AHEAD))
    left = {**_LISTED, "daily": dailies}
    found = []
    for expiry in dates:
        if expiry.last_trading_day >= day and expiry.settles_on <= ahead and left[expiry.kind] > 0:
            left[expiry.kind] -= 1
            found.append(expiry)
    return found


class Listing:
    """The contracts of any trade date. It remembers what days opened, so that the next date costs little."""

    def __init__(self, levels: PriceLevels, calendar: Calendar) -> None:
        self._levels = levels
        self._calendar = calendar
        self._opened: dict[int, list[tuple[tuple[int, Expiry], range]]] = {}

    def contracts(self, day: int) -> list[Contract]:
        """All contracts listed on trade date ``day``, sorted."""
        return [
            Contract(place, expiry, strike, right)
            for (place, expiry), found in sorted(self.since(day).items())
            for strike in sorted(found)
            for right in RIGHTS
        ]

    def since(self, day: int) -> dict[tuple[int, Expiry], dict[int, int]]:
        """Of each root (by its place) and expiry listed on trade date ``day``: its strikes, and the date of each."""
        days = [to_int(to_date(day) - timedelta(days=back)) for back in range(_DAYS_BACK + 1)]
        ahead = to_int(to_date(day) + timedelta(days=_DAYS_AHEAD))
        dates = [expiries_between(spec.root, days[-1], ahead, self._calendar) for spec in OPTIONS]
        self._opened = {opened: self._opened.get(opened) or self._open(opened, dates) for opened in days}
        steps: dict[tuple[int, Expiry], dict[int, int]] = {}
        for opened in days:
            for series, around in self._opened[opened]:
                if series[1].last_trading_day >= day:
                    steps.setdefault(series, {}).update(dict.fromkeys(around, opened))
        return {
            series: {round(step * OPTIONS[series[0]].step * PRICE_PER_DOLLAR): first for step, first in found.items()}
            for series, found in steps.items()
        }

    def _open(self, opened: int, dates: list[list[Expiry]]) -> list[tuple[tuple[int, Expiry], range]]:
        """What a day opens: root and expiry, and the strikes around the price of the eve, in steps."""
        eve = to_date(opened) - timedelta(days=1)
        spots = self._levels.spots(new_york_ns(eve, CORE_CLOSES))
        found = []
        for place, spec in enumerate(OPTIONS):
            middle = round(spots[PLACES[spec.underlying]] / spec.step)
            around = range(max(1, middle - _STRIKES_EACH_SIDE), middle + _STRIKES_EACH_SIDE + 1)
            found += [((place, expiry), around) for expiry in open_expiries(dates[place], spec.dailies, opened)]
        return found
