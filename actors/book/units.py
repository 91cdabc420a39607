"""Units of the book and every conversion between them and the outside.

Invariants: all amounts are integers; every stored integer fits a signed 64-bit integer.

======== ============================== =============
thing    one unit                       suffix
======== ============================== =============
price    1e-4 dollar                    ``_price``
quantity 1e-9 share (contracts whole)   ``_qty``
money    1e-6 dollar                    ``_money``
ratio    parts per million              ``_ppm``
time     nanoseconds since 1970, UTC    ``_at``, ``_ns``
======== ============================== =============

Rounding is half-even unless a rule says otherwise (fill model §2). Outside, prices, quantities and money
are decimal strings without exponent, and times are RFC 3339 strings in UTC.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

PRICE_PER_DOLLAR: Final = 10_000
QTY_PER_SHARE: Final = 1_000_000_000
MONEY_PER_DOLLAR: Final = 1_000_000
MONEY_PER_CENT: Final = 10_000
NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
INT64_MAX: Final = 2**63 - 1

_PRICE_QTY_PER_MONEY: Final = PRICE_PER_DOLLAR * QTY_PER_SHARE // MONEY_PER_DOLLAR
_DECIMAL = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,18}))?\Z")
_LONG = re.compile(r"[0-9]{19,}(?:\.[0-9]{1,40})?\Z")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class BadNumber(ValueError):
    """A decimal text that has the wrong form, too many decimals, or does not fit."""


def parse_scaled(text: str, decimals: int) -> int:
    """Read a plain decimal text as an integer of ``10**-decimals``; exact, never rounded.

    Raises :class:`BadNumber` for anything but ``-?digits[.digits]``, for non-zero digits beyond
    ``decimals``, and for what does not fit 64 bits.
    """
    if text.isascii() and text.isdigit() and len(text) <= 9:
        whole_only: int = int(text) * 10**decimals
        return whole_only
    match = _DECIMAL.match(text)
    if match is None:
        raise BadNumber("too large" if _LONG.match(text) else "not a plain decimal number")
    sign, whole, fraction = match.groups()
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > decimals:
        raise BadNumber(f"more than {decimals} decimals")
    value: int = int(whole) * 10**decimals + int(fraction.ljust(decimals, "0") or "0")
    if value > INT64_MAX:
        raise BadNumber("too large")
    return -value if sign else value


def format_scaled(value: int, decimals: int, least: int = 0) -> str:
    """Write an integer of ``10**-decimals`` as plain decimal text with at least ``least`` decimals."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), 10**decimals)
    if not rest and not least:
        return f"{sign}{whole}"
    fraction = str(rest).rjust(decimals, "0").rstrip("0").ljust(least, "0") if decimals else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def parse_price(text: str) -> int:
    """Dollars as text to price units. Raises :class:`BadNumber`."""
    return parse_scaled(text, 4)


def parse_qty(text: str) -> int:
    """Shares or contracts as text to quantity units. Raises :class:`BadNumber`."""
    return parse_scaled(text, 9)


def parse_money(text: str) -> int:
    """Dollars as text to money units. Raises :class:`BadNumber`."""
    return parse_scaled(text, 6)


def format_price(value: int) -> str:
    """Price units as dollars, as few decimals as needed."""
    return format_scaled(value, 4)


def format_qty(value: int) -> str:
    """Quantity units as shares, as few decimals as needed (``1``, never ``1.0``)."""
    return format_scaled(value, 9)


def format_money(value: int) -> str:
    """Money units as dollars, as few decimals as needed."""
    return format_scaled(value, 6)


def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half-even. The denominator must be positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def value_money(price: int, qty: int, multiplier: int = 1) -> int:
    """Money of ``qty`` at ``price``: price x quantity x multiplier, rounded half-even."""
    product = price * qty * multiplier
    quotient, remainder = divmod(product, _PRICE_QTY_PER_MONEY)
    return divide_half_even(product, _PRICE_QTY_PER_MONEY) if remainder else quotient


def qty_for_money(money: int, price: int) -> int:
    """The quantity that ``money`` buys at ``price``, cut (never rounded up) to 1e-9 share."""
    return money * _PRICE_QTY_PER_MONEY // price if price > 0 else 0


def average_price(value: int, qty: int) -> int:
    """Price units of a money ``value`` spread over ``qty``, rounded half-even; 0 for nothing."""
    return divide_half_even(value * _PRICE_QTY_PER_MONEY, qty) if qty > 0 else 0


def parse_time(text: str) -> int:
    """An RFC 3339 time to nanoseconds UTC. Raises :class:`BadNumber`."""
    match = _RFC3339.match(text)
    if match is None:
        raise BadNumber("not an RFC 3339 time")
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)
    except ValueError as error:
        raise BadNumber(str(error)) from None
    seconds = round((moment - _EPOCH) / timedelta(seconds=1))
    if sign:
        offset = int(off_hour) * 3600 + int(off_minute) * 60
        seconds -= offset if sign == "+" else -offset
    at = seconds * NS_PER_SECOND + int((fraction or "").ljust(9, "0"))
    if not -INT64_MAX <= at <= INT64_MAX:
        raise BadNumber("a time must lie between the years 1678 and 2262")
    return at


@lru_cache(maxsize=1024)
def _format_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def format_time(at: int) -> str:
    """Nanoseconds UTC as RFC 3339 with ``Z``, as few of nine decimals as needed."""
    seconds, nanos = divmod(at, NS_PER_SECOND)
    text = _format_second(seconds)
    if nanos:
        return f"{text}.{nanos:09d}".rstrip("0") + "Z"
    return text + "Z"
