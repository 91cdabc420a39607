"""Journal groups to rows: the archive, orders, fills, activities and the list of accounts.

Invariants: a pure function of the groups and of the rows that earlier groups led to, so the tables can be
rebuilt; called in the writer process, off the acknowledgement path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from actors.book import events as e
from actors.book.ids import derive_fill_id
from actors.inputs import Section, Step, decode_steps
from mbtd.records.activities import activity_date, activity_id_of
from mbtd.records.lots import assigned_lots, closed_lots
from mbtd.records.orders import (
    ENDED_BEFORE,
    TERMINAL,
    OrderRecord,
    accepted_record,
    came_to_nothing,
    carries_legs,
    change_record,
    follow,
    replacing_record,
)
from storage.records import Group, Lookup, Row

_ENDED = frozenset({"filled", "canceled", "expired"})

_encode = msgspec.msgpack.Encoder().encode
_order_decoder = msgspec.msgpack.Decoder(OrderRecord)
_BODY = 10


class AccountCard(Struct, frozen=True, array_like=True):
    """What the list of accounts shows."""

    account_id: str
    name: str
    user_id: str
    type: str = ""
    status: str = "ACTIVE"
    created_at: int = 0


class FillRecord(Struct, frozen=True, array_like=True):
    """A fill with the terms of its order: all that ``mbtd why`` needs."""

    terms: e.OrderAccepted
    fill: e.OrderFilled
    at: int
    seq: int
    legs: tuple[e.OrderLegFilled, ...] = ()
    """Of an order of several legs: what each traded, in the order of the facts."""


def decode_order(body: bytes) -> OrderRecord:
    """An ``orders`` row's body."""
    return _order_decoder.decode(body)


def decode_fill(body: bytes) -> FillRecord:
    """A ``fills`` row's body."""
    return msgspec.msgpack.decode(body, type=FillRecord)


def decode_account(body: bytes) -> AccountCard:
    """An ``accounts`` row's body."""
    return msgspec.msgpack.decode(body, type=AccountCard)


def _symbols(terms: e.OrderAccepted) -> str:
    """The symbol; of several legs all of them, so that an order is found by any."""
    return f",{','.join(leg.symbol for leg in terms.legs)}," if terms.legs else terms.symbol


def project(groups: Sequence[Group], lookup: Lookup) -> Iterable[Row]:
    """Rows of the groups' events."""
    run = _Run(lookup)
    for group in groups:
        for step in decode_steps(group.body) if group.body else ():
            run.take(step)
    return run.rows()


