"""Short versions of the fuzz; the long ones are ``python -m tests.fuzz``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fuzz.hostile import served_beside
from tests.fuzz.protocol import ProtocolFuzz

SEED = 20260708


def test_only_documented_errors_and_no_silence(tmp_path: Path) -> None:
    fuzz = ProtocolFuzz(SEED)
    counts = asyncio.run(fuzz.run(tmp_path / "state", 3.0))
    print(f"seed {SEED}: {fuzz.conversations} conversations, {fuzz.requests} requests, {counts}")
    assert counts["(result)"] > 0
    assert counts["-32602 invalid_params"] > 0
    assert counts["-32700 parse_error"] > 0


def test_the_daemon_serves_others_beside_two_hundred_that_misbehave(tmp_path: Path) -> None:
    # How much slower is the long run's question; here, that everybody else is served at all, however slow the host.
    pairs = 30
    found = asyncio.run(served_beside(tmp_path / "state", pairs))
    print(found)
    assert found["crowd_lives"]
    assert found["connected"] >= 100
    assert found["answered"] == 4 * 2 * pairs
    assert found["health"]["engine"]["quarantined"] == 0
    assert found["health"]["storage"]["state"] == "ok"
