"""``mbtd restore --replay`` on damaged files: what can be made whole is, what cannot is refused and left as it was."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mbtd.jobs.verify import verify
from mbtd.journal import DIRECTORY, open_front
from storage.backup import digest_of
from storage.database import FILE_NAME
from storage.records import Head
from storage.sqlite import SqliteStore
from storage.torn import lost_commits
from tests.service.conftest import ended, make_account, place
from tests.service.running import Daemon, printed, run_cli

PAGE = 4096


class State:
    """A stopped daemon's directory with backups, and what was in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.main = path / FILE_NAME
        self.front = path / DIRECTORY / FILE_NAME
        whole = verify(path)
        assert whole.ok
        self.seq, self.hash = whole.seq, whole.state_hash

    @property
    def backups(self) -> list[Path]:
        return sorted((self.path / "backups").iterdir())

    def files(self) -> dict[str, str]:
        return {str(path): digest_of(path) for path in (self.main, self.front)}

    def restore(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = run_cli("restore", *words, "--state", str(self.path), "--json")
        return done.returncode, json.loads(done.stdout)

    def refused(self, *words: str) -> dict[str, Any]:
        """The refusal, having touched nothing."""
        before, names = self.files(), {path.name for path in self.path.iterdir()}
        status, told = self.restore("--replay", *words)
        assert (status, told["ok"]) == (65, False)
        assert self.files() == before
        assert {path.name for path in self.path.iterdir()} - names <= {f"{FILE_NAME}-shm", f"{FILE_NAME}-wal"}
        assert told["damaged"]
        assert told["missing"]
        return told

    def goes_on(self, told: dict[str, Any]) -> dict[str, Any]:
        """Type what the refusal says in the end."""
        line = told["next"][-1].partition(": ")[2]
        done = printed(run_cli(*shlex.split(line)[1:], "--json"))
        assert verify(self.path).ok
        return dict(done)

    def is_whole(self, told: dict[str, Any], before: dict[str, str]) -> None:
        """Everything is back, and the damaged files are where it is said, byte for byte."""
        assert (told["seq"], told["state_hash"]) == (self.seq, self.hash)
        aside = Path(told["aside"])
        assert {
            str(self.path / path.relative_to(aside)): digest_of(path) for path in aside.rglob(FILE_NAME)
        } == before
        assert verify(self.path).ok


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "state"
    daemon = Daemon(path, "--seed", "31").start()
    try:
        with daemon.client() as client:
            make_account(client, "ann")
            place(client, "ann")
            for count in range(2):
                order = client.call("order.place", account="ann", symbol="AAPL", side="buy", qty="3", type="market")
                ended(client, "ann", order["order"]["id"])
                if count == 0:
                    printed(run_cli("backup", "--state", str(path), "--json", socket=daemon.socket))
            printed(run_cli("backup", "--state", str(path), "--json", socket=daemon.socket))
            for _ in range(5):
                place(client, "ann")
        assert daemon.stop() == 0
    finally:
        daemon.end()
    return path


@pytest.fixture
def state(stopped: Path, tmp_path: Path) -> State:
    return State(Path(shutil.copytree(stopped, tmp_path / "state", ignore=shutil.ignore_patterns("*.sock"))))


def flip(path: Path, at: int, count: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        body = bytes(byte ^ 0xFF for byte in file.read(count))
        file.seek(at)
        file.write(body)


def flip_table(path: Path, table: str) -> None:
    """Flip the head of a table's first page."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    flip(path, (page - 1) * PAGE, 8)


def flip_group(path: Path, number_from_end: int) -> int:
    """Flip a byte within the events of a group; the group's first event."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT seq_first, body FROM journal WHERE length(body) > 100 ORDER BY group_no").fetchall()
    seq, body = rows[-number_from_end]
    data = path.read_bytes()
    assert data.count(body[:60]) == 1
    flip(path, data.index(body[:60]) + 30)
    return int(seq)


def head_of_newest(state: State) -> Head:
    """Where the newest backup ends; a copy is opened, since that changes the file."""
    copy = shutil.copytree(state.backups[-1], state.path.parent / "copy")
    with contextlib.closing(SqliteStore.open(copy, take_epoch=False, ballast_bytes=0)) as store:
        return store.head()


def all_in_the_journal(state: State, *, and_in_main: bool = False) -> None:
    """As after a death before the writer got anything since the last backup: only the journal has it."""
    head = head_of_newest(state)
    with contextlib.closing(SqliteStore.open(state.path, take_epoch=False, ballast_bytes=0)) as store:
        groups = list(store.groups(head.seq))
    shutil.rmtree(state.front.parent)
    with contextlib.closing(open_front(state.path, take_epoch=False)) as front:
        front.plant(head)
        for group in groups:
            if (group.seq_last, group.input_seq, group.tape_pos, group.at) > (
                head.seq, head.input_seq, head.tape_pos, head.at
            ):  # fmt: skip
                front.append(replace(group, epoch=front.head().epoch))
    if not and_in_main:
        shutil.copyfile(state.backups[-1] / FILE_NAME, state.main)


@pytest.mark.parametrize("table", ["orders", "archive", "snapshots"])
def test_a_damaged_table_comes_back_from_the_backup_and_the_databases_own_journal(state: State, table: str) -> None:
    flip_table(state.main, table)
    before = state.files()
    assert run_cli("verify", "--state", str(state.path)).returncode == 65
    status, told = state.restore("--replay")
    assert status == 0, told
    assert told["backup"] == str(state.backups[-1])
    assert any(table in text for text in told["damaged"])
    state.is_whole(told, before)


def test_a_database_without_its_head_comes_back_from_a_journal_that_has_everything(state: State) -> None:
    all_in_the_journal(state)
    flip(state.main, 0, 100)
    before = state.files()
    status, told = state.restore("--replay")
    assert status == 0, told
    assert told["groups_replayed"] > 0
    state.is_whole(told, before)


def test_a_state_that_came_back_serves(state: State) -> None:
    flip_table(state.main, "fills")
    assert state.restore("--replay")[0] == 0
    daemon = Daemon(state.path, "--seed", "31").start()
    try:
        with daemon.client() as client:
            assert len(client.call("order.list", account="ann", status="all")["items"]) == 8
            place(client, "ann")
        assert daemon.stop() == 0
    finally:
        daemon.end()
    assert verify(state.path).ok


def test_a_damaged_backup_is_passed_over_for_an_older_one(state: State) -> None:
    flip_table(state.main, "orders")
    flip(state.backups[-1] / FILE_NAME, 5 * PAGE, 8)
    status, told = state.restore("--replay")
    assert status == 0, told
    assert told["backup"] == str(state.backups[0])
    assert str(state.backups[-1]) in told["passed_over"][0]
    assert (told["seq"], told["state_hash"]) == (state.seq, state.hash)


def test_a_gap_between_backup_and_journal_is_refused_and_named(state: State) -> None:
    kept = head_of_newest(state).seq
    with contextlib.closing(SqliteStore.open(state.path, take_epoch=False, ballast_bytes=0)) as store:
        store.trim(state.seq)
        store.checkpoint(truncate=True)
    flip_table(state.main, "orders")
    told = state.refused()
    assert f"event {kept + 1} " in told["missing"][0]
    assert state.goes_on(told)["seq"] == kept


def test_a_damaged_journal_beside_a_whole_database_is_refused_until_the_end_is_named(state: State) -> None:
    flip(state.front, 0, 100)
    before = state.files()
    told = state.refused()
    assert any(str(state.front) in text for text in told["damaged"])
    state.is_whole(state.goes_on(told), before)


def test_a_log_that_was_damaged_behind_the_databases_back_is_found(state: State) -> None:
    """SQLite takes the log's rest for never written, and the journal for a whole one that ends earlier."""
    all_in_the_journal(state)
    copy = state.path.parent / "as-it-died"
    with contextlib.closing(SqliteStore.open(state.front.parent, take_epoch=False, ballast_bytes=0)) as front:
        last = list(front.groups(front.trimmed_seq()))[-1]
        front.trim(last.seq_first, projected_elsewhere=True)
        front.set_meta("later", b"1")
        shutil.copytree(state.front.parent, copy)
    log = copy / f"{FILE_NAME}-wal"
    assert lost_commits(log) == 0
    flip(log, 32 + 24 + 100)
    assert lost_commits(log) > 0
    shutil.rmtree(state.front.parent)
    copy.rename(state.front.parent)
    told = state.refused()
    assert any(f"{FILE_NAME}-wal" in text for text in told["damaged"])


def test_a_missing_journal_is_damage(state: State) -> None:
    state.front.unlink()
    assert run_cli("restore", "--replay", "--state", str(state.path)).returncode == 65


def test_a_group_that_the_database_has_too_may_be_damaged_in_the_journal(state: State) -> None:
    all_in_the_journal(state, and_in_main=True)
    flip_group(state.front, 2)
    before = state.files()
    status, told = state.restore("--replay")
    assert status == 0, told
    assert any(str(state.front) in text for text in told["damaged"])
    state.is_whole(told, before)


def test_a_group_that_only_the_journal_had_is_refused_and_named(state: State) -> None:
    all_in_the_journal(state)
    lost = flip_group(state.front, 2)
    told = state.refused()
    assert f"event {lost} " in told["missing"][0]
    assert state.goes_on(told)["seq"] == lost - 1


def test_each_file_helps_where_the_other_is_damaged(state: State) -> None:
    all_in_the_journal(state, and_in_main=True)
    flip_group(state.front, 3)
    flip_group(state.main, 1)
    flip_table(state.main, "orders")
    before = state.files()
    status, told = state.restore("--replay")
    assert status == 0, told
    assert any(str(state.front) in text for text in told["damaged"])
    assert any(str(state.main) in text for text in told["damaged"])
    state.is_whole(told, before)


def test_both_damaged_beyond_reading_leave_the_backup(state: State) -> None:
    flip(state.main, 0, 100)
    flip(state.front, 0, 100)
    told = state.refused()
    assert len(told["damaged"]) >= 2
    again = state.goes_on(told)
    assert again["groups_replayed"] == 0
    assert again["backup"] == str(state.backups[-1])


def test_a_backup_of_another_past_is_no_base(state: State) -> None:
    """After a restore of an older backup the newest one holds what never happened."""
    assert printed(run_cli("restore", str(state.backups[0]), "--state", str(state.path), "--json"))["ok"]
    daemon = Daemon(state.path, "--seed", "31").start()
    try:
        with daemon.client() as client:
            for _ in range(8):
                place(client, "ann")
        assert daemon.stop() == 0
    finally:
        daemon.end()
    there = State(state.path)
    flip_table(there.main, "orders")
    status, told = there.restore("--replay")
    assert status == 0, told
    assert told["backup"] == str(there.backups[0])
    assert (told["seq"], told["state_hash"]) == (there.seq, there.hash)
