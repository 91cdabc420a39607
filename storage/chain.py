"""The journal's own rules, shared by every adapter: what may follow the head, and the hash chain.

``hash = BLAKE2b-256(prev_hash || header || body || moved)``, where the header is the six numbers and the
three blob lengths as big-endian int64, then the cursor. The lengths make the concatenation unambiguous.
"""

from __future__ import annotations

import struct
from hashlib import blake2b

from storage.errors import OutOfSequence, StaleWriter
from storage.records import Group, Head, Snapshot

GENESIS = bytes(32)
"""The previous hash of the very first group."""

_HEADER = struct.Struct(">9q")


def next_hash(prev_hash: bytes, group: Group) -> bytes:
    """The group's hash, given the hash before it."""
    digest = blake2b(prev_hash, digest_size=32)
    digest.update(
        _HEADER.pack(
            group.epoch,
            group.seq_first,
            group.seq_last,
            group.input_seq,
            group.tape_pos,
            group.at,
            len(group.cursor),
            len(group.body),
            len(group.moved),
        )
    )
    digest.update(group.cursor)
    digest.update(group.body)
    digest.update(group.moved)
    return digest.digest()


def check_follows(head: Head, group: Group) -> None:
    """Raise ``StaleWriter`` or ``OutOfSequence`` unless the group may follow the head."""
    if group.epoch != head.epoch:
        raise StaleWriter(f"the group is of epoch {group.epoch}, the store is at {head.epoch}; end this writer")
    if group.seq_first != head.seq + 1:
        raise OutOfSequence(f"seq_first is {group.seq_first}, expected {head.seq + 1}")
    if group.seq_last < group.seq_first - 1:
        raise OutOfSequence(f"seq_last {group.seq_last} lies before seq_first {group.seq_first}")
    if group.input_seq < head.input_seq:
        raise OutOfSequence(f"input_seq goes back from {head.input_seq} to {group.input_seq}")
    if group.tape_pos < head.tape_pos:
        raise OutOfSequence(f"tape_pos goes back from {head.tape_pos} to {group.tape_pos}")


def check_snapshot(head: Head, snapshot: Snapshot) -> None:
    """Raise ``OutOfSequence`` for a snapshot that knows more than the journal holds."""
    if snapshot.seq > head.seq:
        raise OutOfSequence(
            f"the snapshot of account {snapshot.account_no} is as of {snapshot.seq}, but only {head.seq} is durable"
        )


def head_after(head: Head, group: Group, digest: bytes) -> Head:
    """The head once the group is durable."""
    return Head(
        head.epoch,
        group.seq_last,
        group.input_seq,
        group.tape_pos,
        group.at,
        group.cursor,
        digest,
        head.data_epoch,
    )
