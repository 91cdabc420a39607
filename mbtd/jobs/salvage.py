"""What damaged files still hold for certain: a state's two journals, group by group, and what is wrong with them.

Invariants: nothing here writes a byte; a group counts only if its hash follows from the hash stored before it; a
journal's end counts as known only when SQLite finds nothing wrong with its file. A damaged page costs the rows on
it and perhaps some beside it, not those before and behind.
Known limit: damage to the very last frame of a write-ahead log looks like a write that was cut off, which nobody was
told of; what was only in it shows when the other file has it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from msgspec import Struct

from mbtd.journal import DIRECTORY
from storage.backup import integrity
from storage.chain import next_hash
from storage.database import FILE_NAME
from storage.records import Group
from storage.torn import lost_commits

Place = tuple[int, int, int, int]
"""Where a journal stands behind a group: event, input, tape position, time. No two groups have the same."""
TEXTS_MAX = 5
_COLUMNS = "group_no, hash, epoch, seq_first, seq_last, input_seq, tape_pos, at, cursor, body, moved"
_ENDS = (
    "SELECT max(seq) FROM archive",
    "SELECT max(seq) FROM snapshots",
    "SELECT projected_seq FROM store",
)


class Entry(Struct, frozen=True):
    """A group that is there and right."""

    number: int
    seq_first: int
    place: Place


class Mark(Struct, frozen=True):
    """A row that can be read: a place from which its journal may be followed."""

    number: int
    hash: bytes


def place_of(group: Group) -> Place:
    """Where a journal stands behind this group."""
    return group.seq_last, group.input_seq, group.tape_pos, group.at


class Kept:
    """One of a state's journals. ``path`` may be damaged or missing."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.damage: list[str] = []
        """What is wrong with the file, in words; empty when nothing is."""
        self.entries: dict[int, Entry] = {}
        self.marks: dict[Place, Mark] = {}
        self.ends = False
        """Whether SQLite finds the file whole, so that nothing can follow the journal's last row unseen."""
        self.last_seq = 0
        """The highest event number that anything in the file speaks of."""
        self._unlike: list[int] = []
        if not path.is_file():
            self.damage.append(f"{path} is missing")
            return
        wrong = integrity(path)
        if torn := lost_commits(path.with_name(f"{path.name}-wal")):
            wrong.append(f"log: {torn} commits in {path.name}-wal lie behind a page that is not what was written")
        self.damage += [f"{path}: {text.partition(': ')[2] or text}" for text in wrong[:TEXTS_MAX]]
        self._read(trusted=not wrong)
        if wrong:
            self.damage += self._unreadable()
        self.damage += [f"{path}: journal group {no} is not what was written" for no in self._unlike[:TEXTS_MAX]]

    def group(self, number: int) -> Group:
        """The group's bytes again. Raises ``sqlite3.DatabaseError``."""
        with contextlib.closing(self._open()) as db:
            return Group(*_row(db, number)[2:])

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA cell_size_check = ON")
        return db

    def _read(self, *, trusted: bool) -> None:
        try:
            with contextlib.closing(self._open()) as db:
                whole = self._scan(db, "ASC")
                self.ends = whole and trusted
                if not whole:
                    self._scan(db, "DESC")
                for question in _ENDS:
                    with contextlib.suppress(sqlite3.DatabaseError):
                        self.last_seq = max(self.last_seq, db.execute(question).fetchone()[0] or 0)
        except sqlite3.DatabaseError as error:
            if not self.damage:
                self.damage.append(f"{self.path}: {error}")
        self.last_seq = max([self.last_seq, *(place[0] for place in self.marks)])

    def _scan(self, db: sqlite3.Connection, direction: str) -> bool:
        """Take rows in one direction until they end or one cannot be read; whether they ended."""
        before: tuple[int, bytes, Group] | None = None
        try:
            for number, digest, *columns in db.execute(
                f"SELECT {_COLUMNS} FROM journal ORDER BY group_no {direction}"
            ):
                group = Group(*columns)
                self.marks[place_of(group)] = Mark(number, digest)
                if before is not None:
                    old, new = (before, (number, digest, group)) if direction == "ASC" else (
                        (number, digest, group), before)  # fmt: skip
                    self._prove(old, new)
                before = (number, digest, group)
        except (sqlite3.DatabaseError, TypeError):
            return False
        return before is not None

    def _prove(self, old: tuple[int, bytes, Group], new: tuple[int, bytes, Group]) -> None:
        number, digest, group = new
        if number in self.entries:
            return
        follows = number == old[0] + 1 and group.seq_first == old[2].seq_last + 1
        if follows and next_hash(old[1], group) == digest:
            self.entries[number] = Entry(number, group.seq_first, place_of(group))
        elif number not in self._unlike:
            self._unlike.append(number)

    def _unreadable(self) -> list[str]:
        """Which tables cannot be read to their end."""
        try:
            with contextlib.closing(self._open()) as db:
                names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                bad = [name for name in sorted(names) if not _readable(db, name)]
        except sqlite3.DatabaseError:
            return [f"{self.path}: no table in it can be read"]
        return [f"{self.path}: cannot be read to the end: {', '.join(bad)}"] if bad else []


def kept_in(state: Path) -> tuple[Kept, Kept]:
    """The main database's journal, and the journal's own file, which has what was acknowledged last."""
    return Kept(state / FILE_NAME, "the main database"), Kept(state / DIRECTORY / FILE_NAME, "the journal")


def head_of(path: Path) -> tuple[int, bytes, Place]:
    """Number, hash and place of the last group of a whole database."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        (number,) = db.execute("SELECT max(group_no) FROM journal").fetchone()
        row = _row(db, number)
    return row[0], row[1], place_of(Group(*row[2:]))


def _row(db: sqlite3.Connection, number: int) -> tuple[Any, ...]:
    row = db.execute(f"SELECT {_COLUMNS} FROM journal WHERE group_no = ?", (number,)).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"journal group {number} is gone")
    found: tuple[Any, ...] = row
    return found


def _readable(db: sqlite3.Connection, name: str) -> bool:
    try:
        for _ in db.execute(f'SELECT * FROM "{name}"'):
            pass
    except sqlite3.DatabaseError:
        return False
    return True
