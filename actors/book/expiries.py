"""The last day of option contracts: warnings, the look before the close, settlement (margin-and-options §5.3–§5.5).

Invariants: all contracts that one price ends are one transaction in one turn; a group whose price or deliverable is
not known waits in the book and is tried again, for ever; whatever was due has moved on afterwards. A late account is
reviewed once, for the newest instant that passed, and settles by the official values of its own date. ``closeout``
closes the contracts of one structure together, by one order, and so loose ones that cover each other.

Known limits: before the close prices are marks; an adjusted contract of which no reference data is left, and whose
last day nobody saw, stays held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import gcd
from typing import Final

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.exercise import expiry_policy, judge_of
from actors.book.forced import EXPIRY_PREFIX, by_house, concerns, place_forced_unit
from actors.book.instruments import Instrument
from actors.book.option_life import book_outcomes
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.options.exercise import decision_ends_at
from actors.book.rules.options.expiry import (
    CLOSEOUT,
    Group,
    Instruction,
    Settled,
    Waiting,
    groups,
    resolve_within_means,
)
from actors.book.rules.options.outcome import Holding
from actors.book.rules.options.precheck import Precheck, Touch, Unit, UnitLeg, precheck
from actors.book.rules.options.warnings import OF_PRICES, expiry_warnings
from actors.book.state.book import Book, Expiring
from actors.book.units import NS_PER_SECOND, QTY_PER_SHARE, format_money
from actors.market.world import World

_MINUTE_NS: Final = 60 * NS_PER_SECOND
RETRY_NS: Final = 15 * _MINUTE_NS
"""Between two tries on the settlement date itself."""
LATE_RETRY_NS: Final = 60 * _MINUTE_NS
"""Of the client order ids of close-outs."""
CLOSE_OUT_STAGE: Final = 3
_NEW: Final = Expiring()


def expiry_at(book: Book, world: World) -> int:
    """When a held contract is reviewed or settled next; 0 for never.

    While a trade date is open its end comes before whatever contracts of later days wait for: they are left out.
    """
    seen: set[tuple[object, ...]] = set()
    known, expiring = world.instruments.by_symbol, book.expiring
    open_date = book.ledger().open_date
    first = 0
    for symbol in book.positions:
        instrument = known.get(symbol)
        if instrument is None or instrument.asset_class != "us_option" or instrument.expiry_date > open_date > 0:
            continue
        # Contracts of one day that nothing has been done about yet have the same instants.
        state = expiring.get(symbol) if expiring else None
        kind = instrument.expiry_date, instrument.settles_on, instrument.settles, state
        if kind not in seen:
            seen.add(kind)
            at = _next_at(book, instrument, world)
            if at and (at < first or not first):
                first = at
    return first


def run_expiry(draft: Draft, at: int, world: World, profiles: Profiles) -> None:
    """Do what is due at an instant, one underlying and settlement after the other."""
    book = draft.book
    holdings = [Holding(instrument, book.positions[instrument.symbol].qty) for instrument in _contracts(book, world)]
    for group in groups(holdings):
        first = group.holdings[0].instrument
        if all(_next_at(book, holding.instrument, world) != at for holding in group.holdings):
            continue
        if at < _settles_at(book, first, world):
            _review(draft, group, world, profiles)
        else:
            _settle(draft, group, at, world)


def _contracts(book: Book, world: World) -> Iterator[Instrument]:
    known = world.instruments.by_symbol
    for symbol in book.positions:
        instrument = known.get(symbol)
        if instrument is not None and instrument.asset_class == "us_option":
            yield instrument


def _next_at(book: Book, instrument: Instrument, world: World) -> int:
    """The next instant of one contract; 0 while its last day is outside the calendar."""
    assert world.days is not None
    state = book.expiring.get(instrument.symbol, _NEW)
    try:
        settles_at = _settles_at(book, instrument, world)
        reviews = _review_instants(book, instrument, world)
    except ValueError:
        return 0
    for stage, at in enumerate(reviews, 1):
        if stage > state.stage and at < settles_at:
            return at
    return max(settles_at, state.retry_at)


def _settles_at(book: Book, instrument: Instrument, world: World) -> int:
    """When a contract is first tried: at the open, or when its holder can say nothing any more."""
    assert world.days is not None
    day = world.days.day(instrument.settlement_date)
    if instrument.settles == "am":
        return day.exchange_opens_at
    return decision_ends_at(day.core_closes_at, expiry_policy(book, world) is CLOSEOUT)


def _review_instants(book: Book, instrument: Instrument, world: World) -> tuple[int, ...]:
    assert world.days is not None
    last = world.days.day(instrument.expiry_date)
    instants = (last.core_opens_at, last.core_closes_at - 60 * _MINUTE_NS)
    if expiry_policy(book, world) is CLOSEOUT:
        return (*instants, last.core_closes_at - 30 * _MINUTE_NS)
    return instants


# ── before the close ────────────────────────────────────────────────────────────────────────────────────────


def _review(draft: Draft, group: Group, world: World, profiles: Profiles) -> None:
    """Warn, close out where the policy says so, and note the newest review instant that has passed."""
    assert world.days is not None
    book = draft.book
    contracts = tuple(holding.instrument for holding in group.holdings)
    instants = _review_instants(book, contracts[0], world)
    stage = sum(at <= world.now for at in instants)
    if world.now < world.days.day(contracts[0].expiry_date).core_closes_at:
        _warn(draft, group, world)
        if stage == CLOSE_OUT_STAGE:
            _close_out(draft, group, world, profiles)
    draft.emit(e.ExpiryReviewed(tuple(contract.symbol for contract in contracts), stage, contracts))


def _warn(draft: Draft, group: Group, world: World) -> None:
    book = draft.book
    prices = _marks(group, world)
    said = {kind for holding in group.holdings for kind in _state(book, holding).warned}
    for warning in expiry_warnings(
        group, prices, judge_of(book, world, prices, group.holdings), expiry_policy(book, world)
    ):
        if warning.kind not in said:
            draft.emit(e.OptionWarned(group.underlying, warning.kind, warning.symbols, warning.numbers))


def standing_warnings(book: Book, symbols: Collection[str], world: World) -> list[tuple[str, tuple[str, ...]]]:
    """Which of the warnings that were given of contracts on their last day hold at the present price, and of which.

    Without a price nobody can say that one has ended; what a settlement left behind stands until it is settled.
    """
    expiring = {symbol for symbol in symbols if symbol in book.expiring}
    if not expiring:
        return []
    holdings = [Holding(instrument, book.positions[instrument.symbol].qty) for instrument in _contracts(book, world)]
    found: dict[str, list[str]] = {}
    for group in groups(holdings):
        members = [h.instrument.symbol for h in group.holdings if h.instrument.symbol in expiring]
        if not members:
            continue
        prices = _marks(group, world)
        looked = expiry_warnings(
            group, prices, judge_of(book, world, prices, group.holdings), expiry_policy(book, world)
        )
        now: dict[str, tuple[str, ...]] = {warning.kind: warning.symbols for warning in looked}
        for kind in dict.fromkeys(kind for holding in group.holdings for kind in _state(book, holding).warned):
            if kind in OF_PRICES and "awaiting_price" not in now:
                of = [symbol for symbol in members if symbol in now.get(kind, ())]
            else:
                of = [symbol for symbol in members if kind in book.expiring[symbol].warned]
            if of:
                found.setdefault(kind, []).extend(of)
    return [(kind, tuple(of)) for kind, of in found.items()]


def _state(book: Book, holding: Holding) -> Expiring:
    return book.expiring.get(holding.instrument.symbol, _NEW)


def _marks(group: Group, world: World) -> dict[str, int]:
    names = {name for holding in group.holdings for name in holding.instrument.priced_by}
    return {name: price for name in sorted(names) if (price := world.mark(name))}


def _close_out(draft: Draft, group: Group, world: World, profiles: Profiles) -> None:
    """Sell or buy back by market orders what could not be settled at the present price."""
    book = draft.book
    prices = _marks(group, world)
    symbols = [holding.instrument.symbol for holding in group.holdings]
    for order_no in sorted(book.orders, reverse=True):
        terms = book.orders[order_no].terms
        if concerns(terms, set(symbols)) and not by_house(terms, EXPIRY_PREFIX):
            draft.emit(e.OrderCanceled(order_no, "expiry_close_out"))
    quotes: dict[str, Touch] = {}
    for symbol in symbols:
        slot = world.board.slots.get(symbol)
        if slot is not None and slot.quote is not None:
            quotes[symbol] = Touch(slot.quote.bid, slot.quote.ask)
    judge = judge_of(book, world, prices, group.holdings)
    found = precheck(_units(book, group), prices, quotes, judge, expiry_policy(book, world))
    if not isinstance(found, Precheck):
        return
    for closing in found.closings:
        moves = [(leg.instrument.symbol, -leg.contracts) for leg in closing.unit.legs]
        no = int(closing.unit.name) if closing.unit.name.isdigit() else 0
        place_forced_unit(draft, moves, closing.count, world, profiles, EXPIRY_PREFIX, no)


def _units(book: Book, group: Group) -> list[Unit]:
    """What may be closed alone: each structure's contracts, then what is loose: each contract, or all of them in
    their ratio where one covers another."""
    instruments = {holding.instrument.symbol: holding.instrument for holding in group.holdings}
    loose = {holding.instrument.symbol: holding.qty for holding in group.holdings}
    units = []
    for no in sorted(book.structures):
        held = {leg.symbol: leg.qty for leg in book.structures[no].legs if leg.symbol in instruments}
        for symbol, qty in held.items():
            loose[symbol] -= qty
        if held:
            units.append(_whole(str(no), held, instruments))
    rest = {symbol: qty for symbol, qty in loose.items() if qty}
    if all(qty > 0 for qty in rest.values()) or all(qty < 0 for qty in rest.values()):
        return [*units, *(_whole(symbol, {symbol: qty}, instruments) for symbol, qty in rest.items())]
    return [*units, _whole(group.underlying, rest, instruments)]


def _whole(name: str, held: dict[str, int], instruments: dict[str, Instrument]) -> Unit:
    """Contracts as so many units of their smallest ratio."""
    counts = {symbol: qty // QTY_PER_SHARE for symbol, qty in held.items()}
    whole = gcd(*counts.values())
    return Unit(name, tuple(UnitLeg(instruments[symbol], n // whole) for symbol, n in counts.items()), whole)


# ── settlement ──────────────────────────────────────────────────────────────────────────────────────────────


def _settle(draft: Draft, group: Group, at: int, world: World) -> None:
    """Settle a group by official values, or say what it waits for."""
    book = draft.book
    kind = "open" if group.settles == "am" else "close"
    names = {name for holding in group.holdings for name in holding.instrument.priced_by}
    prices = {name: price for name in sorted(names) if (price := world.official(name, group.settles_on, kind))}
    judge = judge_of(book, world, prices, group.holdings)
    found = resolve_within_means(group, prices, judge, expiry_policy(book, world), _instructions(book, group))
    if isinstance(found, Settled):
        found = _deliverable(found, world)
    if isinstance(found, Waiting):
        _wait(draft, group, found, world)
        return
    book_outcomes(draft, found.outcomes, world, at if at < world.now else 0)
    release_orders(draft)
    if book.type == "cash" and book.cash < 0:
        symbols = tuple(holding.instrument.symbol for holding in group.holdings)
        numbers = {"cash": format_money(book.cash), "missing": format_money(-book.cash)}
        draft.emit(e.OptionWarned(group.underlying, "settled_with_deficit", symbols, numbers))


def _instructions(book: Book, group: Group) -> list[Instruction]:
    found = []
    for holding in group.holdings:
        told = book.instructions.get(holding.instrument.symbol)
        if told is None or told.settles_on != group.settles_on:
            continue
        if told.kind == "exercise":
            found.append(Instruction("exercise", holding.instrument.symbol, told.qty))
        elif told.kind == "do_not_exercise":
            found.append(Instruction("do_not_exercise", holding.instrument.symbol, told.qty))
    return found


def _deliverable(settled: Settled, world: World) -> Settled | Waiting:
    """Whether the engine knows every stock that changes hands."""
    for outcome in settled.outcomes:
        for delivery in outcome.deliveries:
            if delivery.qty and delivery.symbol not in world.instruments.by_symbol:
                return Waiting("unknown_deliverable", delivery.symbol)
    return settled


def _wait(draft: Draft, group: Group, waiting: Waiting, world: World) -> None:
    assert world.days is not None
    late = world.now >= world.days.day(group.settles_on).ends_at
    retry_at = world.now + (LATE_RETRY_NS if late else RETRY_NS)
    contracts = tuple(holding.instrument for holding in group.holdings)
    symbols = tuple(contract.symbol for contract in contracts)
    draft.emit(
        e.OptionAwaiting(
            symbols, group.underlying, group.settles_on, waiting.reason, waiting.missing, retry_at, contracts
        )
    )


def release_orders(draft: Draft) -> None:
    """Cancel, newest first, orders that shares or cash no longer stand behind after contracts took them."""
    book = draft.book
    for order_no in sorted(book.orders, reverse=True):
        order = book.orders.get(order_no)
        if order is None:
            continue
        symbol = order.terms.symbol
        position = book.positions.get(symbol)
        held = abs(position.qty) if position is not None else 0
        uncovered = order.reserved_qty and book.held.get(symbol, 0) > held
        unpaid = book.type == "cash" and order.reserved_money and book.cash < book.reserved_money
        if uncovered or unpaid:
            draft.emit(e.OrderCanceled(order_no, "option_settled"))
