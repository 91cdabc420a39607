"""Tape files: what was written is read, whatever the end looks like; the total stays bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import OutOfSequence
from storage.tape import TapeWriter, read_tape, tape_files

DAY = 20131007


def files(directory: Path) -> list[Path]:
    return [path for _, _, path in tape_files(directory / "tape")]


def test_records_come_back_from_any_number(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path)
    records = [b"r%d" % number for number in range(1, 31)]
    for start in range(0, 30, 4):
        writer.append(DAY + start // 10, start + 1, records[start : start + 4])
    writer.close()
    assert [path.name for path in files(tmp_path)] == ["20131007.tape", "20131008.tape", "20131009.tape"]
    for from_seq in range(33):
        assert list(read_tape(tmp_path, from_seq)) == list(enumerate(records, 1))[max(0, from_seq - 1) :]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 400), flip=st.booleans())
def test_a_torn_end_costs_at_most_what_was_torn(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bool
) -> None:
    directory = tmp_path_factory.mktemp("tape")
    writer = TapeWriter(directory)
    whole = [(seq, b"x" * seq) for seq in range(1, 13)]
    for start in range(0, 12, 3):
        writer.append(DAY, start + 1, [record for _, record in whole[start : start + 3]])
    writer.close()
    (path,) = files(directory)
    data = bytearray(path.read_bytes())
    position = min(cut, len(data) - 1)
    if flip:
        data[position] ^= 0x40
    else:
        del data[position:]
    path.write_bytes(data)
    got = list(read_tape(directory, 1))
    assert got == whole[: len(got)]
    assert len(got) % 3 == 0
    writer = TapeWriter(directory)
    writer.append(DAY, 13, [b"next"])
    writer.close()
    assert list(read_tape(directory, 13)) == [(13, b"next")]


def test_a_restart_voids_what_it_takes_back(tmp_path: Path) -> None:
    for first, text in ((1, b"a"), (8, b"b"), (5, b"c")):
        writer = TapeWriter(tmp_path)
        writer.append(DAY, first, [text] * 9)
        writer.close()
    got = list(read_tape(tmp_path, 1))
    assert got == [(seq, b"a") for seq in range(1, 5)] + [(seq, b"c") for seq in range(5, 14)]
    assert list(read_tape(tmp_path, 9)) == [(seq, b"c") for seq in range(9, 14)]


def test_the_total_stays_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path, max_file_bytes=2_000, max_total_bytes=8_000)
    for seq in range(1, 200):
        writer.append(DAY + seq // 100, seq, [b"x" * 200])
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 8_000
    writer.close()
    numbers = [seq for seq, _ in read_tape(tmp_path, 1)]
    assert numbers == list(range(numbers[0], 200))
    assert len(numbers) > 20
    assert all(path.stat().st_size <= 2_000 for path in files(tmp_path))


def test_numbers_never_go_back_but_may_jump(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path)
    writer.append(DAY, 5, [b"a", b"b"])
    with pytest.raises(OutOfSequence):
        writer.append(DAY, 6, [b"c"])
    writer.append(DAY, 10, [b"d"])
    writer.close()
    assert [seq for seq, _ in read_tape(tmp_path, 0)] == [5, 6, 10]


def test_no_tape_yet_is_an_empty_tape(tmp_path: Path) -> None:
    assert list(read_tape(tmp_path, 1)) == []
