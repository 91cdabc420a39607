"""An account's book as the option rules of margin see it, with the marks of the moment.

Invariants: built from the book and the market alone, so the same moment gives the same figures; contracts are whole
numbers. The cache of requirements holds nothing but answers that depend on their question alone. Known limits: every
underlying stock counts as an ordinary share (no broad funds), an index as a broad one.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book.instruments import Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.margin.legs import (
    MONEY_PER_PRICE,
    Kind,
    Leg,
    OptionPosition,
    Underlying,
    divide,
    in_order,
    kind_of,
    leg_of,
)
from actors.book.rules.margin.profiles import PPM
from actors.book.rules.margin.requirement import Holdings, Requirements
from actors.book.state.book import Book, Position
from actors.book.units import QTY_PER_SHARE, average_price, value_money
from actors.market.world import World

REQUIREMENTS: Final = Requirements()


def holds_options(book: Book) -> bool:
    """Whether any position is a contract."""
    positions = book.positions
    return bool(positions) and any(map(is_option_symbol, positions))


def option_position(instrument: Instrument, contracts: int, price: int) -> OptionPosition | None:
    """So many contracts at a mark; None for a contract whose terms are not known."""
    known = _TERMS.get(instrument.symbol)
    if known is None or known[0] is not instrument:
        known = _learn(instrument)
    none = known[1]
    return replace(none, qty=contracts, price=price) if none is not None else None


_TERMS: Final[dict[str, tuple[Instrument, OptionPosition | None]]] = {}
"""No contracts of each: what never changes about a contract, which is asked for at every look at every position."""
_TERMS_MAX: Final = 8_192


def _learn(instrument: Instrument) -> tuple[Instrument, OptionPosition | None]:
    none = None
    if instrument.underlying and instrument.right and instrument.expiry_date:
        none = OptionPosition(
            instrument.symbol, instrument.underlying, instrument.right, instrument.strike, instrument.expiry_date,
            0, 0, instrument.multiplier, instrument.style or "american", instrument.settlement or "physical",
            instrument.settles == "am", instrument.root if instrument.deliverables and instrument.is_adjusted else "",
        )  # fmt: skip
    if len(_TERMS) >= _TERMS_MAX:
        _TERMS.clear()
    found = _TERMS[instrument.symbol] = (instrument, none)
    return found


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


KEPT_MAX: Final = 64
"""Accounts whose last valuation is remembered: within a turn a book is valued several times, mostly unchanged."""


def valued(book: Book, world: World, as_of_date: int, cash_money: int) -> Valued | None:
    """The whole book with its value, at cost where there is no price; None like :func:`holdings_of`.

    What was valued before and has not changed is taken over, so the result depends on the book and the marks alone.
    """
    kept: _Kept | None = world.valued.get(book.account_no)
    old = kept.lines if kept is not None else {}
    lines: dict[str, _Line] = {}
    same = kept is not None and len(old) == len(book.positions)
    long_money = short_money = 0
    by_symbol, mark_of = world.instruments.by_symbol, world.mark
    for symbol, position in book.positions.items():
        instrument, mark = by_symbol.get(symbol), mark_of(symbol)
        line = old.get(symbol)
        if line is None or line.position is not position or line.mark != mark or line.instrument is not instrument:
            line = _line(position, instrument, mark)
            if line is None:
                return None
            same = False
        lines[symbol] = line
        if line.value_money < 0:
            short_money += line.value_money
        else:
            long_money += line.value_money
    underlyings = _underlyings(lines, world)
    if underlyings is None:
        return None
    if kept is not None and same and kept.found.held.underlyings == underlyings:
        held = kept.found.held
        if held.cash_money == cash_money and held.as_of_date == as_of_date:
            return kept.found
        held = Holdings(cash_money, held.underlyings, held.stock, held.options, as_of_date, held.divided)
    else:
        held = _holdings(lines, underlyings, as_of_date, cash_money)
    found = Valued(held, long_money, short_money)
    if kept is None and len(world.valued) >= KEPT_MAX:
        del world.valued[next(iter(world.valued))]
    world.valued[book.account_no] = _Kept(lines, found)
    return found


def _line(position: Position, instrument: Instrument | None, mark: int) -> _Line | None:
    if instrument is None or instrument.asset_class != "us_option":
        multiplier = instrument.multiplier if instrument is not None else 1
        value = value_money(mark, position.qty, multiplier) if mark else position.basis_money
        return _Line(position, instrument, mark, value, None, None, None)
    contracts = position.qty // QTY_PER_SHARE
    price = mark
    if mark:
        value = mark * contracts * instrument.multiplier * MONEY_PER_PRICE
    else:
        value = position.basis_money
        price = average_price(abs(value), abs(position.qty)) // instrument.multiplier
    option = option_position(instrument, contracts, price)
    if option is None:
        return None
    return _Line(position, instrument, mark, value, option, kind_of(option), leg_of(option) if contracts else None)


def _underlyings(lines: dict[str, _Line], world: World) -> dict[str, Underlying] | None:
    """What is held or what contracts are written on, at its mark; None when something has no price."""
    found: dict[str, Underlying] = {}
    for symbol, line in lines.items():
        if line.option is None:
            position = line.position
            price = 0 if line.mark else average_price(abs(position.basis_money), abs(position.qty))
            under = underlying_of(symbol, world, price)
            if under is None:
                return None
            found[symbol] = under
    for line in lines.values():
        if line.option is not None and (symbol := line.option.underlying) not in found:
            under = underlying_of(symbol, world)
            if under is None:
                return None
            found[symbol] = under
    return found


def _holdings(
    lines: dict[str, _Line], underlyings: dict[str, Underlying], as_of_date: int, cash_money: int
) -> Holdings:
    stock: dict[str, int] = {}
    options: list[OptionPosition] = []
    kinds: dict[Kind, tuple[list[Leg], list[Leg]]] = {}
    for symbol, line in lines.items():
        if line.option is None:
            stock[symbol] = line.position.qty
            continue
        options.append(line.option)
        if line.leg is not None:
            assert line.kind is not None
            both = kinds.get(line.kind)
            if both is None:
                both = kinds[line.kind] = ([], [])
            both[line.option.qty > 0].append(line.leg)
    divided = divide(
        underlyings, stock, {kind: (in_order(shorts), in_order(longs)) for kind, (shorts, longs) in kinds.items()}
    )
    return Holdings(cash_money, underlyings, stock, tuple(options), as_of_date, tuple(divided))
