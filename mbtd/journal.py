"""The journal of the daemon: committed here, on the loop, and handed on to the writer process in batches.

Invariants: a group is durable when :meth:`Journal.commit` returns; the writer gets every group once, in order,
under its own epoch; a group is deleted here only when the writer has synced it to its disk too. A start puts what
the writer lacks into its store before anything else, so the two never disagree.

Why on the loop: with one client the hops to another process and back cost more than the commit itself, and on two
cores they take them from the clients (docs/adr/0008). Known limit: a disk that takes long for a sync holds the loop
up that long, once a group.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from msgspec.structs import replace

from mbtd.failpoints import store_type
from storage.errors import Corrupt, OutOfSequence
from storage.records import Group, Head
from storage.remote import RemoteStore
from storage.sqlite import SqliteStore

DIRECTORY = "journal"
PASS_ON_GROUPS = 32
PASS_ON_NS = 20_000_000
CHECKPOINT_PAGES = 2_000
TRIM_GROUPS = 2_000
SYNC_FAR_NS = 5_000_000_000
LOG_BYTES = 8 * 1024 * 1024
"""What the write-ahead log holds before it is moved home and begun again."""
ROOMY = 16
"""The log is given its size in advance only where so many times as much is free."""
BALLAST_MAX_BYTES = 1024 * 1024


def open_front(directory: Path, *, take_epoch: bool, ballast_bytes: int = BALLAST_MAX_BYTES) -> SqliteStore:
    """The journal's own store, below the state directory."""
    path = directory / DIRECTORY
    path.mkdir(mode=0o700, exist_ok=True)
    kind = store_type() if take_epoch else SqliteStore
    front = kind.open(
        path, take_epoch=take_epoch, ballast_bytes=min(ballast_bytes, BALLAST_MAX_BYTES) if take_epoch else 0
    )
    if take_epoch and shutil.disk_usage(path).free > ROOMY * LOG_BYTES:
        front.warm(LOG_BYTES)
    return front


def catch_up(front: SqliteStore, store: SqliteStore) -> int:
    """Give the writer's store the groups that it lacks; returns how many.

    Raises ``Corrupt`` when the journal lacks groups that the store has: files of two times lie together.
    """
    head = store.head()
    last = front.head().seq
    if last < head.seq:
        raise Corrupt(
            f"the journal ({front.directory}) ends at event {last}, before the store's {head.seq}: its files are "
            "missing or older; put them back, or restore a backup (mbtd restore)"
        )
    known = (head.seq, head.input_seq, head.tape_pos, head.at)
    count = 0
    for group in front.groups(head.seq):
        # A timer can move state without an event and without an input of its own; then only the time tells.
        if (group.seq_last, group.input_seq, group.tape_pos, group.at) > known:
            try:
                store.append(replace(group, epoch=head.epoch))
            except OutOfSequence as error:
                raise Corrupt(f"the journal ({front.directory}) does not continue the store: {error}") from error
            count += 1
    return count


class Journal:
    """Commits groups and passes them on."""

    def __init__(self, front: SqliteStore, far: RemoteStore, far_head: Head) -> None:
        self._front = front
        self._far = far
        self._far_epoch = far_head.epoch
        self._waiting: list[Group] = []
        self._since = 0
        self.far_seq = far_head.seq
        """The last event number that the writer has committed."""
        self._far_synced_seq = far_head.seq
        """The last one that its disk has for certain."""
        self._synced_at = 0

    @property
    def head(self) -> Head:
        """Where the journal stands."""
        return self._front.head()

    def commit(self, group: Group, now: int) -> None:
        """Make a group durable. Raises ``StorageFull`` (nothing stored) or ``StorageBroken``."""
        self._front.append(group)
        if not self._waiting:
            self._since = now
        self._waiting.append(group)

    def pass_on(self, now: int, *, at_once: bool = False) -> None:
        """Hand what has gathered to the writer, when it is enough or old enough."""
        waiting = self._waiting
        if not waiting:
            return
        if at_once or len(waiting) >= PASS_ON_GROUPS or now - self._since >= PASS_ON_NS:
            self._waiting = []
            self._far.append_all_nowait([replace(group, epoch=self._far_epoch) for group in waiting])

    @property
    def ballast_held(self) -> bool:
        """Whether there is room: the ballast file is in its place."""
        return self._front.ballast_held

    def restore_ballast(self) -> bool:
        """Take the ballast back, if there is room again."""
        return self._front.restore_ballast()

    async def sync_far(self, now: int) -> None:
        """Have the writer sync what it has, now and then: only then may it be forgotten here."""
        if now - self._synced_at < SYNC_FAR_NS or self.far_seq == self._far_synced_seq:
            return
        self._synced_at = now
        seq = self.far_seq
        # A reader can keep pages from moving home, and then nothing was synced: ask again later.
        if await self._far.checkpoint(truncate=False) == 0:
            self._far_synced_seq = seq

    def tidy(self) -> None:
        """Delete what the writer has for certain, and move pages home when there are many."""
        self._front.trim(self._far_synced_seq + 1, TRIM_GROUPS, projected_elsewhere=True)
        if self._front.wal_pages >= CHECKPOINT_PAGES:
            self._front.checkpoint(truncate=False)

    async def scrub(self, below_seq: int) -> None:
        """Write the journal's files anew without the groups below ``below_seq``, which the writer must have."""
        seq = min(below_seq - 1, self.far_seq)
        await self._far.checkpoint(truncate=True)
        self._far_synced_seq = max(self._far_synced_seq, seq)
        self._front.trim(self._far_synced_seq + 1, projected_elsewhere=True)
        self._front.rewrite()

    def close(self) -> None:
        """Move everything home and close, after the writer has ended well."""
        self._front.trim(self.far_seq + 1, projected_elsewhere=True)
        self._front.checkpoint(truncate=False)
        self._front.close()
