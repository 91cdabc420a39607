"""The store in memory, with faults on demand, for simulations and tests.

It keeps the same rules as the SQLite store. A "process end" is simulated by :meth:`MemoryStore.reopened`: the
durable part lives in a ``Disk`` that several stores can share, so fencing works as between processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from msgspec import Struct, field

from storage.chain import GENESIS, check_follows, check_snapshot, head_after, next_hash
from storage.errors import Corrupt, ProjectionFault, StaleWriter, StorageBroken, StorageFull
from storage.records import Group, Head, Project, Snapshot
from storage.tables import TABLES, Pending

Fault = Literal["full", "broken_before", "broken_after"]
"""``full``: not stored, may be repeated. ``broken_before`` and ``broken_after``: an I/O error before the
group became durable, or after (durable though unacknowledged)."""
Faults = Callable[[int], Fault | None]
"""Given the number of the append attempt, from 1: the fault to inject, if any."""


class Disk(Struct):
    """What survives the end of a process."""

    epoch: int = 0
    data_epoch: str = "memory"
    journal: list[tuple[Group, bytes]] = field(default_factory=list)
    anchor: Group = Group(0, 1, 0, 0, 0, 0)
    anchor_hash: bytes = GENESIS
    anchor_no: int = 0
    """Number of the last trimmed group; ``journal[0]`` is the one after it."""
    projected: int = 0
    projected_seq: int = 0
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    meta: dict[str, bytes] = field(default_factory=dict)
    tables: dict[str, dict[tuple[object, ...], tuple[object, ...]]] = field(
        default_factory=lambda: {name: {} for name in TABLES}
    )


class MemoryStore:
    """``storage.ports.Store`` without a disk."""

    def __init__(self, disk: Disk | None = None, *, faults: Faults | None = None, take_epoch: bool = True) -> None:
        self.disk = Disk() if disk is None else disk
        self._faults = faults
        self._attempts = 0
        self._broken = False
        if take_epoch:
            self.disk.epoch += 1
        disk = self.disk
        group, digest = disk.journal[-1] if disk.journal else (disk.anchor, disk.anchor_hash)
        self._head = head_after(Head(disk.epoch, 0, 0, 0, 0, b"", b"", disk.data_epoch), group, digest)

    def reopened(self, faults: Faults | None = None) -> MemoryStore:
        """A new store over the same disk, as after a restart; this one is stale from now on."""
        return MemoryStore(self.disk, faults=faults)

    def head(self) -> Head:
        return self._head

    def append(self, group: Group) -> bytes:
        check_follows(self._head, group)
        self._check_writer()
        self._attempts += 1
        fault = self._faults(self._attempts) if self._faults else None
        if fault == "full":
            raise StorageFull("the disk is full (injected)")
        if fault == "broken_before":
            self._break()
        digest = next_hash(self._head.hash, group)
        self.disk.journal.append((group, digest))
        if fault == "broken_after":
            self._break()
        self._head = head_after(self._head, group, digest)
        return digest

    def _break(self) -> None:
        self._broken = True
        raise StorageBroken("writing failed (injected)")

    def _check_writer(self) -> None:
        if self._broken:
            raise StorageBroken("writing failed before (injected); open the store anew")
        if self.disk.epoch != self._head.epoch:
            raise StaleWriter(f"another writer has taken the store from epoch {self._head.epoch}; end this one")

    def groups(self, after_seq: int) -> Iterator[Group]:
        return (group for _, group in self._read(0) if max(group.seq_first, group.seq_last) > after_seq)

    def _read(self, start: int, limit: int | None = None) -> Iterator[tuple[int, Group]]:
        disk = self.disk
        prev_hash = disk.journal[start - 1][1] if start else disk.anchor_hash
        end = len(disk.journal) if limit is None else start + limit
        for index, (group, digest) in enumerate(disk.journal[start:end], start):
            if next_hash(prev_hash, group) != digest:
                raise Corrupt(f"the hash chain breaks at journal group {disk.anchor_no + index + 1}")
            prev_hash = digest
            yield disk.anchor_no + index + 1, group

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self._check_writer()
        for snapshot in snapshots:
            check_snapshot(self._head, snapshot)
        for snapshot in snapshots:
            present = self.disk.snapshots.get(snapshot.account_no)
            if present is None or snapshot.seq >= present.seq:
                self.disk.snapshots[snapshot.account_no] = snapshot

    def snapshot(self, account_no: int) -> Snapshot | None:
        return self.disk.snapshots.get(account_no)

    def snapshot_n(self, account_no: int) -> int:
        snapshot = self.disk.snapshots.get(account_no)
        return snapshot.n if snapshot is not None else 0

    def snapshots(self, live_or_due_before: int | None) -> Iterator[Snapshot]:
        for _, snapshot in sorted(self.disk.snapshots.items()):
            if live_or_due_before is None or snapshot.live or 0 < snapshot.next_due < live_or_due_before:
                yield snapshot

    def project(self, project: Project, budget_groups: int) -> int:
        self._check_writer()
        disk = self.disk
        batch = list(self._read(disk.projected - disk.anchor_no, budget_groups))
        if not batch:
            return 0
        pending = Pending(self._stored_row)
        for row in project([group for _, group in batch], pending.lookup):
            pending.add(row)
        self._check_unique(pending)
        for name, rows in pending.rows().items():
            for values in rows:
                disk.tables[name][values[: TABLES[name].key_width]] = values
        disk.projected, disk.projected_seq = batch[-1][0], batch[-1][1].seq_last
        return self.projection_backlog()

    def _check_unique(self, pending: Pending) -> None:
        accounts = dict(self.disk.tables["accounts"])
        accounts.update({row[:1]: row for row in pending.rows().get("accounts", [])})
        for column in (1, 2):
            if len({row[column] for row in accounts.values()}) != len(accounts):
                raise ProjectionFault(f"two accounts have the same {TABLES['accounts'].columns[column]}")

    def projected_seq(self) -> int:
        return self.disk.projected_seq

    def projection_backlog(self) -> int:
        return self.disk.anchor_no + len(self.disk.journal) - self.disk.projected

    def rows(self, table: str) -> Iterator[tuple[object, ...]]:
        rows = self.disk.tables[table]
        return iter([rows[key] for key in sorted(rows)])

    def _stored_row(self, table: str, key: tuple[object, ...]) -> tuple[object, ...] | None:
        return self.disk.tables[table].get(key)

    def trim(self, below_seq: int, budget_groups: int | None = None) -> int:
        self._check_writer()
        disk = self.disk
        removed = 0
        while (
            disk.anchor_no < disk.projected
            and max(disk.journal[0][0].seq_first, disk.journal[0][0].seq_last) < below_seq
            and (budget_groups is None or removed < budget_groups)
        ):
            disk.anchor, disk.anchor_hash = disk.journal.pop(0)
            disk.anchor_no += 1
            removed += 1
        return removed

    def trimmed_seq(self) -> int:
        return self.disk.anchor.seq_last

    def checkpoint(self, truncate: bool) -> int:
        return 0

    def set_meta(self, key: str, value: bytes) -> None:
        self._check_writer()
        self.disk.meta[key] = value

    def get_meta(self, key: str) -> bytes | None:
        return self.disk.meta.get(key)

    def close(self) -> None:
        pass
