"""An account's book as the option rules of margin see it, with the marks of the moment.

Invariants: built from the book and the market alone, so the same moment gives the same figures; contracts are whole
numbers. The cache of requirements holds nothing but answers that depend on their question alone. Known limit: a stock
counts as an ordinary share and an index as a broad one, save those that the profiles' data name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book.instruments import Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.margin.legs import (
    MONEY_PER_PRICE,
    Group,
    Kind,
    Leg,
    OptionPosition,
    Underlying,
    divide,
    expiry_order,
    in_order,
    kind_of,
    with_more,
)
from actors.book.rules.margin.profiles import MARGIN_CLASSES, PPM, MarginClass
from actors.book.rules.margin.requirement import Holdings
from actors.book.state.book import Book, Position
from actors.book.units import QTY_PER_SHARE, average_price, value_money
from actors.market.world import World


def holds_options(book: Book) -> bool:
    """Whether any position is a contract."""
    positions = book.positions
    return bool(positions) and any(map(is_option_symbol, positions))


class _Contract(Struct, frozen=True, gc=False):
    """What never changes about a contract; it is asked for at every look at every position."""

    instrument: Instrument
    none: OptionPosition
    """No contracts of it."""
    kind: Kind
    expiry: int


_CONTRACTS: Final[dict[str, _Contract]] = {}
_CONTRACTS_MAX: Final = 8_192


def _contract(instrument: Instrument) -> _Contract | None:
    """None for a contract whose terms are not known."""
    known = _CONTRACTS.get(instrument.symbol)
    if known is not None and known.instrument is instrument:
        return known
    if not instrument.underlying or not instrument.right or not instrument.expiry_date:
        return None
    none = OptionPosition(
        instrument.symbol, instrument.underlying, instrument.right, instrument.strike, instrument.expiry_date,
        0, 0, instrument.multiplier, instrument.style or "american", instrument.settlement or "physical",
        instrument.settles == "am", instrument.root if instrument.deliverables and instrument.is_adjusted else "",
    )  # fmt: skip
    if len(_CONTRACTS) >= _CONTRACTS_MAX:
        _CONTRACTS.clear()
    found = _CONTRACTS[instrument.symbol] = _Contract(instrument, none, kind_of(none), expiry_order(none))
    return found


def option_position(instrument: Instrument, contracts: int, price: int) -> OptionPosition | None:
    """So many contracts at a mark; None for a contract whose terms are not known."""
    contract = _contract(instrument)
    return replace(contract.none, qty=contracts, price=price) if contract is not None else None


def underlying_of(symbol: str, world: World, price: int = 0) -> Underlying | None:
    """What contracts are written on, at its mark; None without any price."""
    price = world.mark(symbol) or price
    if not price:
        return None
    instrument = world.instruments.by_symbol.get(symbol)
    if instrument is None:
        return Underlying(symbol, price, marginable=False)
    ordinary: MarginClass = "index_broad" if instrument.asset_class == "us_index" else "equity"
    kind = MARGIN_CLASSES.get(symbol, ordinary)
    return Underlying(symbol, price, kind, instrument.leverage * PPM, instrument.marginable)


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


class _Line(Struct, frozen=True, gc=False):
    """One position as it was valued; it stands while the records and the mark that it was made of do."""

    position: Position
    instrument: Instrument | None
    mark: int
    value_money: int
    option: OptionPosition | None
    """Null for what is no contract."""
    kind: Kind | None
    leg: Leg | None


class _Kept(Struct, frozen=True):
    """What was last seen of an account: the same lines and underlyings are the same groups."""

    lines: dict[str, _Line]
    found: Valued
    turn: int
    """The turn in which it was seen: within one no price moves, though contracts may get to be known."""


KEPT_MAX: Final = 256
"""Accounts whose last valuation is remembered: within a turn a book is valued several times, mostly unchanged."""


def valued(book: Book, world: World, as_of_date: int, cash_money: int) -> Valued | None:
    """The whole book with its value, at cost where there is no price; None like :func:`holdings_of`.

    What was valued before and has not changed is taken over, so the result depends on the book and the marks alone.
    """
    kept: _Kept | None = world.valued.get(book.account_no)
    if kept is not None and kept.turn == world.turn:
        positions, old, known = book.positions, kept.lines, world.instruments.by_symbol
        new = [
            position
            for symbol, position in positions.items()
            if (line := old.get(symbol)) is None
            or line.position is not position
            or line.instrument is not known.get(symbol)
        ]
        if not new and len(positions) == len(old):
            held = kept.found.held
            if held.cash_money == cash_money and held.as_of_date == as_of_date:
                return kept.found
        grown = _grown(kept, new, world, as_of_date, cash_money) if len(positions) == len(old) + len(new) else None
        if grown is not None:
            return _keep(book, world, *grown)
    return _anew(book, world, kept, as_of_date, cash_money)


def _keep(book: Book, world: World, lines: dict[str, _Line], found: Valued) -> Valued:
    table = world.valued
    if len(table) >= KEPT_MAX and book.account_no not in table:
        del table[next(iter(table))]
    table[book.account_no] = _Kept(lines, found, world.turn or -1)
    return found


def _anew(book: Book, world: World, kept: _Kept | None, as_of_date: int, cash_money: int) -> Valued | None:
    """Value each position and what is under it, and divide the book; lines that stand are taken over."""
    old = kept.lines if kept is not None else {}
    same = len(old) == len(book.positions)
    still = kept is not None and kept.turn == world.turn
    by_symbol, mark_of = world.instruments.by_symbol, world.mark
    lines: dict[str, _Line] = {}
    options: list[OptionPosition] = []
    kinds: dict[Kind, tuple[list[Leg], list[Leg]]] = {}
    stock: dict[str, int] = {}
    long_money = short_money = 0
    for symbol, position in book.positions.items():
        line, instrument = old.get(symbol), by_symbol.get(symbol)
        if (
            line is None
            or line.position is not position
            or line.instrument is not instrument
            or not (still or line.mark == mark_of(symbol))
        ):
            line = _line(position, instrument, mark_of(symbol))
            if line is None:
                return None
            same = False
        lines[symbol] = line
        value = line.value_money
        if value < 0:
            short_money += value
        else:
            long_money += value
        kind = line.kind
        if kind is None:
            stock[symbol] = position.qty
            continue
        assert line.option is not None
        options.append(line.option)
        if line.leg is not None:
            both = kinds.get(kind)
            if both is None:
                both = kinds[kind] = ([], [])
            both[line.option.qty > 0].append(line.leg)
    underlyings = _underlyings(lines, stock, kinds, world)
    if underlyings is None:
        return None
    if kept is not None and same and kept.found.held.underlyings == underlyings:
        held = kept.found.held
        held = Holdings(cash_money, held.underlyings, held.stock, held.options, as_of_date, held.divided)
    else:
        sides = {kind: (in_order(shorts), in_order(longs)) for kind, (shorts, longs) in kinds.items()}
        divided = tuple(divide(underlyings, stock, sides))
        held = Holdings(cash_money, underlyings, stock, tuple(options), as_of_date, divided)
    return _keep(book, world, lines, Valued(held, long_money, short_money))


def _underlyings(
    lines: Mapping[str, _Line], stock: Iterable[str], kinds: Iterable[Kind], world: World
) -> dict[str, Underlying] | None:
    """What is held or what contracts are written on, at its mark; None when something has no price."""
    found: dict[str, Underlying] = {}
    for symbol in stock:
        line = lines[symbol]
        position = line.position
        price = 0 if line.mark else average_price(abs(position.basis_money), abs(position.qty))
        under = underlying_of(symbol, world, price)
        if under is None:
            return None
        found[symbol] = under
    for kind in kinds:
        symbol = kind[0]
        if symbol not in found:
            under = underlying_of(symbol, world)
            if under is None:
                return None
            found[symbol] = under
    return found


def _grown(
    kept: _Kept, new: list[Position], world: World, as_of_date: int, cash_money: int
) -> tuple[dict[str, _Line], Valued] | None:
    """A book that only got contracts on what it has contracts on already, in the same turn; None for any other."""
    before = kept.found.held
    lines, options = kept.lines, before.options
    long_money, short_money = kept.found.long_money, kept.found.short_money
    divided: tuple[Group, ...] | None = before.divided
    if new:
        lines = dict(lines)
        more: list[OptionPosition] = []
        for position in new:
            symbol = position.symbol
            line = _line(position, world.instruments.by_symbol.get(symbol), world.mark(symbol))
            if line is None or line.option is None or line.option.underlying not in before.underlyings:
                return None
            lines[symbol] = line
            more.append(line.option)
            if line.value_money < 0:
                short_money += line.value_money
            else:
                long_money += line.value_money
        assert divided is not None
        added = tuple(more)
        divided = with_more(divided, before.underlyings, before.stock, added)
        if divided is None:
            return None
        options += added
    held = Holdings(cash_money, before.underlyings, before.stock, options, as_of_date, divided)
    return lines, Valued(held, long_money, short_money)


def _line(position: Position, instrument: Instrument | None, mark: int) -> _Line | None:
    if instrument is None or instrument.asset_class != "us_option":
        multiplier = instrument.multiplier if instrument is not None else 1
        value = value_money(mark, position.qty, multiplier) if mark else position.basis_money
        return _Line(position, instrument, mark, value, None, None, None)
    contract = _contract(instrument)
    if contract is None:
        return None
    qty = position.qty // QTY_PER_SHARE
    price = mark
    if mark:
        value = mark * qty * instrument.multiplier * MONEY_PER_PRICE
    else:
        value = position.basis_money
        price = average_price(abs(value), abs(position.qty)) // instrument.multiplier
    none = contract.none
    option = replace(none, qty=qty, price=price)
    leg = None
    if qty:
        leg = Leg(none.symbol, none.right == "call", none.strike, contract.expiry, -qty if qty < 0 else qty, price)
    return _Line(position, instrument, mark, value, option, contract.kind, leg)
