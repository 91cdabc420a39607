"""Which corporate actions an account has still to take in, and when.

Invariants: what is due follows from the book, the house's table and the calendar alone. An action that was known in
time concerns whoever holds something older than its instant, or has an order that is; the book says which instants
it has passed, so nothing later is taken for older. One that became known late, or was changed, is looked at once by
every account that was open then. Known limit: an account that sleeps with nothing in it looks when it wakes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.osi import is_option_symbol
from actors.book.rules.actions.contracts import adjusts_class, concerns
from actors.book.state.book import Book
from actors.market.actions import instant_of, roll_at, sequence_of
from actors.market.days import Days
from actors.market.world import World

_LOTS_LOOKED_AT: Final = 8
"""For the oldest of more, no turn has the time."""


def action_at(book: Book, world: World) -> int:
    """When an action is applied, or pays something, next; 0 for none."""
    if world.days is None:
        return 0
    found, table = book.action_due, world.actions
    if not table:
        return found
    instants = _instants(book, world, world.days)
    if table.late and table.looked.get(book.account_no) != table.late_n:
        late = [at for ca_id in table.late if (at := due_of(book, table.by_id[ca_id], world))]
        if all(at > world.now for at in late):
            # What is changed before its instant is found by its place, like any other.
            table.looked[book.account_no] = table.late_n
        instants += late
    return min([found, *instants] if found else instants, default=0)


def _instants(book: Book, world: World, days: Days) -> list[int]:
    """Of each name that an account has something of, the next instant; what became known late is looked at elsewhere.

    Actions that are not newer than everything of a name are passed over at once: a name may have hundreds.
    """
    table = world.actions
    ordered_since = table.begun_through if world.now > table.begun_through else 0
    oldest: dict[str, int] = {}
    for symbol, position in book.positions.items():
        lots = position.lots
        at = min(lot.opened_at for lot in lots) if 0 < len(lots) <= _LOTS_LOOKED_AT else 0
        for name in _names(symbol, world):
            oldest[name] = min(oldest.get(name, at), at)
    for side in book.open_sides:
        for name in _names(side[1:], world):
            oldest[name] = min(oldest.get(name, ordered_since), ordered_since)
    found = []
    for name, since in oldest.items():
        if name not in table.by_symbol:
            continue
        dated = table.dated(name, days)
        for place in range(bisect_left(dated, max(book.actions_through, since + 1), key=instant_of), len(dated)):
            if at := due_of(book, dated[place][1], world):
                found.append(at)
                if at == dated[place][0]:
                    break
    return found


def pending(book: Book, at: int, world: World) -> list[e.CorporateActionAnnounced]:
    """The actions that are due at an instant."""
    table = world.actions
    ids = {known.action.ca_id for known in _held(book, world)} | table.late.keys()
    return [known for ca_id in sorted(ids) if due_of(book, known := table.by_id[ca_id], world) == at]


def _held(book: Book, world: World) -> Iterator[e.CorporateActionAnnounced]:
    """The actions of everything that an account holds or has orders in."""
    table = world.actions
    names: dict[str, None] = {}
    for symbol in book.positions:
        names.update(dict.fromkeys(_names(symbol, world)))
    for side in book.open_sides:
        names.update(dict.fromkeys(_names(side[1:], world)))
    ids: dict[str, None] = {}
    for name in names:
        ids.update(table.by_symbol.get(name, {}))
    return (table.by_id[ca_id] for ca_id in ids)


def _names(symbol: str, world: World) -> tuple[str, ...]:
    if not is_option_symbol(symbol):
        return (symbol,)
    contract = world.instruments.by_symbol.get(symbol)
    return contract.priced_by if contract is not None else ()


def due_of(book: Book, known: e.CorporateActionAnnounced, world: World) -> int:
    """When an account takes an action in; 0: never, or it has."""
    assert world.days is not None
    action, record = known.action, book.actions.get(known.action.ca_id)
    rolls_at = roll_at(world.days, action.effective_date)
    if record is not None and not (record.stage == "withdrawn" and not action.withdrawn):
        return known.announced_at if record.version < known.version else 0
    if action.withdrawn:
        return 0
    if known.announced_at > rolls_at:
        never = book.next_lot_no == 1 and not book.orders
        return known.announced_at if book.created_at < rolls_at and not never else 0
    if rolls_at < book.actions_through:
        return 0
    last = world.actions.by_id.get(book.action_last)
    if rolls_at == book.actions_through and last is not None and sequence_of(action) <= sequence_of(last.action):
        return 0
    return rolls_at if is_concerned(book, action, rolls_at, world) else 0


def is_concerned(book: Book, action: e.CorporateAction, before_at: int, world: World) -> bool:
    """Whether an account has anything of an action's security that is older than its instant."""
    position = book.positions.get(action.symbol)
    if position is not None and any(lot.opened_at < before_at for lot in position.lots):
        return True
    classes = adjusts_class(action)
    if classes:
        for contract in contracts_of(book, action, world):
            if any(lot.opened_at < before_at for lot in book.positions[contract.symbol].lots):
                return True
    if world.now > world.actions.begun_at.get(action.ca_id, world.now):
        return False
    for order in book.orders.values():
        terms = order.terms
        if terms.submitted_at >= before_at or 0 < terms.expires_at <= before_at:
            continue
        if is_order_in(terms, action, world):
            return True
    return False


def contracts_of(book: Book, action: e.CorporateAction, world: World) -> list[Instrument]:
    """The contracts held whose underlying or deliverable changes, in the order of their symbols."""
    known = world.instruments.by_symbol
    found = []
    for symbol in sorted(book.positions):
        contract = known.get(symbol) if is_option_symbol(symbol) else None
        if contract is not None and concerns(action, contract):
            found.append(contract)
    return found


def is_order_in(terms: e.OrderAccepted, action: e.CorporateAction, world: World) -> bool:
    """Whether an order is in the security, or in contracts on it that change."""
    for leg in terms.legs or (terms,):
        if leg.symbol == action.symbol:
            return True
        if is_option_symbol(leg.symbol) and adjusts_class(action):
            contract = world.instruments.by_symbol.get(leg.symbol)
            if contract is not None and concerns(action, contract):
                return True
    return False
