"""The script of a replay: timed commands, one JSON object a line (contracts §2).

Invariants: the whole script is read and checked before anything runs; ``at`` never decreases.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from actors.book.units import BadNumber, parse_time


class ScriptError(ValueError):
    """A script that cannot be run: one sentence naming file and line."""


class _Line(Struct):
    at: str
    account: str
    method: str
    params: dict[str, Any]


class Command(Struct, frozen=True):
    """One line of a script."""

    at: int
    account: str
    method: str
    params: dict[str, Any]


class Script(Struct, frozen=True):
    """A checked script and the hash of its bytes."""

    commands: tuple[Command, ...]
    digest: bytes


def read_script(path: Path) -> Script:
    """Read and check a script. Raises :class:`ScriptError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"cannot read the script {path}: {error.strerror}") from None
    decoder = msgspec.json.Decoder(_Line)
    commands: list[Command] = []
    last = 0
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
            at = parse_time(line.at)
        except (msgspec.DecodeError, BadNumber, RecursionError, UnicodeDecodeError) as error:
            raise ScriptError(f"{path}, line {number}: {error}") from None
        if at < last:
            raise ScriptError(f"{path}, line {number}: `at` is earlier than the line before")
        last = at
        commands.append(Command(at, line.account, line.method, line.params))
    return Script(tuple(commands), blake2b(data, digest_size=32).digest())
