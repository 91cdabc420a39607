"""The reading side of the projections, over its own read-only connections, for asyncio.

Rows are plain tuples in the order of ``storage.tables.TABLES``, the opaque body last. History shows what is
projected, which is behind what is durable: whoever must read its own writes waits until ``projected_seq`` has
reached its number. Every list is bounded by ``limit``, at most ``MAX_ROWS``, so no reader holds the log for
long. A cancelled call still finishes in its thread; that is harmless, since nothing here writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from storage.database import FILE_NAME
from storage.errors import translated
from storage.records import Snapshot
from storage.tables import TABLES

Values = tuple[Any, ...]

MAX_ROWS = 10_000

_PRAGMAS = (
    "query_only = ON",
    "busy_timeout = 5000",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    "temp_store = MEMORY",
    "cache_size = -8192",
)


class _Where:
    """A WHERE clause growing condition by condition."""

    def __init__(self, condition: str, *values: object) -> None:
        self._conditions = [condition]
        self.values: list[object] = list(values)

    def add(self, condition: str, *values: object) -> None:
        self._conditions.append(condition)
        self.values += values

    def within(self, column: str, choices: Sequence[str] | None) -> None:
        if choices is not None:
            self.add(f"{column} IN ({', '.join('?' * len(choices))})", *choices)

    def within_list(self, column: str, choices: Sequence[str] | None) -> None:
        """Like :meth:`within`, where a column may also hold several values, each between commas."""
        if choices is not None:
            among = " OR ".join(f"instr({column}, ?) > 0" for _ in choices) or "0"
            marks = ", ".join("?" * len(choices))
            condition = f"({column} IN ({marks}) OR ({column} LIKE ',%' AND ({among})))"
            self.add(condition, *choices, *(f",{choice}," for choice in choices))

    def between(self, column: str, after_at: int | None, until_at: int | None) -> None:
        if after_at is not None:
            self.add(f"{column} > ?", after_at)
        if until_at is not None:
            self.add(f"{column} <= ?", until_at)

    def __str__(self) -> str:
        return " AND ".join(self._conditions)


class History:
    """Queries. Open with :meth:`open`; several calls may be under way, they are answered one by one."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path | str) -> AsyncIterator[History]:
        """Open the database of a state directory, which a store must have created."""
        uri = f"{(Path(directory) / FILE_NAME).absolute().as_uri()}?mode=ro"
        try:
            db = await aiosqlite.connect(uri, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise translated(error) or error from error
        try:
            history = cls(db)
            for pragma in _PRAGMAS:
                await history._all(f"PRAGMA {pragma}", ())
            yield history
        finally:
            await db.close()

    async def projected_seq(self) -> int:
        """The last event number shown here."""
        return int((await self._all("SELECT projected_seq FROM store", ()))[0][0])

    async def snapshot(self, account_no: int) -> Snapshot | None:
        """The account's stored snapshot, for waking a sleeper."""
        rows = await self._all(
            "SELECT account_no, n, seq, next_due, live, body FROM snapshots WHERE account_no = ?",
            (account_no,),
        )
        for number, n, seq, next_due, live, body in rows:
            return Snapshot(number, n, seq, next_due, bool(live), body)
        return None

    # -- orders

    async def order(self, account_no: int, order_no: int) -> Values | None:
        """One order by number."""
        return await self._first("orders", _Where("account_no = ? AND order_no = ?", account_no, order_no))

    async def order_by_id(self, order_id: str) -> Values | None:
        """One order by its id; the first registered where a foreign id occurs twice."""
        return await self._first("orders", _Where("order_id = ?", order_id))

    async def orders_by_client_id(self, account_no: int, client_order_id: str, limit: int = 100) -> list[Values]:
        """All orders of the account under a client id, newest first."""
        where = _Where("account_no = ? AND client_order_id = ?", account_no, client_order_id)
        return await self._list("orders", where, ("order_no",), True, limit)

    async def orders(
        self,
        account_no: int,
        *,
        live: bool | None = None,
        symbols: Sequence[str] | None = None,
        side: str | None = None,
        after_at: int | None = None,
        until_at: int | None = None,
        before_order_no: int | None = None,
        after_order_no: int | None = None,
        limit: int = 50,
        descending: bool = True,
    ) -> list[Values]:
        """Orders by (``submitted_at``, ``order_no``), submitted after ``after_at`` and not after
        ``until_at``.

        The next page continues behind the last order of this one: ``before_order_no`` when descending,
        ``after_order_no`` when not. An order number that does not exist gives an empty page.
        """
        where = _Where("account_no = ?", account_no)
        if live is not None:
            where.add("live = ?", int(live))
        where.within_list("symbol", symbols)
        if side is not None:
            where.add("side = ?", side)
        where.between("submitted_at", after_at, until_at)
        for sign, order_no in (("<", before_order_no), (">", after_order_no)):
            if order_no is not None:
                where.add(
                    f"(submitted_at, order_no) {sign} "
                    "(SELECT submitted_at, order_no FROM orders WHERE account_no = ? AND order_no = ?)",
                    account_no,
                    order_no,
                )
        return await self._list("orders", where, ("submitted_at", "order_no"), descending, limit)

    # -- fills

    async def fill_by_id(self, fill_id: str) -> Values | None:
        """One fill by its id."""
        return await self._first("fills", _Where("fill_id = ?", fill_id))

    async def fills(
        self,
        account_no: int,
        *,
        order_no: int | None = None,
        symbols: Sequence[str] | None = None,
        after_at: int | None = None,
        until_at: int | None = None,
        before_fill_no: int | None = None,
        after_fill_no: int | None = None,
        beyond: tuple[int, int] | None = None,
        limit: int = 50,
        descending: bool = True,
    ) -> list[Values]:
        """Fills by ``fill_no``; paging by the number of the last one seen."""
        where = _Where("account_no = ?", account_no)
        if order_no is not None:
            where.add("order_no = ?", order_no)
        where.within("symbol", symbols)
        where.between("at", after_at, until_at)
        if before_fill_no is not None:
            where.add("fill_no < ?", before_fill_no)
        if after_fill_no is not None:
            where.add("fill_no > ?", after_fill_no)
        if beyond is not None:
            where.add(f"(at, fill_no) {'<' if descending else '>'} (?, ?)", *beyond)
        return await self._list("fills", where, ("fill_no",), descending, limit)

    # -- activities, events, accounts

    async def activities(
        self,
        account_no: int,
        *,
        types: Sequence[str] | None = None,
        after_at: int | None = None,
        until_at: int | None = None,
        dated: int | None = None,
        beyond: tuple[int, int] | None = None,
        limit: int = 100,
        descending: bool = True,
    ) -> list[Values]:
        """Activities by (``at``, ``n``), beyond the pair given in the direction of the list.

        With ``dated`` those shown under that date; such as have none must lie between the instants instead.
        """
        where = _Where("account_no = ?", account_no)
        if dated is not None:
            where.add("dated IN (?, 0) AND (dated OR (at > ? AND at <= ?))", dated, after_at, until_at)
            after_at = until_at = None
        where.within("activity_type", types)
        where.between("at", after_at, until_at)
        if beyond is not None:
            where.add(f"(at, n) {'<' if descending else '>'} (?, ?)", *beyond)
        return await self._list("activities", where, ("at", "n"), descending, limit)

    async def activity_by_id(self, account_no: int, activity_id: str) -> Values | None:
        """One activity by its id."""
        return await self._first("activities", _Where("activity_id = ? AND account_no = ?", activity_id, account_no))

    async def closed_lots(
        self,
        account_no: int,
        *,
        symbol: str | None = None,
        after_at: int | None = None,
        until_at: int | None = None,
        beyond: tuple[int, int] | None = None,
        limit: int = 100,
    ) -> list[Values]:
        """Closed tax lots by (``n``, ``lot_no``), newest first, before the pair given."""
        where = _Where("account_no = ?", account_no)
        if symbol is not None:
            where.add("symbol = ?", symbol)
        where.between("at", after_at, until_at)
        if beyond is not None:
            where.add("(n, lot_no) < (?, ?)", *beyond)
        return await self._list("closed_lots", where, ("n", "lot_no"), True, limit)

    async def mark_outs(self, account_no: int, fills: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Bodies of the mark-outs of fills, given and found by order and fill number."""
        if not fills:
            return {}
        where = _Where("account_no = ?", account_no)
        pairs = ", ".join("(?, ?)" for _ in fills)
        where.add(f"(order_no, fill_no) IN (VALUES {pairs})", *(number for pair in fills for number in pair))
        rows = await self._list("mark_outs", where, ("order_no", "fill_no"), False, len(fills))
        return {(row[1], row[2]): row[-1] for row in rows}

    async def days(self, account_no: int, from_date: int, until_date: int, limit: int = MAX_ROWS) -> list[Values]:
        """Ends of trade dates, oldest first, both dates included."""
        where = _Where("account_no = ? AND trade_date >= ? AND trade_date <= ?", account_no, from_date, until_date)
        return await self._list("days", where, ("trade_date",), False, limit)

    async def events_of(
        self, account_no: int, kinds: Sequence[str], after_at: int, before_n: int | None, limit: int
    ) -> list[Values]:
        """Archived events of some kinds after an instant, newest first; the next page ends before ``before_n``."""
        where = _Where("account_no = ?", account_no)
        where.within("kind", kinds)
        where.between("at", after_at, None)
        if before_n is not None:
            where.add("n < ?", before_n)
        return await self._list("archive", where, ("n",), True, limit)

    async def events(self, account_no: int, from_n: int, limit: int = 1000) -> list[Values]:
        """The account's archived events from its own number ``from_n`` on."""
        return await self._list(
            "archive", _Where("account_no = ? AND n >= ?", account_no, from_n), ("n",), False, limit
        )

    async def order_events(self, account_no: int, order_no: int, limit: int = 1000) -> list[Values]:
        """The archived events of one order."""
        where = _Where("account_no = ? AND order_no = ?", account_no, order_no)
        return await self._list("archive", where, ("n",), False, limit)

    async def accounts(self, after_account_no: int = 0, limit: int = 100) -> list[Values]:
        """Accounts by number."""
        return await self._list("accounts", _Where("account_no > ?", after_account_no), ("account_no",), False, limit)

    async def account_by_name(self, name: str) -> Values | None:
        """One account by its name."""
        return await self._first("accounts", _Where("name = ?", name))

    async def account_by_id(self, account_id: str) -> Values | None:
        """One account by its id."""
        return await self._first("accounts", _Where("account_id = ?", account_id))

    async def accounts_of_user(self, user_id: str, limit: int = 100) -> list[Values]:
        """A user's accounts by number."""
        return await self._list("accounts", _Where("user_id = ?", user_id), ("account_no",), False, limit)

    # -- how it is asked

    async def _first(self, table: str, where: _Where) -> Values | None:
        rows = await self._list(table, where, TABLES[table].key, False, 1)
        return rows[0] if rows else None

    async def _list(
        self, table: str, where: _Where, order: Sequence[str], descending: bool, limit: int
    ) -> list[Values]:
        direction = "DESC" if descending else "ASC"
        sql = (
            f"SELECT {', '.join(TABLES[table].columns)} FROM {table} WHERE {where} "
            f"ORDER BY {', '.join(f'{column} {direction}' for column in order)} LIMIT ?"
        )
        return await self._all(sql, [*where.values, max(0, min(limit, MAX_ROWS))])

    async def _all(self, sql: str, values: Sequence[object]) -> list[Values]:
        try:
            # Fetched to the end in one hop, so that no statement stays open and holds the log.
            return [tuple(row) for row in await self._db.execute_fetchall(sql, values)]
        except sqlite3.Error as error:
            raise translated(error) or error from error
