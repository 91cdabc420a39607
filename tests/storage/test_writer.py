"""The writer process: a real one, spawned, killed, orphaned and fed garbage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from storage import remote, writer
from storage.chain import head_after
from storage.errors import AlreadyRunning, StorageBroken
from storage.frames import (
    Append,
    Appended,
    Checkpoint,
    Checkpointed,
    Failed,
    FrameReader,
    Projected,
    PutSnapshots,
    Ready,
    Stop,
    Stored,
    Trim,
    Trimmed,
    decode_answer,
    encode,
)
from storage.history import History
from storage.link import Link
from storage.lock import StateLock
from storage.records import Group, Head
from storage.remote import Command, RemoteStore
from storage.sqlite import SqliteStore
from tests.storage.groups import count_orders, group_after, projected_count, snapshot

BALLAST_BYTES = 64 * 1024
PATIENCE_S = 20.0
"""Upper bound of any wait for a condition; nothing takes so long unless it hangs."""


def writer_command(directory: Path | str, projection: str = "count") -> Command:
    module = "tests.storage.writer_main"
    return lambda fd: [sys.executable, "-m", module, str(fd), str(directory), projection]


class Recorder:
    """A listener that remembers, and lets a test wait for what it remembers."""

    def __init__(self) -> None:
        self.durable: list[int] = []
        self.hashes: list[bytes] = []
        self.projected: list[int] = []
        self.stored: list[tuple[int, int]] = []
        self.space: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def on_durable(self, seq_last: int, digest: bytes, commit_ns: int) -> None:
        self.durable.append(seq_last)
        self.hashes.append(digest)
        self._changed.set()

    def on_projected(self, seq: int) -> None:
        self.projected.append(seq)
        self._changed.set()

    def on_stored(self, accounts: Sequence[tuple[int, int]]) -> None:
        self.stored += accounts
        self._changed.set()

    def on_space(self, state: str) -> None:
        self.space.append(state)
        self._changed.set()

    def on_failed(self, kind: str, text: str) -> None:
        self.failed.append((kind, text))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def after(self, head: Head, group: Group) -> Head:
        return head_after(head, group, self.hashes[-1])


class Running:
    """A spawned writer with its listener and the head that was sent so far."""

    def __init__(self, store: RemoteStore, head: Head, listener: Recorder) -> None:
        self.store, self.head, self.listener = store, head, listener

    def append(self, events: int = 1, body: bytes | None = None) -> Group:
        group = group_after(self.head, events, body)
        self.store.append_nowait(group)
        self.head = head_after(self.head, group, b"")
        return group


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(tmp_path), listener)
    yield Running(store, head, listener)
    await store.stop()


def reopened(directory: Path) -> SqliteStore:
    return SqliteStore.open(directory, ballast_bytes=BALLAST_BYTES)


HASTY = """
import socket, sys
from storage.frames import Projected, Ready, Stopped, encode
from storage.records import Head
with socket.socket(fileno=int(sys.argv[1])) as sock:
    sock.sendall(encode(Ready(Head(1, 9, 0, 0, 0, b"", b"", ""), 4)) + encode(Projected(9)))
    sock.recv(1)
    sock.sendall(encode(Stopped()))
