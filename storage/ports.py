"""The store as everybody else sees it. One contract suite (tests/contracts) holds for every adapter.

All calls are synchronous; one caller at a time. Nothing is half done: a call that raises stored nothing,
except ``StorageBroken``, after which what is durable is unknown and only a new start tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from storage.records import Group, Head, Project, Snapshot


class Store(Protocol):
    """Journal, snapshots, projections and a few named values of one engine."""

    def head(self) -> Head:
        """Where the store stands. Its ``epoch`` is what the next group must carry."""
        ...

    def append(self, group: Group) -> bytes:
        """Make one group durable and return its hash.

        Raises ``StaleWriter``, ``OutOfSequence``, ``StorageFull`` (nothing stored) or ``StorageBroken``.
        """
        ...

    def groups(self, after_seq: int) -> Iterator[Group]:
        """Groups with an event after ``after_seq``, and every one behind it, in order.

        Groups without events that stand directly behind ``after_seq`` are included. Begins at the oldest
        group kept (see ``trimmed_seq``). Raises ``Corrupt`` when the hash chain does not hold.
        """
        ...

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Store them in one transaction. An older snapshot never replaces a newer one of its account.

        Raises ``OutOfSequence`` for a snapshot beyond the head, ``StaleWriter``, ``StorageFull``,
        ``StorageBroken``.
        """
        ...

    def snapshot(self, account_no: int) -> Snapshot | None:
        """The account's latest stored snapshot."""
        ...

    def snapshots(self, live_or_due_before: int | None) -> Iterator[Snapshot]:
        """All, or those with live orders or ``0 < next_due < live_or_due_before``; by ``account_no``."""
        ...

    def project(self, project: Project, budget_groups: int) -> int:
        """Carry up to ``budget_groups`` journal groups into the projections; return how many remain.

        Rows and cursor move in one transaction, so every group is projected exactly once. What ``project``
        raises is passed on and nothing is stored.
        """
        ...

    def projected_seq(self) -> int:
        """The last event number the projections contain."""
        ...

    def projection_backlog(self) -> int:
        """How many journal groups await projection."""
        ...

    def rows(self, table: str) -> Iterator[tuple[object, ...]]:
        """Every row of a projection table, by key."""
        ...

    def trim(self, below_seq: int, budget_groups: int | None = None) -> int:
        """Delete groups that lie wholly below ``below_seq`` and are projected; return how many went.

        The caller's number is what snapshots still need. The hash and cursor of the last deleted group are
        kept, so the chain and the head stay whole.
        """
        ...

    def trimmed_seq(self) -> int:
        """The last event number no longer in the journal."""
        ...

    def checkpoint(self, truncate: bool) -> int:
        """Move what is durable to its final place; return how many pages of the log are left over."""
        ...

    def set_meta(self, key: str, value: bytes) -> None:
        """Store a small named value, durable on return."""
        ...

    def get_meta(self, key: str) -> bytes | None:
        """Read one back."""
        ...

    def close(self) -> None:
        """Release everything. Nothing else may be called after it, itself excepted."""
        ...
