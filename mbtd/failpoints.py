"""Named places at which a test lets a process die as if its power had gone (operations §14).

``MBTD_FAIL_POINT=name:count`` makes the process kill itself when it reaches that place for the count-th time;
unset, a place costs one attribute test. Names: ``commit.before``, ``commit.after`` (durable, not yet
acknowledged), ``snapshot.middle``, ``project.middle``, ``trim.middle``, ``output.middle`` (replay),
``release.before`` (the daemon knows and has told nobody), ``account.create.middle``.

Invariant: every name is reached in one process only, so the variable may be inherited.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from storage.records import Group, Project, Snapshot
from storage.sqlite import SqliteStore

VARIABLE = "MBTD_FAIL_POINT"


class FailPoint:
    """One armed place."""

    def __init__(self, text: str) -> None:
        self.name, _, count = text.partition(":")
        self._left = int(count or "1")

    def reach(self, name: str) -> None:
        """Pass the place, or die there."""
        if name == self.name:
            self._left -= 1
            if self._left <= 0:
                _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


armed: FailPoint | None = FailPoint(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
"""What the environment asked for."""


def reach(name: str) -> None:
    """A place was reached."""
    if armed is not None:
        armed.reach(name)


class FailingStore(SqliteStore):
    """The store with places to die at around its commits and inside its transactions."""

    _within = ""

    def append(self, group: Group) -> bytes:
        reach("commit.before")
        digest = super().append(group)
        reach("commit.after")
        return digest

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self._within = "snapshot.middle"
        super().put_snapshots(snapshots)

    def project(self, project: Project, budget_groups: int) -> int:
        self._within = "project.middle"
        return super().project(project, budget_groups)

    def _trim_to(self, anchor: int) -> None:
        self._within = "trim.middle"
        super()._trim_to(anchor)

    def _write(self, work: Callable[[], object]) -> None:
        def work_and_pass() -> None:
            work()
            reach(self._within)

        super()._write(work_and_pass)


def store_type() -> type[SqliteStore]:
    """The store to open: the plain one unless a place is armed."""
    return SqliteStore if armed is None else FailingStore
