"""The writer goes behind the others only where it can come back, and is ordinary while somebody waits for it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage import writer
from storage.background import Background, _has_capability
from storage.frames import Append, Appended, Flush, Flushed, FrameReader, Stop, decode_answer, encode
from storage.link import Link
from tests.storage.test_writer import PATIENCE_S, count_orders, group_after, head_after, reopened

NOBODY = 65_534
CHILD = """
import os, resource, sys
from storage.background import Background
limit, user = int(sys.argv[1]), int(sys.argv[2])
try:
    resource.setrlimit(resource.RLIMIT_NICE, (limit, limit))
except ValueError:
    sys.exit("no such limit")
if user:
    os.setresuid(user, user, user)
background = Background()
seen = [background.able]
for behind in (True, False, True, False):
    background.put(behind)
    seen.append(os.sched_getscheduler(0) == os.SCHED_IDLE)
print(seen)
"""


def child(limit: int, *, privileged: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), str(NOBODY if os.geteuid() == 0 and not privileged else 0)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr.strip()


def test_whoever_could_not_come_back_stays() -> None:
    assert child(0) == "[False, False, False, False, False]"


def test_whoever_may_come_back_goes_and_comes() -> None:
    found = child(20)
    if found == "no such limit":
        pytest.skip("raising RLIMIT_NICE, which lets a program come back, is not permitted here")
    assert found == "[True, True, False, True, False]"


@pytest.mark.skipif(not _has_capability(), reason="CAP_SYS_NICE is not permitted here")
def test_so_does_whoever_has_the_capability() -> None:
    assert child(0, privileged=True) == "[True, True, False, True, False]"


class Seen(Background):
    """Notes where it is put instead of going there."""

    def __init__(self) -> None:
        self.able, self.behind = True, False
        self.put_to: list[bool] = []

    def put(self, behind: bool) -> None:
        if not self.put_to or self.put_to[-1] is not behind:
            self.put_to.append(behind)


def test_it_is_ordinary_while_a_read_waits_and_at_the_end(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    seen = Seen()
    with ours, theirs, contextlib.closing(reopened(tmp_path)) as store:
        ours.settimeout(PATIENCE_S)
        served = writer.Writer(Link(theirs), store, count_orders, None, seen)
        thread = threading.Thread(target=served.serve)
        thread.start()
        reader = FrameReader()
        head = store.head()
        for _ in range(3):
            group = group_after(head)
            head = head_after(head, group, b"")
            for request, awaited in ((Append(group), Appended), (Flush(), Flushed)):
                ours.sendall(encode(request))
                answers: list[object] = []
                while not any(isinstance(answer, awaited) for answer in answers):
                    answers += map(decode_answer, reader.feed(ours.recv(65536)))
        ours.sendall(encode(Stop()))
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert seen.put_to.count(False) >= 3, "for every read"
    assert seen.put_to[-1] is False


def test_late_history_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    now = [100.0]
    monkeypatch.setattr(writer.time, "monotonic", lambda: now[0])
    with ours, theirs, contextlib.closing(reopened(tmp_path)) as store:
        served = writer.Writer(Link(theirs), store, count_orders, None, Seen())
        assert served._may_wait()
        store.append(group_after(store.head()))
        now[0] += writer.LATE_S / 2
        assert served._may_wait()
        now[0] += writer.LATE_S
        assert not served._may_wait()
        while store.projection_backlog():
            served._project_slice()
        assert served._may_wait(), "it has caught up"