class _Run:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._rows: list[Row] = []
        self._orders: dict[tuple[int, int], OrderRecord] = {}
        self._cards: dict[int, AccountCard] = {}
        self._filled: tuple[int, int] = (0, 0)
        """Account and order of the last fill: the change of position that follows belongs to it."""
        self._unit_fill: tuple[int, FillRecord] | None = None
        """The last fill of an order of several legs, and the place of its row: its legs follow it."""

    def take(self, step: Step) -> None:
        seq = step.seq_first
        for section in step.sections:
            n = section.n_first
            for event in section.events:
                self._take_event(section, event, n, seq, step.at)
                n += 1
                seq += 1

    def _take_event(self, section: Section, event: Any, n: int, seq: int, at: int) -> None:
        account_no = section.account_no
        order_no = getattr(event, "order_no", 0)
        kind = type(event).__struct_config__.tag
        self._rows.append(("archive", (account_no, n, seq, at, kind, order_no or None, _encode(event))))
        if isinstance(event, e.OrderAccepted):
            self._orders[account_no, order_no] = accepted_record(event, at)
            self._join(account_no, event)
        elif isinstance(event, e.PositionChanged | e.PositionAdjusted):
            self._position(account_no, event, n, seq, at)
        elif isinstance(event, e.LotsAssigned):
            for lot in assigned_lots(event, seq):
                self._rows.append(
                    ("closed_lots", (account_no, lot.n, lot.lot_no, lot.symbol, lot.closed_at, _encode(lot)))
                )
        elif isinstance(event, e.DayEnded):
            self._rows.append(("days", (account_no, event.trade_date, at, _encode(event))))
        elif isinstance(event, e.ActivityBooked):
            self._activity(account_no, event, at)
        elif isinstance(event, e.AccountRegistered):
            self._cards[event.account_no] = AccountCard(event.account_id, event.name, event.user_id)
        elif isinstance(event, e.AccountCreated | e.AccountClosed):
            self._account(account_no, event, at)
        elif order_no:
            self._order_event(account_no, order_no, event, seq, at)

    def _order_event(self, account_no: int, order_no: int, event: Any, seq: int, at: int) -> None:
        record = self._order(account_no, order_no)
        if record is None:
            return
        self._orders[account_no, order_no] = followed = follow(record, event, at)
        if followed.change_no and followed.status in _ENDED:
            self._drop_change(account_no, followed.change_no, ENDED_BEFORE, at)
        if isinstance(event, e.OrderReplaced):
            self._orders[account_no, event.terms.order_no] = replacing_record(record, event, at)
            self._join(account_no, event.terms)
        elif isinstance(event, e.OrderReplacePending):
            change = change_record(event, record.terms.order_id, at)
            self._orders[account_no, event.terms.order_no] = change
        elif isinstance(event, e.OrderReplaceRejected):
            self._drop_change(account_no, record.change_no, event.reason, at)
        elif isinstance(event, e.OrderLegFilled):
            self._filled = (account_no, order_no)
            self._leg(event)
        elif isinstance(event, e.OrderFilled):
            self._filled = (account_no, order_no)
            fill_id = derive_fill_id(record.terms.order_id, event.fill_no)
            fill = FillRecord(record.terms, event, at, seq)
            body = _encode(fill)
            self._unit_fill = (len(self._rows), fill) if record.terms.legs else None
            self._rows.append(
                (
                    "fills",
                    (account_no, seq, fill_id, order_no, record.terms.order_id, record.terms.symbol, at, body),
                )
            )

    def _drop_change(self, account_no: int, change_no: int, reason: str, at: int) -> None:
        """The order that was to take another's place will not; its id was given out and goes on saying so."""
        change = self._order(account_no, change_no) if change_no else None
        if change is not None:
            self._orders[account_no, change_no] = came_to_nothing(change, reason, at)

    def _leg(self, event: e.OrderLegFilled) -> None:
        """Add a leg to the row of its fill, which stands just before it in the same step."""
        assert self._unit_fill is not None
        place, fill = self._unit_fill
        fill = msgspec.structs.replace(fill, legs=(*fill.legs, event))
        self._unit_fill = (place, fill)
        table, values = self._rows[place]
        self._rows[place] = (table, (*values[:-1], _encode(fill)))

    def _join(self, account_no: int, terms: e.OrderAccepted) -> None:
        """Note an exit on the record of its group's first order, which shows it."""
        if not terms.group_no or carries_legs(terms):
            return
        first = self._order(account_no, terms.group_no)
        if first is not None:
            leg_nos = (*first.leg_nos, terms.order_no)
            self._orders[account_no, terms.group_no] = msgspec.structs.replace(first, leg_nos=leg_nos)

    def _order(self, account_no: int, order_no: int) -> OrderRecord | None:
        record = self._orders.get((account_no, order_no))
        if record is None:
            row = self._lookup("orders", (account_no, order_no))
            if row is not None:
                record = _order_decoder.decode(row[_BODY])  # type: ignore[arg-type]
        return record

    def _position(
        self, account_no: int, event: e.PositionChanged | e.PositionAdjusted, n: int, seq: int, at: int
    ) -> None:
        filled_no, order_no = self._filled
        self._filled = (0, 0)
        for lot in closed_lots(event, order_no if filled_no == account_no else 0, n, seq, at):
            self._rows.append(("closed_lots", (account_no, n, lot.lot_no, lot.symbol, at, _encode(lot))))

    def _activity(self, account_no: int, event: e.ActivityBooked, at: int) -> None:
        self._rows.append(
            (
                "activities",
                (
                    account_no,
                    event.activity_no,
                    activity_id_of(account_no, event.activity_no, at),
                    event.activity_type,
                    at,
                    activity_date(event, at),
                    _encode(event),
                ),
            )
        )

    def _card(self, account_no: int) -> AccountCard | None:
        card = self._cards.get(account_no)
        if card is None:
            row = self._lookup("accounts", (account_no,))
            if row is not None:
                card = decode_account(row[5])  # type: ignore[arg-type]
        return card

    def _account(self, account_no: int, event: Any, at: int) -> None:
        card = self._card(account_no)
        if card is None:
            return
        if isinstance(event, e.AccountCreated):
            self._cards[account_no] = msgspec.structs.replace(card, type=event.type, created_at=at)
        else:
            self._cards[account_no] = msgspec.structs.replace(card, status="ACCOUNT_CLOSED")

    def rows(self) -> list[Row]:
        """All rows, one per order and account however often it changed."""
        for (account_no, order_no), record in self._orders.items():
            terms = record.terms
            self._rows.append(
                (
                    "orders",
                    (
                        account_no,
                        order_no,
                        terms.order_id,
                        terms.client_order_id,
                        _symbols(terms),
                        terms.side,
                        record.status,
                        int(record.status not in TERMINAL),
                        terms.submitted_at,
                        record.updated_at,
                        _encode(record),
                    ),
                )
            )
        for account_no, card in self._cards.items():
            self._rows.append(
                (
                    "accounts",
                    (account_no, card.account_id, card.name, card.user_id, card.status, _encode(card)),
                )
            )
        return self._rows
