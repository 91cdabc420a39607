"""Short versions of the fuzz; the long ones are ``python -m tests.fuzz``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fuzz.hostile import measure
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
    # How much slower is the long run's question; here, that everybody else is served at all.
    figures = asyncio.run(measure(tmp_path / "state", 1, 0.5))
    print(figures)
    assert figures["orders"] > 100
    assert figures["status"] == "ok"
