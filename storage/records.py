"""What passes between the engine's side and the store: numbers and opaque bytes.

Invariants the store checks on every append: the group's ``epoch`` is the store's, ``seq_first`` is the
head's ``seq + 1``, ``input_seq`` and ``tape_pos`` never go back. The store computes the hash chain:
``hash = BLAKE2b-256(prev_hash || header || body || moved)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

Row = tuple[str, tuple[object, ...]]
"""A projection row: table name and its column values in the table's order."""
Lookup = Callable[[str, tuple[object, ...]], tuple[object, ...] | None]
"""Reads the present row of a projection table by primary key, pending rows of the same run included."""


class Group(Struct, frozen=True, array_like=True):
    """One durable unit: the events of one or more whole steps."""

    epoch: int
    seq_first: int
    """First event number in the group."""
    seq_last: int
    """Last event number; ``seq_first - 1`` when the group only moves the cursors."""
    input_seq: int
    tape_pos: int
    at: int
    """Engine time in nanoseconds UTC of the last step in the group."""
    cursor: bytes = b""
    """Opaque to the store: where the driver stands (script line, output length)."""
    body: bytes = b""
    """Opaque: the encoded steps with their inputs and events."""
    moved: bytes = b""
    """Opaque: state that moved without an event, by value."""


class Head(Struct, frozen=True, array_like=True):
    """Where the store stands after its last group."""

    epoch: int
    seq: int
    input_seq: int
    tape_pos: int
    at: int
    cursor: bytes
    hash: bytes
    data_epoch: str
    """Random text, changed when data was restored from a backup."""


class Snapshot(Struct, frozen=True, array_like=True):
    """One account as of event number ``seq``; ``n`` is the account's own event count."""

    account_no: int
    n: int
    seq: int
    next_due: int
    """Nanoseconds UTC of the next thing that must happen to the account; 0 for nothing."""
    live: bool
    """It has live orders, so it must be resident."""
    body: bytes


Project = Callable[[Sequence[Group], Lookup], Iterable[Row]]
"""Turns journal groups into archive and projection rows. Pure; called off the acknowledgement path."""