"""


@pytest.mark.anyio
async def test_what_was_projected_with_the_first_words_is_not_forgotten(tmp_path: Path) -> None:
    """Else a reader waits for ever for what nobody will tell again."""
    listener = Recorder()
    store, _ = await RemoteStore.spawn(lambda fd: [sys.executable, "-c", HASTY, str(fd)], listener)
    await listener.until(lambda: bool(listener.projected))
    known = store.projected_seq
    await store.stop()
    assert known == 9


@pytest.mark.anyio
async def test_groups_become_durable_in_order_and_stop_leaves_all_done(tmp_path: Path) -> None:
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(tmp_path), listener)
    running = Running(store, head, listener)
    groups = [running.append(events) for events in (1, 0, 64, 2)]
    store.put_snapshots_nowait([snapshot(number, number % 67) for number in range(1, 121)])
    store.set_meta_nowait("key", b"value")
    assert await store.stop() == 0
    assert listener.failed == []
    assert listener.durable == [group.seq_last for group in groups]
    assert listener.stored == [(number, number % 67) for number in range(1, 121)]
    assert listener.projected[-1] == 67
    assert store.in_flight == 0
    after = reopened(tmp_path)
    assert list(after.groups(0)) == groups
    assert after.head().hash == listener.hashes[-1]
    assert (after.projected_seq(), projected_count(after)) == (67, 4)
    assert len(list(after.snapshots(None))) == 120
    assert after.get_meta("key") == b"value"
    after.close()


@pytest.mark.anyio
async def test_a_flush_shows_in_history_what_was_sent_before(running: Running, tmp_path: Path) -> None:
    async with History.open(tmp_path) as history:
        for _ in range(3):
            group = running.append(2)
            seq = await running.store.flush()
            assert seq >= group.seq_last
            assert await history.projected_seq() == seq == running.store.projected_seq
    assert await running.store.flush() == running.head.seq
    assert await running.store.checkpoint(truncate=True) == 0


@pytest.mark.anyio
async def test_left_alone_it_projects_and_stores_by_itself(running: Running) -> None:
    running.append(5)
    running.store.put_snapshots_nowait([snapshot(7, 5)])
    await running.listener.until(lambda: running.listener.projected[-1:] == [5])
    await running.listener.until(lambda: running.listener.stored == [(7, 5)])


@pytest.mark.anyio
async def test_a_thousand_groups_in_flight_are_committed_projected_and_trimmed(
    running: Running, tmp_path: Path
) -> None:
    for _ in range(1000):
        running.append(2, b"x" * 300)
        running.store.put_snapshots_nowait([snapshot(running.head.seq % 100, running.head.seq)])
    running.store.trim_nowait(1001)
    await running.store.flush()
    await running.listener.until(lambda: len(running.listener.stored) == 1000)
    assert running.listener.durable == list(range(2, 2001, 2))
    assert await running.store.stop() == 0
    after = reopened(tmp_path)
    assert after.trimmed_seq() <= 1000
    assert projected_count(after) == 1000
    after.close()


@pytest.mark.anyio
async def test_a_killed_writer_is_reported_and_loses_nothing_durable(tmp_path: Path) -> None:
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(tmp_path), listener)
    running = Running(store, head, listener)
    groups = [running.append() for _ in range(400)]
    await listener.until(lambda: len(listener.durable) >= 20)
    os.kill(store.pid, signal.SIGKILL)
    with pytest.raises(StorageBroken):
        await store.flush()
    await listener.until(lambda: bool(listener.failed))
    assert listener.failed[0][0] == "ended"
    assert await store.stop() == -signal.SIGKILL
    after = reopened(tmp_path)
    kept = list(after.groups(0))
    assert len(kept) >= len(listener.durable)
    assert kept == groups[: len(kept)]
    while after.project(count_orders, 100):
        pass
    assert projected_count(after) == len(kept)
    after.close()


@pytest.mark.anyio
async def test_a_newer_writer_makes_the_older_one_fail_as_stale(running: Running, tmp_path: Path) -> None:
    running.append()
    await running.listener.until(lambda: running.listener.durable == [1])
    usurper = reopened(tmp_path)
    running.append()
    await running.listener.until(lambda: bool(running.listener.failed))
    assert running.listener.failed[0][0] == "stale"
    assert usurper.head().seq == 1
    usurper.close()


@pytest.mark.anyio
async def test_a_group_out_of_sequence_fails_the_writer(running: Running) -> None:
    running.head = head_after(running.head, group_after(running.head, 5), b"")
    running.append()
    await running.listener.until(lambda: bool(running.listener.failed))
    assert running.listener.failed[0][0] == "sequence"
    assert await running.store.stop() == 70


@pytest.mark.anyio
async def test_a_projection_that_raises_fails_the_writer_after_the_commit(tmp_path: Path) -> None:
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(tmp_path, "failing"), listener)
    Running(store, head, listener).append()
    await listener.until(lambda: bool(listener.failed))
    assert listener.failed == [("projection", "LookupError: a fault of the projection")]
    assert listener.durable == [1]
    await store.stop()


@pytest.mark.anyio
async def test_a_writer_that_cannot_open_says_why(tmp_path: Path) -> None:
    (tmp_path / "mbtd.sqlite3").write_bytes(b"not a database")
    listener = Recorder()
    with pytest.raises(StorageBroken, match="not a database"):
        await RemoteStore.spawn(writer_command(tmp_path), listener)
    assert listener.failed[0][0] == "corrupt"


@pytest.mark.anyio
async def test_signals_meant_for_the_daemon_do_not_stop_it(running: Running) -> None:
    os.kill(running.store.pid, signal.SIGTERM)
    os.kill(running.store.pid, signal.SIGINT)
    running.append()
    await running.listener.until(lambda: running.listener.durable == [1])
    assert await running.store.stop() == 0


@pytest.mark.anyio
async def test_signals_before_it_is_ready_do_not_end_it_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager sends them to every process of the service, however young."""
    start = remote._started

    def start_and_signal(command: Sequence[str], shared: Sequence[int]) -> subprocess.Popen[bytes]:
        process = start(command, shared)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(remote, "_started", start_and_signal)
    store, _ = await RemoteStore.spawn(writer_command(tmp_path), Recorder())
    assert await store.stop() == 0


