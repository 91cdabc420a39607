"""Who was erased, kept outside every backup, so that a restore erases them again.

``tombstones.jsonl`` in the state directory: the first line holds a random salt, each further line a user's salted
hash, the numbers of the accounts, the time, and whether the bytes are gone. No line names anybody.
Invariant: a line is on disk before the first byte is erased; lines are only added.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = "tombstones.jsonl"
_SALT_BYTES = 32


class _Salt(Struct, frozen=True):
    salt: str


class Tombstone(Struct, frozen=True):
    """One erased user."""

    mark: str
    account_nos: tuple[int, ...]
    at: str
    done: bool = False


class Tombstones:
    """The file of one state directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        self._salt = bytes.fromhex(msgspec.json.decode(lines[0], type=_Salt).salt) if lines else b""
        known = (msgspec.json.decode(line, type=Tombstone) for line in lines[1:] if line)
        self.known: dict[str, Tombstone] = {stone.mark: stone for stone in known}

    def mark(self, user_id: str) -> bytes:
        """The salted hash that stands for a user."""
        if not self._salt:
            self._salt = os.urandom(_SALT_BYTES)
            self._append(_Salt(self._salt.hex()))
        return blake2b(user_id.encode(), key=self._salt, digest_size=32).digest()

    def set(self, stone: Tombstone) -> None:
        """Add a line; on disk when this returns."""
        self.known[stone.mark] = stone
        self._append(stone)

    @property
    def unfinished(self) -> list[Tombstone]:
        """Erasures whose bytes may still be there."""
        return [stone for stone in self.known.values() if not stone.done]

    def _append(self, line: Struct) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        parent = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
