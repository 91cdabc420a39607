"""Step 5: the date under which an activity is shown, which need not be that of its booking."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """
    CREATE TABLE activities_dated (
        account_no INTEGER NOT NULL,
        n INTEGER NOT NULL,
        activity_id TEXT NOT NULL,
        activity_type TEXT NOT NULL,
        at INTEGER NOT NULL,
        dated INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (account_no, n)
    ) STRICT
    """,
    """
    INSERT INTO activities_dated (account_no, n, activity_id, activity_type, at, dated, body)
    SELECT account_no, n, activity_id, activity_type, at, 0, body FROM activities
    """,
    "DROP TABLE activities",
    "ALTER TABLE activities_dated RENAME TO activities",
    "CREATE INDEX activities_id ON activities (activity_id)",
    "CREATE INDEX activities_at ON activities (account_no, at, n)",
    "CREATE INDEX activities_dated ON activities (account_no, dated, at, n)",
)


def activity_dates(db: sqlite3.Connection) -> None:
    """Rows from before have the date 0: that of their time."""
    for statement in _STATEMENTS:
        db.execute(statement)
