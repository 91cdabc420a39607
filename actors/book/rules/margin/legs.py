"""Positions as the margin rules see them, and their division into groups that cannot help each other.

Invariants: contracts are whole numbers, signed; the order of positions does not matter (a group's legs are
sorted); a group holds one underlying, one style, one multiplier and one deliverable, so that its options may
offset each other and, where they deliver shares, its stock may cover them.
Known limit: only contracts that deliver ``multiplier`` plain shares are covered by stock; an adjusted contract
is margined without it, which is never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from actors.book.rules.margin.profiles import PPM, MarginClass
from actors.book.rules.margin.stock import StockTerms
from actors.book.units import QTY_PER_SHARE

MONEY_PER_PRICE: Final = 100
"""Money units of one price unit, one share."""


class Underlying(Struct, frozen=True, gc=False):
    """What options are written on, with its present price."""

    symbol: str
    price: int
    """Price units."""
    margin_class: MarginClass = "equity"
    leverage_ppm: int = PPM
    marginable: bool = True
    long_rate_ppm: int = 0
    short_rate_ppm: int = 0

    def terms(self) -> StockTerms:
        """The same as the stock rules see it."""
        return StockTerms(self.price, self.leverage_ppm, self.marginable, self.long_rate_ppm, self.short_rate_ppm)


class OptionPosition(Struct, frozen=True, gc=False):
    """So many contracts of one series."""

    symbol: str
    underlying: str
    right: Literal["call", "put"]
    strike: int
    """Price units."""
    expiry_date: int
    """YYYYMMDD of the last trading day."""
    qty: int
    """Contracts, signed."""
    price: int
    """Mark a share, price units. For what is short never 0 unless it is worth nothing (§3.2)."""
    multiplier: int = 100
    style: Literal["american", "european"] = "american"
    settlement: Literal["physical", "cash"] = "physical"
    settles_at_open: bool = False
    """AM settled: it ends before a PM settled contract of the same date (§3.5)."""
    deliverable: str = ""
    """Names what a contract delivers when that is not ``multiplier`` shares; empty otherwise."""


class Leg(Struct, frozen=True, gc=False):
    """One series in a group; ``qty`` is positive on either side."""

    symbol: str
    call: bool
    strike: int
    expiry: int
    """A number that grows with the moment of expiry."""
    qty: int
    price: int


class Group(Struct, frozen=True):
    """Positions that may offset each other, and nothing else."""

    underlying: Underlying
    multiplier: int
    european: bool
    physical: bool
    shorts: tuple[Leg, ...]
    longs: tuple[Leg, ...]
    stock_qty: int = 0
    """Shares in quantity units, signed; 0 in groups whose options do not deliver them."""

    @property
    def lots(self) -> int:
        """Whole lots of shares that can cover contracts, signed."""
        if not self.physical:
            return 0
        lots = abs(self.stock_qty) // (self.multiplier * QTY_PER_SHARE)
        return lots if self.stock_qty > 0 else -lots

    def key(self) -> tuple[object, ...]:
        """The positions without any price: equal books have equal keys."""
        return (
            self.underlying.symbol,
            self.multiplier,
            self.european,
            self.physical,
            self.stock_qty,
            tuple((leg.symbol, leg.qty) for leg in self.shorts),
            tuple((leg.symbol, leg.qty) for leg in self.longs),
        )


def expiry_order(position: OptionPosition) -> int:
    """Sorts expiries: the date, and within it the opening before the close."""
    return position.expiry_date * 2 + (0 if position.settles_at_open else 1)


def groups(
    underlyings: Mapping[str, Underlying], stock: Mapping[str, int], options: Iterable[OptionPosition]
) -> list[Group]:
    """Divide a book. ``stock`` maps a symbol to a signed quantity in quantity units.

    KeyError when an underlying is missing: a book is never margined without a price.
    """
    legs: dict[tuple[str, int, bool, bool, str], list[OptionPosition]] = {}
    for option in options:
        if option.qty:
            european, physical = option.style == "european", option.settlement == "physical"
            plain = physical and not option.deliverable
            kind = (option.underlying, option.multiplier, european, plain, option.deliverable)
            legs.setdefault(kind, []).append(option)
    placed: set[str] = set()
    out = []
    for kind in sorted(legs, key=lambda kind: (kind[0], not kind[3], kind[2], -kind[1], kind[4])):
        symbol, multiplier, european, plain, _ = kind
        qty = 0
        if plain and symbol not in placed:
            qty = stock.get(symbol, 0)
            placed.add(symbol)
        shorts, longs = _sides(legs[kind])
        out.append(Group(underlyings[symbol], multiplier, european, plain, shorts, longs, qty))
    for symbol in sorted(stock):
        if stock[symbol] and symbol not in placed:
            out.append(Group(underlyings[symbol], 100, False, True, (), (), stock[symbol]))
    return out


def _sides(options: list[OptionPosition]) -> tuple[tuple[Leg, ...], tuple[Leg, ...]]:
    total: dict[str, tuple[OptionPosition, int]] = {}
    for option in options:
        before = total.get(option.symbol)
        total[option.symbol] = (option, option.qty + (before[1] if before else 0))
    shorts: list[Leg] = []
    longs: list[Leg] = []
    for symbol, (option, qty) in total.items():
        leg = Leg(symbol, option.right == "call", option.strike, expiry_order(option), abs(qty), option.price)
        if qty:
            (shorts if qty < 0 else longs).append(leg)
    return tuple(sorted(shorts, key=_leg_order)), tuple(sorted(longs, key=_leg_order))


def _leg_order(leg: Leg) -> tuple[int, bool, int, str]:
    return leg.expiry, leg.call, leg.strike, leg.symbol
