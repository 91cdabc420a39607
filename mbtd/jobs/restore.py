"""``mbtd restore`` and the weekly drill (operations §12).

Order: the backup is proved file by file and book by book before anything is touched; the present files are moved
aside, never deleted; the copy is put in place; on request the journal that was moved aside carries it on, to its
end or to a moment; the data epoch changes; erased users are erased again; the result is verified like any state.
Invariant: a restore that fails leaves the old files where they were moved to and says so.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from mbtd.jobs.erasure import ASIDE, finish_offline
from mbtd.jobs.verify import Report, verify
from mbtd.journal import DIRECTORY, open_front
from storage.backup import BadBackup, check_files, list_backups, prune
from storage.database import FILE_NAME
from storage.errors import StorageError
from storage.lock import StateLock
from storage.records import Group
from storage.sqlite import SqliteStore

_MOVED = ("mbtd.sqlite3", "mbtd.sqlite3-wal", "mbtd.sqlite3-shm", DIRECTORY, "ballast", "seed", "replay.json")
__all__ = ["Restored", "drill", "prune", "restore"]


class Restored(Struct, frozen=True):
    """What a restore did."""

    backup: str
    backup_seq: int
    seq: int
    """Last event after the journal was replayed on top."""
    groups_replayed: int
    erased_again: int
    data_epoch: str
    aside: str
    state_hash: str
    note: str = ""


def restore(
    backup: Path, state: Path, *, now: str, replay: bool = False, until_at: int | None = None
) -> tuple[Restored, Report]:
    """Put ``backup`` in place of ``state``'s data; with ``replay`` or ``until_at`` also what the journal adds.

    Raises ``BadBackup``, ``AlreadyRunning`` (a daemon holds the directory) or ``StorageError``.
    """
    manifest = check_files(backup)
    before = verify(backup)
    if not before.ok:
        raise BadBackup(f"{backup} does not pass its check: {'; '.join(before.wrong[:3])}")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StateLock.acquire(state, wait_s=2.0):
        aside = _move_aside(state, now)
        for file in manifest.files:
            shutil.copyfile(backup / file.name, state / file.name)
            (state / file.name).chmod(0o600)
        note, count = "", 0
        store = SqliteStore.open(state, ballast_bytes=0)
        with contextlib.closing(store):
            if aside is not None and (replay or until_at is not None):
                count, note = _carry_on(store, aside, until_at)
            data_epoch = store.renew_data_epoch()
            store.checkpoint(truncate=True)
            head = store.head()
        front = open_front(state, take_epoch=False)
        with contextlib.closing(front):
            front.plant(head)
        erased = finish_offline(state, everybody=True)
        report = verify(state)
        seq = report.seq
    done = Restored(
        str(backup), manifest.seq, seq, count, erased, data_epoch, str(aside or ""), report.state_hash, note
    )
    return done, report


def _move_aside(state: Path, now: str) -> Path | None:
    there = [state / name for name in _MOVED if (state / name).exists()]
    if not there:
        return None
    stamp = now.replace(":", "").replace("-", "")[:15]
    aside = state / f"{ASIDE}{stamp}"
    number = 1
    while aside.exists():
        number += 1
        aside = state / f"{ASIDE}{stamp}-{number}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside


def _carry_on(store: SqliteStore, aside: Path, until_at: int | None) -> tuple[int, str]:
    """Append the groups that the moved journals hold beyond the backup; how many, and why no more."""
    count = 0
    for directory in (aside, aside / DIRECTORY):
        try:
            for group in _groups_beyond(directory, store.head().seq):
                if group.input_seq <= store.head().input_seq and group.seq_last <= store.head().seq:
                    continue
                if until_at is not None and group.at > until_at:
                    return count, f"stopped before event {group.seq_first}, as asked"
                if group.seq_first != store.head().seq + 1:
                    return count, f"the journal begins at event {group.seq_first}; what lies before it is gone"
                store.append(replace(group, epoch=store.head().epoch))
                count += 1
        except StorageError as error:
            return count, f"the journal cannot be read further: {error}"
    return count, ""


def _groups_beyond(directory: Path, seq: int) -> Iterator[Group]:
    if not (directory / FILE_NAME).exists():
        return
    old = SqliteStore.open(directory, take_epoch=False, ballast_bytes=0)
    with contextlib.closing(old):
        yield from old.groups(max(seq, old.trimmed_seq()))


def drill(backups: Path, *, now: str, backup: Path | None = None) -> tuple[Restored, Report]:
    """Restore the newest backup into a scratch place, verify it, compare it with the backup, and clean up."""
    if backup is None:
        found = list_backups(backups)
        if not found:
            raise BadBackup(f"there is no backup in {backups}")
        backup = found[-1][0]
    expected = verify(backup).state_hash
    with tempfile.TemporaryDirectory(prefix=".drill-", dir=backups) as scratch:
        done, report = restore(backup, Path(scratch) / "state", now=now)
        if report.state_hash != expected:
            raise BadBackup(f"restored from {backup}: the books are not those of the backup")
    return done, report
