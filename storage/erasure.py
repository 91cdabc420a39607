"""Taking a user's accounts out of every byte of a store (architecture §5).

Erased rows are deleted, the house's events about the user lose their bodies and salts, and the whole file is written
anew, so that no free page, no slack of a page and no log keeps anything. Hashes stay: the chains still close.
Invariants: idempotent, so it is simply done again after a restore or a crash; needs the journal trimmed beyond every
group that still names the user (the caller makes sure), and checks that it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from storage import audit
from storage.sqlite import SqliteStore

KEPT = ("audit_leaves", "audit_heads")
"""Hashes of an erased account stay."""
SEARCH_BYTES = 1 << 20


class Erased(Struct, frozen=True):
    """What was taken out."""

    rows: int
    house_events: int


def erase(store: SqliteStore, account_nos: Iterable[int], house_numbers: Iterable[int]) -> Erased:
    """Delete everything of these accounts and blank these events of the house. Then :func:`scrub`."""
    numbers = sorted(set(account_nos))
    counted = [0, 0]

    def work(db: sqlite3.Connection) -> None:
        counted[:] = [0, 0]
        for account_no in numbers:
            for table in tables_of_accounts(db):
                counted[0] += db.execute(f"DELETE FROM {table} WHERE account_no = ?", (account_no,)).rowcount
            audit.blank(db, account_no)
        for n in house_numbers:
            counted[1] += db.execute("UPDATE archive SET body = x'' WHERE account_no = 0 AND n = ?", (n,)).rowcount
            audit.blank(db, 0, (n,))

    store.change(work)
    return Erased(*counted)


def tables_of_accounts(db: sqlite3.Connection) -> list[str]:
    """Every table that has rows of accounts, those of later releases included."""
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    columns = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
    return [name for name in names if "account_no" in columns[name] and name not in KEPT]


def scrub(store: SqliteStore) -> None:
    """Write the whole database anew and empty its log: what was deleted is in no byte of either."""
    store.rewrite()


def find_bytes(directory: Path, needles: Iterable[bytes], leave_out: Iterable[str] = ()) -> list[tuple[Path, bytes]]:
    """Files below ``directory`` that contain one of these byte strings: the proof of an erasure."""
    wanted = [needle for needle in needles if needle]
    keep = max((len(needle) for needle in wanted), default=1) - 1
    left_out = set(leave_out)
    found = []
    for path in sorted(directory.rglob("*")):
        if not path.is_file() or path.is_symlink() or left_out & set(path.relative_to(directory).parts):
            continue
        tail = b""
        seen: set[bytes] = set()
        with path.open("rb") as file:
            while chunk := file.read(SEARCH_BYTES):
                window = tail + chunk
                seen.update(needle for needle in wanted if needle in window)
                tail = window[-keep:] if keep else b""
        found += [(path, needle) for needle in wanted if needle in seen]
    return found
