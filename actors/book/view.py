"""Figures derived from a book and the market: equity, requirements, buying power. Never stored.

Invariants (margin-and-options §0.1): a requirement contains the whole value of what is short; the proceeds sit
in cash. All figures are money units. Known limits: Regulation T initial requirements and the flat FINRA
maintenance rates only; no settlement buckets, SMA or intraday rules.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.state.book import Book, Position
from actors.book.units import MONEY_PER_DOLLAR, divide_half_even, value_money
from actors.market.world import World

MARGIN_EQUITY_MIN_MONEY = 2_000 * MONEY_PER_DOLLAR
"""Below this equity a margin account has no leverage and may not short (margin-and-options §2.4)."""


class Figures(Struct, frozen=True):
    """The money side of an account at present marks."""

    long_money: int
    short_money: int
    """Value of short positions, not positive."""
    equity_money: int
    initial_money: int
    maintenance_money: int
    multiplier: int
    buying_power_money: int
    """Free after what open orders reserve; never negative."""


def position_money(position: Position, world: World) -> int:
    """Market value of a position, signed; at cost when there is no price."""
    mark = world.mark(position.symbol)
    instrument = world.instruments.by_symbol.get(position.symbol)
    multiplier = instrument.multiplier if instrument is not None else 1
    return value_money(mark, position.qty, multiplier) if mark else position.basis_money


def _initial(position: Position, value: int, marginable: bool) -> int:
    if value < 0:
        return divide_half_even(-value * 3, 2)
    return divide_half_even(value, 2) if marginable else value


def _maintenance(position: Position, value: int, marginable: bool) -> int:
    if value < 0:
        per_share = 5 * MONEY_PER_DOLLAR
        floor = divide_half_even(-position.qty * per_share, 1_000_000_000)
        return -value + max(floor, divide_half_even(-value * 3, 10))
    return divide_half_even(value, 4) if marginable else value


def figures(book: Book, world: World) -> Figures:
    """All figures of an account, computed from scratch."""
    long_money = short_money = initial = maintenance = 0
    for position in book.positions.values():
        value = position_money(position, world)
        instrument = world.instruments.by_symbol.get(position.symbol)
        marginable = instrument.marginable if instrument is not None else False
        initial += _initial(position, value, marginable)
        maintenance += _maintenance(position, value, marginable)
        if value < 0:
            short_money += value
        else:
            long_money += value
    equity = book.cash + long_money + short_money
    if book.type == "cash":
        free = book.cash - book.reserved_money
        return Figures(long_money, short_money, equity, long_money, 0, 1, max(0, free))
    multiplier = min(2, book.max_margin_multiplier) if equity >= MARGIN_EQUITY_MIN_MONEY else 1
    available = book.cash + long_money - initial
    if multiplier == 1:
        available = min(available, book.cash)
    free = multiplier * max(0, available) - book.reserved_money
    return Figures(long_money, short_money, equity, initial, maintenance, multiplier, max(0, free))


def buying_power(book: Book, world: World) -> int:
    """Money units that new orders may use; the quick way where there is nothing to mark."""
    if book.type == "cash":
        return max(0, book.cash - book.reserved_money)
    if not book.positions:
        multiplier = min(2, book.max_margin_multiplier) if book.cash >= MARGIN_EQUITY_MIN_MONEY else 1
        return max(0, multiplier * book.cash - book.reserved_money)
    return figures(book, world).buying_power_money


def available_qty(book: Book, symbol: str) -> int:
    """Signed quantity of a position that no open order has reserved."""
    position = book.positions.get(symbol)
    if position is None:
        return 0
    held = book.held.get(symbol, 0)
    return position.qty - held if position.qty > 0 else position.qty + held
