"""Step 3: the archive's audit chain, and the books that a purge leaves behind."""

from __future__ import annotations

import sqlite3

from storage import audit

_STATEMENTS = (
    """
    CREATE TABLE audit_leaves (
        account_no INTEGER NOT NULL,
        n INTEGER NOT NULL,
        salt BLOB NOT NULL,
        leaf BLOB NOT NULL CHECK (length(leaf) = 32),
        PRIMARY KEY (account_no, n)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE audit_heads (
        account_no INTEGER PRIMARY KEY,
        n INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        base_n INTEGER NOT NULL,
        base_hash BLOB NOT NULL CHECK (length(base_hash) = 32)
    ) STRICT
    """,
    """
    CREATE TABLE bases (
        account_no INTEGER PRIMARY KEY,
        n INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT
    """,
)


def audit_chain(db: sqlite3.Connection) -> None:
    """Make the tables and chain the archive."""
    for statement in _STATEMENTS:
        db.execute(statement)
    audit.extend(
        db,
        db.execute(
            "SELECT account_no, n, seq, at, kind, order_no, body FROM archive ORDER BY account_no, n"
        ).fetchall(),
    )
