"""Inputs run again give the same bytes; a changed event is found."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from actors.inputs import decode_steps, encode
from mbtd.jobs.redecide import redecide, steps_of
from storage.database import FILE_NAME
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


@pytest.fixture
def state(tmp_path: Path) -> Path:
    lines = [
        {"at": f"2013-10-07T{at}:00Z", "account": "alice", "method": method, "params": params}
        for at, method, params in SCRIPT
    ]
    script = tmp_path / "script.ndjson"
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run_cli(
        "replay", "--recording", str(RECORDING), "--script", str(script), "--state", str(tmp_path / "state"),
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "state"


@pytest.mark.skipif(not RECORDING.exists(), reason="20131007-equities.ndjson.gz is not there")
def test_a_replay_run_again_is_the_same_and_a_changed_event_is_not(state: Path) -> None:
    found = redecide(state, (RECORDING,))
    assert found.ok, found.wrong
    assert found.looked_at == len(steps_of(state)[1]) >= 8
    with sqlite3.connect(state / FILE_NAME) as db:
        rows = db.execute("SELECT group_no, body FROM journal WHERE length(body) > 0").fetchall()
        number, body = rows[-1]
        steps = decode_steps(body)
        assert encode(steps) == body
        changed = body.replace(b"SPY", b"SPX")
        if changed == body:
            changed = body.replace(b"order.nonsense", b"order.nonsensE")
        db.execute("UPDATE journal SET body = ? WHERE group_no = ?", (changed, number))
    assert not redecide(state, (RECORDING,)).ok
