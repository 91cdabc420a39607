"""How facts about the account, its money and its positions change the book."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from actors.book import events as e
from actors.book.state.book import Book, Position, Undo
from actors.book.state.lots import give_back, take_off
from actors.book.state.undo import drop, put

Fold = Callable[[Book, Any, int, Undo | None], None]


def _created(book: Book, v: e.AccountCreated, at: int, undo: Undo | None) -> None:
    book.account_id = v.account_id
    book.user_id = v.user_id
    book.seed = v.seed
    book.type = v.type
    book.cash = v.cash
    book.options_level = v.options_level
    book.profile = v.profile
    book.margin_profile = v.margin_profile
    book.created_at = at
    if v.type == "cash":
        book.max_margin_multiplier = 1


def _configured(book: Book, v: e.AccountConfigured, at: int, undo: Undo | None) -> None:
    book.profile = v.profile
    book.margin_profile = v.margin_profile
    book.options_level = v.options_level
    book.fractional_trading = v.fractional_trading
    book.no_shorting = v.no_shorting
    book.suspend_trade = v.suspend_trade
    book.max_margin_multiplier = v.max_margin_multiplier


def _closed(book: Book, v: e.AccountClosed, at: int, undo: Undo | None) -> None:
    book.status = "ACCOUNT_CLOSED"


def _quarantined(book: Book, v: e.AccountQuarantined, at: int, undo: Undo | None) -> None:
    book.quarantined = v.reason


def nothing(book: Book, v: object, at: int, undo: Undo | None) -> None:
    """Audit only."""


def _booked(book: Book, v: e.ActivityBooked, at: int, undo: Undo | None) -> None:
    book.cash = v.cash
    book.next_activity_no = v.activity_no + 1
    if v.trade_date:
        _note_booking(book, v)


def first_sma(book: Book, cash: int) -> int:
    """The special memorandum account of an account that held nothing so far: all of its cash."""
    return cash if book.type == "margin" else 0


CASH_FLOWS = frozenset({"CSD", "CSW", "JNLC"})
"""Activity types that move money in or out."""


def _note_booking(book: Book, v: e.ActivityBooked) -> None:
    """A booking opens its trade date; its money counts for SMA, and as a deposit when it came from outside."""
    money = book.ledger()
    fresh, cash_before = book.money is None, v.cash - v.net_money
    flow = v.net_money if v.activity_type in CASH_FLOWS else 0
    intraday = money.intraday
    if intraday is not None and intraday.lowest < 0 < flow:
        # A deposit of the day counts as made at its start (corporate-actions-and-market-rules §8.2).
        intraday = replace(intraday, lowest=min(0, intraday.lowest + flow))
    fees = money.fees
    if v.activity_type == "FEE" and fees:
        fees = tuple(fee for fee in fees if fee.kind != v.activity_sub_type)
    book.money = replace(
        money,
        open_date=money.open_date or v.trade_date,
        last_equity=cash_before if fresh else money.last_equity,
        sma=first_sma(book, cash_before) if fresh else money.sma,
        sma_change=money.sma_change + v.net_money,
        deposits_today=money.deposits_today + flow,
        intraday=intraday,
        fees=fees,
    )


def _position(book: Book, v: e.PositionChanged, at: int, undo: Undo | None) -> None:
    book.cash = v.cash
    old = book.positions.get(v.symbol)
    lots = old.lots if old is not None else ()
    if v.closed:
        lots = take_off(lots, v.closed)
    if v.opened is not None:
        lots = (*lots, v.opened)
        book.next_lot_no = v.opened.lot_no + 1
    if v.qty == 0:
        drop(book.positions, v.symbol, undo)
        if book.instructions:
            drop(book.instructions, v.symbol, undo)
        if book.expiring:
            drop(book.expiring, v.symbol, undo)
        if book.contracts:
            drop(book.contracts, v.symbol, undo)
        return
    realized = v.realized_money + (old.realized_money if old is not None else 0)
    put(book.positions, v.symbol, Position(v.symbol, v.asset_id, v.qty, v.basis_money, lots, realized), undo)


def _lots_assigned(book: Book, v: e.LotsAssigned, at: int, undo: Undo | None) -> None:
    put(book.closings, v.closing_n, replace(book.closings[v.closing_n], closed=v.closed), undo)
    position = book.positions.get(v.symbol)
    if position is None:
        return
    moved = sum(use.basis_money for use in v.given_back) - sum(use.basis_money for use in v.closed)
    lots = take_off(give_back(position.lots, v.given_back), v.closed)
    changed = Position(
        v.symbol, position.asset_id, position.qty, position.basis_money + moved, lots, position.realized_money + moved
    )
    put(book.positions, v.symbol, changed, undo)


ACCOUNT_FOLDS: dict[type, Fold] = {
    e.AccountCreated: _created,
    e.AccountConfigured: _configured,
    e.AccountClosed: _closed,
    e.AccountQuarantined: _quarantined,
    e.CommandRefused: nothing,
    e.ActivityBooked: _booked,
    e.PositionChanged: _position,
    e.LotsAssigned: _lots_assigned,
    e.MarketGapped: nothing,
}
