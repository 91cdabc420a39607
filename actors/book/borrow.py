"""Borrowing shares: locating hard-to-borrow ones, and calling borrowed ones back (rules §12).

Invariants: a locate costs its fee at once, whether it is used or not, and is used up by the short sale that it
serves; a recall only ever concerns what is short now.
"""

from __future__ import annotations

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.life import book_cash
from actors.book.outcome import Done, Outcome
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import ROUND_LOT, cents
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.unreadable import refuse_number
from actors.book.units import QTY_PER_SHARE, BadNumber, format_money, parse_price, parse_qty, value_money
from actors.book.view import withdrawable
from actors.commands import LocateShares, RecallBorrow
from actors.market.world import World


def locate(draft: Draft, action: LocateShares, world: World, profiles: Profiles) -> Outcome:
    """Find shares to borrow, and charge for them."""
    refusal = _locate(draft, action, world)
    if refusal is not None:
        draft.emit(e.CommandRefused("account.locate", refusal.reason, refusal.numbers))
        return refusal
    return Done()


def _locate(draft: Draft, action: LocateShares, world: World) -> Refusal | None:
    book = draft.book
    instrument = world.instruments.find(action.symbol)
    if instrument is None:
        return refuse("asset_not_found", "symbol", symbol=action.symbol[:24])
    if book.type == "cash" or book.no_shorting:
        return refuse("shorting_not_allowed", "symbol")
    if not instrument.shortable:
        return refuse("asset_not_shortable", "symbol", symbol=instrument.symbol)
    qty = read_qty(action.qty)
    if not qty or qty % (ROUND_LOT * QTY_PER_SHARE):
        return refuse("invalid_qty", "qty", qty=action.qty[:24])
    price = world.rates.locate_price
    if action.limit_price is not None:
        try:
            limit = parse_price(action.limit_price)
        except BadNumber as error:
            return refuse_number("invalid_limit_price", "limit_price", str(error))
        if limit < price:
            return refuse("asset_not_shortable", "limit_price", symbol=instrument.symbol)
    fee = 0 if instrument.easy_to_borrow else cents(value_money(price, qty))
    free = withdrawable(book, world)
    if fee > free:
        return refuse("insufficient_cash", "qty", available=format_money(free))
    day = world.day
    expires_at = day.ends_at if day is not None else world.now + 86_400 * 1_000_000_000
    if fee:
        book_cash(draft, "FEE", -fee, f"locate fee for {instrument.symbol}", world, "LOCATE", instrument.symbol, qty)
    draft.emit(e.SharesLocated(instrument.symbol, qty, expires_at, fee))
    return None


def read_qty(text: str) -> int:
    """Whole shares, or 0."""
    try:
        qty = parse_qty(text)
    except BadNumber:
        return 0
    return qty if qty > 0 and qty % QTY_PER_SHARE == 0 else 0


def recall(draft: Draft, action: RecallBorrow, world: World, profiles: Profiles) -> Outcome:
    """Call borrowed shares back."""
    book = draft.book
    position = book.positions.get(action.symbol)
    short = -position.qty if position is not None and position.qty < 0 else 0
    qty = min(short, read_qty(action.qty) if action.qty is not None else short)
    day = world.day
    if not qty or day is None or world.days is None:
        draft.emit(e.CommandRefused("account.recall_borrow", "position_not_found"))
        return refuse("position_not_found", "symbol")
    for order_no in sorted(book.orders, reverse=True):
        terms = book.orders[order_no].terms
        if terms.symbol == action.symbol and terms.position_intent == "sell_to_open":
            draft.emit(e.OrderCanceled(order_no, "borrow_recalled"))
    due_at = world.days.day(day.settles_on).core_opens_at
    draft.emit(e.BorrowRecalled(action.symbol, qty, due_at))
    return Done()
