"""What a replay's state directory belongs to: a change of any input is refused before anything is touched.

Invariant: the file is written once, whole, before the store is made.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from actors.book.ids import MODEL_VERSION

FILE = "replay.json"


class OtherInputs(ValueError):
    """The state directory belongs to a run with other inputs."""


class Identity(Struct, frozen=True, kw_only=True):
    """Everything the output depends on."""

    recordings: str
    script: str
    profile: str
    seed: int
    until: str
    profiles: str
    model: str = MODEL_VERSION.decode()
    rates: str = ""


def digest_of_profiles(hashes: dict[str, str]) -> str:
    """One hash over all known profiles."""
    return blake2b(msgspec.json.encode(sorted(hashes.items())), digest_size=16).hexdigest()


def claim(directory: Path, identity: Identity) -> None:
    """Bind a fresh directory to these inputs, or check that it is bound to them. Raises :class:`OtherInputs`."""
    path = directory / FILE
    try:
        known = msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        _write(path, msgspec.json.encode(identity))
        return
    except msgspec.DecodeError:
        raise OtherInputs(f"{path} cannot be read as a replay's inputs; use another --state") from None
    for name in Identity.__struct_fields__:
        if getattr(known, name) != getattr(identity, name):
            raise OtherInputs(f"{directory} belongs to a replay with another {name}; use another --state directory")


def _write(path: Path, body: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
