"""What daemon and writer process say to each other, and how it is cut into frames. No I/O.

A frame is a 4-byte big-endian length and that many bytes of msgpack. Requests and answers are tagged arrays.
The peer is our own process, so a frame that is too long or cannot be read is a fault of the link, not of a
client: ``FrameError``, after which the decoder is of no more use.
"""

from __future__ import annotations

import struct
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from storage.errors import (
    Corrupt,
    OutOfSequence,
    ProjectionFault,
    StaleWriter,
    StorageBroken,
    StorageError,
    StorageFull,
    WrongDatabase,
)
from storage.records import Group, Head, Snapshot

MAX_FRAME_BYTES = 64 * 1024 * 1024

Message = TypeVar("Message")

_LENGTH = struct.Struct(">I")

SpaceState = Literal["ok", "low", "stuck"]
"""``low``: the ballast was freed and groups still commit; ``stuck``: a group waits for space and is tried
again; ``ok``: the ballast is set aside again."""
FailureKind = Literal[
    "stale", "sequence", "full", "broken", "corrupt", "wrong_database", "projection", "protocol", "ended"
]
"""Why a writer stops for good. ``ended``: its process is gone without a word."""


class FrameError(StorageError):
    """The byte stream between daemon and writer is damaged."""


EXIT_STATUS: dict[FailureKind, int] = {
    "stale": 70,
    "sequence": 70,
    "projection": 70,
    "protocol": 70,
    "full": 74,
    "broken": 74,
    "ended": 74,
    "corrupt": 65,
    "wrong_database": 65,
}
"""What the process that cannot go on ends with: 74 for what only the disk or the host can mend."""

_KINDS: tuple[tuple[type[StorageError], FailureKind], ...] = (
    (StaleWriter, "stale"),
    (OutOfSequence, "sequence"),
    (StorageFull, "full"),
    (StorageBroken, "broken"),
    (Corrupt, "corrupt"),
    (WrongDatabase, "wrong_database"),
    (ProjectionFault, "projection"),
    (FrameError, "protocol"),
)


def kind_of(error: StorageError) -> FailureKind:
    """The name of a failure that ends a writer."""
    return next((kind for known, kind in _KINDS if isinstance(error, known)), "broken")


class Append(Struct, frozen=True, array_like=True, tag="append"):
    """Make the group durable. Answered by ``Appended``, in order."""

    group: Group


class PutSnapshots(Struct, frozen=True, array_like=True, tag="snapshots"):
    """Store snapshots when there is time. Answered by one or more ``Stored``."""

    snapshots: list[Snapshot]


class Trim(Struct, frozen=True, array_like=True, tag="trim"):
    """Delete projected groups below ``below_seq``, bit by bit when there is time. Answered by ``Trimmed``."""

    below_seq: int


class Checkpoint(Struct, frozen=True, array_like=True, tag="checkpoint"):
    """Checkpoint what is committed by then. Answered by ``Checkpointed``."""

    truncate: bool


class Flush(Struct, frozen=True, array_like=True, tag="flush"):
    """Project everything sent so far before other work. Answered by ``Flushed``."""


class SetMeta(Struct, frozen=True, array_like=True, tag="meta"):
    """Store a named value. Not answered."""

    key: str
    value: bytes


class Work(Struct, frozen=True, array_like=True, tag="work"):
    """Do one of the writer's jobs (storage.jobs). Answered by ``Worked``."""

    name: str
    argument: bytes


class Stop(Struct, frozen=True, array_like=True, tag="stop"):
    """Finish everything, truncate the log, answer ``Stopped`` and end."""


class Ready(Struct, frozen=True, array_like=True, tag="ready"):
    """The first answer: the store is open and this writer's epoch is ``head.epoch``."""

    head: Head
    projected_seq: int


class Appended(Struct, frozen=True, array_like=True, tag="appended"):
    """A group is on disk."""

    seq_last: int
    hash: bytes
    commit_ns: int
    """How long the commit took."""


class Stored(Struct, frozen=True, array_like=True, tag="stored"):
    """These snapshots are on disk: pairs of ``account_no`` and ``n``."""

    accounts: list[tuple[int, int]]


class Projected(Struct, frozen=True, array_like=True, tag="projected"):
    """Projections now contain every event up to ``seq``."""

    seq: int


class Trimmed(Struct, frozen=True, array_like=True, tag="trimmed"):
    groups: int


class Checkpointed(Struct, frozen=True, array_like=True, tag="checkpointed"):
    pages_left: int


class Worked(Struct, frozen=True, array_like=True, tag="worked"):
    """A job is done; an error says why it is not."""

    result: bytes
    error: str = ""


class Flushed(Struct, frozen=True, array_like=True, tag="flushed"):
    seq: int


class Space(Struct, frozen=True, array_like=True, tag="space"):
    """The disk has filled up or has room again."""

    state: SpaceState


class Failed(Struct, frozen=True, array_like=True, tag="failed"):
    """The last answer of a writer that cannot go on."""

    kind: FailureKind
    text: str


class Stopped(Struct, frozen=True, array_like=True, tag="stopped"):
    """The last answer of a writer that was asked to stop."""

    head: Head


Request = Append | PutSnapshots | Trim | Checkpoint | Flush | SetMeta | Work | Stop
Answer = Ready | Appended | Stored | Projected | Trimmed | Checkpointed | Flushed | Worked | Space | Failed | Stopped

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """The message as one frame."""
    buffer = bytearray(_LENGTH.size)
    _encoder.encode_into(message, buffer, _LENGTH.size)
    _LENGTH.pack_into(buffer, 0, len(buffer) - _LENGTH.size)
    return bytes(buffer)


def decode_request(frame: bytes) -> Request:
    """Raises ``FrameError``."""
    return _decoded(_requests, frame)


def decode_answer(frame: bytes) -> Answer:
    """Raises ``FrameError``."""
    return _decoded(_answers, frame)


def _decoded(decoder: msgspec.msgpack.Decoder[Message], frame: bytes) -> Message:
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # text that is not UTF-8: ValueError
        raise FrameError(f"a frame of {len(frame)} bytes cannot be read: {error}") from error


class FrameReader:
    """Cuts a byte stream, in whatever pieces it comes, into frames."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, without their lengths. Raises ``FrameError`` for a length beyond
        the limit."""
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self._max_frame_bytes:
                raise FrameError(f"a frame of {length} bytes exceeds the limit of {self._max_frame_bytes}")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            frames.append(bytes(memoryview(buffer)[start + _LENGTH.size : end]))
            start = end
        del buffer[:start]
        return frames

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of a frame that has not ended yet."""
        return len(self._buffer)
