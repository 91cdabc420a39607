"""The answering thread runs before ordinary programs where the kernel lets it, and nothing else of the daemon does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.running import Daemon, until

ASK = "import os; from mbtd.precedence import take_precedence; {}; print(take_precedence())"
BECOME_NOBODY = "os.setgid(65534), os.setuid(65534)"
ROOT = Path(__file__).parents[2]


def asked(before: str = "None") -> str:
    """What a process of its own is given when it asks."""
    words = [sys.executable, "-c", ASK.format(before)]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def policies(pid: int) -> dict[int, int]:
    """How each thread of a process and of its children is scheduled."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    threads = [int(task.name) for each in pids for task in Path(f"/proc/{each}/task").iterdir()]
    return {thread: os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK for thread in threads}


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    served = Daemon(tmp_path / "state", "--feed", "synthetic", MBTD_ENGINE__REALTIME=request.param)
    served.start()
    yield served
    served.stop()


@pytest.mark.parametrize("daemon", ["true"], indirect=True)
def test_only_the_answering_thread_has_precedence(daemon: Daemon) -> None:
    allowed = asked()
    with daemon.client() as client:
        until(lambda: client.call("health.get")["engine"]["scheduling"] == allowed)
    found = policies(daemon.process.pid)
    first = found.pop(daemon.process.pid)
    assert first == (os.SCHED_RR if allowed == "realtime" else os.SCHED_OTHER)
    assert found, "the writer at least"
    assert set(found.values()) == {os.SCHED_OTHER}


@pytest.mark.parametrize("daemon", ["false"], indirect=True)
def test_it_is_not_asked_for_when_the_settings_say_no(daemon: Daemon) -> None:
    with daemon.client() as client:
        assert client.call("health.get")["engine"]["scheduling"] == "ordinary"
    assert set(policies(daemon.process.pid).values()) == {os.SCHED_OTHER}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not")
def test_a_kernel_that_refuses_is_no_fault() -> None:
    assert asked(BECOME_NOBODY) == "ordinary"
