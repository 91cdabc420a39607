"""The rows that clients read, compared with what the events say (``mbtd verify``, check ``records``).

An auditor's reading: it shares no code with :mod:`mbtd.records.projection`, which made the rows. What an order came
to is read from its last events and, while it lives, from the folded book; fills, bookings, closed lots and days must
be the very facts of the archive. Rows and archive are written together, so both are read as of one moment.
Invariant: a row that no event accounts for is a finding, except one that a purge kept for an open lot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from actors.book import events as e
from actors.book.state.book import Book
from mbtd.records.lots import decode_lot
from mbtd.records.orders import ENDED_BEFORE, OrderRecord
from mbtd.records.projection import decode_fill, decode_order
from storage.retention import Base

Archived = tuple[int, int, int, Any]
"""``n``, ``seq``, ``at`` and the event."""
_ENDS: dict[type, tuple[str, str]] = {
    e.OrderCanceled: ("canceled", "canceled_at"),
    e.OrderExpired: ("expired", "expired_at"),
    e.OrderReplaced: ("replaced", "replaced_at"),
}
_TRAILED = ("stop_price", "high_water_mark")
"""Terms of a trailing order that move with the tape."""


class _Order(Struct):
    """What the events say of one order."""

    terms: e.OrderAccepted
    filled_qty: int
    filled_money: int
    status: str = ""
    """Of its end; empty while it lives."""
    ended_at: int = 0
    reason: str = ""
    replaced_by: str = ""
    unborn: bool = False
    """It was to take another's place and did not. Older releases made no record of such."""


class _Told(Struct):
    """Everything that one account's events say of its rows."""

    orders: dict[int, _Order] = field(default_factory=dict)
    fills: dict[int, tuple[int, e.OrderFilled]] = field(default_factory=dict)
    activities: dict[int, tuple[int, e.ActivityBooked]] = field(default_factory=dict)
    lots: dict[tuple[int, int], tuple[int, int, str, e.LotUse]] = field(default_factory=dict)
    days: dict[int, tuple[int, e.DayEnded]] = field(default_factory=dict)
    changes: dict[int, int] = field(default_factory=dict)
    """The order on its way to take a live one's place, by the number of that one."""

    def take(self, n: int, seq: int, at: int, event: Any) -> None:
        """One more event."""
        if isinstance(event, e.OrderAccepted):
            self.orders[event.order_no] = _Order(event, event.filled_qty, event.filled_money)
        elif isinstance(event, e.OrderFilled):
            self.fills[seq] = (at, event)
            self._fill(event, at)
        elif isinstance(event, e.ActivityBooked):
            self.activities[event.activity_no] = (at, event)
        elif isinstance(event, e.PositionChanged | e.PositionAdjusted):
            for use in event.closed:
                self.lots[n, use.lot_no] = (seq, at, event.symbol, use)
        elif isinstance(event, e.LotsAssigned):
            for use in event.given_back:
                empty = e.LotUse(use.lot_no, 0, 0, 0, use.opened_at, use.order_no)
                self.lots[event.closing_n, use.lot_no] = (seq, event.closed_at, event.symbol, empty)
            for use in event.closed:
                self.lots[event.closing_n, use.lot_no] = (seq, event.closed_at, event.symbol, use)
        elif isinstance(event, e.DayEnded):
            self.days[event.trade_date] = (at, event)
        elif isinstance(event, e.OrderAdjusted):
            if (adjusted := self.orders.get(event.order_no)) is not None:
                adjusted.terms = msgspec.structs.replace(adjusted.terms, qty=event.qty)
        elif isinstance(event, e.OrderReplacePending):
            self.orders[event.terms.order_no] = _Order(event.terms, event.terms.filled_qty, event.terms.filled_money)
            self.changes[event.order_no] = event.terms.order_no
        elif isinstance(event, e.OrderReplaceRejected):
            self._unborn(event, at)
        elif type(event) in _ENDS:
            self._end(event, at)

    def _unborn(self, event: e.OrderReplaceRejected, at: int) -> None:
        self._drop_change(event.order_no, event.reason, at)
        self.changes.pop(event.order_no, None)

    def _drop_change(self, order_no: int, reason: str, at: int) -> None:
        """The order that was to take the place of this one does not."""
        change = self.orders.get(self.changes.get(order_no, 0))
        if change is not None:
            by_owner = reason == "cancel_requested"
            change.status, change.reason, change.unborn = "canceled" if by_owner else "rejected", reason, True
            change.ended_at = at

    def _fill(self, event: e.OrderFilled, at: int) -> None:
        order = self.orders.get(event.order_no)
        if order is None:
            return
        order.filled_qty += event.qty
        order.filled_money = event.filled_money
        if event.status == "filled":
            order.status, order.ended_at = "filled", at
            self._drop_change(event.order_no, ENDED_BEFORE, at)

    def _end(self, event: Any, at: int) -> None:
        order = self.orders.get(event.order_no)
        if order is not None:
            order.status, order.ended_at = _ENDS[type(event)][0], at
            by_action = isinstance(event, e.OrderReplaced) and bool(event.ca_id)
            order.reason = "corporate_action" if by_action else getattr(event, "reason", "")
            order.replaced_by = event.terms.order_id if isinstance(event, e.OrderReplaced) else ""
        if not isinstance(event, e.OrderReplaced):
            self._drop_change(event.order_no, ENDED_BEFORE, at)
        else:
            self.changes.pop(event.order_no, None)
            terms = event.terms
            self.orders[terms.order_no] = _Order(terms, terms.filled_qty, terms.filled_money)


