"""The store on SQLite: one writing connection, one row per group, one auto-commit INSERT to append it.

Invariants: the connection is in autocommit mode and in no transaction between calls; every writing statement
or transaction proves that this writer's epoch is still the store's; ``group_no`` is dense; the oldest
journal row is an anchor without bytes (storage/migrations/m0001_initial.py).
Known limit: ``wal_pages`` is an estimate from above.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from storage import audit
from storage.ballast import BALLAST_BYTES, Ballast
from storage.chain import check_follows, check_snapshot, head_after, next_hash
from storage.database import FILE_NAME, open_database
from storage.errors import Corrupt, StaleWriter, StorageBroken, StorageFull, translated
from storage.migrations import MIGRATIONS, Step
from storage.records import Group, Head, Project, Snapshot
from storage.tables import TABLES, Pending

Result = TypeVar("Result")

_INSERT_GROUP = """
INSERT INTO journal (group_no, epoch, seq_first, seq_last, input_seq, tape_pos, at, cursor, hash, body, moved)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE (SELECT epoch FROM store) = ? AND (SELECT hash FROM journal WHERE group_no = ?) = ?
"""
_SELECT_GROUPS = """
SELECT group_no, hash, epoch, seq_first, seq_last, input_seq, tape_pos, at, cursor, body, moved
FROM journal WHERE group_no > ? ORDER BY group_no LIMIT ?
"""
_UPSERT_SNAPSHOT = """
INSERT INTO snapshots (account_no, n, seq, next_due, live, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account_no) DO UPDATE SET n = excluded.n, seq = excluded.seq, next_due = excluded.next_due,
    live = excluded.live, body = excluded.body WHERE excluded.seq >= snapshots.seq
