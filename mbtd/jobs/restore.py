"""``mbtd restore`` and the weekly drill (operations §12).

Order: the base is proved file by file and book by book, and on request what the present journals add to it
(:mod:`mbtd.jobs.rebuild`), before anything is touched; the new state is built beside the old one and verified; the
present files are moved aside, never changed or deleted; the new ones take their place; erased users are erased again.
Invariant: whatever is refused or fails before the move leaves every file of the state as it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from mbtd.jobs.erasure import ASIDE, MADE, finish_offline
from mbtd.jobs.rebuild import Diagnosis, Plan, make_plan, whole_backup
from mbtd.jobs.verify import Report, verify
from mbtd.journal import DIRECTORY, open_front
from storage.backup import FILES, BadBackup, copy_database, list_backups, prune
from storage.database import FILE_NAME
from storage.errors import Corrupt
from storage.lock import StateLock
from storage.sqlite import SqliteStore

_MOVED = ("mbtd.sqlite3", "mbtd.sqlite3-wal", "mbtd.sqlite3-shm", DIRECTORY, "ballast", "seed", "replay.json")
__all__ = ["Restored", "drill", "prune", "restore"]


class Restored(Struct, frozen=True):
    """What a restore did."""

    backup: str
    """The base: a backup, or the state directory itself when its main database is whole."""
    backup_seq: int
    seq: int
    """Last event after the journal was replayed on top."""
    groups_replayed: int
    erased_again: int
    data_epoch: str
    aside: str
    state_hash: str
    note: str = ""
    damaged: tuple[str, ...] = ()
    """What was found wrong with the files that were moved aside."""
    passed_over: tuple[str, ...] = ()
    """Newer bases that would not do, and why."""


def restore(
    backup: Path | None,
    state: Path,
    *,
    now: str,
    backups: Path | None = None,
    replay: bool = False,
    until_at: int | None = None,
) -> tuple[Restored, Report]:
    """Put ``backup`` in place of ``state``'s data; with ``replay`` or ``until_at`` also what the journals add.

    Without ``backup`` the newest base is taken with which nothing is missing, ``backups`` being the backups' place.
    Raises ``BadBackup``, ``CannotRebuild``, ``AlreadyRunning`` (a daemon holds the directory) or ``StorageError``.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StateLock.acquire(state, wait_s=2.0):
        for leftover in state.glob(f"{MADE}*"):
            shutil.rmtree(leftover)
        diagnosis = Diagnosis([])
        if (replay or until_at is not None) and (backup is None or any((state / name).exists() for name in _MOVED)):
            plan, diagnosis = make_plan(state, backups, backup, until_at)
        else:
            assert backup is not None, "only a replay finds its base itself"
            plan = Plan(whole_backup(backup), (), "")
        with tempfile.TemporaryDirectory(prefix=MADE, dir=state) as made:
            data_epoch, report = _build(plan, Path(made))
            aside = _move_aside(state, now)
            for path in sorted(Path(made).iterdir()):
                path.rename(state / path.name)
        erased = finish_offline(state, everybody=True)
        if erased:
            report = verify(state)
    done = Restored(
        str(plan.base.path), plan.base.place[0], report.seq, len(plan.groups), erased, data_epoch, str(aside or ""),
        report.state_hash, plan.note, tuple(diagnosis.damaged), tuple(diagnosis.passed_over),
    )  # fmt: skip
    return done, replace(report, directory=str(state))


def _build(plan: Plan, made: Path) -> tuple[str, Report]:
    """The new state's files; its data epoch and what verification says of it. Raises ``Corrupt`` if it is wrong."""
    source = plan.base.path
    copy_database(source / FILE_NAME, made / FILE_NAME, pause_s=0.0)
    for name in FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, made / name)
    for path in made.iterdir():
        path.chmod(0o600)
    with contextlib.closing(SqliteStore.open(made, ballast_bytes=0)) as store:
        for kept, entry in plan.groups:
            try:
                group = kept.group(entry.number)
            except sqlite3.DatabaseError as error:
                raise Corrupt(f"{kept.path} could be read before and now cannot: {error}") from error
            store.append(replace(group, epoch=store.head().epoch))
        data_epoch = store.renew_data_epoch()
        store.checkpoint(truncate=True)
        head = store.head()
    with contextlib.closing(open_front(made, take_epoch=False)) as front:
        front.plant(head)
    report = verify(made)
    if not report.ok:
        wrong = "; ".join(report.wrong[:3])
        raise Corrupt(f"what {source} and the journals give does not pass its check, nothing was touched: {wrong}")
    for path in [*made.rglob("*"), made]:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return data_epoch, report


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
