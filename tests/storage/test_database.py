"""Opening: what is ours is created whole or migrated whole; what is not ours is left alone."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

from storage.database import APPLICATION_ID, FILE_NAME
from storage.errors import Corrupt, StorageBroken, WrongDatabase
from storage.migrations import MIGRATIONS, migrate
from storage.sqlite import SqliteStore
from storage.tables import TABLES
from tests.storage.groups import append

BALLAST_BYTES = 64 * 1024


def open_store(directory: Path, **options: object) -> SqliteStore:
    return SqliteStore.open(directory, ballast_bytes=BALLAST_BYTES, **options)  # type: ignore[arg-type]


def bytes_on_disk(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if not path.name.endswith("-shm")
    }


def query(directory: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as db:
        return db.execute(sql).fetchall()


def edit(directory: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as db:
        db.execute(sql)


def test_every_pragma_that_matters_is_set(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
        "application_id": APPLICATION_ID,
        "user_version": len(MIGRATIONS),
        "auto_vacuum": 0,
        "page_size": 4096,
        "encoding": "UTF-8",
        "trusted_schema": 0,
    }
    assert {name: store._one(f"PRAGMA {name}")[0] for name in expected} == expected  # type: ignore[index]
    store.close()


def test_the_schema_is_strict_and_the_one_the_code_knows(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    tables = query(tmp_path, "SELECT name, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite%'")
    assert all(strict for _, strict in tables)
    for table in TABLES.values():
        columns = query(tmp_path, f"SELECT name, pk FROM pragma_table_info('{table.name}')")
        assert tuple(name for name, _ in columns) == table.columns
        assert {name for name, pk in columns if pk} == set(table.key)


def test_the_first_schema_never_changes(tmp_path: Path) -> None:
    """A released migration is history: an edit here would leave older databases behind without a word."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:1])
        text = "\n".join(row[0] for row in db.execute("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY 1"))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == FIRST_SCHEMA


FIRST_SCHEMA = "6c1f2c714783ceb4"


def test_activities_from_before_have_the_date_of_their_time(tmp_path: Path) -> None:
    """Step 5 keeps the rows; 0 says that none was written beside them."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:4])
        db.execute("INSERT INTO activities VALUES (1, 2, 'id', 'SPLIT', 3, x'90')")
        assert migrate(db, MIGRATIONS[:5]) == 1
        assert db.execute("SELECT * FROM activities").fetchall() == [(1, 2, "id", "SPLIT", 3, 0, b"\x90")]
        indexes = {name for (name,) in db.execute("SELECT name FROM pragma_index_list('activities')")}
    assert {"activities_id", "activities_at", "activities_dated"} <= indexes


def test_a_migration_keeps_the_data_and_happens_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    group = append(store)
    store.close()

    def add_notes(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")

    for _ in range(2):
        store = open_store(tmp_path, steps=[*MIGRATIONS, add_notes])
        assert list(store.groups(0)) == [group]
        assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size < 4096 * 3
        store.close()
    assert query(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    with pytest.raises(WrongDatabase, match="newer release"):
        open_store(tmp_path)


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    group = append(store)
    store.close()

    def half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT")
        db.execute("DELETE FROM journal")
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        open_store(tmp_path, steps=[*MIGRATIONS, half])
    store = open_store(tmp_path)
    assert list(store.groups(0)) == [group]
    store.close()


@pytest.mark.parametrize(
    ("edit_sql", "words"),
    [("PRAGMA application_id = 7", "another program"), ("PRAGMA user_version = 999", "newer release")],
)
def test_a_foreign_or_newer_file_is_left_alone(tmp_path: Path, edit_sql: str, words: str) -> None:
    open_store(tmp_path).close()
    edit(tmp_path, edit_sql)
    before = bytes_on_disk(tmp_path)
    with pytest.raises(WrongDatabase, match=words):
        open_store(tmp_path)
    assert bytes_on_disk(tmp_path) == before


def test_a_newer_version_still_in_the_log_is_seen_and_left_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append(store)
    store._db.execute("PRAGMA user_version = 999")
    before = bytes_on_disk(tmp_path)
    with pytest.raises(WrongDatabase, match="newer release"):
        open_store(tmp_path)
    assert bytes_on_disk(tmp_path) == before
    store.close()


@pytest.mark.parametrize("content", [b"", b"short", b"\x00" * 8192], ids=["empty", "short", "zeros"])
def test_a_file_without_a_header_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(Corrupt):
        open_store(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageBroken, match="nowhere"):
        open_store(tmp_path / "nowhere")


def test_a_creation_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
    (tmp_path / f"{FILE_NAME}.new-wal").write_bytes(b"half")
    store = open_store(tmp_path)
    append(store)
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ballast", FILE_NAME]


@pytest.mark.parametrize("column", ["body", "cursor", "moved", "hash"])
def test_a_changed_byte_breaks_the_chain_at_its_group(tmp_path: Path, column: str) -> None:
    store = open_store(tmp_path)
    for _ in range(3):
        append(store, moved=b"m" * 32)
    store.close()
    edit(tmp_path, f"UPDATE journal SET {column} = zeroblob(32) WHERE group_no = 2")
    store = open_store(tmp_path)
    reader = store.groups(0)
    assert next(reader).seq_last == 1
    with pytest.raises(Corrupt, match="group 2"):
        next(reader)
    store.close()


@pytest.mark.parametrize("sql", ["DELETE FROM journal WHERE group_no = 2", "UPDATE journal SET at = at + 1"])
def test_a_missing_group_or_changed_number_breaks_the_chain(tmp_path: Path, sql: str) -> None:
    store = open_store(tmp_path)
    for _ in range(3):
        append(store)
    store.close()
    edit(tmp_path, sql)
    store = open_store(tmp_path)
    with pytest.raises(Corrupt):
        list(store.groups(0))
    store.close()


def test_a_damaged_page_is_corruption_or_absence_never_other_bytes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    written = [append(store, body=b"%4d" % number * 500) for number in range(50)]
    store.checkpoint(truncate=True)
    store.close()
    path = tmp_path / FILE_NAME
    data = path.read_bytes()
    for page in range(1, len(data) // 4096):
        path.write_bytes(data[: page * 4096] + b"\xa5" * 4096 + data[(page + 1) * 4096 :])
        try:
            store = open_store(tmp_path)
        except (Corrupt, StorageBroken):
            continue
        with contextlib.closing(store):
            got = []
            with contextlib.suppress(Corrupt):
                for group in store.groups(0):
                    got.append(group)
            assert got == written[: len(got)]


def test_restoring_from_a_backup_changes_the_data_epoch(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    before = store.head()
    after = store.renew_data_epoch()
    assert after != before.data_epoch
    assert store.head().data_epoch == after
    append(store)
    store.close()
    store = open_store(tmp_path, take_epoch=False)
    assert (store.head().data_epoch, store.head().epoch) == (after, before.epoch)
    store.close()
