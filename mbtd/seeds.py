"""The seed of a partition: drawn once, kept in the state directory, and what the engine makes of it.

Invariant: a state directory has one seed for life, unless the configuration names another.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from mbtd.config import Config
from mbtd.feeds import FeedRefused

SEED_FILE = "seed"


def read_seed(config: Config, directory: Path, drawn: int) -> int:
    """The configured seed, or the one that an earlier start kept, or ``drawn``."""
    if config.engine.seed:
        return config.engine.seed
    path = directory / SEED_FILE
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return drawn
    except ValueError:
        raise FeedRefused(f"{path} does not hold a number; remove it to draw a new seed", 78) from None


def keep_seed(directory: Path, seed: int) -> None:
    """Keep the seed for later starts and checks, now that the state directory is known to be ours."""
    path = directory / SEED_FILE
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        temporary.write_text(str(seed))
        temporary.replace(path)


def partition_seed(seed: int) -> bytes:
    """The partition's 32-byte seed."""
    return blake2b(str(seed).encode(), digest_size=32, person=b"mbtd-run").digest()
