"""Step 2: closed tax lots and the end of each trade date, by account."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """
    CREATE TABLE closed_lots (
        account_no INTEGER NOT NULL,
        n INTEGER NOT NULL,
        lot_no INTEGER NOT NULL,
        symbol TEXT NOT NULL,
        at INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (account_no, n, lot_no)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE days (
        account_no INTEGER NOT NULL,
        trade_date INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (account_no, trade_date)
    ) STRICT, WITHOUT ROWID
    """,
)


def records(db: sqlite3.Connection) -> None:
    """Create both tables, empty: what was archived before has neither."""
    for statement in _STATEMENTS:
        db.execute(statement)
