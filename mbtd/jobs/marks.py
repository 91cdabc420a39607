"""When the last good backup, drill and verification were: one small file of the state directory.

Written by the commands that do these things, read by health and metrics. A file that cannot be read says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

FILE = "marks.json"
KINDS = ("backup", "drill", "verify")


class Marks:
    """The marks of one state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def read(self) -> dict[str, float]:
        """Kind to seconds since the epoch."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.DecodeError):
            return {}
        return {kind: at for kind, at in found.items() if kind in KINDS}

    def set(self, kind: str, at_s: float) -> None:
        """Note that one has just gone well."""
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(msgspec.json.encode(self.read() | {kind: at_s}))
        temporary.chmod(0o600)
        temporary.replace(self._path)
