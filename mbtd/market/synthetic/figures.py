"""What a synthetic contract is said to have been worth at the last close, and how many of it are open.

Invariants: a figure is a function of seed, units, contract and trade date, and is made when somebody asks, never
before; the engine knows none of them and decides nothing by them. Closes are the model's values at the close of the
trade date before, at the previous closes of the underlyings, on the surface that quotes of that moment lie around: so
they are free of arbitrage but for their rounding to cents. A contract that is listed since today has neither.

Known limits: the figures are guesses in the shape of real ones. Open interest follows nothing that was traded, by
users or on the tape, and a corporate action makes it anew around the new strikes.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist
from threading import Lock
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book.instruments import Instrument
from actors.book.units import PRICE_PER_DOLLAR
from mbtd.market.calendar import Calendar, to_date
from mbtd.market.contracts import root_class
from mbtd.market.expiries import Kind
from mbtd.market.synthetic.listing import PLACES, Listing
from mbtd.market.synthetic.options import ends_at
from mbtd.market.synthetic.prices import PriceLevels, Units, to_cents
from mbtd.market.synthetic.surface import value
from mbtd.market.synthetic.universe import OPTIONS, STOCKS, OptionSpec
from mbtd.pricing.inputs import years_until
from mbtd.pricing.model import Model

_OPEN_AT_THE_MONEY: Final = 350
"""Contracts of a weekly, for each unit of its underlying's activity."""
_INDEX_ACTIVITY: Final = 6.0
_ACTIVITY: Final = {spec.symbol: spec.activity for spec in STOCKS}
_OF_KIND: Final[dict[Kind, float]] = {"monthly": 5.0, "quarterly": 2.5, "month_end": 1.5, "weekly": 1.0, "daily": 0.6}
_PEAK, _OUTER, _INNER = 0.4, 1.4, 0.8
"""Where open interest is largest, in deviations out of the money, and how far it reaches to both sides."""
_FAR_DAYS: Final = 30.0
_FILLING_DAYS: Final = 6.0
_CONSTANT, _DAILY = 0.6, 0.04
"""Deviations of the chance in it: of a contract for good, and of its day."""
_LEAST_DEVIATION: Final = 0.01
_CENT: Final = PRICE_PER_DOLLAR // 100
_NORMAL: Final = NormalDist()


class _Series(Struct, frozen=True):
    """One expiry of one root on a trade date."""

    spec: OptionSpec
    kind: Kind
    expires_at: int
    since: dict[int, int]
    """By strike, the date that listed it."""


class _Eve(Struct, frozen=True):
    """A trade date as of the close before it."""

    trade_date: int
    eve: int
    closed_at: int
    spots: list[float]
    """Dollars, by place of the underlying."""
    fear: float
    series: dict[tuple[str, int], _Series]
    """By root and the date in the symbol."""


class Figures:
    """The figures of one market's contracts. Any thread may ask; one is answered at a time."""

    def __init__(self, seed: int, calendar: Calendar, units: Units) -> None:
        self._seed = seed
        self._calendar = calendar
        # Of its own, as the model: the market's are used by the loop meanwhile.
        self._levels = PriceLevels(seed, units)
        self._listing = Listing(self._levels, calendar)
        self._model: Model | None = None
        self._eve: _Eve | None = None
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = Lock()

    def of(self, contract: Instrument, trade_date: int) -> Instrument:
        """The contract with its figures on a trade date; as it is when it has none."""
        with self._lock:
            eve = self._eve_of(trade_date)
            series = eve.series.get((contract.root, contract.osi_date))
            since = series.since.get(contract.strike, trade_date) if series is not None else trade_date
            if series is None or since >= trade_date or not contract.active:
                return contract
            known = self._known.get(contract.symbol)
            if known is None:
                known = self._known[contract.symbol] = self._make(contract, series, eve)
        close, interest = known
        return replace(
            contract,
            previous_close=close,
            previous_close_date=eve.eve,
            open_interest=interest,
            open_interest_date=eve.eve,
        )

    def _eve_of(self, trade_date: int) -> _Eve:
        found = self._eve
        if found is None or found.trade_date != trade_date:
            eve = self._calendar.previous_trading_day(trade_date)
            closed_at = self._calendar.trading_day(eve).core_closes_at
            spots = [cents / PRICE_PER_DOLLAR for cents in self._levels.cents(closed_at)]
            series = {
                (OPTIONS[place].root, expiry.osi_date): _Series(
                    OPTIONS[place], expiry.kind, ends_at(self._calendar, OPTIONS[place].root, expiry), since
                )
                for (place, expiry), since in self._listing.since(trade_date).items()
            }
            found = _Eve(trade_date, eve, closed_at, spots, self._levels.fear(closed_at), series)
            self._eve, self._known = found, {}
        return found

    def _make(self, contract: Instrument, series: _Series, eve: _Eve) -> tuple[int, int]:
        """Close in price units and open contracts."""
        spot, strike = eve.spots[PLACES[series.spec.underlying]], contract.strike / PRICE_PER_DOLLAR
        years = years_until(eve.closed_at, series.expires_at)
        at_the_money = series.spec.at_the_money * eve.fear
        if self._model is None:
            self._model = Model()
        worth, _, _ = value(
            spot,
            strike,
            years,
            contract.right == "call",
            at_the_money,
            root_class(series.spec.root).style == "american",
            dividend_yield=series.spec.dividend_yield,
            skew=series.spec.skew,
            model=self._model,
        )
        # No print is at less than a cent.
        return max(_CENT, to_cents(worth)), self._open_interest(contract, series, eve, spot, at_the_money, years)

    def _open_interest(
        self, contract: Instrument, series: _Series, eve: _Eve, spot: float, at_the_money: float, years: float
    ) -> int:
        """Most a little out of the money, at round strikes, of near or monthly expiries, of those listed for long."""
        deviation = max(_LEAST_DEVIATION, at_the_money * math.sqrt(years))
        outwards = math.log(contract.strike / PRICE_PER_DOLLAR / spot) / deviation
        outwards = (outwards if contract.right == "call" else -outwards) - _PEAK
        shape = math.exp(-0.5 * (outwards / (_OUTER if outwards > 0 else _INNER)) ** 2)
        step = round(contract.strike / PRICE_PER_DOLLAR / series.spec.step)
        roundness = (1.5 if step % 2 == 0 else 1.0) * (1.6 if step % 10 == 0 else 1.0)
        age = (to_date(eve.trade_date) - to_date(series.since[contract.strike])).days
        filled = -math.expm1(-age / _FILLING_DAYS)
        nearness = 1.0 / (1.0 + years * 365 / _FAR_DAYS)
        activity = _ACTIVITY.get(series.spec.underlying, _INDEX_ACTIVITY)
        chance = _CONSTANT * self._draw(contract.symbol) + _DAILY * self._draw(f"{contract.symbol} {eve.eve}")
        usual = _OPEN_AT_THE_MONEY * activity * _OF_KIND[series.kind]
        return int(usual * shape * roundness * filled * nearness * math.exp(chance))

    def _draw(self, name: str) -> float:
        """A normal number that belongs to a name."""
        digest = blake2b(f"{self._seed} {name}".encode(), digest_size=8, person=b"mbtd interest").digest()
        return _NORMAL.inv_cdf((int.from_bytes(digest, "big") + 0.5) / 2**64)
