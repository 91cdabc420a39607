"""Which option contracts the synthetic market lists on a trade date.

Invariants: the list of a date is a function of (seed, date) only: what was listed on earlier dates around
earlier prices and has not expired stays listed, whether or not the market was running on those dates.
Expiries are exchange days, also in a market that never closes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

from actors.book.units import PRICE_PER_DOLLAR
from mbtd.market.calendar import CORE_CLOSES, Calendar, new_york_ns, to_date, to_int
from mbtd.market.synthetic.prices import PriceLevels
from mbtd.market.synthetic.universe import OPTIONS, STOCKS

_WEEKLIES: Final = 5
_MONTHLIES: Final = 3
_STRIKES_EACH_SIDE: Final = 10
_DAYS_BACK: Final = 130
"""More than the life of any contract."""
_FRIDAY: Final = 4
RIGHTS: Final[tuple[Literal["call"], Literal["put"]]] = ("call", "put")
PLACES: Final = {spec.symbol: place for place, spec in enumerate(STOCKS)} | {"SPX": PriceLevels.index_place}
"""Place of each underlying in the levels."""


class Contract(Struct, frozen=True, order=True):
    """One listed contract; sorts by root, expiry, strike, right."""

    spec: int
    """Place of its root in the universe's options."""
    expiry_date: int
    strike: int
    """Price units."""
    right: Literal["call", "put"]


def expiries(dailies: int, day: int, calendar: Calendar) -> list[int]:
    """The expiry dates open for trading on ``day``, with as many of the next days as ``dailies`` says."""
    found = set()
    today = to_date(day)
    friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    for week in range(_WEEKLIES):
        found.add(calendar.last_trading_day(to_int(friday + timedelta(weeks=week))))
    for month in range(_MONTHLIES + 1):
        year, number = divmod(today.year * 12 + today.month - 1 + month, 12)
        found.add(calendar.monthly_expiry(year, number + 1)[0])
    ahead = today
    for _ in range(dailies):
        while not calendar.is_exchange_day(to_int(ahead)):
            ahead += timedelta(days=1)
        found.add(to_int(ahead))
        ahead += timedelta(days=1)
    return sorted(expiry for expiry in found if expiry >= day)


class Listing:
    """The contracts of any trade date. It remembers what days opened, so that the next date costs little."""

    def __init__(self, levels: PriceLevels, calendar: Calendar) -> None:
        self._levels = levels
        self._calendar = calendar
        self._opened: dict[int, list[tuple[tuple[int, int], range]]] = {}

    def contracts(self, day: int) -> list[Contract]:
        """All contracts listed on trade date ``day``, sorted."""
        days = [to_int(to_date(day) - timedelta(days=back)) for back in range(_DAYS_BACK + 1)]
        self._opened = {opened: self._opened.get(opened) or self._open(opened) for opened in days}
        steps: dict[tuple[int, int], set[int]] = {}
        for opened in days:
            for series, around in self._opened[opened]:
                if series[1] >= day:
                    steps.setdefault(series, set()).update(around)
        return [
            Contract(place, expiry, round(step * OPTIONS[place].step * PRICE_PER_DOLLAR), right)
            for (place, expiry), found in sorted(steps.items())
            for step in sorted(found)
            for right in RIGHTS
        ]

    def _open(self, opened: int) -> list[tuple[tuple[int, int], range]]:
        """What a day opens: root and expiry, and the strikes around the price of the eve, in steps."""
        eve = to_date(opened) - timedelta(days=1)
        spots = self._levels.at(new_york_ns(eve, CORE_CLOSES)).tolist()
        dates = {n: expiries(n, opened, self._calendar) for n in {spec.dailies for spec in OPTIONS}}
        found = []
        for place, spec in enumerate(OPTIONS):
            middle = round(spots[PLACES[spec.underlying]] / spec.step)
            around = range(max(1, middle - _STRIKES_EACH_SIDE), middle + _STRIKES_EACH_SIDE + 1)
            found += [((place, expiry), around) for expiry in dates[spec.dailies]]
        return found
