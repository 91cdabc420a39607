"""Lists of an account's orders (alpaca-api §1, §2.7): flat, or with exits inside the orders that carry them.

Invariants: a page has ``limit`` items as long as there are more, whatever a filter left out or an order took in as
its leg; every order that a flat list would have is in the nested one too, inside another or as an item of its own,
except legs that others replaced or are about to, which no order shows. An order that is to take another's place is
listed with it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from actors.book import events as e
from actors.book.osi import is_option_symbol
from actors.book.state.book import Book
from mbtd.records.orders import TERMINAL, OrderRecord, carries_legs, change_of, record_of, render_order
from mbtd.records.projection import decode_order
from mbtd.service.order_views import past_legs
from mbtd.service.reads import OrderList
from mbtd.service.times import instant
from storage.history import History

_BODY: Final = -1
_ROWS_MAX: Final = 500
"""Rows read at once at most."""
SCANNED_MAX: Final = 10_000
"""Rows that one request reads at most; then its page ends early, and says from where to go on."""
_LIVE: Final = {"open": True, "closed": False, "all": None}


class Filter(Struct, frozen=True):
    """Which orders are wanted."""

    live: bool | None
    symbols: tuple[str, ...] | None
    side: str | None
    asset_classes: tuple[str, ...] | None
    after: int | None
    until: int | None

    def takes(self, terms: e.OrderAccepted, live: bool) -> bool:
        """Whether an order is wanted that has these terms and is live, or has ended."""
        return (
            (self.live is None or self.live == live)
            and (self.symbols is None or _trades(terms, self.symbols))
            and (self.side is None or terms.side == self.side)
            and (self.asset_classes is None or asset_class_of(terms) in self.asset_classes)
            and (self.after is None or terms.submitted_at > self.after)
            and (self.until is None or terms.submitted_at <= self.until)
        )

    def takes_record(self, record: OrderRecord) -> bool:
        """Whether this order is wanted."""
        return self.takes(record.terms, record.status not in TERMINAL)


def _trades(terms: e.OrderAccepted, symbols: tuple[str, ...]) -> bool:
    return terms.symbol in symbols or any(leg.symbol in symbols for leg in terms.legs)


def asset_class_of(terms: e.OrderAccepted) -> str:
    """Alpaca's class of what is traded; of several legs it is that of the contracts."""
    return "us_option" if terms.legs or is_option_symbol(terms.symbol) else "us_equity"


def filter_of(params: OrderList) -> Filter:
    """What a request asks for. Raises a refusal for what is no time."""
    return Filter(
        _LIVE[params.status],
        params.symbols,
        params.side,
        params.asset_classes,
        instant(params.after, "after"),
        instant(params.until, "until"),
    )


def open_orders(book: Book, wanted: Filter, limit: int, descending: bool) -> list[OrderRecord]:
    """An account's live orders by (``submitted_at``, ``order_no``), as history would list them."""
    found = [
        (terms.submitted_at, terms.order_no, order)
        for order in book.orders.values()
        for terms in (order.terms, order.replacement if order.status == "pending_replace" else None)
        if terms is not None and wanted.takes(terms, True)
    ]
    found.sort(key=lambda each: each[:2], reverse=descending)
    records = (
        record_of(book, order) if order.terms.order_no == no else change_of(book, order)
        for _, no, order in found[:limit]
    )
    return [record for record in records if record is not None]


def as_of_now(book: Book, record: OrderRecord) -> OrderRecord:
    """A live trailing stop shows the stop of the moment; nothing else moves without an event."""
    live = book.orders.get(record.terms.order_no) if record.terms.high_water_mark else None
    return record if live is None else replace(record, terms=record_of(book, live).terms)


class PastOrders:
    """One request's way through the rows of an account."""

    def __init__(self, history: History, book: Book, params: OrderList, wanted: Filter) -> None:
        self._history = history
        self._book = book
        self._params = params
        self._wanted = wanted
        self._heads: dict[int, bool] = {}

    async def page(self, token: int) -> dict[str, Any]:
        """The items behind the order of this number, and where the next page goes on."""
        params, wanted = self._params, self._wanted
        descending, limit = params.direction == "desc", params.limit
        picky = params.nested or wanted.asset_classes is not None
        size = min(_ROWS_MAX, 4 * limit) + 1 if picky else limit + 1
        items: list[OrderRecord] = []
        last = scanned = 0
        while True:
            rows = await self._history.orders(
                self._book.account_no,
                live=wanted.live,
                symbols=wanted.symbols,
                side=wanted.side,
                after_at=wanted.after,
                until_at=wanted.until,
                limit=size,
                descending=descending,
                before_order_no=token if descending and token else None,
                after_order_no=token if not descending and token else None,
            )
            for row in rows:
                record = decode_order(row[_BODY])
                if not wanted.takes_record(record) or (params.nested and await self._is_inside(record)):
                    continue
                if len(items) == limit:
                    return await self._answer(items, last)
                items.append(record)
                last = row[1]
            scanned += len(rows)
            if len(rows) < size:
                return await self._answer(items, 0)
            token = rows[-1][1]
            if scanned >= SCANNED_MAX:
                return await self._answer(items, token)

    async def _answer(self, records: list[OrderRecord], token: int) -> dict[str, Any]:
        items = []
        for record in records:
            legs = await past_legs(self._history, self._book.account_no, record) if self._params.nested else None
            items.append(render_order(as_of_now(self._book, record), legs))
        return {"items": items, "next_page_token": str(token) if token else None}

    async def _is_inside(self, record: OrderRecord) -> bool:
        """Whether an order that is in the list, on this page or another, shows this one as its leg."""
        group_no = record.terms.group_no
        if not group_no or carries_legs(record.terms):
            return False
        if group_no not in self._heads:
            self._heads[group_no] = await self._has_head(group_no)
        return self._heads[group_no]

    async def _has_head(self, group_no: int) -> bool:
        """Whether the list has the order that a group began with, or one that took its place."""
        row = await self._history.order(self._book.account_no, group_no)
        while row is not None and row[0] == self._book.account_no:
            record = decode_order(row[_BODY])
            if self._wanted.takes_record(record):
                return True
            if not record.replaced_by:
                return False
            row = await self._history.order_by_id(record.replaced_by)
        return False
