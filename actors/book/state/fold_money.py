"""How facts about settlement, accruals, day trades and margin change the book's money record.

Invariant: the record is replaced whole and becomes null again when nothing is left in it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from actors.book import events as e
from actors.book.events.parts import REGULATION_T, Call, Fee, Intraday, Locate, Recall
from actors.book.state.book import Book, Undo, Unsettled
from actors.book.state.fold_account import Fold, first_sma
from actors.book.state.fold_structures import drop_structures
from actors.book.state.money import NOTHING, Money
from actors.book.state.undo import drop, put

CLOSINGS_MAX = 500
"""So many of the newest closings can be told other lots: a busy account's all would outgrow it, and its turn."""


def set_money(book: Book, **changes: Any) -> None:
    """Replace the record's fields; null when it says nothing any more."""
    money: Money = replace(book.ledger(), **changes)
    book.money = None if money == NOTHING else money


def add_settling(settling: tuple[tuple[int, int], ...], day: int, money: int) -> tuple[tuple[int, int], ...]:
    """What settles, with ``money`` more on ``day``; empty days are left out."""
    if not settling:
        return ((day, money),) if money else ()
    if len(settling) == 1 and settling[0][0] == day:
        total = settling[0][1] + money
        return ((day, total),) if total else ()
    table = dict(settling)
    table[day] = table.get(day, 0) + money
    return tuple(sorted((d, m) for d, m in table.items() if m))


def _add_fees(fees: tuple[Fee, ...], more: tuple[Fee, ...]) -> tuple[Fee, ...]:
    table = {(fee.kind, fee.order_no): fee for fee in fees}
    for fee in more:
        key = (fee.kind, fee.order_no)
        old = table.get(key)
        table[key] = (
            fee
            if old is None
            else Fee(fee.kind, old.pico + fee.pico, old.extrapolated or fee.extrapolated, fee.order_no)
        )
    return tuple(table.values())


def _most(shorted: tuple[tuple[str, int], ...], symbol: str, qty: int) -> tuple[tuple[str, int], ...]:
    table = dict(shorted)
    table[symbol] = max(table.get(symbol, 0), qty)
    return tuple(table.items())


def _use_located(locates: tuple[Locate, ...], symbol: str, qty: int) -> tuple[Locate, ...]:
    out = []
    for locate in locates:
        if locate.symbol == symbol and qty:
            used = min(qty, locate.qty)
            qty -= used
            if used == locate.qty:
                continue
            out.append(Locate(symbol, locate.qty - used, locate.expires_at))
        else:
            out.append(locate)
    return tuple(out)


def _trade(book: Book, v: e.TradeBooked, at: int, undo: Undo | None) -> None:
    money = book.ledger()
    settling = money.settling
    if settling and settling[0][0] <= v.trade_date:
        settling = tuple(entry for entry in settling if entry[0] > v.trade_date)
    for day, spent in v.draws:
        settling = add_settling(settling, day, -spent)
    if v.settling_money:
        settling = add_settling(settling, v.settles_on, v.settling_money)
    unpaid = money.unpaid
    if unpaid:
        unpaid = tuple(entry for entry in unpaid if entry[1] > v.trade_date)
    if v.unpaid_lot:
        unpaid = (*unpaid, (v.unpaid_lot, v.unpaid_until, v.settles_on))
    fresh = book.money is None
    # Other legs of the same unit have moved the cash already; events of before they said so had one leg only.
    cash_before = book.cash - v.net_money if v.opening_money is None else v.opening_money
    book.money = replace(
        money,
        open_date=money.open_date or v.trade_date,
        last_equity=cash_before if fresh else money.last_equity,
        sma=first_sma(book, cash_before) if fresh else money.sma,
        settling=settling,
        unpaid=unpaid,
        fees=_add_fees(money.fees, v.fees) if v.fees else money.fees,
        sma_change=money.sma_change + v.sma_money,
        shorted=_most(money.shorted, v.symbol, v.short_qty) if v.short_qty else money.shorted,
        day_trading=v.day_trading or money.day_trading,
        locates=_use_located(money.locates, v.symbol, v.located_qty) if v.located_qty else money.locates,
    )
    if (c := v.closing) is not None:
        put(book.closings, c.n, Unsettled(v.symbol, v.settles_on, at, c.order_no, c.fill_no, c.closed), undo)
        if len(book.closings) > CLOSINGS_MAX:
            drop(book.closings, min(book.closings), undo)


