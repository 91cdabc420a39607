"""What a book and its open orders may come to in contracts and shares, prices aside (alpaca-api §2.13).

Invariants: nothing here needs a price, so a missing one opens no way around; of every open order the most that may
still fill is counted, its replacement included; the exits of a group sell what the group holds, once.
Known limits: a contract whose terms are not known is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from actors.book.instruments import CONTRACT_SHARES, Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.margin.holdings import option_position
from actors.book.rules.margin.orders import UNCOVERED_LEVEL, Change, calls_at_risk
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.requirement import Holdings
from actors.book.state.book import Book, Order
from actors.book.units import QTY_PER_SHARE
from actors.market.world import World


def needs_cover(book: Book) -> bool:
    """Whether the account's short calls must be covered: by its level, its type, or its margin profile."""
    if book.options_level < UNCOVERED_LEVEL or book.type == "cash":
        return True
    return not profile_of(book.margin_profile, book.type).uncovered_allowed


def uncovers(book: Book, change: Change, world: World, but_not: int = 0) -> bool:
    """Whether a change could leave one more short call uncovered, whichever open orders but ``but_not`` fill."""
    names = _underlyings(change, world)
    held, risks = quantities(book, world, names), open_risks(book, world, names, but_not)
    return calls_at_risk(held, (*risks, change)) > calls_at_risk(held, risks)


def free_to_cover_qty(book: Book, symbol: str, world: World, but_not: int = 0) -> int:
    """Shares that could still cover calls, whichever open orders fill."""
    name = frozenset((symbol,))
    held, risks = quantities(book, world, name), open_risks(book, world, name, but_not)
    sold = sum([qty for risk in risks if not risk.options for _, qty in risk.stock])
    needed = calls_at_risk(structs.replace(held, stock={}), [risk for risk in risks if risk.options])
    return max(0, held.stock.get(symbol, 0) + sold - needed * CONTRACT_SHARES * QTY_PER_SHARE)


def moved(legs: Iterable[tuple[Instrument, int]]) -> Change:
    """Contracts and shares that come (positive) and go, in quantity units."""
    options, stock = [], []
    for instrument, qty in legs:
        if instrument.asset_class != "us_option":
            stock.append((instrument.symbol, qty))
        elif (option := option_position(instrument, qty // QTY_PER_SHARE, 0)) is not None:
            options.append(option)
    return Change(0, tuple(options), tuple(stock))


def quantities(book: Book, world: World, names: frozenset[str]) -> Holdings:
    """What is held of some underlyings."""
    known = world.instruments.by_symbol
    legs = []
    for symbol, position in book.positions.items():
        instrument = known.get(symbol)
        if instrument is not None and (instrument.underlying or symbol) in names:
            legs.append((instrument, position.qty))
    change = moved(legs)
    return Holdings(0, {}, dict(change.stock), change.options, 0)


def open_risks(book: Book, world: World, names: frozenset[str], but_not: int = 0) -> list[Change]:
    """Every open order that may take cover away or need some: those in contracts, and sales of stock."""
    found: list[Change] = []
    sold: dict[tuple[str, int], int] = {}
    for no, order in sorted(book.orders.items()):
        terms = order.terms
        if no == but_not:
            continue
        if terms.legs or is_option_symbol(terms.symbol):
            change = _in_contracts(order, world)
            if change is not None and not names.isdisjoint(_underlyings(change, world)):
                found.append(change)
        elif terms.side == "sell" and terms.symbol in names:
            key = terms.symbol, terms.group_no or -no
            sold[key] = max(sold.get(key, 0), order.reserved_qty)
    for (symbol, group_no), qty in sold.items():
        group = book.groups.get(group_no)
        left = group.entry_qty - group.exit_qty if group is not None else 0
        found.append(Change(0, (), ((symbol, -max(qty, left)),)))
    return found


def _in_contracts(order: Order, world: World) -> Change | None:
    terms, known = order.terms, world.instruments.by_symbol
    left = order.leaves_qty
    if order.replacement is not None:
        left = max(left, order.replacement.qty - order.filled_qty)
    if not left:
        return None
    legs = [(leg.symbol, leg.ratio if leg.side == "buy" else -leg.ratio) for leg in terms.legs]
    legs = legs or [(terms.symbol, 1 if terms.side == "buy" else -1)]
    return moved((known[symbol], ratio * left) for symbol, ratio in legs if symbol in known)


def _underlyings(change: Change, world: World) -> frozenset[str]:
    return frozenset({option.underlying for option in change.options} | {symbol for symbol, _ in change.stock})
