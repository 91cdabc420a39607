"""What an operator met when every command was typed once: who is who, what is said, and how a slip of the hand ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from actors.market.messages import Quote
from mbtd.cli import main
from mbtd.console.shell import Shell, complete
from mbtd.rpc.client import Client
from mbtd.tape import TapeReaders, open_files
from storage.tape import read_tape
from tests.service.conftest import make_account
from tests.service.running import Daemon, refusal, until


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path / "state", "--seed", "31", MBTD_SERVER__DEBUG_PROMPT="true").start()
    yield running
    running.end()


def admin(daemon: Daemon) -> Client:
    return Client(daemon.state / "admin.sock")


def test_a_number_of_a_client_means_one_connection(daemon: Daemon) -> None:
    with daemon.client() as client, admin(daemon) as operator:
        client.call("health.get")
        shown = operator.call("admin.show", what="clients")["clients"]
        assert len({row["no"] for row in shown}) == len(shown) == 2


def test_draining_is_a_state_that_is_said(daemon: Daemon) -> None:
    with admin(daemon) as operator:
        operator.call("admin.drain")
        health = operator.call("health.get")
        assert (health["status"], health["reasons"]) == ("degraded", ["draining"])
        operator.call("admin.resume")
        assert operator.call("health.get")["reasons"] == []


def test_a_loop_that_stood_still_is_said(daemon: Daemon) -> None:
    with admin(daemon) as operator:
        operator.call("health.get")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        # The beat, too, must miss its time by more than the watchdog would bear.
        with pytest.raises(TimeoutError):
            Client(daemon.state / "admin.sock", timeout_s=3.0).call("health.get")
        os.kill(daemon.process.pid, signal.SIGCONT)
        until(lambda: "loop_slow" in operator.call("health.get")["reasons"], "the beat")
        assert 'mbtd_state_seen_total{state="loop_slow"} 1.0' in operator.call("admin.metrics")["text"]


def test_the_prompt_neither_ends_the_daemon_nor_waits_for_more(daemon: Daemon) -> None:
    with admin(daemon) as operator:
        for line in ("exit()", "raise SystemExit(3)"):
            assert "does not end" in operator.call("admin.prompt", line=line)["output"]
        answer = operator.call("admin.prompt", line="for number in range(3):")
        assert answer["more"]
        assert "one line" in answer["output"]
        assert operator.call("admin.prompt", line="1 + 1")["output"] == "2\n"


def test_quantities_are_shown_as_a_person_writes_them(daemon: Daemon) -> None:
    with admin(daemon) as operator:
        make_account(operator, "ann")
        operator.call("order.place", account="ann", symbol="AAPL", side="buy", qty="3", type="market")

        def positions() -> list[Any]:
            return list(operator.call("admin.show", what="account", account="ann")["account"]["positions"])

        until(positions, "the fill")
        assert positions() == [{"symbol": "AAPL", "qty": "3"}]


def test_wrong_arguments_end_in_one_sentence(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (
        "status now", "show accounts now", "show account", "checkpoint all", "frobnicate", "kill client -1",
        "switch trading_disabled on", "log-level loud", 'show "unclosed', "show account \udcff",
    )  # fmt: skip
    with admin(daemon) as operator:
        shell = Shell(operator, as_json=False)
        for line in lines:
            assert shell.run(line) == 2, line
            out, err = capsys.readouterr()
            assert out == ""
            assert err.startswith("mbtd: "), err
            assert err.count("\n") == 1
    raw = os.fsencode(str(daemon.state)) + b"\xff"
    assert daemon.cli("status", "--socket", os.fsdecode(raw)).returncode == 2
    assert daemon.cli("console", "quit").returncode == 0
    with admin(daemon) as operator:
        assert refusal(lambda: operator.call("admin.kill_client", client=10**30))["data"]["reason"] == "not_found"


def test_completion_goes_word_by_word() -> None:
    assert complete("kill ") == ["client"]
    assert complete("kill client ") == []
    assert complete("log-level debug ") == []
    assert complete("switch trading_disabled o") == ["on", "off"]


def test_a_line_that_is_interrupted_leaves_a_conversation_that_goes_on() -> None:
    class Far:
        closed = False

        def close(self) -> None:
            self.closed = True

    far = Far()
    Shell(cast("Any", far), as_json=False).give_up()
    assert far.closed, "a late answer must not be taken for the next one's"


def test_an_archive_that_cannot_be_written_stops_no_start_and_goes_on_by_itself(tmp_path: Path) -> None:
    place = tmp_path / "tape"
    place.write_text("in the way")
    readers = TapeReaders(open_files(tmp_path, 1 << 20, 2), lambda: (), lambda symbols: None, lambda: 20261130)
    quote = Quote("AAPL", 100_000, 10, 100_100, 10, 5, received_at=5)
    readers([quote], 1)
    assert readers.files_problem
    place.unlink()
    readers([quote], 2)
    assert readers.files_problem, "not tried again at every message"
    readers.retry()
    readers([quote], 3)
    assert not readers.files_problem
    readers.close()
    assert [seq for seq, _ in read_tape(tmp_path, 1)] == [3]


LONG = "9" * 400
SLIPS = (
    "status --timeout NaN", "status --timeout 1e400", "status --timeout -1", "top --every nan", "metrics --textfile=",
    "order place al buy 1 AAPL --wait nan", "stream quotes:AAPL --seconds inf", "status \udcff",
    f"backup --state {LONG}", f"restore --state {LONG}", f"verify {LONG}", "metrics --textfile /nowhere/at/all.prom",
)  # fmt: skip


@pytest.mark.parametrize("line", SLIPS)
def test_a_slip_on_the_command_line_is_told_and_not_thrown(
    daemon: Daemon, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBTD_SOCKET", str(daemon.socket))
    try:
        status = main(line.split())
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert "mbtd" in err.splitlines()[-1]
