"""Step 4: where the market stood after each fill."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """
    CREATE TABLE mark_outs (
        account_no INTEGER NOT NULL,
        order_no INTEGER NOT NULL,
        fill_no INTEGER NOT NULL,
        at INTEGER NOT NULL,
        done INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (account_no, order_no, fill_no)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX mark_outs_waiting ON mark_outs (at) WHERE done = 0",
)


def mark_outs(db: sqlite3.Connection) -> None:
    """Create the table, empty: fills from before have no mark-outs."""
    for statement in _STATEMENTS:
        db.execute(statement)
