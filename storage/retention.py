"""Forgetting old history of one account without touching what it has (architecture §5).

Before anything goes, the book as of the last forgotten event is kept as the account's base; balances and positions
live in snapshots and in what follows the base, so they are never touched. What a live order or an open lot still
needs (its order and its fills) is kept whatever its age.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from msgspec import Struct

from storage import audit
from storage.sqlite import SqliteStore


class Base(Struct, frozen=True, array_like=True):
    """A book as of its event ``n``, opaque."""

    account_no: int
    n: int
    seq: int
    at: int
    body: bytes


class Purged(Struct):
    """What a purge took."""

    events: int = 0
    orders: int = 0
    fills: int = 0
    activities: int = 0
    """Activities, closed lots and days."""


def base_of(db: sqlite3.Connection, account_no: int) -> Base | None:
    """The account's base, if a purge has left one."""
    row = db.execute("SELECT account_no, n, seq, at, body FROM bases WHERE account_no = ?", (account_no,)).fetchone()
    return Base(*row) if row is not None else None


def last_before(db: sqlite3.Connection, account_no: int, before_at: int, up_to_n: int) -> tuple[int, int, int] | None:
    """``n``, ``seq`` and ``at`` of the account's last event before an instant, not beyond ``up_to_n``."""
    row: tuple[int, int, int] | None = db.execute(
        "SELECT n, seq, at FROM archive WHERE account_no = ? AND at < ? AND n <= ? ORDER BY n DESC LIMIT 1",
        (account_no, before_at, up_to_n),
    ).fetchone()
    return row


def events_between(db: sqlite3.Connection, account_no: int, after_n: int, to_n: int) -> list[Sequence[object]]:
    """Archived events as ``(n, at, body)``."""
    return db.execute(
        "SELECT n, at, body FROM archive WHERE account_no = ? AND n > ? AND n <= ? ORDER BY n",
        (account_no, after_n, to_n),
    ).fetchall()


def purge(store: SqliteStore, base: Base, before_at: int, keep_orders: Iterable[int]) -> Purged:
    """Keep ``base`` and delete what it covers, in one transaction: events, and the rows that only they made."""
    purged = Purged()
    kept = set(keep_orders)

    def work(db: sqlite3.Connection) -> None:
        purged.fills = purged.activities = 0
        account_no = base.account_no
        audit.rebase(db, account_no, base.n)
        db.execute(
            "INSERT OR REPLACE INTO bases VALUES (?, ?, ?, ?, ?)",
            (account_no, base.n, base.seq, base.at, base.body),
        )
        purged.events = db.execute(
            "DELETE FROM archive WHERE account_no = ? AND n <= ?", (account_no, base.n)
        ).rowcount
        # The base may end before the instant asked for; rows of what follows it stay with their events.
        following = db.execute("SELECT min(at) FROM archive WHERE account_no = ?", (account_no,)).fetchone()[0]
        cut = before_at if following is None else min(before_at, following)
        old = [
            no
            for (no,) in db.execute(
                "SELECT order_no FROM orders WHERE account_no = ? AND live = 0 AND updated_at < ?",
                (account_no, cut),
            )
            if no not in kept
        ]
        for order_no in old:
            db.execute("DELETE FROM orders WHERE account_no = ? AND order_no = ?", (account_no, order_no))
            db.execute("DELETE FROM mark_outs WHERE account_no = ? AND order_no = ?", (account_no, order_no))
            purged.fills += db.execute(
                "DELETE FROM fills WHERE account_no = ? AND order_no = ?", (account_no, order_no)
            ).rowcount
        purged.orders = len(old)
        for table in ("activities", "closed_lots", "days"):
            purged.activities += db.execute(
                f"DELETE FROM {table} WHERE account_no = ? AND at < ?", (account_no, cut)
            ).rowcount

    store.change(work)
    return purged
