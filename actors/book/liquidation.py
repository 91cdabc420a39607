"""What is closed when a margin call is not met: which positions belong together, and what closing them frees (§2.8).

Invariants: contracts of one structure are closed together, and so are loose ones of one underlying; shares that stand
behind short contracts are not sold before those are bought back, so no short is ever left without its cover. A long
contract that nobody bids for stays behind: it costs nothing and covers nothing any more. What closing frees is found
by the margin rules themselves, on the book without it. Nothing here changes a book.

Known limit: shares and the contracts that they cover go in two steps, the contracts first.
"""

from __future__ import annotations

from math import gcd

from msgspec import Struct, structs

from actors.book.instruments import CONTRACT_SHARES
from actors.book.osi import is_option_symbol
from actors.book.state.book import Book, Position
from actors.book.units import QTY_PER_SHARE, value_money
from actors.book.view import figures, trade_date
from actors.market.world import World

PPM = 1_000_000


class Closing(Struct, frozen=True):
    """Contracts that are closed together, as so many units."""

    structure_no: int
    """0: loose contracts."""
    moves: tuple[tuple[str, int], ...]
    """Signed contracts that closing one unit trades."""
    count: int
    freed_money: int
    """Excess that one unit frees; in a cash account cash."""
    rate_ppm: int
    """Part of each dollar traded that it frees."""
    ends_today: bool


def closings(book: Book, world: World) -> list[Closing]:
    """Every structure, and the loose contracts of each underlying, whose closing frees something."""
    if not any(is_option_symbol(symbol) for symbol in book.positions):
        return []
    before = figures(book, world).excess_money
    found = []
    for structure_no, legs in _together(book, world):
        closing = _closing(book, world, structure_no, legs, before)
        if closing is not None:
            found.append(closing)
    return found


def _together(book: Book, world: World) -> list[tuple[int, dict[str, int]]]:
    """Contracts by what they belong to, quantity units."""
    loose = {symbol: p.qty for symbol, p in book.positions.items() if is_option_symbol(symbol)}
    found: list[tuple[int, dict[str, int]]] = []
    for no in sorted(book.structures):
        legs = {leg.symbol: leg.qty for leg in book.structures[no].legs if is_option_symbol(leg.symbol)}
        for symbol, qty in legs.items():
            loose[symbol] = loose.get(symbol, 0) - qty
        if legs:
            found.append((no, legs))
    by_underlying: dict[str, dict[str, int]] = {}
    for symbol, qty in sorted(loose.items()):
        contract = world.instruments.by_symbol.get(symbol)
        if qty and contract is not None:
            by_underlying.setdefault(contract.underlying, {})[symbol] = qty
    return [*found, *((0, legs) for _, legs in sorted(by_underlying.items()))]


def _closing(book: Book, world: World, structure_no: int, legs: dict[str, int], before: int) -> Closing | None:
    today = trade_date(world)
    cash = gross = 0
    moves: dict[str, int] = {}
    gone = dict(legs)
    ends_today = False
    for symbol, qty in legs.items():
        contract = world.instruments.by_symbol.get(symbol)
        slot = world.board.slots.get(symbol)
        quote = slot.quote if slot is not None else None
        price = (quote.bid if qty > 0 else quote.ask) if quote is not None else 0
        if contract is None or (qty < 0 and not price):
            return None
        ends_today = ends_today or contract.expiry_date == today
        if not price:
            continue
        worth = value_money(price, qty, contract.multiplier)
        cash, gross = cash + worth, gross + abs(worth)
        moves[symbol] = -qty // QTY_PER_SHARE
    if not moves or not gross:
        return None
    count = gcd(*moves.values())
    for symbol, qty in locked_shares(book, world, {structure_no: legs}).items():
        price = world.mark(symbol)
        gone[symbol] = qty
        cash, gross = cash + value_money(price, qty), gross + abs(value_money(price, qty))
    # A cash account lacks cash, and a margin account excess.
    freed = (cash if book.type == "cash" else _excess_without(book, world, gone, cash) - before) // count
    if freed <= 0:
        return None
    return Closing(
        structure_no, tuple((symbol, change // count) for symbol, change in moves.items()), count, freed,
        freed * PPM * count // gross, ends_today,
    )  # fmt: skip


def _excess_without(book: Book, world: World, gone: dict[str, int], cash: int) -> int:
    """The excess of the book without these holdings, and with what they bring."""
    positions = dict(book.positions)
    for symbol, qty in gone.items():
        old = positions.get(symbol)
        if old is None or abs(qty) >= abs(old.qty):
            positions.pop(symbol, None)
        else:
            left = old.qty - qty
            positions[symbol] = Position(
                symbol, old.asset_id, left, old.basis_money * left // old.qty, (), old.realized_money
            )
    return figures(structs.replace(book, positions=positions, cash=book.cash + cash), world).excess_money


def locked_shares(book: Book, world: World, groups: dict[int, dict[str, int]] | None = None) -> dict[str, int]:
    """Shares that short contracts rely on, by stock, signed like the position: calls on long, puts on short stock.

    Contracts of ``groups``, else everything that is held; what a group's own long contracts cover is not counted.
    """
    locked: dict[str, int] = {}
    every = groups if groups is not None else dict(enumerate(legs for _, legs in _together(book, world)))
    for legs in every.values():
        net: dict[tuple[str, str], int] = {}
        for symbol, qty in legs.items():
            contract = world.instruments.by_symbol.get(symbol)
            if contract is not None and contract.settlement == "physical":
                key = (contract.underlying, contract.right)
                net[key] = net.get(key, 0) + qty
        for (underlying, right), qty in sorted(net.items()):
            held = book.positions.get(underlying)
            if held is None or qty >= 0 or (held.qty > 0) != (right == "call"):
                continue
            had = abs(locked.get(underlying, 0))
            shares = min(abs(held.qty), had - qty * CONTRACT_SHARES)
            locked[underlying] = shares if held.qty > 0 else -shares
    return locked
