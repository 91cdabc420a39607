"""What can be traded: one record an instrument, and the table of them that the engine holds.

Invariants: ``asset_id`` is the identity and never changes; a symbol is only its present name. Records are
immutable; a change of reference data is a sequenced input that replaces records. What a contract delivers is
data and never derived from its symbol (margin-and-options §5.1, corporate-actions-and-market-rules §6.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from actors.book.units import MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, QTY_PER_SHARE

CONTRACT_SHARES: Final = 100
TICK_BREAK_PRICE: Final = 3 * PRICE_PER_DOLLAR
"""From here on an option has the step :attr:`Instrument.tick_price_from_3`."""
WHOLE_PPM: Final = 1_000_000


class Deliverable(Struct, frozen=True, array_like=True):
    """One thing that an option contract delivers."""

    kind: Literal["equity", "cash", "cash_in_lieu"]
    """``cash_in_lieu``: a fraction of a share of ``symbol``, paid in cash when its price is known."""
    symbol: str
    amount: int
    """Shares in quantity units, or money units."""
    allocation_ppm: int = 0
    """Share of the exercise cost that this part bears; of a single part 0 means all of it."""
    settlement_type: str = "T+1"
    settlement_method: str = "CCC"
    """Alpaca's code: BTOB, CADF, CAFX or CCC."""
    delayed: bool = False
    """Whether it settles late."""


_PLAIN_QTY = CONTRACT_SHARES * QTY_PER_SHARE


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
    """Order price step at or above $1 in price units; below $1 it is 1 unit. Options: 100, 500 or 1000 below $3."""
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
    root: str = ""
    """Of the option's symbol; never tells the underlying or the deliverable."""
    osi_date: int = 0
    """YYYYMMDD as the symbol says it; before 2015-02-01 often a Saturday."""
    settles_on: int = 0
    """YYYYMMDD whose official price settles it; 0: the last trading day. Of an AM-settled one the day after."""
    settles: Literal["", "am", "pm"] = ""
    """By the opening settlement value or by the official close."""
    tick_price_from_3: int = 0
    """Options: order price step at or above $3 in price units; 0: as below."""
    strike_multiplier: int = 0
    """Exercise cost is the strike times this; 0: ``multiplier``."""
    trades_late: bool = False
    """Trades to 16:15 New York on days other than its last (``options_late_close``)."""
    open_interest: int = -1
    """Contracts; -1 when unknown."""
    open_interest_date: int = 0
    """YYYYMMDD; 0 when unknown."""
    previous_close_date: int = 0
    """YYYYMMDD; 0 when unknown."""

    @property
    def is_option(self) -> bool:
        """Whether this is an option contract."""
        return self.asset_class == "us_option"

    @property
    def is_adjusted(self) -> bool:
        """Whether the contract delivers anything but 100 shares of its underlying, or cash of its index."""
        if not self.is_option:
            return False
        if self.settlement == "cash":
            return False
        if len(self.deliverables) != 1:
            return True
        part = self.deliverables[0]
        return part.amount != _PLAIN_QTY or part.symbol != self.underlying or part.kind != "equity"

    @property
    def settlement_date(self) -> int:
        """YYYYMMDD of the official price that settles the contract."""
        return self.settles_on or self.expiry_date

    @property
    def priced_by(self) -> tuple[str, ...]:
        """Options: the symbols whose official values say what the contract is worth."""
        parts = tuple(part.symbol for part in self.deliverables if part.kind != "cash")
        return tuple(dict.fromkeys((self.underlying, *parts)))

    @property
    def exercise_money(self) -> int:
        """Money units that the exercise of one contract costs (call) or brings (put)."""
        per_share = self.strike * (MONEY_PER_DOLLAR // PRICE_PER_DOLLAR)
        return per_share * (self.strike_multiplier or self.multiplier)


def named_asset_id(symbol: str) -> str:
    """The deterministic UUID text of a symbol that no source has given an id."""
    digest = blake2b(symbol.encode(), digest_size=16, person=b"mbtd asset id").digest()
    return str(UUID(bytes=digest, version=5))


def price_step(instrument: Instrument, price: int) -> int:
    """The step that order prices of an instrument have at ``price``; price units."""
    if instrument.is_option:
        above = instrument.tick_price_from_3
        return above if above and abs(price) >= TICK_BREAK_PRICE else instrument.tick_price
    return instrument.tick_price if price >= PRICE_PER_DOLLAR else 1


class Instruments:
    """The engine's table of instruments by symbol. Changed only by a sequenced reference input."""

    __slots__ = ("by_id", "by_symbol", "settling")

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self.by_symbol: dict[str, Instrument] = {}
        self.by_id: dict[str, Instrument] = {}
        self.settling: dict[int, set[str]] = {}
        """By settlement date: the symbols whose official values contracts need."""
        self.update(instruments)

    def update(self, instruments: Iterable[Instrument]) -> None:
        """Add or replace records."""
        for instrument in instruments:
            self.by_symbol[instrument.symbol] = instrument
            self.by_id[instrument.asset_id] = instrument
            if instrument.asset_class == "us_option":
                needed = self.settling.setdefault(instrument.settlement_date, set())
                needed.update(instrument.priced_by)

    def keep(self, instruments: Iterable[Instrument]) -> None:
        """Add records of contracts that are held and that no reference data lists any more."""
        self.update(known for known in instruments if known.symbol not in self.by_symbol)

    def find(self, symbol_or_id: str) -> Instrument | None:
        """By symbol, or by asset id."""
        return self.by_symbol.get(symbol_or_id) or self.by_id.get(symbol_or_id)
