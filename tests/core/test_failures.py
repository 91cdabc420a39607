"""What ends the daemon and with which status; what is only one request's trouble does not."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import anyio
import pytest

from mbtd.daemon import status_of
from mbtd.journal import catch_up
from mbtd.rpc.session import Peer, Session
from mbtd.service.turns import answered
from storage.ballast import Ballast
from storage.errors import (
    Corrupt,
    OutOfSequence,
    ProjectionFault,
    StaleWriter,
    StorageBroken,
    StorageError,
    StorageFull,
    WrongDatabase,
)
from storage.records import Group
from storage.sqlite import SqliteStore
from tests.storage.groups import append


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EIO, "Input/output error"), 74),
        (OSError(errno.ENOSPC, "No space left on device"), 74),
        (TimeoutError("a time limit is no disk"), 70),
        (ConnectionResetError(errno.ECONNRESET, "nor is a client"), 70),
        (FileNotFoundError(errno.ENOENT, "nor a missing file"), 70),
        (sqlite3.OperationalError("nor a wrong statement"), 70),
        (StorageBroken("a failed sync"), 74),
        (StorageFull("no room"), 74),
        (Corrupt("torn"), 65),
        (WrongDatabase("of another program"), 65),
        (StaleWriter("our own fault"), 70),
        (OutOfSequence("our own fault"), 70),
        (ProjectionFault("our own fault"), 70),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [StorageBroken("a failed sync")])]), 74),
        (ExceptionGroup("tasks", [StorageBroken("a failed sync"), KeyError("and more")]), 70),
    ],
)
def test_only_what_the_disk_did_ends_as_a_storage_fault(error: Exception, status: int) -> None:
    assert status_of(error) == status


class Answers(Session):
    """A session that keeps its refusals."""

    def take(self) -> str:
        return self.take_output().decode()


@pytest.mark.parametrize(
    "error", [StorageBroken("a reader's trouble"), TimeoutError(), sqlite3.OperationalError("busy")]
)
def test_a_read_that_fails_is_answered_and_goes_no_further(error: Exception) -> None:
    session = Answers(Peer(0, 0, 0, "operator"))
    session._unanswered.add(7)

    async def fail() -> None:
        raise error

    anyio.run(answered, session, 7, fail)
    assert '"reason":"internal_error"' in session.take()


def moved(store: SqliteStore, *, tape: int, at: int) -> Group:
    """A group without events and without an input of its own: a timer changed what an order waits for."""
    head = store.head()
    group = Group(
        head.epoch, head.seq + 1, head.seq, head.input_seq, head.tape_pos + tape, head.at + at, b"", b"", b"moved"
    )
    store.append(group)
    return group


@pytest.mark.parametrize("known", range(6))
def test_a_start_gives_the_writer_every_group_that_it_lacks(tmp_path: Path, known: int) -> None:
    """Groups that moved nothing but the time count too: their head must be the writer's."""
    for name in ("front", "far"):
        (tmp_path / name).mkdir()
    front, far = SqliteStore.open(tmp_path / "front"), SqliteStore.open(tmp_path / "far")
    groups = [append(front), moved(front, tape=0, at=5), append(front), moved(front, tape=3, at=0)]
    groups.append(moved(front, tape=0, at=1))
    for group in groups[:known]:
        far.append(group)
    assert catch_up(front, far) == len(groups) - min(known, len(groups))
    assert (far.head().seq, far.head().tape_pos, far.head().at) == (
        front.head().seq,
        front.head().tape_pos,
        front.head().at,
    )
    assert [group.moved for group in far.groups(0)] == [group.moved for group in groups]
    front.close()
    far.close()


def test_a_ballast_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "ballast").mkdir()
    ballast = Ballast(tmp_path, 1 << 40)
    assert not ballast.take()
    ballast = Ballast(tmp_path, 65536)
    assert not ballast.take()


def test_every_failure_of_the_store_has_a_status() -> None:
    from storage.frames import EXIT_STATUS, kind_of

    for kind in StorageError.__subclasses__():
        if kind.__name__ != "AlreadyRunning":
            assert EXIT_STATUS[kind_of(kind("text"))] in (65, 70, 74)
