"""Symbols and the instruments they name, for sources that have no asset list of their own.

Invariants: the same symbol always gets the same asset id; nothing here reads a clock or draws a number.
Known limits: the real deliverable of an adjusted contract (``TWX1…``) is unknown, so it is listed as not tradable.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import structs

from actors.book.instruments import Instrument, named_asset_id
from actors.book.osi import OptionSymbol, osi_fault, parse_osi
from mbtd.market.calendar import Calendar, CalendarError
from mbtd.market.contracts import contract_of
from mbtd.market.expiries import expiry_of

_STOCK = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:[./-][A-Z0-9]{1,4})?\Z")


def asset_id(symbol: str) -> str:
    """The deterministic UUID text of a symbol."""
    return named_asset_id(symbol)


def instrument_of(symbol: str, calendar: Calendar) -> Instrument:
    """The instrument that a bare symbol names (fill model §3.1).

    Options come from their OSI symbol, with the last trading day by the calendar; anything else is a stock.
    Raises :class:`ValueError` when the text is neither, or its expiry is no date of the calendar.
    """
    fault = osi_fault(symbol)
    if fault:
        raise ValueError(f"{symbol!r}: {fault}")
    option = parse_osi(symbol)
    if option is not None:
        return option_instrument(option, calendar)
    if not _STOCK.match(symbol):
        raise ValueError(f"{symbol!r} is neither a stock symbol nor an OSI option symbol")
    return Instrument(asset_id=asset_id(symbol), symbol=symbol)


def contracts_by_symbol(calendar: Calendar) -> Callable[[str], Instrument | None]:
    """What describes a standard contract by its symbol, when reference data does not list it any more.

    ``None`` for anything else, also for adjusted contracts: a symbol does not say what they deliver.
    """

    def describe(symbol: str) -> Instrument | None:
        option = parse_osi(symbol)
        if option is None or option.adjusted:
            return None
        try:
            return option_instrument(option, calendar)
        except ValueError:
            return None

    return describe


def option_instrument(option: OptionSymbol, calendar: Calendar) -> Instrument:
    """The record of a contract that is known by its symbol alone. Raises :class:`ValueError` for an unknown date."""
    contract = contract_of(option, "", 0)
    try:
        expiry = expiry_of(option.root, option.date, calendar)
    except CalendarError as error:
        raise ValueError(f"{contract.symbol!r}: {error}") from None
    return structs.replace(
        contract,
        asset_id=asset_id(contract.symbol),
        expiry_date=expiry.last_trading_day,
        settles_on=expiry.settles_on,
    )