"""
_MOVE_PROJECTION = "UPDATE store SET projected_group = ?, projected_seq = ?"
_UPSERT_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SELECT_NEEDED = """
SELECT account_no FROM snapshots WHERE live = 1
UNION SELECT account_no FROM snapshots WHERE next_due > 0 AND next_due < ? ORDER BY account_no
"""
_SNAPSHOT_COLUMNS = "account_no, n, seq, next_due, live, body"
_READ_GROUPS = 64
_READ_SNAPSHOTS = 500
_TRIM_GROUPS = 500
_PAGE_BYTES = 4096


class SqliteStore:
    """``storage.ports.Store`` in a state directory. Open with :meth:`open`."""

    def __init__(self, db: sqlite3.Connection, directory: Path, ballast: Ballast, *, take_epoch: bool) -> None:
        self._db = db
        self._ballast = ballast
        self.directory = directory
        self._broken: StorageBroken | None = None
        self.wal_pages = 0
        """Pages written since the last complete checkpoint, estimated from above."""
        self._guarded(lambda: self._load(take_epoch))

    @classmethod
    def open(
        cls,
        directory: Path | str,
        *,
        take_epoch: bool = True,
        ballast_bytes: int = BALLAST_BYTES,
        steps: Sequence[Step] = MIGRATIONS,
    ) -> SqliteStore:
        """Open or create the store. ``take_epoch`` makes this the one writer and every other one stale.

        Raises ``WrongDatabase``, ``Corrupt``, ``StorageFull`` or ``StorageBroken``.
        """
        directory = Path(directory)
        db = open_database(directory, steps)
        try:
            ballast = Ballast(directory, ballast_bytes)
            store = cls(db, directory, ballast, take_epoch=take_epoch)
            ballast.take()
        except BaseException:
            db.close()
            raise
        return store

    def _load(self, take_epoch: bool) -> None:
        if take_epoch:
            self._db.execute("UPDATE store SET epoch = epoch + 1")
        state = self._db.execute("SELECT epoch, data_epoch, projected_group, projected_seq FROM store").fetchone()
        last = self._db.execute(
            "SELECT group_no, seq_last, input_seq, tape_pos, at, cursor, hash "
            "FROM journal ORDER BY group_no DESC LIMIT 1"
        ).fetchone()
        if state is None or last is None:
            raise Corrupt("the journal has lost its anchor; restore the database from a backup")
        epoch, data_epoch, projected_group, projected_seq = state
        self._projected_group: int = projected_group
        self._projected_seq: int = projected_seq
        group_no, seq, input_seq, tape_pos, at, cursor, digest = last
        self._group_no: int = group_no
        self._head = Head(epoch, seq, input_seq, tape_pos, at, cursor, digest, data_epoch)
        self._oldest: int = self._db.execute("SELECT min(group_no) FROM journal").fetchone()[0]

    # -- journal

    def head(self) -> Head:
        return self._head

    def append(self, group: Group) -> bytes:
        head = self._head
        check_follows(head, group)
        digest = next_hash(head.hash, group)
        number = self._group_no + 1
        values = (
            number,
            group.epoch,
            group.seq_first,
            group.seq_last,
            group.input_seq,
            group.tape_pos,
            group.at,
            group.cursor,
            digest,
            group.body,
            group.moved,
            head.epoch,
            number - 1,
            head.hash,
        )
        if self._guarded(lambda: self._db.execute(_INSERT_GROUP, values).rowcount) != 1:
            raise StaleWriter(f"another writer has taken the store from epoch {head.epoch}; end this one")
        self._group_no = number
        self._head = head_after(head, group, digest)
        self.wal_pages += 3 + (len(group.body) + len(group.moved) + len(group.cursor)) // _PAGE_BYTES
        return digest

    def groups(self, after_seq: int) -> Iterator[Group]:
        return (group for _, group in self._read(self._position(after_seq)))

    def _position(self, after_seq: int) -> int:
        """The number of the last group that has nothing after ``after_seq``. Both numbers rise together."""
        low, high = self._oldest, self._group_no
        while low < high:
            middle = (low + high + 1) // 2
            row = self._one("SELECT seq_first, seq_last FROM journal WHERE group_no = ?", (middle,))
            first, last = row or (0, 0)
            if max(first, last) > after_seq:
                high = middle - 1
            else:
                low = middle
        return low

    def _read(self, position: int, limit: int | None = None) -> Iterator[tuple[int, Group]]:
        """Groups behind ``position`` with their numbers, proved against the chain as they come."""
        anchor = self._one("SELECT hash, seq_last FROM journal WHERE group_no = ?", (position,))
        if anchor is None:
            raise Corrupt(f"journal group {position} is missing; restore the database from a backup")
        prev_hash, seq = anchor
        end = self._group_no if limit is None else min(self._group_no, position + limit)
        while position < end:
            rows = self._all(_SELECT_GROUPS, (position, min(_READ_GROUPS, end - position)))
            if not rows:
                raise Corrupt(f"journal group {position + 1} is missing; restore the database from a backup")
            for number, stored_hash, *columns in rows:
                group = Group(*columns)
                if number != position + 1 or group.seq_first != seq + 1 or next_hash(prev_hash, group) != stored_hash:
                    raise Corrupt(
                        f"the hash chain breaks at journal group {number} "
                        f"(events {group.seq_first} to {group.seq_last}); restore the database from a backup"
                    )
                position, prev_hash, seq = number, stored_hash, group.seq_last
                yield number, group

    def trim(self, below_seq: int, budget_groups: int | None = None, *, projected_elsewhere: bool = False) -> int:
        """As the port says; ``projected_elsewhere`` leaves this store's own projections out of account."""
        goal = self._position(below_seq - 1)
        if not projected_elsewhere:
            goal = min(goal, self._projected_group)
        if budget_groups is not None:
            goal = min(goal, self._oldest + budget_groups)
        removed = 0
        while self._oldest < goal:
            step = min(goal, self._oldest + _TRIM_GROUPS)
            removed += step - self._oldest
            self._trim_to(step)
        return removed

    def _trim_to(self, anchor: int) -> None:
        def write() -> None:
            self._db.execute("DELETE FROM journal WHERE group_no < ?", (anchor,))
            self._db.execute("UPDATE journal SET body = x'', moved = x'' WHERE group_no = ?", (anchor,))

        self._write(write)
        self.wal_pages += 2 * (anchor - self._oldest) + 8
        self._oldest = anchor

    def trimmed_seq(self) -> int:
        row = self._one("SELECT seq_last FROM journal WHERE group_no = ?", (self._oldest,))
        if row is None:
            raise Corrupt("the journal has lost its anchor; restore the database from a backup")
        return int(row[0])

    # -- snapshots

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            check_snapshot(self._head, snapshot)
        rows = [(s.account_no, s.n, s.seq, s.next_due, int(s.live), s.body) for s in snapshots]
        self._write(lambda: self._db.executemany(_UPSERT_SNAPSHOT, rows))
        self.wal_pages += 2 + sum(3 + len(s.body) // _PAGE_BYTES for s in snapshots)

    def snapshot(self, account_no: int) -> Snapshot | None:
        row = self._one(f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots WHERE account_no = ?", (account_no,))
        return _snapshot(row) if row else None

    def snapshot_n(self, account_no: int) -> int:
        """The number of the last event that the account's snapshot covers; 0 without one."""
        row = self._one("SELECT n FROM snapshots WHERE account_no = ?", (account_no,))
        return int(row[0]) if row else 0

    def snapshots(self, live_or_due_before: int | None) -> Iterator[Snapshot]:
        if live_or_due_before is None:
            rows = self._all("SELECT account_no FROM snapshots ORDER BY account_no")
        else:
            rows = self._all(_SELECT_NEEDED, (live_or_due_before,))
        return self._snapshots_of([row[0] for row in rows])

    def _snapshots_of(self, numbers: list[int]) -> Iterator[Snapshot]:
        for start in range(0, len(numbers), _READ_SNAPSHOTS):
            chunk = numbers[start : start + _READ_SNAPSHOTS]
            sql = (
                f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots "
                f"WHERE account_no IN ({','.join('?' * len(chunk))}) ORDER BY account_no"
            )
            yield from map(_snapshot, self._all(sql, chunk))

    # -- projections

    def project(self, project: Project, budget_groups: int) -> int:
        batch = list(self._read(self._projected_group, budget_groups))
        if not batch:
            return 0
        number, last = batch[-1]
        pending = Pending(self._stored_row)
        for row in project([group for _, group in batch], pending.lookup):
            pending.add(row)
        rows = pending.rows()

        def write() -> None:
            for name, values in rows.items():
                self._db.executemany(TABLES[name].upsert(), values)
            audit.extend(self._db, rows.get("archive", ()))
            self._db.execute(_MOVE_PROJECTION, (number, last.seq_last))

        self._write(write)
        self._projected_group, self._projected_seq = number, last.seq_last
        self.wal_pages += 2 + 3 * sum(map(len, rows.values()))
        return self._group_no - number

    def projected_seq(self) -> int:
        return self._projected_seq

    def projection_backlog(self) -> int:
        return self._group_no - self._projected_group

    def rows(self, table: str) -> Iterator[tuple[object, ...]]:
        spec = TABLES[table]
        return iter(self._all(f"SELECT {', '.join(spec.columns)} FROM {spec.name} ORDER BY {', '.join(spec.key)}"))

    def _stored_row(self, table: str, key: tuple[object, ...]) -> tuple[object, ...] | None:
        return self._one(TABLES[table].select(), key)

    # -- the rest

    def checkpoint(self, truncate: bool) -> int:
        mode = "TRUNCATE" if truncate else "PASSIVE"
        busy, pages, moved = self._all(f"PRAGMA wal_checkpoint({mode})")[0]
        left = max(0, int(pages) - int(moved), int(busy))
        self.wal_pages = left
        return left

    def relax(self) -> None:
        """From now on a commit survives the process at once, and a loss of power with the next checkpoint.

        For a store behind another one that is synced with every commit and is not trimmed before that checkpoint.
        """
        self._db.execute("PRAGMA synchronous = NORMAL").fetchall()

    def warm(self, log_bytes: int) -> None:
        """Let the log take its size now, and keep it: a commit that overwrites is half as dear as one that grows.

        (A growing file costs the file system a journal entry of its own with every sync.)
        """
        log = self.directory / f"{FILE_NAME}-wal"
        if log.exists() and log.stat().st_size >= log_bytes:
            return
        self.set_meta("warm", bytes(log_bytes))
        self.set_meta("warm", b"")
        self.checkpoint(truncate=False)

    def set_meta(self, key: str, value: bytes) -> None:
        self._write(lambda: self._db.execute(_UPSERT_META, (key, value)))
        self.wal_pages += 3

    def get_meta(self, key: str) -> bytes | None:
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return row[0] if row else None

    def change(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run ``work`` on the connection in one fenced transaction: for erasure and retention."""
        self._write(lambda: work(self._db))
        self.wal_pages += 64

    def rewrite(self) -> None:
        """Write the file anew and empty the log, so that nothing deleted is left in any byte.

        Takes about a second for each 300 MB, in which this store commits nothing.
        """
        self._guarded(lambda: self._db.execute("VACUUM"))
        self.checkpoint(truncate=True)

    def plant(self, head: Head) -> None:
        """Begin the journal behind ``head``, with nothing before it: for the files of a restored state."""

        def write() -> None:
            self._db.execute("DELETE FROM journal")
            self._db.execute(
                "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'', x'')",
                (self._group_no + 1, head.epoch, head.seq + 1, head.seq, head.input_seq, head.tape_pos, head.at,
                 head.cursor, head.hash),
            )  # fmt: skip

        self._write(write)
        self._guarded(lambda: self._load(take_epoch=False))

    def renew_data_epoch(self) -> str:
        """Say that the data was restored from a backup: clients' stream positions are void."""
        self._write(lambda: self._db.execute("UPDATE store SET data_epoch = lower(hex(randomblob(8)))"))
        self._guarded(lambda: self._load(take_epoch=False))
        return self._head.data_epoch

    @property
    def ballast_held(self) -> bool:
        """False from the first full disk until ``restore_ballast`` succeeds."""
        return self._ballast.held

    def restore_ballast(self) -> bool:
        """Set the ballast aside again if there is room enough; True when it is held."""
        return self._ballast.take()

    def close(self) -> None:
        self._db.close()

    # -- every statement goes through here

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._guarded(lambda: self._db.execute(sql, values).fetchall())

    def _one(self, sql: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _write(self, work: Callable[[], object]) -> None:
        """One transaction, fenced by the epoch, whole or not at all."""

        def transaction() -> None:
            with self._transaction():
                work()

        self._guarded(transaction)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            epoch = self._db.execute("SELECT epoch FROM store").fetchone()[0]
            if epoch != self._head.epoch:
                raise StaleWriter(f"another writer has taken the store from epoch {self._head.epoch}; end this one")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk or an I/O error may have rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _guarded(self, work: Callable[[], Result]) -> Result:
        """Run it; on a full disk free the ballast and run it once more. SQLite's errors leave translated.

        After ``StorageBroken`` every call raises it again: a sync that failed once may succeed the next time
        without the data having reached the disk.
        """
        if self._broken is not None:
            raise StorageBroken(f"an earlier call failed: {self._broken}")
        try:
            return work()
        except sqlite3.Error as error:
            if not (isinstance(translated(error), StorageFull) and self._ballast.held):
                raise self._known(error) from error
        self._ballast.free()
        try:
            return work()
        except sqlite3.Error as error:
            raise self._known(error) from error

    def _known(self, error: sqlite3.Error) -> Exception:
        known = translated(error)
        if isinstance(known, StorageBroken):
            self._broken = known
        return known or error


def _snapshot(row: tuple[int, int, int, int, int, bytes]) -> Snapshot:
    account_no, n, seq, next_due, live, body = row
    return Snapshot(account_no, n, seq, next_due, bool(live), body)
