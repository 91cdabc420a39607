"""What durability costs on this disk without mbtd: the anchors of every ratio.

``rows_b64``: 64 ready-made rows of 111 bytes a transaction. ``frame_b1``: one such row a transaction. Both with
a write-ahead log and ``synchronous=FULL``, as mbtd itself commits. To be called between the measured windows, so
that drift of the host meets both.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

_EVENT: Final = os.urandom(111)
ROWS: Final = 64


class Anchors:
    """Measures both anchors beside a state directory and keeps every slice."""

    def __init__(self, directory: Path, slice_s: float) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="anchor", dir=directory))
        self._slice_s = slice_s
        self.rows_b64: list[float] = []
        """Events a second of each slice."""
        self.frame_b1: list[float] = []
        """Commits a second of each slice."""
        self.frame_b1_us: list[float] = []
        """Microseconds of every single commit."""

    def measure(self) -> None:
        """One slice of each."""
        self.rows_b64.append(self._rows())
        self.frame_b1.append(self._frames())

    def close(self) -> None:
        """Remove the databases."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def rows(self) -> float:
        """Median of ``rows_b64``."""
        return statistics.median(self.rows_b64)

    def frames(self) -> float:
        """Median of ``frame_b1``."""
        return statistics.median(self.frame_b1)

    def _open(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            (self._directory / f"j{suffix}").unlink(missing_ok=True)
        connection = sqlite3.connect(self._directory / "j", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("PRAGMA synchronous=FULL").fetchall()
        connection.execute("CREATE TABLE j (seq INTEGER PRIMARY KEY, account INT, body BLOB)")
        return connection

    def _rows(self) -> float:
        connection = self._open()
        seq, begin = 0, time.perf_counter()
        while (now := time.perf_counter()) - begin < self._slice_s:
            connection.execute("BEGIN IMMEDIATE")
            rows = [(seq + i, i, _EVENT) for i in range(ROWS)]
            connection.executemany("INSERT INTO j VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")
            seq += ROWS
        connection.close()
        return seq / (now - begin)

    def _frames(self) -> float:
        connection = self._open()
        seq, begin = 0, time.perf_counter()
        now = begin
        while now - begin < self._slice_s:
            connection.execute("INSERT INTO j VALUES (?, ?, ?)", (seq, 1, _EVENT))
            seq += 1
            after = time.perf_counter()
            self.frame_b1_us.append((after - now) * 1e6)
            now = after
        connection.close()
        return seq / (now - begin)