def check_account(
    db: sqlite3.Connection, book: Book, base: Base | None, events: Iterable[Archived]
) -> tuple[int, list[str]]:
    """Rows looked at, and what is wrong. ``book`` is the account folded up to the last of ``events``."""
    told = _Told()
    if base is not None:
        for order_no, live in msgspec.msgpack.decode(base.body, type=Book).orders.items():
            told.orders[order_no] = _Order(live.terms, live.filled_qty, live.filled_money)
            if (new := live.replacement) is not None:
                told.orders[new.order_no] = _Order(new, new.filled_qty, new.filled_money)
                told.changes[order_no] = new.order_no
    for n, seq, at, event in events:
        told.take(n, seq, at, event)
    forgotten_at = base.at if base is not None else -1
    count, wrong = 0, []
    for rows, text in (
        _orders(db, book, told, forgotten_at),
        _fills(db, book.account_no, told, forgotten_at),
        _facts(db, book.account_no, told),
        _lots(db, book.account_no, told, forgotten_at),
    ):
        count += rows
        wrong += text
    return count, [f"account {book.account_no} {text}" for text in wrong]


def _symbols(terms: e.OrderAccepted) -> str:
    """The symbol, or of several legs all of them between commas."""
    return f",{','.join(leg.symbol for leg in terms.legs)}," if terms.legs else terms.symbol


def _orders(db: sqlite3.Connection, book: Book, told: _Told, forgotten_at: int) -> tuple[int, list[str]]:
    wrong, missing, count = [], {no for no, order in told.orders.items() if not order.unborn}, 0
    coming = {order.replacement.order_no for order in book.orders.values() if order.replacement is not None}
    for order_no, *columns, body in db.execute(
        "SELECT order_no, order_id, client_order_id, symbol, side, status, live, updated_at, body "
        "FROM orders WHERE account_no = ?",
        (book.account_no,),
    ):
        count += 1
        record = decode_order(body)
        expected = told.orders.get(order_no)
        missing.discard(order_no)
        if expected is None:
            if columns[6] > forgotten_at:
                wrong.append(f"order {order_no}: no event made this record")
            continue
        terms = record.terms
        shown = (terms.order_id, terms.client_order_id, _symbols(terms), terms.side, record.status)
        if tuple(columns[:5]) != shown or columns[6] != record.updated_at:
            wrong.append(f"order {order_no}: the columns are not those of the record")
        if bool(columns[5]) != (order_no in book.orders or order_no in coming):
            wrong.append(
                f"order {order_no}: the record is {'' if columns[5] else 'not '}live, the book says otherwise"
            )
        wrong += [f"order {order_no}: {text}" for text in _order(record, expected, book, coming)]
    return count, wrong + [f"order {order_no}: its record is missing" for order_no in sorted(missing)]


def _order(record: OrderRecord, expected: _Order, book: Book, coming: set[int]) -> Iterator[str]:
    terms = expected.terms
    live = book.orders.get(terms.order_no)
    wanted: dict[str, Any] = {"filled_qty": expected.filled_qty, "filled_money": expected.filled_money}
    if live is not None:
        wanted |= {"status": live.status, "triggered": live.triggered, "leg_fills": live.leg_fills}
        wanted |= {"filled_qty": live.filled_qty, "filled_money": live.filled_money}
        terms = live.terms
    elif terms.order_no in coming:
        wanted["status"] = "held" if terms.group_no and terms.held_at_first else "accepted"
    else:
        wanted |= {"status": expected.status, "reason": expected.reason, "replaced_by": expected.replaced_by}
        ends = {"rejected": "updated_at", **dict(_ENDS.values())}
        ended = ends.get(expected.status, "filled_at")
        wanted[ended] = expected.ended_at
    for name, value in wanted.items():
        if getattr(record, name) != value:
            yield f"{name} is {getattr(record, name)!r}, the events say {value!r}"
    moving = _TRAILED if terms.trail_price or terms.trail_ppm else ()
    for name in terms.__struct_fields__:
        if name not in moving and name not in _BOOK_ONLY and getattr(record.terms, name) != getattr(terms, name):
            yield f"{name} is {getattr(record.terms, name)!r}, the events say {getattr(terms, name)!r}"


