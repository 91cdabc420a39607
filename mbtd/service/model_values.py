"""Implied volatility and Greeks beside snapshots of contracts, from what the caller's lane shows (alpaca-api §4.8).

Invariants: quotes, the underlying's price and the moment are all of one lane, read at once; a contract whose own
quote tells no volatility has neither (as at Alpaca), so a value never depends on what else is on the page; the model
works in a thread, ``SHARE`` contracts at a time, between which others have their turn.

Known limit: a contract with cash dividends ahead costs milliseconds, so whoever pages keeps the pages short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from actors.book.instruments import Instrument
from actors.book.units import PRICE_PER_DOLLAR
from mbtd.core import Core
from mbtd.market.calendar import Calendar
from mbtd.pricing.chain import PAIRS, Quoted
from mbtd.records.options import render_priced
from mbtd.service.lanes import Lane, price_of
from mbtd.service.options import OptionQueries, quoted

SHARE: Final = 50
"""Contracts in one visit to the thread."""
Series = tuple[str, str, int]


class ModelValues:
    """Answers for one daemon."""

    def __init__(self, core: Core, options: OptionQueries, calendar: Calendar) -> None:
        self._core = core
        self._options = options
        self._calendar = calendar

    async def of(self, lane: Lane, at: int, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """``implied_volatility`` and ``greeks`` by symbol, of those that have them."""
        contracts = [it for symbol in symbols if (it := self._contract(symbol)) is not None]
        spots = {name: self._spot(lane, name) for name in {contract.underlying for contract in contracts}}
        quotes = [
            (contract, row)
            for contract in contracts
            if spots[contract.underlying] and (row := self._quoted(lane, contract)).middle
        ]
        beside = self._forwards(lane, [contract for contract, _ in quotes], spots)
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(quotes), SHARE):
            share: dict[str, dict[str, Quoted]] = defaultdict(dict)
            for contract, row in quotes[start : start + SHARE]:
                rows = share[contract.underlying]
                rows |= {other.symbol: other for other in beside.get(_series(contract), ())}
                rows[row.symbol] = row
            prices = await self._options.price({name: list(rows.values()) for name, rows in share.items()}, spots, at)
            for _, row in quotes[start : start + SHARE]:
                priced = prices.get(row.symbol)
                if priced is not None and priced.implied_volatility is not None and priced.greeks is not None:
                    found[row.symbol] = render_priced(priced)
        return found

    def _contract(self, symbol: str) -> Instrument | None:
        contract = self._core.engine.world.instruments.by_symbol.get(symbol)
        if contract is None or contract.asset_class != "us_option" or contract.is_adjusted:
            return None
        return contract

    def _spot(self, lane: Lane, underlying: str) -> float:
        """Dollars, 0 when the lane shows nothing; the market is asked to follow it."""
        if self._core.interest is not None:
            self._core.interest.ask(underlying)
        if lane.name == "real_time":
            return self._options.spot(underlying)
        return price_of(lane.look(underlying)) / PRICE_PER_DOLLAR

    def _quoted(self, lane: Lane, contract: Instrument) -> Quoted:
        shown = lane.look(contract.symbol)
        return quoted(self._calendar, contract, shown.quote if shown is not None else None)

    def _forwards(
        self, lane: Lane, contracts: Sequence[Instrument], spots: dict[str, float]
    ) -> dict[Series, list[Quoted]]:
        """The calls and puts near the money of European series, which are computed on the forward they tell."""
        wanted = {_series(contract) for contract in contracts if contract.style == "european"}
        if not wanted:
            return {}
        pairs: dict[Series, dict[int, list[Quoted]]] = defaultdict(lambda: defaultdict(list))
        for contract in self._core.engine.world.instruments.by_symbol.values():
            if contract.asset_class == "us_option" and _series(contract) in wanted:
                row = self._quoted(lane, contract)
                if row.middle:
                    pairs[_series(contract)][contract.strike].append(row)
        found = {}
        for series, strikes in pairs.items():
            spot = spots[series[0]]
            both = [rows for rows in strikes.values() if len(rows) == 2]
            both.sort(key=lambda rows: (abs(rows[0].strike - spot), rows[0].strike))
            found[series] = [row for rows in both[:PAIRS] for row in rows]
        return found


def _series(contract: Instrument) -> Series:
    return contract.underlying, contract.root, contract.settlement_date
