"""Schema steps, numbered and never edited once released. ``user_version`` counts the steps taken.

Each step runs in one transaction together with its new ``user_version``; a step that fails leaves the
database at the version before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from storage.migrations.m0001_initial import initial
from storage.migrations.m0002_records import records
from storage.migrations.m0003_audit import audit_chain
from storage.migrations.m0004_mark_outs import mark_outs
from storage.migrations.m0005_activity_dates import activity_dates

Step = Callable[[sqlite3.Connection], None]

MIGRATIONS: Sequence[Step] = (initial, records, audit_chain, mark_outs, activity_dates)


def migrate(db: sqlite3.Connection, steps: Sequence[Step] = MIGRATIONS) -> int:
    """Take every missing step; return how many were taken. The connection is in autocommit mode."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for number, step in enumerate(steps[version:], version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            step(db)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return max(0, len(steps) - version)
