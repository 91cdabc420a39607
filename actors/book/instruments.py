"""What can be traded: one record an instrument, and the table of them that the engine holds.

Invariants: ``asset_id`` is the identity and never changes; a symbol is only its present name. Records are
immutable; a change of reference data is a sequenced input that replaces records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct


class Deliverable(Struct, frozen=True, array_like=True):
    """One thing that an option contract delivers."""

    kind: Literal["equity", "cash"]
    symbol: str
    amount: int
    """Shares in quantity units, or money units."""


class Instrument(Struct, frozen=True, array_like=True):
    """A stock, fund, index or option contract (alpaca-api §4.8)."""

    asset_id: str
    """UUID text."""
    symbol: str
    asset_class: Literal["us_equity", "us_option", "us_index"] = "us_equity"
    exchange: str = "NASDAQ"
    """One of Alpaca's AssetExchange values."""
    name: str = ""
    active: bool = True
    tradable: bool = True
    fractionable: bool = True
    marginable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    multiplier: int = 1
    """Shares a contract; 1 for stock."""
    tick_price: int = 100
    """Order price step at or above $1 in price units; below $1 it is 1 unit. Options: 100, 500 or 1000."""
    previous_close: int = 0
    """Price units; 0 when unknown."""
    leverage: int = 1
    """Of leveraged or inverse funds, as a positive number."""
    underlying: str = ""
    expiry_date: int = 0
    """YYYYMMDD of the last trading day; options only."""
    strike: int = 0
    """Price units."""
    right: Literal["", "call", "put"] = ""
    style: Literal["", "american", "european"] = ""
    settlement: Literal["", "physical", "cash"] = ""
    deliverables: tuple[Deliverable, ...] = ()


class Instruments:
    """The engine's table of instruments by symbol. Changed only by a sequenced reference input."""

    __slots__ = ("by_id", "by_symbol")

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self.by_symbol: dict[str, Instrument] = {}
        self.by_id: dict[str, Instrument] = {}
        self.update(instruments)

    def update(self, instruments: Iterable[Instrument]) -> None:
        """Add or replace records."""
        for instrument in instruments:
            self.by_symbol[instrument.symbol] = instrument
            self.by_id[instrument.asset_id] = instrument

    def find(self, symbol_or_id: str) -> Instrument | None:
        """By symbol, or by asset id."""
        return self.by_symbol.get(symbol_or_id) or self.by_id.get(symbol_or_id)
