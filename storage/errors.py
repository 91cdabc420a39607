"""What can go wrong in the store, one class for each thing the caller must do about it.

Every message says what is wrong and what to do. Decisions rest on SQLite's own error names, never on texts.
"""

from __future__ import annotations

import errno
import sqlite3

DISK_ERRNOS = frozenset(
    (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EFBIG)
)
"""``OSError`` numbers that speak of a disk; the others (a socket, a time limit, a missing file) do not."""


class StorageError(Exception):
    """Base of everything the store raises on purpose."""


class StaleWriter(StorageError):
    """Another writer has taken the store since; this one must end (it may never append again)."""


class OutOfSequence(StorageError):
    """The group or snapshot does not follow the head; nothing was stored. A fault of the caller."""


class StorageFull(StorageError):
    """No space, ballast already spent; nothing was stored. The same call may be repeated later."""


class StorageBroken(StorageError):
    """Reading, writing or syncing failed: what is durable is unknown. The process ends with 74."""


class Corrupt(StorageError):
    """Stored bytes are not what was written. The process ends with 65 and must not be restarted."""


class WrongDatabase(StorageError):
    """The file belongs to another program or to a newer release; it was not touched."""


class AlreadyRunning(StorageError):
    """Another process holds the state directory."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid
        """Who wrote itself into the lock file; None when it cannot be read."""


class JobFailed(StorageError):
    """A job of the writer could not be done; nothing of its transaction is stored, the store is well."""


class ProjectionFault(StorageError):
    """A projection row has an unknown table, a wrong width, or breaks a table's constraints."""


_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
"""Growing the shared-memory index fails only for want of space, and loses nothing."""
_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BROKEN = (
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
)


def translated(error: sqlite3.Error) -> StorageError | None:
    """The store's name for an SQLite error; None when it is a programming fault to be raised as it is."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name in _FULL:
        return StorageFull(f"the disk is full ({name}); free space in the state directory")
    if name.startswith(_CORRUPT):
        return Corrupt(f"the database is damaged ({name}: {error}); restore it from a backup")
    if name.startswith("SQLITE_BUSY"):
        return StorageBroken(f"another process holds the database's write lock ({name}); end it first")
    if name.startswith(_BROKEN):
        return StorageBroken(f"the database cannot be read or written ({name}: {error}); check the disk")
    if name.startswith("SQLITE_CONSTRAINT"):
        return ProjectionFault(f"a row breaks the schema ({name}: {error})")
    return None
