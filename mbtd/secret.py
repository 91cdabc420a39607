"""Values that must not be seen: in no log, error, ``repr``, metric, backup or process list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

import msgspec

MASK = "***"
SHORTEST_CHARACTERS = 6
"""A shorter text is not masked wherever it occurs: it would blot out ordinary words."""
_TELLING = re.compile(r"secret|password|passwd|token|authorization|credential|private_key|api_key", re.IGNORECASE)


class Secret:
    """A text that shows itself only when asked by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it where the text is used, and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written anywhere")


class Mask:
    """Blots out known secrets in whatever is about to leave the process as text."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._written: dict[bytes, None] = {}
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Learn one more secret, plain and as it looks inside JSON and inside a ``repr``."""
        text = secret.reveal()
        if len(text) < SHORTEST_CHARACTERS:
            return
        for form in (text, repr(text)[1:-1], repr(text.encode("utf-8", "backslashreplace"))[2:-1]):
            self._written[form.encode("utf-8", "backslashreplace")] = None
            self._written[msgspec.json.encode(form)[1:-1]] = None

    def cover(self, line: bytes) -> bytes:
        """The line without any known secret."""
        for written in self._written:
            if written in line:
                line = line.replace(written, MASK.encode())
        return line


def is_telling(key: str) -> bool:
    """True when a key's name says that its value is a secret."""
    return _TELLING.search(key) is not None
