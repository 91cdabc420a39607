"""A daemon killed under load; the long version is ``python -m tests.crash serve``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.crash.serve_loop import ServeLoop

SEED = 20260707
ROUNDS = 3


def test_a_daemon_killed_under_load_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    tally = asyncio.run(ServeLoop(tmp_path, SEED, clients=4).run(ROUNDS))
    print(f"seed {SEED}: {tally}")
    assert tally.rounds == ROUNDS
    assert tally.acknowledged > 0
    assert tally.stream_resumes > 0
