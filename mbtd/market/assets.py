"""Symbols and the instruments they name, for sources that have no asset list of their own.

Invariants: the same symbol always gets the same asset id; nothing here reads a clock or draws a number.
Known limits: an adjusted option root (``TWX1``) keeps its digit as part of the underlying's option root only;
its real deliverable is unknown, so it is listed as not tradable.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from actors.book.instruments import Deliverable, Instrument
from actors.book.units import QTY_PER_SHARE
from mbtd.market.calendar import Calendar, CalendarError

INDEX_ROOTS: Final = {
    "SPX": "SPX",
    "SPXW": "SPX",
    "NDX": "NDX",
    "NDXP": "NDX",
    "RUT": "RUT",
    "RUTW": "RUT",
    "VIX": "VIX",
    "VIXW": "VIX",
    "XSP": "XSP",
}
"""Roots of European, cash-settled index options, with their index."""

_OSI = re.compile(r"([A-Z]{1,5})([0-9]?)([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})\Z")
_STOCK = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:[./-][A-Z0-9]{1,4})?\Z")
_PRICE_PER_OSI_UNIT: Final = 10
CONTRACT_SHARES: Final = 100


class OptionSymbol(Struct, frozen=True):
    """What an OSI symbol without padding says."""

    root: str
    underlying: str
    adjusted: bool
    """The root ends in a digit: the deliverable is not the standard one."""
    osi_date: int
    """YYYYMMDD as written; before 2015-02-01 often a Saturday."""
    right: Literal["call", "put"]
    strike: int
    """Price units."""


def parse_option_symbol(symbol: str) -> OptionSymbol | None:
    """Read an OSI symbol such as ``AAPL261218C00150000``; ``None`` for anything else."""
    match = _OSI.match(symbol)
    if match is None:
        return None
    root, digit, year, month, day, right, strike = match.groups()
    return OptionSymbol(
        root=root + digit,
        underlying=INDEX_ROOTS.get(root, root),
        adjusted=bool(digit),
        osi_date=20_000_000 + int(year) * 10_000 + int(month) * 100 + int(day),
        right="call" if right == "C" else "put",
        strike=int(strike) * _PRICE_PER_OSI_UNIT,
    )


def option_symbol(root: str, expiry_date: int, right: Literal["call", "put"], strike: int) -> str:
    """The OSI symbol of a contract; ``strike`` in price units must be a multiple of $0.001."""
    units, rest = divmod(strike, _PRICE_PER_OSI_UNIT)
    if rest:
        raise ValueError(f"strike {strike} is finer than OSI symbols can say")
    return f"{root}{expiry_date % 1_000_000:06d}{'C' if right == 'call' else 'P'}{units:08d}"


def asset_id(symbol: str) -> str:
    """The deterministic UUID text of a symbol."""
    digest = blake2b(symbol.encode(), digest_size=16, person=b"mbtd asset id").digest()
    return str(UUID(bytes=digest, version=5))


def instrument_of(symbol: str, calendar: Calendar) -> Instrument:
    """The instrument that a bare symbol names (fill model §3.1).

    Options come from their OSI symbol, with the last trading day by the calendar; anything else is a stock.
    Raises :class:`ValueError` when the text is neither, or its expiry is no date of the calendar.
    """
    option = parse_option_symbol(symbol)
    if option is not None:
        try:
            return option_instrument(option, calendar.last_trading_day(option.osi_date))
        except CalendarError as error:
            raise ValueError(f"{symbol!r}: {error}") from None
    if not _STOCK.match(symbol):
        raise ValueError(f"{symbol!r} is neither a stock symbol nor an OSI option symbol")
    return Instrument(asset_id=asset_id(symbol), symbol=symbol)


def option_instrument(option: OptionSymbol, expiry_date: int, *, tick_price: int = 100, name: str = "") -> Instrument:
    """The record of a contract whose last trading day is ``expiry_date``; tick class unknown means $0.01."""
    symbol = option_symbol(option.root, option.osi_date, option.right, option.strike)
    cash = option.root in INDEX_ROOTS
    shares = Deliverable("equity", option.underlying, CONTRACT_SHARES * QTY_PER_SHARE)
    return Instrument(
        asset_id=asset_id(symbol),
        symbol=symbol,
        asset_class="us_option",
        exchange="",
        name=name,
        tradable=not option.adjusted,
        fractionable=False,
        marginable=False,
        multiplier=CONTRACT_SHARES,
        tick_price=tick_price,
        underlying=option.underlying,
        expiry_date=expiry_date,
        strike=option.strike,
        right=option.right,
        style="european" if cash else "american",
        settlement="cash" if cash else "physical",
        deliverables=() if cash or option.adjusted else (shares,),
    )
