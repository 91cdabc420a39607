"""Replays that are killed, resumed, given other inputs, or given bad ones."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path

import pytest

from storage.lock import StateLock
from tests.crash.replay_loop import RECORDINGS, Case, ReplayLoop

SEED = 20131007
EQUITIES = RECORDINGS / "20131007-equities.ndjson.gz"
SMALL = RECORDINGS / "20140606-aapl.ndjson.gz"

pytestmark = pytest.mark.skipif(not EQUITIES.exists(), reason="no recordings here")


def fingerprint(directory: Path) -> dict[str, str]:
    """Every file below a directory by the hash of its content; the lock names whoever looked last."""
    return {
        path.name: blake2b(path.read_bytes()).hexdigest() for path in directory.iterdir() if path.name != "mbtd.lock"
    }


def test_a_killed_replay_finishes_with_the_same_bytes(tmp_path: Path) -> None:
    loop = ReplayLoop(tmp_path, EQUITIES, SEED)
    loop.undisturbed()
    tally = loop.run(4)
    print(f"seed {SEED}: {tally}")
    assert tally.kills >= 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Case:
    loop = ReplayLoop(tmp_path_factory.mktemp("replay"), SMALL, SEED, orders=60, accounts=5)
    case = loop.case("finished")
    status, _, said = case.finish()
    assert status == 0, said
    return case


def test_a_finished_replay_does_nothing_but_write_a_missing_output_again(finished: Case) -> None:
    before = finished.out.read_bytes()
    assert finished.finish()[0] == 0
    assert finished.out.read_bytes() == before
    finished.out.unlink()
    status, summary, _ = finished.finish()
    assert (status, summary["steps"]) == (0, 0)
    assert finished.out.read_bytes() == before


@pytest.mark.parametrize("other", ["script", "seed", "profile", "recording"])
def test_other_inputs_are_refused_with_nothing_changed(finished: Case, tmp_path: Path, other: str) -> None:
    case = Case(finished.recording, finished.script, finished.state, finished.out, finished.seed)
    if other == "script":
        case.script = tmp_path / "other.ndjson"
        case.script.write_bytes(finished.script.read_bytes()[:-1] + b"\n\n")
    elif other == "seed":
        case.seed += 1
    elif other == "profile":
        case.profile = "alpaca-parity"
    else:
        case.recording = RECORDINGS / "20140609-aapl.ndjson.gz"
    before = fingerprint(finished.state), finished.out.read_bytes()
    status, _, said = case.finish()
    assert status == 65, said
    assert "another" in said
    assert (fingerprint(finished.state), finished.out.read_bytes()) == before


GOOD = {"at": "2014-06-06T14:00:00Z", "account": "a", "method": "account.create", "params": {}}


@pytest.mark.parametrize(
    "second",
    [
        "{",
        "[]",
        "null",
        '"at"',
        json.dumps({name: value for name, value in GOOD.items() if name != "method"}),
        json.dumps(GOOD | {"params": None}),
        json.dumps(GOOD | {"at": "2014-06-06"}),
        json.dumps(GOOD | {"at": "2014-06-06T13:59:59.999999999Z"}),
        "\udcff",
        '{"at":' + "[" * 20_000,
    ],
)
def test_a_bad_script_line_is_found_before_anything_runs(tmp_path: Path, second: str) -> None:
    script = tmp_path / "script.ndjson"
    script.write_bytes(f"{json.dumps(GOOD)}\n{second}\n".encode("utf-8", "surrogateescape"))
    case = Case(SMALL, script, tmp_path / "state", tmp_path / "out")
    status, _, said = case.finish()
    assert status == 2, said
    assert "line 2" in said
    assert not case.state.exists()
    assert not case.out.exists()


def test_a_missing_recording_is_a_wrong_argument(tmp_path: Path, finished: Case) -> None:
    case = Case(tmp_path / "gone.ndjson.gz", finished.script, tmp_path / "state", tmp_path / "out")
    status, _, said = case.finish()
    assert status == 2
    assert "gone.ndjson.gz" in said
    assert not case.state.exists()


def test_a_second_replay_of_a_directory_in_use_is_told_to_wait(finished: Case) -> None:
    before = fingerprint(finished.state)
    with StateLock.acquire(finished.state):
        status, _, said = finished.finish()
    assert status == 75
    assert "in use" in said
    assert fingerprint(finished.state) == before
