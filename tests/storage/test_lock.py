"""One holder of a state directory, across real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import AlreadyRunning
from storage.lock import StateLock

WAIT_FOR_INPUT = "import sys; print('up', flush=True); sys.stdin.read()"


def test_a_second_opener_learns_who_holds_it(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path):
        with pytest.raises(AlreadyRunning) as caught:
            StateLock.acquire(tmp_path)
        assert caught.value.pid == os.getpid()
    StateLock.acquire(tmp_path).release()


def test_a_child_that_shares_it_keeps_it_and_its_end_frees_it(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    command = [sys.executable, "-c", WAIT_FOR_INPUT]
    with subprocess.Popen(command, pass_fds=[lock.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        lock.release()
        with pytest.raises(AlreadyRunning):
            StateLock.acquire(tmp_path, wait_s=0.05)
        child.kill()
        StateLock.acquire(tmp_path, wait_s=10).release()


def test_a_child_that_does_not_share_it_does_not_keep_it(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    command = [sys.executable, "-c", WAIT_FOR_INPUT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        child.stdout.readline()
        lock.release()
        StateLock.acquire(tmp_path).release()
        child.kill()


def test_what_a_dead_holder_left_in_the_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "mbtd.lock").write_bytes(b"garbage that is longer than a pid\n" * 3)
    with StateLock.acquire(tmp_path), pytest.raises(AlreadyRunning, match=f"process {os.getpid()} "):
        StateLock.acquire(tmp_path)
