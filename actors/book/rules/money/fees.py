"""Regulatory fees with the dates from which they hold (rules §14; this table is the authority).

Invariants: fees accrue exactly, in pico-dollars, on executed quantities; they are rounded up to the cent once for
each kind and trade date, and nothing is booked before that. Before a fee's first dated rate its earliest holds and
the line says so; a fee that had not been introduced is zero. Caps hold for one order. Known limit: exchange fees
of index options are not charged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from actors.book.events.parts import Fee
from actors.book.instruments import Instrument
from actors.book.units import MONEY_PER_CENT, QTY_PER_SHARE, divide_half_even, value_money

PICO_PER_MONEY: Final = 1_000_000
PICO_PER_CENT: Final = PICO_PER_MONEY * MONEY_PER_CENT


class Rate(Struct, frozen=True, gc=False):
    """A fee's rate from one trade date on."""

    since: int
    rate: int
    """By notional: hundredths of a dollar for each million dollars. By quantity: millionths of a dollar each."""
    cap_money: int = 0
    """Most that one order is charged; 0 for no cap."""


class Kind(Struct, frozen=True):
    """One fee: on what, on which side, and its rates, oldest first."""

    name: str
    """Alpaca's activity sub-type."""
    asset_class: str
    """Empty for every class."""
    by_notional: bool
    sells_only: bool
    rates: tuple[Rate, ...]
    source: str
    by_multiplier: bool = False
    """A contract counts as its multiplier in shares."""
    introduced: bool = True
    """Whether the earliest rate also holds before its date; else the fee is zero before it."""


def _cap(dollars_cents: int) -> int:
    return dollars_cents * MONEY_PER_CENT


KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "REG", "", True, True,
        (
            Rate(20160216, 2180), Rate(20170704, 2310), Rate(20180522, 1300), Rate(20190416, 2070),
            Rate(20200218, 2210), Rate(20210225, 510), Rate(20220514, 2290), Rate(20230227, 800),
            Rate(20240522, 2780), Rate(20250514, 0), Rate(20260404, 2060),
        ),
        "SEC section 31",
    ),
    Kind(
        "TAF", "us_equity", False, True,
        (
            Rate(20220101, 130, _cap(649)), Rate(20230101, 145, _cap(727)), Rate(20240101, 166, _cap(830)),
            Rate(20260101, 195, _cap(979)), Rate(20261001, 0), Rate(20270101, 195, _cap(979)),
        ),
        "FINRA trading activity fee",
    ),
    Kind(
        "TAF", "us_option", False, True,
        (Rate(20240101, 2790), Rate(20260101, 3290), Rate(20261001, 0), Rate(20270101, 3290)),
        "FINRA trading activity fee",
    ),
    Kind(
        "CAT", "", False, False,
        (Rate(20240901, 35), Rate(20241001, 48), Rate(20251201, 0), Rate(20260501, 3)),
        "consolidated audit trail", by_multiplier=True, introduced=False,
    ),
    Kind(
        "ORF", "us_option", False, False,
        (Rate(20240101, 22_950), Rate(20260720, 15_000)),
        "options regulatory fee",
    ),
    Kind(
        "OCC", "us_option", False, False,
        (Rate(20240101, 20_000, _cap(5500)), Rate(20250214, 25_000), Rate(20251201, 0), Rate(20260101, 25_000)),
        "options clearing",
    ),
)  # fmt: skip


def rate_on(kind: Kind, trade_date: int) -> tuple[Rate, bool]:
    """The rate of a trade date, and whether it is taken from a later one."""
    found = None
    for rate in kind.rates:
        if rate.since <= trade_date:
            found = rate
    if found is not None:
        return found, False
    return (kind.rates[0], True) if kind.introduced else (Rate(0, 0), False)


@lru_cache(maxsize=64)
def _in_force(asset_class: str, buying: bool, trade_date: int) -> tuple[tuple[Kind, Rate, bool], ...]:
    """The fees that are charged at all, with their rates."""
    found = []
    for kind in KINDS:
        if (kind.sells_only and buying) or kind.asset_class not in ("", asset_class):
            continue
        rate, extrapolated = rate_on(kind, trade_date)
        if rate.rate:
            found.append((kind, rate, extrapolated))
    return tuple(found)


def fees_of(
    instrument: Instrument, buying: bool, qty: int, price: int, trade_date: int, before_qty: int = 0
) -> tuple[Fee, ...]:
    """What an execution accrues; ``before_qty`` is what the order had filled before (for caps)."""
    lines = []
    for kind, rate, extrapolated in _in_force(instrument.asset_class, buying, trade_date):
        pico = _pico(kind, rate, instrument, qty, price, before_qty)
        if pico:
            lines.append(Fee(kind.name, pico, extrapolated))
    return tuple(lines)


def _pico(kind: Kind, rate: Rate, instrument: Instrument, qty: int, price: int, before_qty: int) -> int:
    if kind.by_notional:
        return divide_half_even(value_money(price, qty, instrument.multiplier) * rate.rate, 100)
    if kind.name == "TAF" and price * 100 < rate.rate:
        return 0
    each = (instrument.multiplier if kind.by_multiplier else 1) * rate.rate * PICO_PER_MONEY
    after = _capped(divide_half_even((before_qty + qty) * each, QTY_PER_SHARE), rate)
    return after - _capped(divide_half_even(before_qty * each, QTY_PER_SHARE), rate) if before_qty else after


def _capped(pico: int, rate: Rate) -> int:
    return min(pico, rate.cap_money * PICO_PER_MONEY) if rate.cap_money else pico


def ceil_cents(pico: int) -> int:
    """Money of a day's total, rounded up to the cent."""
    return -(-pico // PICO_PER_CENT) * MONEY_PER_CENT


def accrued_money(fees: tuple[Fee, ...]) -> int:
    """Money that accrued fees will come to, rounded as they will be."""
    return sum(ceil_cents(fee.pico) for fee in fees)
