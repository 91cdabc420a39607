"""The database file: creating it, recognising it, opening it with every pragma said aloud.

A new database is built under another name and renamed when whole, so the file either does not exist or is
complete. A file that is not ours, or is newer than this release, is recognised without touching it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

from storage.errors import Corrupt, StorageBroken, StorageFull, WrongDatabase, translated
from storage.migrations import MIGRATIONS, Step, migrate

FILE_NAME = "mbtd.sqlite3"
APPLICATION_ID = 0x6D627464
"""``mbtd`` in ASCII."""

_MAGIC = b"SQLite format 3\x00"
_VERSION_AT, _APPLICATION_AT = 60, 68

_PRAGMAS = (
    "busy_timeout = 5000",
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",  # the writer decides when; a checkpoint inside a commit is a stall
    "journal_size_limit = 67108864",
    "locking_mode = NORMAL",
    "foreign_keys = OFF",
    "recursive_triggers = OFF",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "secure_delete = FAST",  # full overwriting belongs to erasure; a trim must not write what it frees
    "mmap_size = 0",
    "temp_store = MEMORY",
    "cache_size = -16384",
)


def open_database(directory: Path, steps: Sequence[Step] = MIGRATIONS) -> sqlite3.Connection:
    """Open for writing; create or migrate first where needed. Autocommit mode.

    Raises ``WrongDatabase``, ``Corrupt``, ``StorageFull`` or ``StorageBroken``.
    """
    path = directory / FILE_NAME
    try:
        if not path.exists():
            os.stat(path.parent)  # a missing directory is named here, where SQLite would not
            _create(path, steps)
        recognise(path, len(steps))
        db = _connect(path)
        try:
            for pragma in _PRAGMAS:
                db.execute(f"PRAGMA {pragma}").fetchall()
            if migrate(db, steps):
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except BaseException:
            db.close()
            raise
        return db
    except sqlite3.Error as error:
        raise translated(error) or error from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space to create or open {path}; free space there") from error
        raise StorageBroken(f"{path} cannot be opened: {error.strerror}; check directory and rights") from error


def recognise(path: Path, latest: int) -> None:
    """Raise ``WrongDatabase`` or ``Corrupt`` unless this release may open the file. Changes nothing on
    disk."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise Corrupt(f"{path} is not a database, or its first bytes are lost; restore it from a backup")
    _judge(path, latest, _number(header, _APPLICATION_AT), _number(header, _VERSION_AT))
    # A migration may still lie in the write-ahead log alone; a read-only connection sees it and writes
    # nothing.
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        _judge(path, latest, db.execute("PRAGMA application_id").fetchone()[0], version)


def _judge(path: Path, latest: int, application_id: int, version: int) -> None:
    if application_id != APPLICATION_ID:
        raise WrongDatabase(
            f"{path} belongs to another program (application id {application_id:#x}); "
            f"name another state directory or move the file away"
        )
    if version > latest:
        raise WrongDatabase(
            f"{path} was written by a newer release (schema {version}, this one knows {latest}); "
            f"run that release or restore an older backup"
        )


def _number(header: bytes, at: int) -> int:
    value: int = struct.unpack_from(">i", header, at)[0]
    return value


def _connect(path: Path) -> sqlite3.Connection:
    # Any thread may close it; calls never overlap (the port says: one caller at a time).
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _create(path: Path, steps: Sequence[Step]) -> None:
    draft = path.with_name(path.name + ".new")
    for leftover in (draft, draft.with_name(draft.name + "-wal"), draft.with_name(draft.name + "-journal")):
        leftover.unlink(missing_ok=True)
    with contextlib.closing(_connect(draft)) as db:
        for pragma in (
            "page_size = 4096",
            "encoding = 'UTF-8'",
            "auto_vacuum = NONE",
            f"application_id = {APPLICATION_ID}",
            *_PRAGMAS,
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        migrate(db, steps)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    os.chmod(draft, 0o600)
    _sync(draft)
    os.rename(draft, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
