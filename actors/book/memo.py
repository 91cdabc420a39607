"""What fills of contracts do to the special memorandum account (margin-and-options §2.6).

An opening trade takes what it requires less what it brings, which for contracts only the whole book knows: a short
leg may be uncovered, covered by shares or half of a spread. Invariants: a fill never adds more than the cash that it
brings. Contracts that are bought back bring none, so a loss on them lifts nothing; what they required comes back
because the account never stands below its equity less the requirement of what is left. Known limit: several fills of
one account in one turn are each judged beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from actors.book import events as e
from actors.book.osi import is_option_symbol
from actors.book.state.book import Book, Position
from actors.book.view import available_money
from actors.market.world import World


def of_contracts(events: Sequence[object], index: int) -> bool:
    """Whether the change of position at ``index`` belongs to a fill that trades contracts."""
    change = events[index]
    assert type(change) is e.PositionChanged
    return type(events[index - 1]) is e.OrderLegFilled or is_option_symbol(change.symbol)


def sma_of_fill(book: Book, events: Sequence[object], index: int, world: World) -> int:
    """What a fill of contracts did to SMA, money units: a unit's at its last leg, nothing at its others."""
    if book.type == "cash" or (index + 1 < len(events) and _of_one_fill(events[index - 1], events[index + 1])):
        return 0
    changes = []
    place = index
    while place > 0 and (place == index or _of_one_fill(events[place - 1], events[index - 1])):
        change = events[place]
        assert type(change) is e.PositionChanged
        changes.append(change)
        place -= 2
    cash_money = sum([change.net_money for change in changes])
    before = _without(book, changes, cash_money)
    if not (_is_short(before) or _is_short(book)):
        return cash_money
    had = available_money(before, world)
    return min(available_money(book, world) - had, max(0, cash_money))


def _is_short(book: Book) -> bool:
    """Whether anything is held short."""
    for position in book.positions.values():  # noqa: SIM110 - at every fill: a generator costs as much as the rest
        if position.qty <= 0:
            return True
    return False


def _of_one_fill(one: object, other: object) -> bool:
    return (
        type(one) is e.OrderLegFilled
        and type(other) is e.OrderLegFilled
        and one.order_no == other.order_no
        and one.fill_no == other.fill_no
    )


def _without(book: Book, changes: Sequence[e.PositionChanged], cash_money: int) -> Book:
    """The book as it was before these changes."""
    positions = dict(book.positions)
    for change in changes:
        symbol = change.symbol
        moved = change.opened.qty if change.opened is not None else 0
        if change.closed:
            moved -= sum([use.qty for use in change.closed])
        old = positions.pop(symbol, None)
        qty = (old.qty if old is not None else 0) - moved
        basis = (old.basis_money if old is not None else 0) + change.net_money
        if qty:
            positions[symbol] = Position(symbol, change.asset_id, qty, basis, (), 0)
    return structs.replace(book, positions=positions, cash=book.cash - cash_money)
