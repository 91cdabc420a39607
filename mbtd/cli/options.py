"""What the command line says to the daemon, to a replay and to the configuration check.

Invariant: None means that the flag was not given, so that configuration and environment decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

FeedName = Literal["synthetic", "replay", "alpaca"]


class ServeOptions(Struct, frozen=True, kw_only=True):
    """``mbtd serve``."""

    config: Path | None = None
    state: Path | None = None
    feed: FeedName | None = None
    recordings: tuple[Path, ...] = ()
    speed: float | None = None
    """Tape seconds a second; ``inf`` for as fast as it goes."""
    gateway: str | None = None
    """``HOST:PORT`` or ``off``."""
    seed: int | None = None
    json: bool = False

    def flags(self) -> dict[str, object]:
        """The settings that these options stand for, by their names in the configuration."""
        given = {
            "storage.directory": str(self.state) if self.state is not None else None,
            "market.feed": self.feed,
            "market.recordings": [str(path) for path in self.recordings] or None,
            "market.speed": self.speed,
            "gateway.address": self.gateway,
            "engine.seed": self.seed,
        }
        return {name: value for name, value in given.items() if value is not None}


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """``mbtd replay`` (contracts §2)."""

    recordings: tuple[Path, ...]
    script: Path
    state: Path
    out: Path
    profile: str | None = None
    seed: int | None = None
    until: str | None = None
    """RFC 3339 text with a zone."""
    json: bool = False


class CheckConfigOptions(Struct, frozen=True, kw_only=True):
    """``mbtd check-config``."""

    config: Path | None = None
    json: bool = False
