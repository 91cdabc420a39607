"""Inputs run again give the same bytes; a changed event is found."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from actors.book.rules.margin.outside import Found
from actors.book.rules.margin.problem import Pairing
from actors.book.units import MONEY_PER_DOLLAR
from actors.inputs import CommandInput, Envelope, Step, decode_steps, encode
from mbtd.jobs.redecide import _Again, redecide, steps_of
from mbtd.jobs.verify import verify
from storage.database import FILE_NAME
from tests.bench.margin import large_account, one_more_condor
from tests.service.running import run_cli

RECORDING = (
    Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
    / "20131007-equities.ndjson.gz"
)
ORDER = {"symbol": "SPY", "side": "buy", "qty": "10"}
SCRIPT = (
    ("13:00", "account.create", {"cash": "1000000"}),
    ("14:00", "order.place", {**ORDER, "type": "market"}),
    ("14:01", "order.place", {**ORDER, "type": "limit", "limit_price": "167.5"}),
    ("15:00", "order.place", {**ORDER, "side": "sell", "qty": "5", "type": "stop", "stop_price": "167.0"}),
    ("16:00", "order.nonsense", {}),
)


SPLIT = {"id": "s", "type": "forward_split", "symbol": "SPY", "new_rate": "2", "old_rate": "1",
         "ex_date": "2013-10-08"}  # fmt: skip
ACTIONS = (
    *SCRIPT,
    ("17:00", "corporate_action.announce", SPLIT),
    ("18:00", "corporate_action.announce", {"id": "no", "type": "split"}),
    ("T08T14:00", "corporate_action.announce", {**SPLIT, "new_rate": "3"}),
    ("T08T15:00", "corporate_action.withdraw", {"id": "s"}),
)


def replayed(tmp_path: Path, script_lines: tuple[tuple[str, str, dict[str, str]], ...]) -> Path:
    lines = [
        {"at": f"2013-10-{at[1:]}:00Z" if at[0] == "T" else f"2013-10-07T{at}:00Z", "account": "alice",
         "method": method, "params": params}
        for at, method, params in script_lines
    ]  # fmt: skip
    script = tmp_path / "script.ndjson"
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run_cli(
        "replay", "--recording", str(RECORDING), "--script", str(script), "--state", str(tmp_path / "state"),
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "state"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return replayed(tmp_path, SCRIPT)


@pytest.mark.skipif(not RECORDING.exists(), reason="20131007-equities.ndjson.gz is not there")
def test_actions_of_a_script_are_corrected_and_withdrawn_from_the_stored_history(tmp_path: Path) -> None:
    state = replayed(tmp_path, ACTIONS)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    adjusted = [line for line in lines if line["event"] == "position.adjusted"]
    assert [line["qty"] for line in adjusted] == ["40", "60", "20"]  # of 20
    assert len({line["cost_basis"] for line in adjusted}) == 1
    applied = [line for line in lines if line["event"] == "corporate_action.applied"]
    assert [(line["status"], line["reconcile_required"]) for line in applied] == [
        ("applied", False), ("applied", False), ("withdrawn", False)
    ]  # fmt: skip
    found = redecide(state, (RECORDING,))
    assert found.ok, found.wrong
    report = verify(state)
    assert report.ok, report.wrong


@pytest.mark.skipif(not RECORDING.exists(), reason="20131007-equities.ndjson.gz is not there")
def test_a_replay_run_again_is_the_same_and_a_changed_event_is_not(state: Path) -> None:
    found = redecide(state, (RECORDING,))
    assert found.ok, found.wrong
    assert found.looked_at == len(steps_of(state)[1]) >= 8
    with sqlite3.connect(state / FILE_NAME) as db:
        rows = db.execute("SELECT group_no, body FROM journal WHERE length(body) > 0").fetchall()
        number, body = next(row for row in reversed(rows) if b"SPY" in row[1])
        assert encode(decode_steps(body)) == body
        changed = body.replace(b"SPY", b"SPX")
        db.execute("UPDATE journal SET body = ? WHERE group_no = ?", (changed, number))
    assert not redecide(state, (RECORDING,)).ok


def test_a_command_that_needs_a_search_which_is_not_recorded_is_decided_all_the_same() -> None:
    """Another program may want more searches than the one that recorded: the difference is found, not raised."""
    engine, chain, at = large_account(1, 1_000 * MONEY_PER_DOLLAR)
    condor = one_more_condor(engine, chain, 1, at + 1)
    engine.take_steps()
    engine.world.looks = {}
    again = _Again(engine, ())
    again._found[1] = {b"another": Found(False, Pairing(), None)}
    command = CommandInput(1, condor, Envelope())
    again._apply(Step(engine.input_seq + 1, at + 2, engine.world.tape_seq, engine.seq + 1, command, ()))
    again._gather()
    assert [type(step.input) for step in again._ready] == [CommandInput]
