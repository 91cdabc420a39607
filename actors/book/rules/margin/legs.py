"""Positions as the margin rules see them, and their division into groups that cannot help each other.

Invariants: contracts are whole numbers, signed; the order of positions does not matter (a group's legs are
sorted); a group holds one underlying, one style, one multiplier and one deliverable, so that its options may
offset each other and, where they deliver shares, its stock may cover them.
Known limit: only contracts that deliver ``multiplier`` plain shares are covered by stock; an adjusted contract
is margined without it, which is never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

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


Kind = tuple[str, int, bool, bool, str]
"""What may offset: underlying, multiplier, European or not, delivering plain shares or not, what else it delivers."""


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
    deliverable: str = ""
    """Of its options, as :attr:`OptionPosition.deliverable`."""

    @property
    def kind(self) -> Kind:
        """What its options have in common."""
        return self.underlying.symbol, self.multiplier, self.european, self.physical, self.deliverable

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


def kind_of(option: OptionPosition) -> Kind:
    """Which group a contract belongs to."""
    plain = option.settlement == "physical" and not option.deliverable
    return option.underlying, option.multiplier, option.style == "european", plain, option.deliverable


def leg_of(option: OptionPosition) -> Leg:
    """A position as a leg; the side that it is on says whether it is short."""
    qty = option.qty
    return Leg(
        option.symbol,
        option.right == "call",
        option.strike,
        expiry_order(option),
        -qty if qty < 0 else qty,
        option.price,
    )


def groups(
    underlyings: Mapping[str, Underlying], stock: Mapping[str, int], options: Iterable[OptionPosition]
) -> list[Group]:
    """Divide a book. ``stock`` maps a symbol to a signed quantity in quantity units.

    KeyError when an underlying is missing: a book is never margined without a price.
    """
    kinds: dict[Kind, dict[str, OptionPosition]] = {}
    for option in options:
        if option.qty:
            kind = kinds.setdefault(kind_of(option), {})
            before = kind.get(option.symbol)
            kind[option.symbol] = option if before is None else replace(option, qty=option.qty + before.qty)
    return divide(underlyings, stock, {kind: sides(found.values()) for kind, found in kinds.items()})


Sides = tuple[tuple[Leg, ...], tuple[Leg, ...]]
"""Short and long legs of one kind, each in the order of a group."""


def divide(
    underlyings: Mapping[str, Underlying], stock: Mapping[str, int], kinds: Mapping[Kind, Sides]
) -> list[Group]:
    """The groups of a book by its kinds: where several deliver shares of one stock, the first has the shares."""
    placed: set[str] = set()
    out = []
    for kind in sorted(kinds, key=_kind_order) if len(kinds) > 1 else kinds:
        symbol, multiplier, european, plain, deliverable = kind
        qty = 0
        if plain and symbol not in placed:
            qty = stock.get(symbol, 0)
            placed.add(symbol)
        shorts, longs = kinds[kind]
        out.append(Group(underlyings[symbol], multiplier, european, plain, shorts, longs, qty, deliverable))
    for symbol in sorted(stock) if stock else ():
        if stock[symbol] and symbol not in placed:
            out.append(Group(underlyings[symbol], 100, False, True, (), (), stock[symbol]))
    return out


def with_more(
    known: Sequence[Group],
    underlyings: Mapping[str, Underlying],
    stock: Mapping[str, int],
    more: tuple[OptionPosition, ...],
) -> tuple[Group, ...] | None:
    """The groups of a book that gets contracts which it does not hold; None where it must be divided anew.

    ``known`` are its groups before, at the prices of ``underlyings``. The last answers are remembered: what an order
    would do to a book is mostly what its fill then does.
    """
    for before, priced, asked, answer in _MORE:
        if before is known and asked == more and priced == underlyings:
            return answer
    answer = _with_more(known, underlyings, stock, more)
    if len(_MORE) >= _MORE_MAX:
        _MORE.pop(0)
    _MORE.append((known, underlyings, more, answer))
    return answer


_MORE: Final[list[tuple[Sequence[Group], Mapping[str, Underlying], object, tuple[Group, ...] | None]]] = []
_MORE_MAX: Final = 4


def _with_more(
    known: Sequence[Group],
    underlyings: Mapping[str, Underlying],
    stock: Mapping[str, int],
    more: tuple[OptionPosition, ...],
) -> tuple[Group, ...] | None:
    kinds: dict[Kind, list[OptionPosition]] = {}
    for option in more:
        kinds.setdefault(kind_of(option), []).append(option)
    found = list(known)
    for n, group in enumerate(known):
        if (mine := kinds.pop(group.kind, None)) is not None:
            shorts, longs = sides(mine)
            if shorts:
                shorts = in_order((*group.shorts, *shorts))
            if longs:
                longs = in_order((*group.longs, *longs))
            found[n] = Group(
                underlyings[group.underlying.symbol], group.multiplier, group.european, group.physical,
                shorts or group.shorts, longs or group.longs, group.stock_qty, group.deliverable,
            )  # fmt: skip
    if any(kind[0] in stock for kind in kinds):
        return None
    return (*found, *divide(underlyings, {}, {kind: sides(mine) for kind, mine in kinds.items()}))


def _kind_order(kind: Kind) -> tuple[object, ...]:
    symbol, multiplier, european, plain, deliverable = kind
    return symbol, not plain, european, -multiplier, deliverable


def sides(options: Iterable[OptionPosition]) -> Sides:
    """The legs of one kind; no symbol twice."""
    shorts: list[Leg] = []
    longs: list[Leg] = []
    for option in options:
        qty = option.qty
        if qty:
            (shorts if qty < 0 else longs).append(leg_of(option))
    return in_order(shorts), in_order(longs)


def in_order(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """Legs in the order of a group."""
    return tuple(sorted(legs, key=_leg_order))


def _leg_order(leg: Leg) -> tuple[int, bool, int, str]:
    return leg.expiry, leg.call, leg.strike, leg.symbol
