"""The audit trail of the archive: a salted hash chain for every account (architecture §5).

``leaf = BLAKE2b-256(salt || header || kind || body)``, ``hash_n = BLAKE2b-256(hash_{n-1} || leaf_n)``. Leaves and
salts have a table of their own beside the archive, the newest hash of each account another. Invariants: an erased
event keeps its leaf and loses its salt, so the chain still closes and the leaf tells nothing about what was
erased; a purged stretch is remembered by the hash behind its last event (the base), so the chain goes on from
there.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from msgspec import Struct

SALT_BYTES = 16
GENESIS = bytes(32)
_HEADER = struct.Struct(">5q")
_SELECT_HEAD = "SELECT n, hash FROM audit_heads WHERE account_no = ?"
_UPSERT_HEAD = """
INSERT INTO audit_heads (account_no, n, hash, base_n, base_hash) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account_no) DO UPDATE SET n = excluded.n, hash = excluded.hash
"""

ArchiveRow = Sequence[object]
"""``account_no n seq at kind order_no body``, as in the archive."""


class Break(Struct, frozen=True):
    """A place where a chain does not hold."""

    account_no: int
    n: int
    what: str


def leaf_of(salt: bytes, row: ArchiveRow) -> bytes:
    """The hash of one event; nobody can guess the event from it without the salt."""
    account_no, n, seq, at, kind, order_no, body = row
    digest = blake2b(salt, digest_size=32)
    digest.update(_HEADER.pack(account_no, n, seq, at, order_no or 0))
    digest.update(str(kind).encode())
    digest.update(b"\0")
    digest.update(body)  # type: ignore[arg-type]
    return digest.digest()


def next_link(previous: bytes, leaf: bytes) -> bytes:
    """The chain's hash behind one more leaf."""
    return blake2b(previous + leaf, digest_size=32).digest()


def extend(db: sqlite3.Connection, rows: Iterable[ArchiveRow], draw: Callable[[int], bytes] = os.urandom) -> None:
    """Chain new archive rows, each account's in the order of ``n``. Inside the caller's transaction."""
    heads: dict[int, tuple[int, bytes]] = {}
    leaves = []
    for row in rows:
        account_no, n = int(row[0]), int(row[1])  # type: ignore[call-overload]
        head = heads.get(account_no)
        if head is None:
            head = db.execute(_SELECT_HEAD, (account_no,)).fetchone() or (n - 1, GENESIS)
        if n <= head[0]:
            continue  # what is chained stays as it was
        salt = draw(SALT_BYTES)
        leaf = leaf_of(salt, row)
        leaves.append((account_no, n, salt, leaf))
        heads[account_no] = (n, next_link(head[1], leaf))
    db.executemany("INSERT INTO audit_leaves (account_no, n, salt, leaf) VALUES (?, ?, ?, ?)", leaves)
    db.executemany(_UPSERT_HEAD, [(no, n, digest, 0, GENESIS) for no, (n, digest) in heads.items()])


def blank(db: sqlite3.Connection, account_no: int, numbers: Iterable[int] | None = None) -> int:
    """Take the salts of an account's events (all of them, or these) away; their leaves stay. How many that was."""
    if numbers is None:
        return db.execute("UPDATE audit_leaves SET salt = x'' WHERE account_no = ?", (account_no,)).rowcount
    count = 0
    for n in numbers:
        count += db.execute(
            "UPDATE audit_leaves SET salt = x'' WHERE account_no = ? AND n = ?", (account_no, n)
        ).rowcount
    return count


def rebase(db: sqlite3.Connection, account_no: int, n: int) -> None:
    """Forget the leaves up to event ``n``; the chain goes on from the hash behind it."""
    row = db.execute("SELECT base_n, base_hash FROM audit_heads WHERE account_no = ?", (account_no,)).fetchone()
    if row is None or row[0] >= n:
        return
    digest = row[1]
    for (leaf,) in db.execute(
        "SELECT leaf FROM audit_leaves WHERE account_no = ? AND n > ? AND n <= ? ORDER BY n", (account_no, row[0], n)
    ):
        digest = next_link(digest, leaf)
    db.execute("UPDATE audit_heads SET base_n = ?, base_hash = ? WHERE account_no = ?", (n, digest, account_no))
    db.execute("DELETE FROM audit_leaves WHERE account_no = ? AND n <= ?", (account_no, n))


def verify(db: sqlite3.Connection) -> tuple[int, list[Break]]:
    """Recompute every chain from its base, and every leaf from its event; how many leaves, and what is wrong."""
    count, breaks = 0, []
    for account_no, n_head, digest_head, base_n, base_hash in db.execute(
        "SELECT account_no, n, hash, base_n, base_hash FROM audit_heads ORDER BY account_no"
    ).fetchall():
        digest, n = base_hash, base_n
        for row in _joined(db, account_no):
            count += 1
            if row[0] != n + 1:
                breaks.append(Break(account_no, row[0], f"event {n + 1} has no leaf"))
            n = row[0]
            digest = next_link(digest, row[2])
            breaks += _judge(account_no, row)
        if n != n_head or digest != digest_head:
            breaks.append(Break(account_no, n_head, "the chain does not end in its recorded hash"))
    unchained = db.execute(
        "SELECT a.account_no, a.n FROM archive a LEFT JOIN audit_leaves l USING (account_no, n) "
        "WHERE l.n IS NULL LIMIT 100"
    ).fetchall()
    return count, breaks + [Break(no, n, "the event is not in the chain") for no, n in unchained]


def _joined(db: sqlite3.Connection, account_no: int) -> Iterator[tuple[Any, ...]]:
    yield from db.execute(
        "SELECT l.n, l.salt, l.leaf, a.account_no, a.n, a.seq, a.at, a.kind, a.order_no, a.body "
        "FROM audit_leaves l LEFT JOIN archive a USING (account_no, n) WHERE l.account_no = ? ORDER BY l.n",
        (account_no,),
    )


def _judge(account_no: int, row: Sequence[Any]) -> list[Break]:
    n, salt, leaf = row[:3]
    if not salt:
        held = row[3] is not None and bool(row[9])
        return [Break(account_no, n, "an erased event has a body")] if held else []
    if row[3] is None:
        return [Break(account_no, n, "the event is gone and was not erased")]
    if leaf_of(salt, row[3:]) != leaf:
        return [Break(account_no, n, "the event is not what was chained")]
    return []
