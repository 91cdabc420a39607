"""Assets as Alpaca shows them, with what source, contracts and margin rules say of them (alpaca-api §4.8).

Invariants: what the source says of an asset stands; to it comes what the table of instruments shows, whatever the
source: ``has_options`` while there are contracts on it that can be traded, ``options_late_close`` while some of
those trade to 16:15. Attributes are sorted, each once. Margin rates are the engine's own for a share at its previous
close (at the mark they would tell the price to those who may not see it yet), in percent of its value, of a short
sale without the proceeds; null without a close, and for what is no stock. A contract that has ended is inactive.

Known limits: a recording says nothing of its stocks, so it has those two attributes alone. Rates are by the margin
profile of new accounts, not by the caller's, and know no concentration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.book.instruments import Instrument
from actors.book.rules.margin.profiles import PPM, PROFILES
from actors.book.rules.margin.stock import divide_half_up, long_rate_ppm, short_extra_e6
from actors.book.units import format_scaled
from actors.book.view import stock_terms
from mbtd.core import Core
from mbtd.market.calendar import new_york_date, to_int
from mbtd.market.feed import Feed
from mbtd.records.market import render_asset
from mbtd.service.options import ENDED, OptionQueries

HAS_OPTIONS: Final = "has_options"
LATE_CLOSE: Final = "options_late_close"
_PERCENT_DECIMALS: Final = 2
_PPM_OF_STEP: Final = PPM // 100 // 10**_PERCENT_DECIMALS


class Assets:
    """Shows the instruments of one daemon."""

    def __init__(self, core: Core, feed: Feed, options: OptionQueries) -> None:
        self._core = core
        self._feed = feed
        self._options = options
        self._contracts: Mapping[str, bool] = {}
        self._contracts_of = (0, -1)

    def render(self, instrument: Instrument) -> dict[str, Any]:
        """Alpaca's asset object."""
        shown = render_asset(instrument, self.attributes(instrument)) | self._margin(instrument)
        ended = instrument.is_option and not self._options.is_active(instrument)
        return shown | ENDED if ended else shown

    def attributes(self, instrument: Instrument) -> list[str]:
        """How one instrument is marked; a contract is not."""
        if instrument.is_option:
            return []
        words = set(self._feed.attributes(instrument.symbol))
        late = self._underlyings().get(instrument.symbol)
        if late is not None:
            words.add(HAS_OPTIONS)
        if late:
            words.add(LATE_CLOSE)
        return sorted(words)

    def _margin(self, instrument: Instrument) -> dict[str, Any]:
        price = instrument.previous_close if instrument.asset_class == "us_equity" else 0
        long = short = None
        if price:
            profile, terms = PROFILES[self._core.engine.defaults.margin_profile], stock_terms(instrument, price)
            long = _percent(long_rate_ppm(profile, terms))
            short = _percent(divide_half_up(short_extra_e6(profile, terms), price))
        return {
            "maintenance_margin_requirement": float(long) if long is not None else None,
            "margin_requirement_long": long,
            "margin_requirement_short": short,
        }

    def _underlyings(self) -> Mapping[str, bool]:
        """What contracts are written on, and whether some trade late; looked for anew by date and growth."""
        world = self._core.engine.world
        today = world.session.trade_date if world.session is not None else to_int(new_york_date(self._core.now()))
        table = world.instruments.by_symbol
        if self._contracts_of != (today, len(table)):
            found: dict[str, bool] = {}
            for contract in table.values():
                if contract.is_option and contract.active and contract.tradable and contract.expiry_date >= today:
                    found[contract.underlying] = found.get(contract.underlying, False) or contract.trades_late
            self._contracts, self._contracts_of = found, (today, len(table))
        return self._contracts


def _percent(ppm: int) -> str:
    return format_scaled(divide_half_up(ppm, _PPM_OF_STEP), _PERCENT_DECIMALS)