def test_an_orphan_finishes_what_it_read_leaves_and_frees_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.storage.daemon_main", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        writer = os.pidfd_open(int(daemon.stdout.readline()))
        reported = [int(daemon.stdout.readline()) for _ in range(5)]
        with pytest.raises(AlreadyRunning):
            StateLock.acquire(tmp_path)
        daemon.kill()
        reported += [int(line) for line in daemon.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    with StateLock.acquire(tmp_path, wait_s=PATIENCE_S):
        # A process lets go of its files a moment before it is gone.
        assert select.select([writer], [], [], PATIENCE_S)[0], "the orphan stays"
        os.close(writer)
        after = reopened(tmp_path)
        kept = [group.seq_last for group in after.groups(0)]
        assert kept == list(range(3, 3 * len(kept) + 1, 3))
        assert kept[: len(reported)] == reported
        assert len(kept) - len(reported) <= 1
        after.close()


def _speak(directory: Path, data: bytes) -> tuple[list[object], int]:
    """Send bytes to a fresh writer, close our sending side, and return its answers and exit status."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = writer_command(directory)(theirs.fileno())
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: ours.recv(65536), b""))
        status = process.wait(PATIENCE_S)
    return [decode_answer(frame) for frame in FrameReader().feed(received)], status


@pytest.mark.parametrize(
    "garbage",
    [struct.pack(">I", 2**31), struct.pack(">I", 3) + b"abc", encode(Stop())[:-1] + b"\xff"],
    ids=["too long", "not msgpack", "changed byte"],
)
def test_garbage_on_the_link_ends_the_writer_by_name(tmp_path: Path, garbage: bytes) -> None:
    answers, status = _speak(tmp_path, garbage)
    assert isinstance(answers[0], Ready)
    assert isinstance(answers[-1], Failed)
    assert (answers[-1].kind, status) == ("protocol", 70)


@pytest.mark.anyio
async def test_the_reason_arrives_even_when_requests_cross_it(running: Running, tmp_path: Path) -> None:
    """The writer fails while groups are on their way to it; what it said last must not be lost."""
    running.append()
    await running.listener.until(lambda: running.listener.projected[-1:] == [1])
    usurper = reopened(tmp_path)
    running.store.set_meta_nowait("key", b"fails as stale")
    # The loop stands still here, as behind a long turn, until the writer has gone if it goes on its own.
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.store._process.wait(0.5)
    running.append()
    await running.listener.until(lambda: bool(running.listener.failed))
    assert running.listener.failed[0][0] == "stale"
    usurper.close()


def test_a_frame_cut_by_the_end_is_not_committed_what_was_whole_is(tmp_path: Path) -> None:
    store = reopened(tmp_path)
    head = store.head()
    store.close()
    head = Head(head.epoch + 1, *[getattr(head, name) for name in head.__struct_fields__[1:]])
    first = group_after(head)
    second = group_after(head_after(head, first, b""))
    _, status = _speak(tmp_path, encode(Append(first)) + encode(Append(second))[:-3])
    assert status == 0
    store = reopened(tmp_path)
    assert list(store.groups(0)) == [first]
    store.close()


def test_under_endless_load_no_kind_of_work_starves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_BACKLOG_EVENTS", -1)
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 8)
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(reopened(tmp_path)) as store:
        ours.settimeout(PATIENCE_S)
        head = store.head()
        frames = [encode(PutSnapshots([snapshot(1, 1), snapshot(2, 1)])), encode(Trim(20))]
        frames.append(encode(Checkpoint(False)))
        for _ in range(150):
            group = group_after(head)
            frames.append(encode(Append(group)))
            head = head_after(head, group, b"")
        ours.sendall(b"".join(frames))
        # Every group is there before the first look, so that there is no pause between commits.
        thread = threading.Thread(target=writer.Writer(Link(theirs), store, count_orders).serve)
        thread.start()
        reader = FrameReader()
        answers: list[object] = []
        while not any(isinstance(answer, Appended) and answer.seq_last == 150 for answer in answers):
            answers += map(decode_answer, reader.feed(ours.recv(65536)))
        ours.shutdown(socket.SHUT_WR)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    last_commit = max(number for number, answer in enumerate(answers) if isinstance(answer, Appended))
    kinds = {type(answer) for answer in answers[:last_commit]}
    assert {Stored, Trimmed, Checkpointed, Projected} <= kinds
