"""A recorded half day with structures through exits and expiry, the same bytes also when the run dies on its way."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from mbtd.failpoints import VARIABLE
from tests.crash.replay_loop import RECORDINGS, Case

FILE = RECORDINGS / "20151224-goog-options.ndjson.gz"
ROOT = "GOOG151224"
CONDOR = (("P00742500", "buy"), ("P00745000", "sell"), ("C00750000", "sell"), ("C00752500", "buy"))
SPREAD = (("C00745000", "buy"), ("C00750000", "sell"))

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no recordings here")


def _line(time: str, method: str, **params: Any) -> str:
    return json.dumps({"at": f"2015-12-24T{time}Z", "account": "alice", "method": method, "params": params})


def _legs(legs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"symbol": ROOT + tail, "ratio_qty": "1", "side": side} for tail, side in legs]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The day with the contracts that end on it alone: enough for several groups."""
    directory = tmp_path_factory.mktemp("replay")
    recording = directory / "20151224-goog-options.ndjson.gz"
    with gzip.open(FILE, "rt") as whole, gzip.open(recording, "wt") as part:
        part.writelines(line for line in whole if f'"{ROOT}' in line or '"GOOG"' in line)
    script = directory / "script.ndjson"
    unit = {"order_class": "mleg", "type": "market"}
    lines = [
        _line("14:00:00", "account.create", name="alice", cash="60000", profile="alpaca-parity"),
        _line("14:40:00", "order.place", qty="3", legs=_legs(CONDOR), **unit),
        _line("14:41:00", "structure.exit_set", structure_id="1", stop_loss_percent="150", take_profit_percent="90"),
        _line("14:50:00", "structure.close", structure_id="1", qty="1"),
        _line("15:00:00", "order.place", qty="1", legs=_legs(SPREAD), **unit),
    ]
    script.write_text("\n".join(lines) + "\n")
    return Case(recording, script, directory / "whole.state", directory / "whole.out")


def test_a_stop_acts_a_spread_is_exercised_and_a_killed_run_ends_the_same(case: Case) -> None:
    status, _, said = case.finish()
    assert status == 0, said
    told = [json.loads(line) for line in case.out.read_text().splitlines()]
    structures = [(line["event"], line.get("reason", "")) for line in told if line["event"].startswith("structure.")]
    assert structures == [
        ("structure.changed", "opened"),
        ("structure.exit_set", ""),
        ("structure.changed", "reduced"),
        ("structure.changed", "opened"),
        ("structure.exit_triggered", "reached"),
        ("structure.changed", "reduced"),
        ("structure.changed", "exercised"),
    ]
    closed = next(line for line in told if line["event"] == "structure.changed" and line["status"] == "closed")
    assert closed["name"] == "short_iron_condor"
    expected = case.out.read_bytes()
    for point in ("commit.after:3",):
        name = point.replace(":", "")
        again = Case(
            case.recording, case.script, case.state.with_name(f"{name}.state"), case.out.with_name(f"{name}.out")
        )
        assert again.finish(**{VARIABLE: point})[0] != 0
        status, _, said = again.finish()
        assert status == 0, said
        assert again.out.read_bytes() == expected
