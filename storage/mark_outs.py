"""Mark-outs as rows: written beside the journal, since they follow from the tape and not from events (ADR 10).

Invariant: noting the same row again changes nothing, so whoever does not know whether it was written writes it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from storage.database import FILE_NAME
from storage.errors import translated
from storage.tables import TABLES

MarkRow = tuple[int, int, int, int, int, bytes]
"""Account, order and fill number, instant of the fill, whether nothing is waited for any more, and the body."""


def note(db: sqlite3.Connection, rows: Iterable[MarkRow]) -> None:
    """Write rows, the newest of each fill."""
    db.executemany(TABLES["mark_outs"].upsert(), rows)


def recent(directory: Path, since_at: int) -> list[MarkRow]:
    """Rows of fills since an instant, and every older one that was still waited for."""
    db = sqlite3.connect(f"{(directory / FILE_NAME).absolute().as_uri()}?mode=ro", uri=True)
    try:
        columns = ", ".join(TABLES["mark_outs"].columns)
        return db.execute(f"SELECT {columns} FROM mark_outs WHERE at >= ? OR done = 0", (since_at,)).fetchall()
    except sqlite3.Error as error:
        raise translated(error) or error from error
    finally:
        db.close()
