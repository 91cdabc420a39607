"""A file that only takes up space, so that a full disk still has room for what was already decided.

Freed on the first full disk; taken again once three times its size is free, so that the state does not flap.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 8 * 1024 * 1024
_HEADROOM = 3


class Ballast:
    """The ballast file of one state directory."""

    def __init__(self, directory: Path, size_bytes: int = BALLAST_BYTES) -> None:
        self._path = directory / "ballast"
        self._size_bytes = size_bytes
        self.held = self._size_on_disk() >= size_bytes
        """Whether the space is set aside at present."""

    def take(self) -> bool:
        """Set the space aside; False when the disk has too little of it, or refuses. Already held: True."""
        if not self.held:
            try:
                self.held = self._taken()
            except OSError:
                self.free()
        return self.held

    def _taken(self) -> bool:
        space = os.statvfs(self._path.parent)
        if space.f_bavail * space.f_frsize < _HEADROOM * self._size_bytes:
            return False
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        finally:
            os.close(descriptor)
        return True

    def free(self) -> None:
        """Give the space back to the disk."""
        self.held = False
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _size_on_disk(self) -> int:
        try:
            return self._path.stat().st_blocks * 512
        except FileNotFoundError:
            return 0
