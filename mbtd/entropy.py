"""Where randomness comes from: the system for secrets and the first seed, a seed for tests and replays.

Chance in the book is not drawn here: it is counter-based and derives from the account's seed (fill model §5).
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Protocol


class Entropy(Protocol):
    """A source of unpredictable bytes."""

    def draw(self, size_bytes: int) -> bytes: ...


class SystemEntropy:
    """The operating system's source; fit for secrets."""

    def draw(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)


class SeededEntropy:
    """The same bytes for the same seed, however they are asked for in pieces. Never for real secrets."""

    def __init__(self, seed: bytes) -> None:
        self._key = blake2b(seed, digest_size=32, person=b"mbtd.entropy").digest()
        self._block = 0
        self._left = b""

    def draw(self, size_bytes: int) -> bytes:
        while len(self._left) < size_bytes:
            self._left += blake2b(self._block.to_bytes(8, "big"), key=self._key).digest()
            self._block += 1
        drawn, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return drawn
