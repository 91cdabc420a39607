"""The methods about an account's past: activities, closed lots, portfolio history, performance.

Invariant: each answer is as of the turn that the request had in its account's mailbox: the book's figures are
taken then, and history is read up to that event and no further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from actors.book import events as e
from actors.book.state.book import Book
from actors.book.view import figures, position_money
from actors.market.days import plus_days
from actors.market.world import World
from mbtd.market.bars import Bars
from mbtd.market.calendar import Calendar, new_york_date, to_date, to_int
from mbtd.records import activities as rows
from mbtd.records.data import midnight
from mbtd.records.equity import CASH_FLOWS, Change, Holding, Owed, change_of, equity_back, taken_by_resets
from mbtd.records.lots import ClosedLot, decode_lot, render_lot
from mbtd.records.performance import Day, render_performance
from mbtd.records.portfolio import BadRequest, Point, Span, Start, points, read_span, render_history
from mbtd.records.prices import PastPrices
from mbtd.records.projection import decode_fill
from mbtd.rpc.errors import refuse
from mbtd.service import reads as r
from mbtd.service.times import instant
from storage.history import MAX_ROWS, History

_BODY = -1
Place = tuple[int, int, int, int]
"""Where a row stands in the list of activities: time, bookings before fills, number, line of a fill."""
_LAST: Final = 2**63 - 1
_MONEY_KINDS: Final = ("pc", "ab", "pa", "tb", "ad", "ar")
EVENTS_MAX: Final = 50_000
_MONTH_DAYS: Final = 31
_SLICE: Final = 200
"""Points valued between two breaths of the loop."""


class Present(Struct, frozen=True):
    """An account as of one turn."""

    account_no: int
    account_id: str
    n: int
    now: int
    created_at: int
    cash: int
    equity: int
    unrealized: int
    holdings: dict[str, Holding]
    mark: Callable[[str], int]
    """With what it is valued now."""
    bars: Bars | None = None
    """By which bars before; null for the market's own."""
    owed: Owed = Owed()


def present(book: Book, world: World, now: int, bars: Bars | None = None) -> Present:
    """What a later answer needs of a book."""
    holdings, unrealized, ledger = {}, 0, book.ledger()
    for symbol, position in book.positions.items():
        instrument = world.instruments.by_symbol.get(symbol)
        multiplier = instrument.multiplier if instrument is not None else 1
        holdings[symbol] = Holding(position.qty, multiplier, position.basis_money)
        unrealized += position_money(position, world) - position.basis_money
    return Present(
        book.account_no,
        book.account_id,
        book.n,
        now,
        book.created_at,
        book.cash,
        figures(book, world).equity_money,
        unrealized,
        holdings,
        world.mark,
        bars,
        Owed(ledger.fees, ledger.margin_interest - ledger.cash_interest),
    )


