"""Two or three trials of each fault; the long version is ``python -m tests.crash campaign``."""

from __future__ import annotations

import pytest

from tests.crash import campaign

SEED = 20261124


@pytest.mark.parametrize("kind", ["file-limit", "small-disk", "fsync", "torn-log"])
def test_faults_lose_nothing_and_do_nothing_twice(kind: str) -> None:
    count = {"torn-log": 6}.get(kind, 1)
    outcome = campaign.run(kind, count, SEED)
    print(f"seed {SEED}: {outcome}")
    assert outcome.ok, outcome
    assert outcome.trials == count or outcome.notes
