"""Step 1: journal, snapshots, projections, named values.

The journal's first row is an anchor: it carries the numbers, the cursor and the hash of the last group that
was trimmed (at creation, of nothing) and no bytes.
"""

from __future__ import annotations

import sqlite3

_STATEMENTS = """
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    data_epoch TEXT NOT NULL,
    projected_group INTEGER NOT NULL,
    projected_seq INTEGER NOT NULL
) STRICT;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    group_no INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq_first INTEGER NOT NULL,
    seq_last INTEGER NOT NULL,
    input_seq INTEGER NOT NULL,
    tape_pos INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cursor BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    body BLOB NOT NULL,
    moved BLOB NOT NULL
) STRICT;
CREATE TABLE snapshots (
    account_no INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    next_due INTEGER NOT NULL,
    live INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX snapshots_live ON snapshots (account_no) WHERE live = 1;
CREATE INDEX snapshots_due ON snapshots (next_due) WHERE next_due > 0;
CREATE TABLE archive (
    account_no INTEGER NOT NULL,
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    order_no INTEGER,
    body BLOB NOT NULL,
    PRIMARY KEY (account_no, n)
) STRICT;
CREATE INDEX archive_seq ON archive (seq);
CREATE INDEX archive_order ON archive (account_no, order_no, n) WHERE order_no IS NOT NULL;
CREATE TABLE orders (
    account_no INTEGER NOT NULL,
    order_no INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    client_order_id TEXT,
    symbol TEXT,
    side TEXT,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account_no, order_no)
) STRICT;
CREATE INDEX orders_id ON orders (order_id);
CREATE INDEX orders_client_id ON orders (account_no, client_order_id, order_no);
CREATE INDEX orders_live ON orders (account_no, live, submitted_at, order_no);
CREATE INDEX orders_submitted ON orders (account_no, submitted_at, order_no);
CREATE TABLE fills (
    account_no INTEGER NOT NULL,
    fill_no INTEGER NOT NULL,
    fill_id TEXT NOT NULL,
    order_no INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account_no, fill_no)
) STRICT;
CREATE INDEX fills_id ON fills (fill_id);
CREATE INDEX fills_order ON fills (account_no, order_no, fill_no);
CREATE TABLE activities (
    account_no INTEGER NOT NULL,
    n INTEGER NOT NULL,
    activity_id TEXT NOT NULL,
    activity_type TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account_no, n)
) STRICT;
CREATE INDEX activities_id ON activities (activity_id);
CREATE INDEX activities_at ON activities (account_no, at, n);
CREATE TABLE accounts (
    account_no INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX accounts_id ON accounts (account_id);
CREATE UNIQUE INDEX accounts_name ON accounts (name);
CREATE INDEX accounts_user ON accounts (user_id, account_no);
INSERT INTO store VALUES (1, 0, lower(hex(randomblob(8))), 0, 0);
INSERT INTO journal VALUES (0, 0, 1, 0, 0, 0, 0, x'', zeroblob(32), x'', x'');
"""


def initial(db: sqlite3.Connection) -> None:
    """Create everything of the first release."""
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            db.execute(statement)
