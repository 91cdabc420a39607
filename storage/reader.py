"""One row at a time, now: the newest snapshot of an account, over a read-only connection.

A synchronous read of one row by its key costs tens of microseconds, so waking a sleeping account needs no
waiting. Everything that may read many rows goes through :mod:`storage.history`. SQLite's errors leave translated.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from storage.database import FILE_NAME
from storage.errors import translated
from storage.records import Snapshot


class SnapshotReader:
    """Reads durable snapshots and named values."""

    def __init__(self, directory: Path) -> None:
        uri = f"{(directory / FILE_NAME).absolute().as_uri()}?mode=ro"
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None)
            self._db.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise translated(error) or error from error

    def snapshot(self, account_no: int) -> Snapshot | None:
        """The account's latest stored snapshot."""
        row = self._row(
            "SELECT account_no, n, seq, next_due, live, body FROM snapshots WHERE account_no = ?", account_no
        )
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
        row = self._row("SELECT value FROM meta WHERE key = ?", key)
        return bytes(row[0]) if row is not None else None

    def _row(self, sql: str, key: object) -> tuple[Any, ...] | None:
        try:
            rows = self._db.execute(sql, (key,)).fetchall()
        except sqlite3.Error as error:
            raise translated(error) or error from error
        return rows[0] if rows else None

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
