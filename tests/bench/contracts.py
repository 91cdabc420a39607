"""Contracts for measuring: chains around the prices of the measuring feed, with quotes that stay good.

Invariants: the quotes of a chain never cross and are wide enough for the wandering of the stock under them, so that a
market order for a structure always fills; every account of a bench can hold four condors without a leg in two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from actors.book.instruments import Instrument
from actors.book.osi import Right, format_osi
from actors.market.messages import Quote
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar

SPOT: Final = 1_875_000
STRIKES: Final[dict[Right, tuple[int, ...]]] = {"put": (165, 170, 175, 180), "call": (195, 200, 205, 210)}
WINGS: Final = ((180, 175, 195, 200), (170, 165, 205, 210))
"""Short put, long put, short call, long call of the two condors of one expiry."""
WIDE_STRIKES: Final = range(157, 218)
"""Of the underlying on which an account holds very many legs."""
UNDERLYINGS: Final = 8
SIZE: Final = 10_000


def expiries(today: date) -> list[int]:
    """The third Fridays of the three months after next: YYYYMMDD."""
    found = []
    year, month = today.year, today.month + 1
    for _ in range(3):
        month += 1
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        first = date(year, month, 1)
        third = first + timedelta((4 - first.weekday()) % 7 + 14)
        found.append(third.year * 10_000 + third.month * 100 + third.day)
    return found


def contract_symbol(underlying: str, expiry: int, right: Right, strike: int) -> str:
    """A contract by a strike in dollars."""
    return format_osi(underlying, expiry, right, strike * 10_000)


def contracts(symbols: Sequence[str], today: date) -> list[Instrument]:
    """The chains of the first few symbols; the first one's is dense."""
    calendar = Calendar()
    found = []
    for number, underlying in enumerate(symbols[:UNDERLYINGS]):
        for expiry in expiries(today):
            for right, few in STRIKES.items():
                for strike in WIDE_STRIKES if not number else few:
                    found.append(instrument_of(contract_symbol(underlying, expiry, right, strike), calendar))
    return found


def contract_quotes(chain: Sequence[Instrument], at: int) -> list[Quote]:
    """One quote of every contract: intrinsic value and a time value that falls away from the money."""
    quotes = []
    for number, contract in enumerate(chain):
        away = abs(contract.strike - SPOT)
        inside = SPOT - contract.strike if contract.right == "call" else contract.strike - SPOT
        middle = (max(0, inside) + 60_000 * 100_000 // (100_000 + away)) // 1_000 * 1_000
        quotes.append(Quote(contract.symbol, middle - 500, SIZE, middle + 500, SIZE, at + number))
    return quotes


def condor_legs(underlying: str, expiry: int, wings: tuple[int, int, int, int]) -> list[dict[str, str]]:
    """A short iron condor as the legs of an order."""
    short_put, long_put, short_call, long_call = wings
    return [
        {"symbol": contract_symbol(underlying, expiry, "put", long_put), "ratio_qty": "1", "side": "buy"},
        {"symbol": contract_symbol(underlying, expiry, "put", short_put), "ratio_qty": "1", "side": "sell"},
        {"symbol": contract_symbol(underlying, expiry, "call", short_call), "ratio_qty": "1", "side": "sell"},
        {"symbol": contract_symbol(underlying, expiry, "call", long_call), "ratio_qty": "1", "side": "buy"},
    ]


def structures(underlying: str, today: date) -> list[list[dict[str, str]]]:
    """The four condors that an account can hold at once."""
    return [condor_legs(underlying, expiry, wings) for wings in WINGS for expiry in expiries(today)[:2]]
