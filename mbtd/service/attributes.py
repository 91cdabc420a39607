"""How an asset is marked, as Alpaca's ``attributes`` (alpaca-api §4.8).

Invariants: what the source says of an asset stands; to it comes what the table of instruments shows, whatever the
source: ``has_options`` while there are contracts on it that can be traded, ``options_late_close`` while some of those
trade to 16:15. Sorted, each once.

Known limits: a recording says nothing of its stocks, so it has those two alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.book.instruments import Instrument
from mbtd.core import Core
from mbtd.market.calendar import new_york_date, to_int
from mbtd.market.feed import Feed

HAS_OPTIONS: Final = "has_options"
LATE_CLOSE: Final = "options_late_close"


class Attributes:
    """Tells them for one daemon."""

    def __init__(self, core: Core, feed: Feed) -> None:
        self._core = core
        self._feed = feed
        self._contracts: Mapping[str, bool] = {}
        self._contracts_of = (0, -1)

    def of(self, instrument: Instrument) -> list[str]:
        """Those of one instrument; a contract has none."""
        if instrument.is_option:
            return []
        words = set(self._feed.attributes(instrument.symbol))
        late = self._underlyings().get(instrument.symbol)
        if late is not None:
            words.add(HAS_OPTIONS)
        if late:
            words.add(LATE_CLOSE)
        return sorted(words)

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
