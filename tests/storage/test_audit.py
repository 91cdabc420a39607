"""The audit chain: whatever is changed, taken out or put in is found; erasure and purge keep it whole."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import audit
from storage.erasure import erase, find_bytes, scrub
from storage.migrations.m0003_audit import _STATEMENTS
from storage.sqlite import SqliteStore

ARCHIVE = "CREATE TABLE archive (account_no, n, seq, at, kind, order_no, body, PRIMARY KEY (account_no, n))"


def chained(rows: list[tuple[object, ...]]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(ARCHIVE)
    for statement in _STATEMENTS:
        db.execute(statement)
    db.executemany("INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    audit.extend(db, rows)
    return db


def some(accounts: int, events: int) -> list[tuple[object, ...]]:
    return [
        (no, n, no * 100 + n, n, "xx", None, b"body-%d-%d" % (no, n))
        for no in range(accounts)
        for n in range(1, events + 1)
    ]


TAMPERING = (
    "UPDATE archive SET body = x'00' WHERE account_no = 1 AND n = 3",
    "UPDATE archive SET at = at + 1 WHERE account_no = 1 AND n = 3",
    "UPDATE archive SET kind = 'yy' WHERE account_no = 1 AND n = 3",
    "DELETE FROM archive WHERE account_no = 1 AND n = 3",
    "DELETE FROM audit_leaves WHERE account_no = 1 AND n = 3",
    "DELETE FROM audit_leaves WHERE account_no = 1 AND n = 5",
    "UPDATE audit_leaves SET salt = x'' WHERE account_no = 1 AND n = 3",
    "UPDATE audit_leaves SET leaf = zeroblob(32) WHERE account_no = 1 AND n = 3",
    "UPDATE audit_heads SET hash = zeroblob(32) WHERE account_no = 1",
    "INSERT INTO archive VALUES (1, 6, 1, 1, 'xx', NULL, x'00')",
)


@pytest.mark.parametrize("tampering", TAMPERING)
def test_tampering_is_found(tampering: str) -> None:
    db = chained(some(3, 5))
    assert audit.verify(db) == (15, [])
    db.execute(tampering)
    _, breaks = audit.verify(db)
    assert breaks
    assert {each.account_no for each in breaks} == {1}


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 12), st.sets(st.integers(1, 12)))
def test_purge_erasure_and_growth_keep_the_chain(events: int, purged: int, grown: int, erased: set[int]) -> None:
    db = chained(some(2, events))
    purged = min(purged, events)
    audit.rebase(db, 0, purged)
    db.execute("DELETE FROM archive WHERE account_no = 0 AND n <= ?", (purged,))
    for n in erased:
        db.execute("UPDATE archive SET body = x'' WHERE account_no = 0 AND n = ?", (n,))
    audit.blank(db, 0, erased)
    rows = [(0, events + 1 + k, 1, 1, "zz", 7, b"later") for k in range(grown)]
    db.executemany("INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    audit.extend(db, rows)
    assert audit.verify(db)[1] == []


def test_erased_bytes_are_in_no_file(tmp_path: Path) -> None:
    needle = b"somebody-nobody-must-find"
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    with contextlib.closing(store):

        def fill(db: sqlite3.Connection) -> None:
            rows = [(no, n, n, n, "xx", None, needle * 40) for no in (0, 1, 2) for n in range(1, 200)]
            db.executemany("INSERT INTO archive VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            audit.extend(db, rows)

        store.change(fill)
        store.change(lambda db: db.execute("DELETE FROM archive WHERE account_no = 2 AND n > 100"))
        assert find_bytes(tmp_path, [needle])
        erase(store, [1, 2], range(1, 200))
        scrub(store)
        assert not find_bytes(tmp_path, [needle])


def test_a_needle_over_the_edge_of_two_reads_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * ((1 << 20) - 3) + b"needle" + b"y" * 10)
    assert [path.name for path, _ in find_bytes(tmp_path, [b"needle", b"other"])] == ["file"]
    assert not find_bytes(tmp_path, [b"needle"], leave_out=["file"])
