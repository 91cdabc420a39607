"""Closing positions with market orders, alone or all together (alpaca-api §2.10).

Invariants: a close never takes more than the position; with ``cancel_orders`` it is accepted at once and held until
the last of the symbol's other orders has ended, then closes what is there by then (``contingent``).
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.book import events as e
from actors.book.decide import accept, ask_cancel, first_of, note_rejected, place, repeat_of_unlisted
from actors.book.draft import Draft
from actors.book.forced import by_house, refuse_forced
from actors.book.ids import client_key
from actors.book.osi import is_option_symbol
from actors.book.outcome import Closed, Outcome, Placed
from actors.book.rules.admission.check import Need, account_refusal, read_close
from actors.book.rules.admission.parse import parse
from actors.book.rules.admission.switches import trading_refusal
from actors.book.rules.lots import read_choice
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book, Position
from actors.book.structures.orders import close as close_structure
from actors.book.view import available_qty
from actors.commands import CloseAllPositions, ClosePosition, CloseStructure, PlaceOrder
from actors.market.world import World


def close_position(draft: Draft, action: ClosePosition, world: World, profiles: Profiles) -> Outcome:
    """A market order against the position, for all of it, a quantity or a percentage."""
    instrument = world.instruments.find(action.symbol)
    position = draft.book.positions.get(instrument.symbol if instrument is not None else action.symbol)
    if position is None:
        draft.emit(e.CommandRefused("position.close", "position_not_found"))
        return refuse("position_not_found", "symbol")
    qty = read_close(position.qty, action.qty, action.percentage)
    if isinstance(qty, Refusal):
        draft.emit(e.CommandRefused("position.close", qty.reason, qty.numbers))
        return qty
    order = replace(_order_for(position, qty, action.client_order_id), lot_method=action.lot_method, lots=action.lots)
    if not action.cancel_orders:
        return place(draft, order, world, profiles)
    return _close_behind(draft, order, world, profiles)


def close_all(draft: Draft, action: CloseAllPositions, world: World, profiles: Profiles) -> Outcome:
    """Close every position, by symbol; one that cannot be closed says why and stops no other.

    Legs of a structure are closed together, by one order that answers for each of them, unless open orders hold any
    or nobody stands on the other side of one. Of the rest, what is short is bought back first: long contracts and
    stock of the same underlying may cover it, so they wait for that.
    """
    items: list[tuple[str, Placed | Refusal]] = []
    if action.cancel_orders:
        for order_no in _cancel_open(draft, profiles):
            terms = draft.book.orders[order_no].terms
            if by_house(terms):
                items.append((terms.symbol or terms.legs[0].symbol, refuse_forced(terms)))
    together = _structures(draft, world, profiles)
    behind: dict[str, list[int]] = {}
    positions = [draft.book.positions[symbol] for symbol in sorted(draft.book.positions)]
    for position in sorted(positions, key=lambda one: not _is_short_contract(one)):
        symbol = position.symbol
        left = position.qty
        for answer, taken in together.get(symbol, ()):
            items.append((symbol, answer))
            left -= taken
        if not left:
            continue
        whole = read_close(left, None, None)
        assert isinstance(whole, str)
        order = _order_for(position, whole, None)
        instrument = world.instruments.find(symbol)
        underlying = (instrument.underlying if instrument is not None else "") or symbol
        waits = () if _is_short_contract(position) else tuple(behind.get(underlying, ()))
        if action.cancel_orders or (waits and abs(available_qty(draft.book, symbol)) >= abs(left)):
            outcome = _close_behind(draft, order, world, profiles, waits, cancels=action.cancel_orders)
        else:
            outcome = place(draft, order, world, profiles)
        assert isinstance(outcome, Placed | Refusal)
        items.append((symbol, outcome))
        if _is_short_contract(position) and isinstance(outcome, Placed) and outcome.order_no in draft.book.orders:
            behind.setdefault(underlying, []).append(outcome.order_no)
    return Closed(tuple(sorted(items, key=lambda item: item[0])))


def _is_short_contract(position: Position) -> bool:
    return position.qty < 0 and is_option_symbol(position.symbol)


def _structures(draft: Draft, world: World, profiles: Profiles) -> dict[str, list[tuple[Placed | Refusal, int]]]:
    """By symbol, the orders that close structures of several legs, and how much of the position each takes."""
    found: dict[str, list[tuple[Placed | Refusal, int]]] = {}
    book = draft.book
    before = tuple(book.orders)
    for no in sorted(book.structures):
        structure = book.structures[no]
        held = any(_concerns(book, order_no, leg.symbol) for order_no in before for leg in structure.legs)
        if len(structure.legs) < 2 or held or not all(_has_far_side(leg, world) for leg in structure.legs):
            continue
        outcome = close_structure(draft, CloseStructure(structure_id=str(no)), world, profiles)
        assert isinstance(outcome, Placed | Refusal)
        for leg in structure.legs:
            found.setdefault(leg.symbol, []).append((outcome, leg.qty))
    return found


def _has_far_side(leg: e.HeldLeg, world: World) -> bool:
    """Whether somebody stands on the other side of closing a leg."""
    slot = world.board.slots.get(leg.symbol)
    quote = slot.quote if slot is not None else None
    return quote is not None and (quote.bid if leg.qty > 0 else quote.ask) > 0


def _order_for(position: Position, qty: str, client_order_id: str | None) -> PlaceOrder:
    return PlaceOrder(
        symbol=position.symbol,
        qty=qty,
        side="sell" if position.qty > 0 else "buy",
        type="market",
        time_in_force="day",
        client_order_id=client_order_id,
    )


def _concerns(book: Book, order_no: int, symbol: str) -> bool:
    terms = book.orders[order_no].terms
    return terms.symbol == symbol or any(leg.symbol == symbol for leg in terms.legs)


def _cancel_open(draft: Draft, profiles: Profiles, symbol: str = "") -> tuple[int, ...]:
    """Ask for a cancel of the open orders (of a symbol); all that are on their way out.

    Orders of the house among them are not cancelled; they end by themselves.
    """
    book = draft.book
    order_nos = tuple(no for no in sorted(book.orders) if not symbol or _concerns(book, no, symbol))
    for order_no in order_nos:
        order = book.orders[order_no]
        if order.status != "pending_cancel" and not by_house(order.terms):
            ask_cancel(draft, order, profiles)
    return order_nos


def _close_behind(
    draft: Draft,
    action: PlaceOrder,
    world: World,
    profiles: Profiles,
    behind: tuple[int, ...] = (),
    *,
    cancels: bool = True,
) -> Outcome:
    """A close that is held until the orders ``behind`` which it stands have ended, and those that it cancels."""
    book = draft.book
    order = parse(action, world.instruments)
    refusal = order if isinstance(order, Refusal) else None
    if refusal is not None:
        again = repeat_of_unlisted(book, action, world)
        if isinstance(again, Placed):
            return again
    key = 0
    if action.client_order_id is not None and not isinstance(order, Refusal):
        key = client_key(action.client_order_id)
        first = first_of(book, action.client_order_id, key, order.fingerprint)
        if isinstance(first, Placed):
            return first
        refusal = first
    refusal = refusal or account_refusal(book) or (trading_refusal(world) if world.switches else None)
    if refusal is not None or isinstance(order, Refusal):
        assert refusal is not None
        note_rejected(draft, action, refusal)
        return refusal
    need = Need(0, 0, 0, 0, f"{order.side}_to_close")
    choice = read_choice(book, order.instrument.symbol, need.intent, order.qty, action.lot_method, action.lots)
    if isinstance(choice, Refusal):
        note_rejected(draft, action, choice)
        return choice
    waits_for = (*behind, *(_cancel_open(draft, profiles, order.instrument.symbol) if cancels else ()))
    if not waits_for:
        return place(draft, action, world, profiles)
    return accept(draft, order, need, action.client_order_id, key, world, profiles, waits_for, lot_choice=choice)
