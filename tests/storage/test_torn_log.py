"""A write-ahead log cut anywhere gives a gap-free prefix of the groups, and the projections that belong to
it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from storage.database import FILE_NAME
from storage.records import Group
from storage.sqlite import SqliteStore
from tests.storage.groups import append, count_orders, projected_count, snapshot

HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096
SEED = 20131007


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Group], list[tuple[int, int, int]]]:
    """A directory as after a power cut, its groups, and (log size, groups, projected groups) after each
    step."""
    directory = tmp_path_factory.mktemp("live")
    store = SqliteStore.open(directory, ballast_bytes=0)
    store.checkpoint(truncate=True)
    log = directory / f"{FILE_NAME}-wal"
    groups: list[Group] = []
    steps = [(0, 0, 0)]
    projected = 0
    for number in range(24):
        groups.append(append(store, 1 + number % 3, body=b"%d" % number * (3000 if number % 5 == 0 else 20)))
        steps.append((log.stat().st_size, len(groups), projected))
        if number % 4 == 3:
            store.project(count_orders, 100)
            store.put_snapshots([snapshot(1, store.head().seq, live=True, body=b"s" * 2000)])
            projected = len(groups)
            steps.append((log.stat().st_size, len(groups), projected))
    copy = tmp_path_factory.mktemp("copy")
    for name in (FILE_NAME, log.name):
        shutil.copy(directory / name, copy / name)
    store.close()
    return copy, groups, steps


def check_cut(
    crashed: tuple[Path, list[Group], list[tuple[int, int, int]]],
    directory: Path,
    size: int,
    junk: bytes = b"",
) -> None:
    source, groups, steps = crashed
    directory.mkdir()
    shutil.copy(source / FILE_NAME, directory)
    log = (source / f"{FILE_NAME}-wal").read_bytes()
    (directory / f"{FILE_NAME}-wal").write_bytes(log[:size] + junk)
    store = SqliteStore.open(directory, ballast_bytes=0)
    kept = list(store.groups(0))
    assert kept == groups[: len(kept)]
    durable = max(count for log_size, count, _ in steps if log_size <= size)
    assert len(kept) == durable
    stored = store.snapshot(1)
    assert stored is None or stored.seq <= store.head().seq
    assert len(kept) - store.projection_backlog() == projected_count(store)
    store.project(count_orders, 100)
    assert projected_count(store) == len(kept)
    append(store)
    store.close()
    shutil.rmtree(directory)


def test_cut_at_every_frame_edge(
    crashed: tuple[Path, list[Group], list[tuple[int, int, int]]], tmp_path: Path
) -> None:
    size = (crashed[0] / f"{FILE_NAME}-wal").stat().st_size
    for edge in range(HEADER_BYTES, size + 1, FRAME_BYTES):
        check_cut(crashed, tmp_path / "cut", edge)


def test_cut_at_random_bytes_with_and_without_junk_behind(
    crashed: tuple[Path, list[Group], list[tuple[int, int, int]]], tmp_path: Path
) -> None:
    random_numbers = random.Random(SEED)
    size = (crashed[0] / f"{FILE_NAME}-wal").stat().st_size
    for number in range(60):
        junk = random_numbers.randbytes(random_numbers.randrange(1, 9000)) if number % 2 else b""
        check_cut(crashed, tmp_path / "cut", random_numbers.randrange(size), junk)
