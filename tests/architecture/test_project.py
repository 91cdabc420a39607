"""The project's own files fit together: lock, declared dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def distribution(requirement: str) -> str:
    """The normalised name that a requirement starts with."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def test_everything_declared_is_locked() -> None:
    locked = {distribution(line) for line in LOCK.splitlines() if "==" in line}
    declared = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {distribution(requirement) for requirement in declared} <= locked


def test_the_lock_names_exact_versions_with_hashes_and_no_registry() -> None:
    assert "://" not in LOCK
    pins = [line for line in LOCK.splitlines() if not line.startswith("#")]
    for pin in re.split(r"\n(?=\S)", "\n".join(pins).strip()):
        assert re.match(r"[a-z0-9-]+==[\w.]+", pin), pin
        assert "--hash=sha256:" in pin, pin
