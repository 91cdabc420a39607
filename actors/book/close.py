"""Closing positions with market orders, alone or all together (alpaca-api §2.10).

Invariants: a close never takes more than the position; with ``cancel_orders`` it is accepted at once and held until
the last of the symbol's other orders has ended, then closes what is there by then (``contingent``).
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.decide import accept, ask_cancel, first_of, note_rejected, place, repeat_of_unlisted
from actors.book.draft import Draft
from actors.book.ids import client_key
from actors.book.outcome import Closed, Outcome, Placed
from actors.book.rules.admission.check import Need, account_refusal, read_close
from actors.book.rules.admission.parse import parse
from actors.book.rules.admission.switches import trading_refusal
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book, Position
from actors.commands import CloseAllPositions, ClosePosition, PlaceOrder
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
    order = _order_for(position, qty, action.client_order_id)
    if not action.cancel_orders:
        return place(draft, order, world, profiles)
    return _close_behind_cancels(draft, order, world, profiles)


def close_all(draft: Draft, action: CloseAllPositions, world: World, profiles: Profiles) -> Outcome:
    """Close every position, by symbol; one that cannot be closed says why and stops no other."""
    items = []
    if action.cancel_orders:
        _cancel_open(draft, profiles)
    for symbol in sorted(draft.book.positions):
        position = draft.book.positions[symbol]
        whole = read_close(position.qty, None, None)
        assert isinstance(whole, str)
        order = _order_for(position, whole, None)
        close = _close_behind_cancels if action.cancel_orders else place
        outcome = close(draft, order, world, profiles)
        assert isinstance(outcome, Placed | Refusal)
        items.append((symbol, outcome))
    return Closed(tuple(items))


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
    """Ask for a cancel of the open orders (of a symbol); all that are on their way out."""
    book = draft.book
    order_nos = tuple(no for no in sorted(book.orders) if not symbol or _concerns(book, no, symbol))
    for order_no in order_nos:
        order = book.orders[order_no]
        if order.status != "pending_cancel":
            ask_cancel(draft, order, profiles)
    return order_nos


def _close_behind_cancels(draft: Draft, action: PlaceOrder, world: World, profiles: Profiles) -> Outcome:
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
    waits_for = _cancel_open(draft, profiles, order.instrument.symbol)
    if not waits_for:
        return place(draft, action, world, profiles)
    need = Need(0, 0, 0, 0, f"{order.side}_to_close")
    return accept(draft, order, need, action.client_order_id, key, world, profiles, waits_for)
