"""Backups: a consistent copy of a live database, made beside it, checked before it counts (operations §12).

Layout of one backup, below the backup directory: ``mbtd-<seq>-<time>/`` with the database, the files of the state
directory that belong to it, and ``manifest.json`` naming each with size and BLAKE2b-256. Invariants: the directory
has its final name only once everything in it is on disk and was checked; a live file is never copied, only read
through SQLite; tombstones and secrets are in no backup.

The copy is paced from one held read transaction: without it SQLite begins anew with every commit of somebody else
and never ends under load; with one step for everything the commits meanwhile stall for half a second.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from storage.database import FILE_NAME
from storage.errors import Corrupt

MANIFEST = "manifest.json"
FORMAT = 1
PREFIX = "mbtd-"
PARTIAL = ".partial"
STEP_PAGES = 256
PAUSE_S = 0.004
FILES = ("seed", "replay.json")
"""Small files of the state directory without which the database is of another run."""
HASH_BYTES = 1 << 20


class File(Struct, frozen=True):
    """One file of a backup."""

    name: str
    size_bytes: int
    blake2b: str


class Manifest(Struct, frozen=True):
    """What a backup is."""

    format: int
    seq: int
    input_seq: int
    at: int
    """Engine time of the last group, nanoseconds UTC."""
    made_at: str
    data_epoch: str
    schema: int
    release: str
    files: tuple[File, ...]
    seconds: float = 0.0


class BadBackup(Corrupt):
    """A backup is not what its manifest says."""


def digest_of(path: Path) -> str:
    """BLAKE2b-256 of a file."""
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while chunk := file.read(HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def copy_database(source: Path, target: Path, *, pause_s: float = PAUSE_S, step_pages: int = STEP_PAGES) -> None:
    """Copy a database that somebody may be writing to, as of one moment; the copy is on disk at the end."""
    reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    writer = sqlite3.connect(target, isolation_level=None)
    with contextlib.closing(reader), contextlib.closing(writer):
        reader.execute("PRAGMA query_only = ON")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM store").fetchone()
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        try:

            def rest(status: int, remaining: int, total: int) -> None:
                os.fdatasync(descriptor)
                if remaining:
                    time.sleep(pause_s)

            reader.backup(writer, pages=step_pages, progress=rest, sleep=0.0)
            reader.execute("ROLLBACK")
            writer.execute("PRAGMA journal_mode = DELETE").fetchall()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make(
    state: Path,
    backups: Path,
    check: Callable[[Path], Iterable[str]],
    *,
    now: str,
    release: str,
    pause_s: float = PAUSE_S,
) -> tuple[Path, Manifest]:
    """Make, check and name a backup of ``state``. ``check`` returns what is wrong with the copy's books.

    Raises ``BadBackup`` when the copy does not pass; then nothing is left of it.
    """
    started = time.monotonic()
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = backups / f"{PREFIX}{os.getpid()}{PARTIAL}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    try:
        copy_database(state / FILE_NAME, partial / FILE_NAME, pause_s=pause_s)
        for name in FILES:
            if (state / name).exists():
                shutil.copy2(state / name, partial / name)
        wrong = [*integrity(partial / FILE_NAME), *check(partial)]
        if wrong:
            raise BadBackup("the copy does not pass its check: " + "; ".join(wrong[:5]))
        manifest = _describe(partial, now, release, round(time.monotonic() - started, 3))
        _write(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        for path in partial.iterdir():
            _sync(path)
        _sync(partial)
        final = backups / f"{PREFIX}{manifest.seq:012d}-{now.replace(':', '').replace('-', '')[:15]}"
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _sync(backups)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return final, manifest


def integrity(path: Path) -> list[str]:
    """What SQLite finds wrong with a database file."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
            found += [f"foreign key of {row[0]}" for row in db.execute("PRAGMA foreign_key_check")]
    except sqlite3.Error as error:
        return [f"{path.name}: {error}"]
    return [] if found == ["ok"] else [f"{path.name}: {text}" for text in found if text != "ok"]


def _describe(directory: Path, now: str, release: str, seconds: float) -> Manifest:
    path = (directory / FILE_NAME).absolute()
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        seq, input_seq, at = db.execute(
            "SELECT seq_last, input_seq, at FROM journal ORDER BY group_no DESC LIMIT 1"
        ).fetchone()
        data_epoch = db.execute("SELECT data_epoch FROM store").fetchone()[0]
        schema = db.execute("PRAGMA user_version").fetchone()[0]
    names = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    files = tuple(File(path.name, path.stat().st_size, digest_of(path)) for path in names)
    return Manifest(FORMAT, seq, input_seq, at, now, data_epoch, schema, release, files, seconds)


def read_manifest(backup: Path) -> Manifest:
    """A backup's manifest. Raises ``BadBackup``."""
    try:
        return msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BadBackup(f"{backup} has no manifest that can be read: {error}") from None


def check_files(backup: Path) -> Manifest:
    """Prove every file of a backup against its manifest. Raises ``BadBackup``."""
    manifest = read_manifest(backup)
    for file in manifest.files:
        path = backup / file.name
        if not path.is_file() or path.stat().st_size != file.size_bytes or digest_of(path) != file.blake2b:
            raise BadBackup(f"{path} is missing or not what the manifest says; use another backup")
    return manifest


def list_backups(backups: Path) -> list[tuple[Path, Manifest]]:
    """All whole backups, oldest first."""
    found = []
    for path in backups.glob(f"{PREFIX}*") if backups.is_dir() else ():
        if path.is_dir() and path.suffix != PARTIAL:
            with contextlib.suppress(BadBackup):
                found.append((path, read_manifest(path)))
    return sorted(found, key=lambda pair: (pair[1].made_at, pair[1].seq))


def prune(backups: Path, keep_daily: int, keep_weekly: int) -> list[Path]:
    """Delete what is not needed any more; what went.

    Kept are the newest ``keep_daily`` of all, the last of each of so many days, the last of ``keep_weekly`` weeks.
    """
    found = list_backups(backups)
    by_day = {manifest.made_at[:10]: path for path, manifest in found}
    by_week: dict[tuple[int, int], Path] = {}
    for day, path in by_day.items():
        by_week[_week(day)] = path
    daily = max(1, keep_daily)
    kept = {path for path, _ in found[-daily:]} | set(list(by_day.values())[-daily:])
    if keep_weekly:
        kept |= set(list(by_week.values())[-keep_weekly:])
    gone = [path for path, _ in found if path not in kept]
    for path in gone:
        shutil.rmtree(path)
    for partial in backups.glob(f"{PREFIX}*{PARTIAL}"):
        shutil.rmtree(partial, ignore_errors=True)
    return gone


def _week(day: str) -> tuple[int, int]:
    from datetime import date

    year, week, _ = date.fromisoformat(day).isocalendar()
    return year, week


def _write(path: Path, body: bytes) -> None:
    with path.open("xb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
