"""The link's framing: any chunking gives the same messages, garbage gives ``FrameError`` and nothing else."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.frames import (
    Append,
    Appended,
    Failed,
    FrameError,
    FrameReader,
    PutSnapshots,
    Request,
    Stop,
    Trim,
    decode_answer,
    decode_request,
    encode,
)
from storage.records import Group, Snapshot

int64 = st.integers(-(2**63), 2**63 - 1)
groups = st.builds(Group, int64, int64, int64, int64, int64, int64, st.binary(), st.binary(max_size=300), st.binary())
snapshots = st.builds(Snapshot, int64, int64, int64, int64, st.booleans(), st.binary())
requests = st.one_of(
    st.builds(Append, groups),
    st.builds(PutSnapshots, st.lists(snapshots, max_size=3)),
    st.builds(Trim, int64),
    st.just(Stop()),
)


@given(st.lists(requests, max_size=6), st.data())
def test_any_chunking_gives_the_same_messages(sent: list[Request], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = FrameReader()
    received: list[Request] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += map(decode_request, reader.feed(stream[start:end]))
    assert received == sent
    assert reader.unfinished_bytes == 0


@given(st.binary(max_size=400))
def test_garbage_is_refused_by_name(data: bytes) -> None:
    reader = FrameReader(max_frame_bytes=1000)
    try:
        for frame in reader.feed(data):
            decode_request(frame)
            decode_answer(frame)
    except FrameError:
        pass


def test_a_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError, match="1001 bytes"):
        FrameReader(max_frame_bytes=1000).feed(struct.pack(">I", 1001))


def test_an_answer_is_no_request() -> None:
    (frame,) = FrameReader().feed(encode(Failed("broken", "why")))
    assert decode_answer(frame) == Failed("broken", "why")
    with pytest.raises(FrameError):
        decode_request(frame)


def test_a_frame_with_bytes_too_many_is_refused() -> None:
    with pytest.raises(FrameError):
        decode_answer(msgspec.msgpack.encode(Appended(1, b"", 1)) + b"\x00")
