"""One row at a time, now: the newest snapshot of an account, over a read-only connection.

A synchronous read of one row by its key costs tens of microseconds, so waking a sleeping account needs no
waiting. Everything that may read many rows goes through :mod:`storage.history`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from storage.database import FILE_NAME
from storage.records import Snapshot


class SnapshotReader:
    """Reads durable snapshots and named values."""

    def __init__(self, directory: Path) -> None:
        self._db = sqlite3.connect(f"file:{directory / FILE_NAME}?mode=ro", uri=True, isolation_level=None)
        self._db.execute("PRAGMA query_only=ON")

    def snapshot(self, account_no: int) -> Snapshot | None:
        """The account's latest stored snapshot."""
        row = self._db.execute(
            "SELECT account_no, n, seq, next_due, live, body FROM snapshots WHERE account_no = ?", (account_no,)
        ).fetchone()
        return Snapshot(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) if row is not None else None

    def due_before(self, until: int, after_account_no: int, most: int) -> list[int]:
        """Accounts after ``after_account_no`` whose snapshot says that something is due before ``until``."""
        rows = self._db.execute(
            "SELECT account_no FROM snapshots WHERE next_due > 0 AND next_due < ? AND account_no > ?"
            " ORDER BY account_no LIMIT ?",
            (until, after_account_no, most),
        ).fetchall()
        return [row[0] for row in rows]

    def meta(self, key: str) -> bytes | None:
        """A named value, as ``set_meta`` stored it."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row is not None else None

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