def _violated(book: Book, v: e.CashViolated, at: int, undo: Undo | None) -> None:
    money = book.ledger()
    set_money(
        book,
        violations=(*money.violations, (v.trade_date, v.kind, v.order_no)),
        settled_only_until=max(money.settled_only_until, v.settled_only_until),
    )


def _day_ended(book: Book, v: e.DayEnded, at: int, undo: Undo | None) -> None:
    for n in [n for n, closing in book.closings.items() if closing.settles_on <= v.trade_date]:
        drop(book.closings, n, undo)
    money = book.ledger()
    intraday = Intraday(0, v.deficits) if v.deficits else None
    set_money(
        book,
        open_date=v.next_date,
        balance_asof=v.trade_date,
        last_equity=v.equity_money,
        last_maintenance=v.maintenance_money,
        margin_interest=v.margin_interest,
        cash_interest=v.cash_interest,
        sma=v.sma,
        sma_change=0,
        deposits_today=0,
        shorted=(),
        settling=tuple(entry for entry in money.settling if entry[0] > v.trade_date),
        unpaid=tuple(entry for entry in money.unpaid if entry[1] > v.trade_date),
        locates=tuple(locate for locate in money.locates if locate.expires_at > v.at),
        intraday=intraday,
        held_deposits=tuple(entry for entry in money.held_deposits if entry.until > v.trade_date),
    )


def _margin(book: Book, v: e.MarginChanged, at: int, undo: Undo | None) -> None:
    money = book.ledger()
    opened = money.call.opened_on if v.state == "liquidating" and money.call.opened_on else v.trade_date
    displaced = 0
    if v.state in ("call", "liquidating") and v.reason != REGULATION_T:
        displaced = money.call.due_at if money.call.reason == REGULATION_T else money.call.displaced_due_at
    set_money(book, call=Call() if v.state == "ok" else Call(v.state, opened, v.due_at, v.reason, displaced))


def _low(book: Book, v: e.IntradayLow, at: int, undo: Undo | None) -> None:
    intraday = book.ledger().intraday or Intraday()
    set_money(book, intraday=replace(intraday, lowest=v.level_money))


def _day_trade_call(book: Book, v: e.DayTradeCallChanged, at: int, undo: Undo | None) -> None:
    held = tuple(entry for entry in book.ledger().held_deposits if entry.until >= v.trade_date)
    set_money(book, day_trade_calls=v.calls, held_deposits=(*held, v.held) if v.held is not None else held)


def _day_trading(book: Book, v: e.DayTradingChanged, at: int, undo: Undo | None) -> None:
    set_money(book, day_trading=v.day_trading)


def _located(book: Book, v: e.SharesLocated, at: int, undo: Undo | None) -> None:
    set_money(book, locates=(*book.ledger().locates, Locate(v.symbol, v.qty, v.expires_at)))


def _recalled(book: Book, v: e.BorrowRecalled, at: int, undo: Undo | None) -> None:
    others = tuple(recall for recall in book.ledger().recalls if recall.symbol != v.symbol)
    set_money(book, recalls=(*others, Recall(v.symbol, v.qty, v.due_at)) if v.qty else others)


def _reset(book: Book, v: e.AccountReset, at: int, undo: Undo | None) -> None:
    book.epoch = v.epoch
    book.money = None
    tables: tuple[dict[Any, Any], ...] = (book.consumed, book.recent, book.first_of_day, book.closings)
    for table in tables:
        for key in list(table):
            drop(table, key, undo)
    drop_structures(book, undo)
    for ca_id, record in list(book.actions.items()):
        put(book.actions, ca_id, replace(record, pays=()), undo)
    book.action_due = 0


def _settings(book: Book, v: e.SettingsChanged, at: int, undo: Undo | None) -> None:
    book.settings = v.settings


MONEY_FOLDS: dict[type, Fold] = {
    e.TradeBooked: _trade,
    e.CashViolated: _violated,
    e.DayEnded: _day_ended,
    e.MarginChanged: _margin,
    e.IntradayLow: _low,
    e.DayTradeCallChanged: _day_trade_call,
    e.DayTradingChanged: _day_trading,
    e.SharesLocated: _located,
    e.BorrowRecalled: _recalled,
    e.AccountReset: _reset,
    e.SettingsChanged: _settings,
}

__all__ = ["MONEY_FOLDS", "Money", "add_settling", "set_money"]
