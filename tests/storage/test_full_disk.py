"""A full disk: the ballast pays for the tail, a refusal stores nothing, and the state ends by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.ballast import Ballast
from storage.errors import StorageFull
from storage.records import Group
from storage.remote import RemoteStore
from storage.sqlite import SqliteStore
from tests.storage.groups import append, count_orders, projected_count, snapshot
from tests.storage.test_writer import Recorder, Running, writer_command

BALLAST_BYTES = 256 * 1024


def limit_pages(store: SqliteStore, pages: int) -> None:
    store._db.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def append_until_full(store: SqliteStore, body_bytes: int) -> list[Group]:
    kept: list[Group] = []
    with contextlib.suppress(StorageFull):
        while len(kept) < 10_000:
            kept.append(append(store, body=b"y" * body_bytes))
    assert len(kept) < 10_000
    return kept


def pages_used(store: SqliteStore) -> int:
    count: int = store._db.execute("PRAGMA page_count").fetchone()[0]
    return count


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=BALLAST_BYTES)) as store:
        yield store


def test_what_does_not_fit_is_not_stored_and_can_be_repeated(store: SqliteStore) -> None:
    kept = [append(store, body=b"x" * 5000) for _ in range(3)]
    limit_pages(store, pages_used(store) + 1)
    kept += append_until_full(store, 5000)
    assert not store.ballast_held
    head = store.head()
    for _ in range(2):
        with pytest.raises(StorageFull):
            append(store, body=b"z" * 9000)
        with pytest.raises(StorageFull):
            store.put_snapshots([snapshot(1, 1), snapshot(2, 1, body=b"s" * 50_000)])
    assert store.head() == head
    assert store.snapshot(1) is None
    assert list(store.groups(0)) == kept
    limit_pages(store, 100_000)
    kept.append(append(store, body=b"z" * 9000))
    assert store.restore_ballast()
    assert list(store.groups(0)) == kept


def test_a_projection_that_does_not_fit_moves_nothing(store: SqliteStore) -> None:
    for _ in range(3):
        append(store, body=b"x" * 30_000)
    limit_pages(store, pages_used(store) + 2)
    with pytest.raises(StorageFull):
        store.project(count_orders, 10)
    assert (store.projected_seq(), projected_count(store)) == (0, 0)
    limit_pages(store, 100_000)
    assert store.project(count_orders, 10) == 0
    assert projected_count(store) == 3


MAIN = "tests.storage.full_disk_main"


def check_after_refusal(directory: Path, durable: int) -> None:
    """The journal is gap-free and holds every acknowledged group, at most one more."""
    with contextlib.closing(SqliteStore.open(directory, ballast_bytes=0)) as store:
        kept = [group.seq_last for group in store.groups(0)]
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) in (durable, durable + 1)
        append(store)


@pytest.mark.parametrize("limit_bytes", [150_000, 200_001, 333_333])
def test_a_limited_file_size_never_leaves_half_a_group(tmp_path: Path, limit_bytes: int) -> None:
    command = [sys.executable, "-m", MAIN, str(tmp_path), str(limit_bytes)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    durable, *names = result.stdout.split()
    assert int(durable) > 5
    assert names == ["StorageBroken"] * 2
    check_after_refusal(tmp_path, int(durable))


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_one_failing_system_call_is_final(tmp_path: Path, call: str) -> None:
    """The failure is injected once; that the call would work again must not make the store go on."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    SqliteStore.open(tmp_path, ballast_bytes=64 * 1024).close()
    inject = f"inject={call}:error=EIO:when=25"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]
    command += [sys.executable, "-m", MAIN, str(tmp_path), "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if not result.stdout and "ptrace" in result.stderr:
        pytest.skip("tracing is not permitted here")
    durable, *names = result.stdout.split()
    assert names == ["StorageBroken"] * 2
    check_after_refusal(tmp_path, int(durable))


def test_ballast_is_real_space_taken_and_given_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, BALLAST_BYTES)
    assert ballast.take()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= BALLAST_BYTES
    assert Ballast(tmp_path, BALLAST_BYTES).held
    ballast.free()
    assert not ballast.held
    assert not (tmp_path / "ballast").exists()


def test_ballast_is_not_taken_from_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, 1 << 60)
    assert not ballast.take()
    assert not ballast.held


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own, where this may be had."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, leave_bytes: int) -> Path:
    space = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - leave_bytes)
    return filler


def test_on_a_really_full_disk_the_ballast_lets_the_tail_commit(small_disk: Path) -> None:
    with contextlib.closing(SqliteStore.open(small_disk, ballast_bytes=BALLAST_BYTES)) as store:
        kept = [append(store, body=b"x" * 4000)]
        filler = fill(small_disk, 40_000)
        while store.ballast_held:
            kept.append(append(store, body=b"x" * 4000))
        kept += append_until_full(store, 4000)
        assert not store.restore_ballast()
        assert list(store.groups(0)) == kept
        filler.unlink()
        kept.append(append(store, body=b"x" * 4000))
        assert store.restore_ballast()
    with contextlib.closing(SqliteStore.open(small_disk, ballast_bytes=BALLAST_BYTES)) as store:
        assert list(store.groups(0)) == kept


@pytest.mark.anyio
async def test_the_writer_names_the_state_keeps_the_tail_and_recovers_by_itself(small_disk: Path) -> None:
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(small_disk), listener)
    running = Running(store, head, listener)
    running.append()
    await listener.until(lambda: listener.projected[-1:] == [1])
    filler = fill(small_disk, 20_000)
    groups = 1
    while "stuck" not in listener.space:
        running.append(1, b"x" * 4000)
        groups += 1
        await listener.until(lambda: store.in_flight == 0 or "stuck" in listener.space)
    assert listener.space[0] in ("low", "stuck")
    assert store.in_flight == 1
    filler.unlink()
    await listener.until(lambda: store.in_flight == 0)
    await listener.until(lambda: listener.space[-1] == "ok")
    assert listener.durable == list(range(1, groups + 1))
    assert await store.flush() == groups
    assert listener.failed == []
    assert await store.stop() == 0
