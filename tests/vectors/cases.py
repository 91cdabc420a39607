"""The cases of one file of vectors, for ``parametrize``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

DIRECTORY = Path(os.environ.get("MBTD_VECTORS") or Path(__file__).parents[2] / ".." / "shared" / "vectors")


def load(name: str) -> list[Any]:
    """The cases of one file; a missing one is skipped by name."""
    path = DIRECTORY / f"{name}.json"
    if not path.is_file():
        skip = pytest.mark.skip(reason=f"{path} is missing")
        return [pytest.param(None, id=f"{name}-missing", marks=skip)]
    return [pytest.param(vector, id=f"{name}-{vector['id']}") for vector in json.loads(path.read_text())["vectors"]]
