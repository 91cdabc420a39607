"""An account's book as the option rules of margin see it, with the marks of the moment.

Invariants: built from the book and the market alone, so the same moment gives the same figures; contracts are whole
numbers. The cache of requirements holds nothing but answers that depend on their question alone. Known limits: every
underlying stock counts as an ordinary share (no broad funds), an index as a broad one.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.margin.legs import MONEY_PER_PRICE, OptionPosition, Underlying
from actors.book.rules.margin.profiles import PPM
from actors.book.rules.margin.requirement import Holdings, Requirements
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE, average_price, value_money
from actors.market.world import World

REQUIREMENTS: Final = Requirements()


def holds_options(book: Book) -> bool:
    """Whether any position is a contract."""
    positions = book.positions
    return bool(positions) and any(map(is_option_symbol, positions))


def option_position(instrument: Instrument, contracts: int, price: int) -> OptionPosition | None:
    """So many contracts at a mark; None for a contract whose terms are not known."""
    if not instrument.underlying or not instrument.right or not instrument.expiry_date:
        return None
    return OptionPosition(
        instrument.symbol,
        instrument.underlying,
        instrument.right,
        instrument.strike,
        instrument.expiry_date,
        contracts,
        price,
        instrument.multiplier,
        instrument.style or "american",
        instrument.settlement or "physical",
        instrument.settles == "am",
        instrument.root if instrument.deliverables and instrument.is_adjusted else "",
    )


def underlying_of(symbol: str, world: World, price: int = 0) -> Underlying | None:
    """What contracts are written on, at its mark; None without any price."""
    price = world.mark(symbol) or price
    if not price:
        return None
    instrument = world.instruments.by_symbol.get(symbol)
    if instrument is None:
        return Underlying(symbol, price, marginable=False)
    kind = "index_broad" if instrument.asset_class == "us_index" else "equity"
    return Underlying(symbol, price, kind, instrument.leverage * PPM, instrument.marginable)  # type: ignore[arg-type]


def holdings_of(book: Book, world: World, as_of_date: int, cash_money: int) -> Holdings | None:
    """The whole book; None while a contract's terms or the price under it are not known."""
    found = valued(book, world, as_of_date, cash_money)
    return found.held if found is not None else None


class Valued(Struct, frozen=True, gc=False):
    """A book as the margin rules see it, with the value of its positions."""

    held: Holdings
    long_money: int
    short_money: int
    """Not positive."""


def valued(book: Book, world: World, as_of_date: int, cash_money: int) -> Valued | None:
    """The whole book with its value, at cost where there is no price; None like :func:`holdings_of`."""
    underlyings: dict[str, Underlying] = {}
    stock: dict[str, int] = {}
    options: list[OptionPosition] = []
    long_money = short_money = 0
    by_symbol, mark_of = world.instruments.by_symbol, world.mark
    for symbol, position in book.positions.items():
        instrument = by_symbol.get(symbol)
        mark = mark_of(symbol)
        if instrument is not None and instrument.asset_class == "us_option":
            contracts = position.qty // QTY_PER_SHARE
            if mark:
                value = mark * contracts * instrument.multiplier * MONEY_PER_PRICE
            else:
                value = position.basis_money
                mark = average_price(abs(value), abs(position.qty)) // instrument.multiplier
            option = option_position(instrument, contracts, mark)
            if option is None:
                return None
            options.append(option)
        else:
            multiplier = instrument.multiplier if instrument is not None else 1
            value = value_money(mark, position.qty, multiplier) if mark else position.basis_money
            price = 0 if mark else average_price(abs(position.basis_money), abs(position.qty))
            under = underlying_of(symbol, world, price)
            if under is None:
                return None
            underlyings[symbol], stock[symbol] = under, position.qty
        if value < 0:
            short_money += value
        else:
            long_money += value
    for option in options:
        if option.underlying not in underlyings:
            under = underlying_of(option.underlying, world)
            if under is None:
                return None
            underlyings[option.underlying] = under
    return Valued(Holdings(cash_money, underlyings, stock, tuple(options), as_of_date), long_money, short_money)
