"""What a start refuses or leaves out: files of two times side by side, and accounts that were erased."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from actors.commands import CreateAccount
from actors.engine import Engine
from actors.erasing import erase_user
from actors.inputs import Envelope, EraseInput, Issued
from mbtd.groups import GroupCutter
from mbtd.journal import DIRECTORY, catch_up, open_front
from mbtd.recovery import load, recover
from mbtd.residency import snapshot_of, snapshot_of_house
from storage.errors import Corrupt
from storage.memory import MemoryStore
from storage.sqlite import SqliteStore
from tests.oracle.rig import START
from tests.service.running import Daemon
from tests.storage.groups import group_after


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    """The journal and the writer's store, with three groups in both."""
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    front = open_front(tmp_path, take_epoch=True, ballast_bytes=0)
    for each in (front, store):
        for _ in range(3):
            each.append(group_after(each.head(), 2))
    with contextlib.closing(store), contextlib.closing(front):
        yield front, store


def test_a_journal_that_ends_before_the_store_is_refused(stores: tuple[SqliteStore, SqliteStore]) -> None:
    front, store = stores
    assert catch_up(front, store) == 0
    store.append(group_after(store.head(), 2))
    with pytest.raises(Corrupt, match="ends at event 6, before the store's 8"):
        catch_up(front, store)


def test_a_store_that_the_journal_does_not_reach_back_to_is_refused(
    stores: tuple[SqliteStore, SqliteStore], tmp_path: Path
) -> None:
    front, _ = stores
    front.trim(5, projected_elsewhere=True)
    (tmp_path / "other").mkdir()
    empty = SqliteStore.open(tmp_path / "other", ballast_bytes=0)
    with contextlib.closing(empty), pytest.raises(Corrupt, match="does not continue the store"):
        catch_up(front, empty)


def test_a_daemon_whose_journal_is_gone_says_so_and_serves_nobody(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "31").start()
    try:
        with daemon.client() as client:
            client.call("account.create", name="ann")
            client.call("admin.barrier")
        daemon.kill()
        shutil.rmtree(daemon.state / DIRECTORY)
        with pytest.raises(AssertionError, match="its files are missing or older"):
            daemon.start()
        assert daemon.process.returncode == 65
    finally:
        daemon.end()


def _opened(engine: Engine, number: int) -> None:
    issued = Issued(blake2b(b"%d" % number, digest_size=32).digest())
    engine.command(0, CreateAccount(name=f"n{number}", user_id=f"u{number}"), START, Envelope(), issued)


def test_an_erased_account_does_not_come_back_behind_a_newer_snapshot_of_the_house() -> None:
    """As a crash between the house's snapshot and the trimming of the journal leaves it."""
    engine, store = Engine(bytes(32)), MemoryStore()
    cutter = GroupCutter(engine, store.head())
    for number in (1, 2):
        _opened(engine, number)
    store.append(cutter.cut())
    store.put_snapshots([snapshot_of(engine.books[1], engine.seq)])
    erase_user(engine, EraseInput((1,), b"mark"), START)
    store.append(cutter.cut())
    store.put_snapshots([snapshot_of_house(engine.house, engine.seq)])
    again = Engine(bytes(32))
    recovered, _ = load(again, store)  # type: ignore[arg-type]
    assert set(again.books) == {2}
    assert recovered.accounts == 1
    assert again.seq == engine.seq


def test_a_fresh_directory_is_neither(tmp_path: Path) -> None:
    recovered, covered = recover(Engine(bytes(32)), tmp_path)
    assert recovered.head.seq == 0
    assert not covered
