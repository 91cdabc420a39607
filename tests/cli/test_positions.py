"""Exercise and do-not-exercise as people ask for them and read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mbtd.cli import main
from tests.rpc.fake_broker import Running, running_broker

CONTRACT = "AAPL261130C00235000"


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    with running_broker(tmp_path / "s") as it:
        monkeypatch.setenv("MBTD_SOCKET", str(it.path))
        answers = {
            "position.exercise": {},
            "position.do_not_exercise": {},
            "position.get": {"symbol": CONTRACT, "qty": "2"},
            "position.list": {"items": [_row(CONTRACT, "us_option"), _row("SPY", "us_equity")]},
            "structure.list": {"items": [{"legs": [{"symbol": CONTRACT, "do_not_exercise_qty": "1"}]}]},
            "activity.list": {
                "items": [
                    _booking("OPTRD", "AAPL", "100", "-23500", "g2"),
                    _booking("OPEXC", CONTRACT, "-1", "0", "g2"),
                    _booking("OPEXC", CONTRACT, "-1", "0", "g1"),
                ]
            },
        }
        for method, answer in answers.items():
            setattr(it.broker, method.replace(".", "_"), lambda session, values, answer=answer: answer)
        yield it


def _row(symbol: str, asset_class: str) -> dict[str, Any]:
    return {"symbol": symbol, "asset_class": asset_class, "qty": "2", "side": "long"}


def _booking(kind: str, symbol: str, qty: str, net: str, group: str) -> dict[str, Any]:
    found = {"activity_type": kind, "symbol": symbol, "qty": qty, "net_amount": net, "group_id": group}
    return found | {"description": f"{kind} of {group}"}


def test_an_exercise_says_what_it_booked(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["position", "exercise", "alice", CONTRACT, "--qty", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"exercised 1 {CONTRACT}"
    assert [line.split()[0] for line in told[1:]] == ["type", "OPEXC", "OPTRD"]
    assert "g1" not in "".join(told)
    asked = dict(running.broker.asked)["position.exercise"]
    assert asked == {"account": "alice", "symbol": CONTRACT, "qty": "1"}


@pytest.mark.parametrize(("more", "qty"), [(["--qty", "1"], "1"), ([], "2")])
def test_a_do_not_exercise_says_how_many_lapse(
    running: Running, capsys: pytest.CaptureFixture[str], more: list[str], qty: str
) -> None:
    assert main(["position", "do-not-exercise", "-a", "alice", CONTRACT, *more]) == 0
    assert capsys.readouterr().out.startswith(f"{qty} of 2 {CONTRACT} will lapse at expiry")


def test_one_that_is_taken_back_does_not_read_as_one_of_none(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["position", "do-not-exercise", "-a", "alice", CONTRACT, "--qty", "0"]) == 0
    assert capsys.readouterr().out.startswith(f"taken back: all 2 {CONTRACT}")


@pytest.mark.parametrize("verb", ["exercise", "do-not-exercise"])
def test_programs_get_the_daemons_answer(running: Running, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main(["position", verb, "alice", CONTRACT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
    assert len(running.broker.asked) == 1


def test_a_standing_instruction_is_noted_beside_its_position(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["position", "list", "alice"]) == 0
    head, option, stock = capsys.readouterr().out.splitlines()
    assert head.endswith("note")
    assert option.endswith("1 not to be exercised")
    assert stock.endswith("-")


def test_without_one_there_is_no_such_column(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.broker.position_list = lambda session, values: {"items": [_row("SPY", "us_equity")]}  # type: ignore[attr-defined]
    assert main(["position", "list", "alice"]) == 0
    assert "note" not in capsys.readouterr().out
    assert [method for method, _ in running.broker.asked] == ["position.list"]
