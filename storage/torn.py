"""Whether a write-ahead log was damaged behind SQLite's back (its format: sqlite.org/fileformat2.html, section 4).

SQLite reads a log up to the first frame whose checksum does not hold and takes the rest for never written. A process
that dies leaves at most its last frame like that, and a commit that found the disk full no frame that ends a commit;
such a frame behind one that does not hold means that what was committed has changed since.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC, _BIG_ENDIAN = 0x377F0682, 1
_MASK = 0xFFFFFFFF


def lost_commits(log: Path) -> int:
    """How many commits end behind the first frame that does not hold; 0 for a log that is whole, cut off or missing.

    Of a log whose header does not hold, every commit that bears the header's salts.
    """
    if not log.is_file():
        return 0
    with log.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return 0
        magic, _, page_bytes, _, salt1, salt2, sum1, sum2 = _HEADER.unpack(head)
        order = ">" if magic & _BIG_ENDIAN else "<"
        sums = _checksum(head[:24], (0, 0), order)
        holds = magic & ~_BIG_ENDIAN == _MAGIC and sums == (sum1, sum2)
        if not 512 <= page_bytes <= 65_536:
            return 0
        lost = 0
        while len(frame := file.read(_FRAME.size + page_bytes)) == _FRAME.size + page_bytes:
            _, database_pages, frame1, frame2, sum1, sum2 = _FRAME.unpack(frame[: _FRAME.size])
            if (frame1, frame2) != (salt1, salt2):
                holds = False  # of an older generation, as is what follows it; or these bytes have changed
            elif holds:
                sums = _checksum(frame[_FRAME.size :], _checksum(frame[:8], sums, order), order)
                holds = sums == (sum1, sum2)
            elif database_pages:
                lost += 1
    return lost


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