_BOOK_ONLY = ("live_at", "reserved_money", "reserved_qty", "collar_price")
"""Terms that the book moves on while an order lives, and that no client sees."""


def _fills(db: sqlite3.Connection, account_no: int, told: _Told, forgotten_at: int) -> tuple[int, list[str]]:
    wrong, missing, count = [], set(told.fills), 0
    for seq, order_no, order_id, at, body in db.execute(
        "SELECT fill_no, order_no, order_id, at, body FROM fills WHERE account_no = ?", (account_no,)
    ):
        count += 1
        missing.discard(seq)
        record, expected = decode_fill(body), told.fills.get(seq)
        if expected is None:
            if at > forgotten_at:
                wrong.append(f"event {seq}: no event made this fill")
        elif (at, record.at, record.seq, record.fill) != (expected[0], expected[0], seq, expected[1]):
            wrong.append(f"event {seq}: the fill is not the one of the event")
        elif (order_no, order_id) != (expected[1].order_no, record.terms.order_id):
            wrong.append(f"event {seq}: the fill is shown for another order")
    return count, wrong + [f"event {seq}: its fill is missing" for seq in sorted(missing)]


def _facts(db: sqlite3.Connection, account_no: int, told: _Told) -> tuple[int, list[str]]:
    """Bookings and days: rows whose body is the event itself."""
    wrong, count = [], 0
    tables: tuple[tuple[str, str, Any, dict[int, tuple[int, Any]]], ...] = (
        ("activities", "n", e.ActivityBooked, told.activities),
        ("days", "trade_date", e.DayEnded, told.days),
    )
    for table, key, kind, expected in tables:
        decoder = msgspec.msgpack.Decoder(kind)
        missing = set(expected)
        for number, at, body in db.execute(
            f"SELECT {key}, at, body FROM {table} WHERE account_no = ?", (account_no,)
        ):
            count += 1
            missing.discard(number)
            if number not in expected:
                wrong.append(f"{table} {number}: no event made this row")
            elif (at, decoder.decode(body)) != expected[number]:
                wrong.append(f"{table} {number}: the row is not the event's")
        wrong += [f"{table} {number}: the row is missing" for number in sorted(missing)]
    return count, wrong


def _lots(db: sqlite3.Connection, account_no: int, told: _Told, forgotten_at: int) -> tuple[int, list[str]]:
    # A closing that is forgotten may have been given other lots by an event that is not.
    wrong, missing, count = [], {key for key, row in told.lots.items() if row[1] > forgotten_at}, 0
    for n, lot_no, body in db.execute("SELECT n, lot_no, body FROM closed_lots WHERE account_no = ?", (account_no,)):
        count += 1
        missing.discard((n, lot_no))
        row, expected = decode_lot(body), told.lots.get((n, lot_no))
        if expected is None:
            wrong.append(f"event {n} lot {lot_no}: no event made this row")
            continue
        seq, at, symbol, use = expected
        shown = (row.seq, row.closed_at, row.symbol, row.lot_no, row.qty, row.basis_money, row.proceeds_money,
                 row.opened_at, row.open_order_no)  # fmt: skip
        if shown != (seq, at, symbol, use.lot_no, use.qty, use.basis_money, use.proceeds_money, use.opened_at,
                     use.order_no):  # fmt: skip
            wrong.append(f"event {n} lot {lot_no}: the row is not the event's")
    return count, wrong + [f"event {n} lot {lot_no}: its row is missing" for n, lot_no in sorted(missing)]


def strangers(db: sqlite3.Connection, known: Iterable[int]) -> list[str]:
    """Rows of accounts that have no events at all: of nobody, or of somebody erased."""
    accounts = set(known)
    wrong = []
    for table in ("orders", "fills", "activities", "closed_lots", "days", "accounts"):
        numbers = {no for (no,) in db.execute(f"SELECT DISTINCT account_no FROM {table}")}
        wrong += [f"{table} has rows of account {no}, which has no events" for no in sorted(numbers - accounts)]
    return wrong
