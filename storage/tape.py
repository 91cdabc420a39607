"""The tape on disk: opaque records in daily files, bounded by their total size.

``tape/YYYYMMDD.tape``; a second and later file of one day is ``YYYYMMDD-2.tape`` and so on. A file begins
with the magic, then blocks follow: CRC-32 over the rest, first ``tape_seq``, count and length, then the
records, each with its length. Nothing is synced: receipts do not depend on the tape. After a crash the last
block of a file may be torn; readers stop before it and a writer never appends to an old file.
Records continue in number from file to file; where messages were lost the next file's first number is higher,
and where a restart took back what was not durable it is lower and voids what stands beyond it in older files.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from storage.errors import OutOfSequence

DIRECTORY_NAME = "tape"
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = 16 << 30

_MAGIC = b"mbtdtape1\n"
_BLOCK = struct.Struct(">IQII")
_CHECKSUM_BYTES = 4
_RECORD = struct.Struct(">I")
_NO_END = 1 << 63
_NAME = re.compile(r"(\d{8})(?:-(\d+))?\.tape")


class TapeWriter:
    """Appends records. One writer at a time; not durable, flushed to the kernel block by block."""

    def __init__(
        self,
        directory: Path | str,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
    ) -> None:
        self._directory = Path(directory) / DIRECTORY_NAME
        self._max_file_bytes = max_file_bytes
        self._max_total_bytes = max_total_bytes
        self._file: BinaryIO | None = None
        self._file_bytes = 0
        self._day = 0
        self._next_seq = 0

    def append(self, day: int, first_seq: int, records: Sequence[bytes]) -> None:
        """Write records numbered from ``first_seq`` into the file of ``day`` (YYYYMMDD).

        Numbers may jump ahead, never back in one writer's life: raises ``OutOfSequence``. ``OSError`` passes
        through; what was written of the block is then torn and the next append begins a new file.
        """
        if not records:
            return
        if first_seq < self._next_seq:
            raise OutOfSequence(f"tape_seq goes back from {self._next_seq} to {first_seq}")
        payload = b"".join(itertools.chain.from_iterable((_RECORD.pack(len(r)), r) for r in records))
        block = _BLOCK.pack(0, first_seq, len(records), len(payload)) + payload
        block = struct.pack(">I", zlib.crc32(memoryview(block)[_CHECKSUM_BYTES:])) + block[_CHECKSUM_BYTES:]
        if self._file is None or day != self._day or self._file_bytes + len(block) > self._max_file_bytes:
            self._begin_file(day)
        assert self._file is not None
        try:
            if self._file.write(block) != len(block):
                raise OSError(errno.ENOSPC, "a block of the tape was cut short")
        except OSError:
            self.close()
            raise
        self._file_bytes += len(block)
        self._next_seq = first_seq + len(records)

    def _begin_file(self, day: int) -> None:
        self.close()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        parts = [part for file_day, part, _ in tape_files(self._directory) if file_day == day]
        part = max(parts, default=0) + 1
        name = f"{day:08d}.tape" if part == 1 else f"{day:08d}-{part}.tape"
        # Unbuffered: a block is one write, so only the last one can be torn.
        self._file = (self._directory / name).open("xb", buffering=0)
        self._file.write(_MAGIC)
        self._file_bytes, self._day = len(_MAGIC), day
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Delete oldest files until a full new file fits into the total. The open file always stays."""
        files = [path for _, _, path in tape_files(self._directory)][:-1]
        total = sum(path.stat().st_size for path in files) + self._max_file_bytes
        for path in files:
            if total <= self._max_total_bytes:
                break
            total -= path.stat().st_size
            path.unlink()

    def close(self) -> None:
        """End the current file; the next append begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None


def tape_files(directory: Path) -> list[tuple[int, int, Path]]:
    """Day, part and path of the tape files in a directory, oldest first."""
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((int(match[1]), int(match[2] or 1), path))
    return sorted(found)


def read_tape(directory: Path | str, from_seq: int) -> Iterator[tuple[int, bytes]]:
    """Numbered records from ``from_seq`` on, as far as they are whole. The first number may be later.

    The files are those of this call: one that begins while the records are read is none of them.
    """
    files = [path for _, _, path in tape_files(Path(directory) / DIRECTORY_NAME)]
    ends = list(itertools.accumulate(map(_first_seq, reversed(files)), min, initial=_NO_END))
    return _records(list(zip(files, reversed(ends[:-1]), strict=True)), from_seq)


def _records(files: list[tuple[Path, int]], from_seq: int) -> Iterator[tuple[int, bytes]]:
    for path, end in files:
        if end > from_seq:
            for seq, record in _read_file(path, from_seq):
                if seq >= end:
                    break
                yield seq, record


def _first_seq(path: Path) -> int:
    with path.open("rb") as file:
        header = file.read(len(_MAGIC) + _BLOCK.size)
    if len(header) < len(_MAGIC) + _BLOCK.size or not header.startswith(_MAGIC):
        return _NO_END
    first: int = _BLOCK.unpack_from(header, len(_MAGIC))[1]
    return first


def _read_file(path: Path, from_seq: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return
        size = os.fstat(file.fileno()).st_size
        while len(header := file.read(_BLOCK.size)) == _BLOCK.size:
            checksum, first_seq, count, length = _BLOCK.unpack(header)
            if first_seq + count <= from_seq and file.tell() + length <= size:
                file.seek(length, os.SEEK_CUR)
                continue
            payload = file.read(length) if file.tell() + length <= size else b""
            if len(payload) != length or zlib.crc32(payload, zlib.crc32(header[_CHECKSUM_BYTES:])) != checksum:
                return
            position = 0
            for seq in range(first_seq, first_seq + count):
                (record_length,) = _RECORD.unpack_from(payload, position)
                position += _RECORD.size + record_length
                if seq >= from_seq:
                    yield seq, payload[position - record_length : position]
