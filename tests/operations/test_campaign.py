"""A few trials of each fault; the long version is ``python -m tests.crash campaign``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import campaign
from tests.crash.template import Template

SEED = 20261124
TRIALS = {"kills": 3, "clock": 2, "torn-log": 5, "torn-store": 5}


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    template = Template()
    yield template
    template.close()


@pytest.mark.parametrize(
    "kind", ["clock", "fsync", "full-calls", "kills", "oom-error", "small-disk", "torn-log", "torn-store"]
)
def test_faults_lose_nothing_and_do_nothing_twice(kind: str, template: Template) -> None:
    trials = TRIALS.get(kind, 1)
    unit = campaign.run_unit(kind, 0, SEED, template, trials)
    print(f"seed {SEED}: {unit}")
    assert unit.ok, unit
    assert unit.trials == trials or unit.outcome.notes


def test_a_unit_that_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, int, int]] = []

    def pretend(kind: str, number: int, seed: int, template: object, trials: int | None = None) -> campaign.Unit:
        done.append((kind, number, seed))
        return campaign.Unit(kind, number, seed, 1, True, campaign.Outcome("pretended", trials=1))

    monkeypatch.setattr(campaign, "run_unit", pretend)
    log = tmp_path / "log"
    list(campaign.run(["kills"], 1, log, units=2))
    with log.open("ab") as file:
        file.write(b'{"kind": "kills", "number": 2, "se')
    list(campaign.run(["kills", "fsync"], 1, log, units=3))
    assert sorted(done) == [*(("fsync", n, 1) for n in range(3)), *(("kills", n, 1) for n in range(3))]
