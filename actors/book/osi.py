"""Option symbols of the Options Symbology Initiative: root, date, right and strike in one text.

Invariants: reading and writing are inverse to each other on the compact form; a symbol is read from the right,
so that a root may contain digits. A symbol says nothing about the deliverable, nor the underlying of an adjusted
contract, nor the last trading day (margin-and-options §5.1).

Known limits: FLEX contracts (a root that begins with a digit) are no symbols here.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

Right = Literal["call", "put"]

ROOT_LENGTH_MAX: Final = 6
_PRICE_PER_UNIT: Final = 10
"""A symbol counts strikes in thousandths of a dollar."""
_UNITS_MAX: Final = 99_999_999
_CENTURY: Final = 20_000_000
_SYMBOL = re.compile(r"([A-Z]{1,7}[0-9]?) *([0-9]{6})([CP])([0-9]{8})\Z")
ROOT_PATTERN = re.compile(r"(?=.{1,6}\Z)[A-Z]{1,6}[0-9]?\Z")
"""A root: letters, and a digit when it was adjusted."""
_TAIL: Final = 15


class OptionSymbol(Struct, frozen=True):
    """What an OSI symbol says."""

    root: str
    date: int
    """YYYYMMDD as written; before 2015-02-01 often a Saturday."""
    right: Right
    strike: int
    """Price units."""

    @property
    def adjusted(self) -> bool:
        """The root ends in a digit: the deliverable is not the standard one."""
        return self.root[-1].isdigit()

    @property
    def base_root(self) -> str:
        """The root without the digit of an adjustment."""
        return self.root.rstrip("0123456789")


class BadSymbol(ValueError):
    """A contract that a symbol cannot name; the text says why."""


def parse_osi(symbol: str) -> OptionSymbol | None:
    """Read a symbol, compact (``AAPL261218C00150000``) or with its root padded to six; ``None`` for anything else."""
    match = _SYMBOL.match(symbol)
    if match is None or _fault(match):
        return None
    root, day, right, units = match.groups()
    return OptionSymbol(root, _CENTURY + int(day), "call" if right == "C" else "put", int(units) * _PRICE_PER_UNIT)


def osi_fault(symbol: str) -> str:
    """Why a text that has the form of a symbol names no contract; empty when it does, or has another form."""
    match = _SYMBOL.match(symbol)
    return _fault(match) if match is not None else ""


def _fault(match: re.Match[str]) -> str:
    root, day, _, units = match.groups()
    if not _is_date(_CENTURY + int(day)):
        return f"{_CENTURY + int(day)} is not a date"
    if not int(units):
        return "a strike of zero"
    if len(root) > ROOT_LENGTH_MAX:
        return f"a root of more than {ROOT_LENGTH_MAX} characters"
    padded = len(match.string) != len(root) + _TAIL
    return (
        "a root is padded to six characters or not at all"
        if padded and len(match.string) != ROOT_LENGTH_MAX + _TAIL
        else ""
    )


def format_osi(root: str, day: int, right: Right, strike: int, *, padded: bool = False) -> str:
    """The symbol of a contract; ``day`` as YYYYMMDD, ``strike`` in price units. Raises :class:`BadSymbol`."""
    units, rest = divmod(strike, _PRICE_PER_UNIT)
    if rest:
        raise BadSymbol(f"strike {strike} is finer than a symbol can say")
    if not 0 < units <= _UNITS_MAX:
        raise BadSymbol(f"strike {strike} does not fit into a symbol")
    if not _is_date(day) or day // 1_000_000 != _CENTURY // 1_000_000:
        raise BadSymbol(f"{day} is not a date of this century")
    text = f"{root}{day % 1_000_000:06d}{'C' if right == 'call' else 'P'}{units:08d}"
    if not _is_root(root):
        raise BadSymbol(f"{root!r} is not an option root")
    return text if not padded else root.ljust(ROOT_LENGTH_MAX) + text[len(root) :]


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def contract_name(underlying: str, option: OptionSymbol) -> str:
    """Alpaca's name of a contract: ``AAPL Jun 20 2025 100 Call``."""
    month, day = option.date // 100 % 100, option.date % 100
    strike = f"{option.strike // 10_000}.{option.strike % 10_000:04d}".rstrip("0").rstrip(".")
    return f"{underlying} {_MONTHS[month - 1]} {day:02d} {option.date // 10_000} {strike} {option.right.title()}"


def next_root(base_root: str, in_use: frozenset[str]) -> str:
    """The root of a newly adjusted contract: the smallest digit not in use (corporate-actions §6.9)."""
    for digit in range(1, 10):
        root = f"{base_root[: ROOT_LENGTH_MAX - 1]}{digit}"
        if root not in in_use:
            return root
    raise BadSymbol(f"every adjusted root of {base_root} is in use")


@lru_cache(maxsize=1024)
def _is_root(root: str) -> bool:
    return ROOT_PATTERN.match(root) is not None


@lru_cache(maxsize=4096)
def _is_date(day: int) -> bool:
    try:
        date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError:
        return False
    return True


def is_option_symbol(symbol: str) -> bool:
    """Whether a symbol is a contract's, by its length alone: a stock's is shorter."""
    return len(symbol) >= 16
