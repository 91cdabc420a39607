"""The output file of a replay: only durable lines, cut and continued after a crash.

Invariant: after :meth:`Output.open` the file holds exactly the lines of the durable steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from actors.inputs import Step
from mbtd import failpoints
from mbtd.records.lines import Lines

_encode = msgspec.json.Encoder().encode


def encode_lines(lines: Lines, steps: Iterable[Step]) -> bytes:
    """The bytes of the steps' lines."""
    parts = [_encode(line) for step in steps for line in lines.render(step)]
    return b"\n".join([*parts, b""]) if parts else b""


class Output:
    """An open output file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self.length = length

    @classmethod
    def open(cls, path: Path, durable: Iterable[bytes], length: int) -> Output:
        """Cut the file to ``length`` bytes, or write ``durable`` again when it is missing or too short."""
        if path.exists() and path.stat().st_size >= length:
            file: BinaryIO = path.open("r+b")
            file.truncate(length)
            file.seek(length)
            return cls(file, length)
        file = path.open("wb")
        for chunk in durable:
            file.write(chunk)
        file.flush()
        return cls(file, length)

    def write(self, chunk: bytes) -> None:
        """Append lines whose steps are durable."""
        if failpoints.armed is not None and chunk:
            self._file.write(chunk[: len(chunk) // 2])
            self._file.flush()
            failpoints.reach("output.middle")
            chunk = chunk[len(chunk) // 2 :]
        if chunk:
            self._file.write(chunk)
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