class Records:
    """Answers about the past, for one daemon."""

    def __init__(self, history: History, world: World, calendar: Calendar, bars: Bars) -> None:
        self._history = history
        self._world = world
        self._calendar = calendar
        self._bars = bars

    # ── activities ───────────────────────────────────────────────────────────────────────────────────────

    async def activities(self, now: Present, params: r.ActivityList) -> Any:
        """Bookings and fills in one list."""
        if params.activity_types is not None and params.category is not None:
            refuse("invalid_params", "give activity_types or category, not both", field="category")
        after, until = instant(params.after, "after"), instant(params.until, "until")
        dated = None
        if params.date is not None:
            # New York's day: its nights are not all 24 hours long.
            start = instant(params.date[:10], "date") or 0
            dated = to_int(new_york_date(start))
            after, until = start - 1, midnight(plus_days(dated, 1)) - 1
        types = rows.types_of(params.activity_types) if params.activity_types is not None else None
        if types is not None and (unknown := sorted(set(types) - rows.TYPES)):
            refuse("invalid_params", f"there is no activity type {unknown[0][:16]!r}", field="activity_types")
        descending = params.direction == "desc"
        want_fills = (types is None or "FILL" in types) and params.category != "non_trade_activity"
        want_booked = params.category != "trade_activity" and (types is None or set(types) != {"FILL"})
        cursor = await self._cursor(now.account_no, params.page_token)
        order_no = await self._order_no(now.account_no, params.order_id)
        if params.order_id is not None:
            want_booked = False
        found: list[tuple[Place, dict[str, Any]]] = []
        limit = params.limit + 1
        if want_booked:
            for row in await self._history.activities(
                now.account_no,
                types=types,
                after_at=after,
                until_at=until,
                dated=dated,
                beyond=_beyond(cursor, 0, descending),
                limit=limit,
                descending=descending,
            ):
                found.append(((row[4], 0, row[1], 0), rows.render_activity(row, now.account_id)))
        if want_fills:
            for row in await self._history.fills(
                now.account_no,
                order_no=order_no,
                after_at=after,
                until_at=until,
                beyond=_beyond(cursor, 1, descending),
                limit=limit,
                descending=descending,
            ):
                record = decode_fill(row[_BODY])
                found += [
                    ((row[6], 1, row[1], line), shown)
                    for line, shown in enumerate(
                        rows.render_fill_activities(
                            row[2], record.terms, record.fill, record.legs, record.at, now.account_id
                        )
                    )
                ]
        if cursor is not None:
            found = [item for item in found if (item[0] < cursor if descending else item[0] > cursor)]
        found.sort(key=lambda item: item[0], reverse=descending)
        items = [item for _, item in found[: params.limit]]
        return {"items": items, "next_page_token": items[-1]["id"] if len(found) > params.limit else None}

    async def _cursor(self, account_no: int, token: str | None) -> Place | None:
        if token is None:
            return None
        row = await self._history.activity_by_id(account_no, token)
        if row is not None:
            return row[4], 0, row[1], 0
        fill_id = rows.fill_id_in(token) or ""
        found: Place | None = None
        for name, line in ((fill_id, 0), *rows.fills_of_execution(fill_id)):
            row = await self._history.fill_by_id(name) if found is None else None
            if row is not None and row[0] == account_no:
                found = (row[6], 1, row[1], line)
        if found is None:
            refuse("invalid_params", "page_token is not one of ours", field="page_token")
        return found

    async def _order_no(self, account_no: int, order_id: str | None) -> int | None:
        if order_id is None:
            return None
        row = await self._history.order_by_id(order_id)
        return row[1] if row is not None and row[0] == account_no else -1

    # ── lots ─────────────────────────────────────────────────────────────────────────────────────────────

    async def lots(self, now: Present, params: r.LotList) -> Any:
        """Closed tax lots, newest first."""
        beyond = None
        if params.page_token is not None:
            n, _, lot_no = params.page_token.partition(".")
            if not (n.isascii() and n.isdigit() and lot_no.isascii() and lot_no.isdigit() and len(n + lot_no) < 36):
                refuse("invalid_params", "page_token is not one of ours", field="page_token")
            beyond = (int(n), int(lot_no))
        found = await self._history.closed_lots(
            now.account_no,
            symbol=params.symbol,
            after_at=instant(params.after, "after"),
            until_at=instant(params.until, "until"),
            beyond=beyond,
            limit=params.limit + 1,
        )
        page = [decode_lot(row[_BODY]) for row in found[: params.limit]]
        more = len(found) > params.limit
        return {
            "items": [render_lot(lot) for lot in page if lot.qty],
            "next_page_token": f"{page[-1].n}.{page[-1].lot_no}" if more else None,
        }

    # ── portfolio history ────────────────────────────────────────────────────────────────────────────────

    async def portfolio(self, now: Present, params: r.PortfolioHistory) -> Any:
        """Equity and profit over time."""
        end = instant(params.end if params.end is not None else params.date_end, "end")
        reporting = "extended_hours" if params.extended_hours else params.intraday_reporting
        try:
            span = read_span(
                self._calendar,
                now.now,
                period=params.period,
                timeframe=params.timeframe,
                start=instant(params.start, "start"),
                end=end,
                reporting=reporting,
                pnl_reset=params.pnl_reset,
            )
            moments = points(span, self._calendar, now.created_at)
        except BadRequest as error:
            refuse("invalid_params", str(error), field=error.field)
        except ValueError as error:
            refuse("invalid_params", str(error), field="start")
        kinds = _flow_types(params.cashflow_types)
        changes = await self._changes(now, span.from_at)
        # What an account was opened with is where it began, not what it made.
        starts = {p.trade_date: max(self._day_start(p.trade_date), now.created_at) for p in moments}
        begins_at = self._day_start(span.first)
        begins_at = max(begins_at, span.from_at) if params.start is not None else begins_at
        base_at, base_date = begins_at, self._calendar.previous_trading_day(span.first)
        if begins_at < now.created_at <= span.until_at:
            base_at, base_date = now.created_at, self._calendar.session_at(now.created_at).trade_date
        resets = {moment for c in changes if c.reset for moment in (c.at - 1, c.at)}
        wanted = sorted({base_at, *starts.values(), *(point.at for point in moments), *resets})
        equity = await self._value(now, wanted, changes, span.from_at)
        ends = await self._ends(now, moments) if span.timeframe == "1D" else {}
        equities = [ends.get(p.trade_date, equity[p.at]) if span.timeframe == "1D" else equity[p.at] for p in moments]
        return render_history(
            span,
            moments,
            equities,
            Start(base_at, equity[base_at]),
            base_date,
            begins_at,
            {day: Start(at, equity[at]) for day, at in starts.items()},
            [*changes, *taken_by_resets(changes, equity)],
            kinds,
        )

    def _day_start(self, day: int) -> int:
        return self._calendar.trading_day(day).overnight_opens_at

    async def _ends(self, now: Present, moments: Sequence[Point]) -> dict[int, int]:
        """Equity at the end of each trade date as it was recorded then; the day that still runs has none."""
        if not moments:
            return {}
        rows = await self._history.days(now.account_no, moments[0].trade_date, moments[-1].trade_date)
        return {row[1]: msgspec.msgpack.decode(row[_BODY], type=e.DayEnded).equity_money for row in rows}

    async def _changes(self, now: Present, since: int) -> list[Change]:
        """What moved money or holdings after ``since``, newest first."""
        found: list[Change] = []
        before: int | None = now.n + 1
        while before is not None and len(found) < 2 * EVENTS_MAX:  # a trade is two: its position and its fees
            page = await self._history.events_of(now.account_no, _MONEY_KINDS, since, before, MAX_ROWS)
            for row in page:
                event = msgspec.msgpack.decode(row[_BODY], type=_MoneyEvent)
                change = change_of(event, row[3])
                if change is not None:
                    found.append(change)
            before = page[-1][1] if len(page) == MAX_ROWS else None
        return found

    async def _value(
        self, now: Present, instants: Sequence[int], changes: Sequence[Change], since: int
    ) -> dict[int, int]:
        """Equity at each instant; ``changes`` are those after ``since``."""
        prices = PastPrices(now.bars or self._bars, now.mark, now.now)
        table = self._world.instruments.by_symbol

        def multiplier_of(symbol: str) -> int:
            instrument = table.get(symbol)
            return instrument.multiplier if instrument is not None else 1

        owed = structs.replace(now.owed, interest_at_first=await self._interest_at(now, since))
        found: dict[int, int] = {}
        for first in range(0, len(instants), _SLICE):
            part = instants[first : first + _SLICE]
            values = equity_back(part, now.cash, now.holdings, changes, prices, multiplier_of, owed)
            found.update(zip(part, values, strict=True))
            await asyncio.sleep(0)
        return {at: value if at >= now.created_at else 0 for at, value in found.items()}

    async def _interest_at(self, now: Present, at: int) -> int:
        """Interest that was accrued and not posted at an instant; it is posted with the month."""
        day = to_date(self._calendar.session_at(at).trade_date)
        rows = await self._history.days(now.account_no, to_int(day - timedelta(days=_MONTH_DAYS)), to_int(day))
        ends = [msgspec.msgpack.decode(row[_BODY], type=e.DayEnded) for row in rows]
        past = [end.margin_interest - end.cash_interest for end in ends if end.at <= at]
        return past[-1] if past else 0

    # ── performance ──────────────────────────────────────────────────────────────────────────────────────

    async def performance(self, now: Present, params: r.Performance) -> Any:
        """Return, drawdown and closed trades, of the epoch that the last reset began and no other."""
        start = instant(params.start, "start")
        end = instant(params.end, "end")
        until = min(now.now, end) if end is not None else now.now
        since = max(now.created_at - 1, start if start is not None else 0)
        if since > until:
            refuse("invalid_params", "start lies after the end", field="start")
        changes = await self._changes(now, since)
        since = max(since, *(c.at for c in changes if c.reset and c.at <= until), 0)
        first = self._calendar.session_at(since).trade_date
        span = Span("1D", first, since, until)
        moments = [point for point in points(span, self._calendar, now.created_at) if point.at > since]
        equity = await self._value(now, sorted({since, *(p.at for p in moments)}), changes, since)
        ends = await self._ends(now, moments)
        days, before = [], since
        for point in moments:
            flow = sum(c.cash for c in changes if c.flow and before < c.at <= point.at)
            days.append(Day(point.trade_date, ends.get(point.trade_date, equity[point.at]), flow))
            before = point.at
        lots = await self._lots_between(now.account_no, since, until)
        fees = -sum(c.cash for c in changes if c.fee and since < c.at <= until)
        return {
            "start": to_date(first).isoformat(),
            "end": to_date(self._calendar.session_at(until).trade_date).isoformat(),
            **render_performance(days, equity[since], lots, fees, now.unrealized),
        }

    async def _lots_between(self, account_no: int, after: int, until: int) -> list[ClosedLot]:
        found: list[ClosedLot] = []
        beyond: tuple[int, int] | None = None
        while True:
            page = await self._history.closed_lots(
                account_no, after_at=after, until_at=until, beyond=beyond, limit=MAX_ROWS
            )
            found += [lot for row in page if (lot := decode_lot(row[_BODY])).qty]
            if len(page) < MAX_ROWS or len(found) >= EVENTS_MAX:
                return found
            beyond = (page[-1][1], page[-1][2])


_MoneyEvent = e.ActivityBooked | e.PositionChanged | e.PositionAdjusted | e.TradeBooked | e.DayEnded | e.AccountReset


def _beyond(cursor: Place | None, source: int, descending: bool) -> tuple[int, int] | None:
    """The pair that a table's page goes on from, given the place in the common order.

    A fill may have given only some of its rows, so it is read again.
    """
    if cursor is None:
        return None
    at, of, number, _ = cursor
    if source == of:
        again = 0 if source == 0 else 1 if descending else -1
        return at, number + again
    included = (source < of) == descending
    return (at, _LAST if descending else 0) if included else (at, 0 if descending else _LAST)


def _flow_types(text: str | None) -> tuple[str, ...]:
    if text is None or text == "NONE":
        return ()
    if text == "ALL":
        return tuple(sorted(CASH_FLOWS))
    return tuple(text.split(","))
