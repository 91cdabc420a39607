"""``make run``: the daemon is started in place, and the hint comes when it answers and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci" / "try"
STAND_IN = """#!/bin/sh
case "$1" in
serve) echo "$@" > "$HERE/served"; trap 'exit 0' TERM; while [ ! -e "$HERE/die" ]; do sleep 0.05; done ;;
status) [ -e "$HERE/answers" ] ;;
esac
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    command = tmp_path / "mbtd"
    command.write_text(STAND_IN)
    command.chmod(0o755)

    def run(*arguments: str) -> subprocess.Popen[str]:
        environ = {
            **os.environ,
            "BIN": str(tmp_path),
            "STATE": str(tmp_path / "state"),
            "HERE": str(tmp_path),
        }
        return subprocess.Popen([RUN, *arguments], env=environ, stderr=subprocess.PIPE, text=True)

    return run


def wait_for(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_hint_follows_the_first_answer(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    with start("--seed", "7") as daemon:
        wait_for(tmp_path / "served")
        (tmp_path / "answers").touch()
        assert daemon.stderr is not None
        said = ""
        while "Ctrl-C" not in said:
            line = daemon.stderr.readline()
            assert line
            said += line
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
    assert "account create --name alice --user alice --type margin --tier pro --cash 100000" in said
    served = (tmp_path / "served").read_text().split()
    assert served == ["serve", "--state", str(tmp_path / "state"), "--feed", "synthetic", "--seed", "7"]


def test_a_daemon_that_ends_first_leaves_no_hint_and_no_helper(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    with start() as daemon:
        wait_for(tmp_path / "served")
        (tmp_path / "die").touch()
        assert daemon.wait(10) == 0
        assert daemon.stderr is not None
        assert daemon.stderr.read() == ""  # ends only when the helper has closed its end too
