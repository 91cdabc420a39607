"""The writer process: the only one that writes, at the other end of a socket pair from the daemon.

Why a process: a thread that commits waits up to a hundred milliseconds for its turn behind a busy event loop.
Commits come first. Everything else (projecting, snapshots, trimming, checkpoints) is cut into slices of
about 5 ms that are taken while no group waits, and between commits when the backlog of projection exceeds
its bound or a round of commits has passed, so nothing starves and nothing grows without bound.
When the daemon is gone (end of file) what was read is committed and the process ends. Signals meant for the
daemon are ignored: the daemon decides.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import signal
import socket
import time
from collections import deque
from pathlib import Path

from storage.background import Background
from storage.ballast import BALLAST_BYTES
from storage.errors import StorageError, StorageFull
from storage.frames import (
    EXIT_STATUS,
    Append,
    Appended,
    Checkpoint,
    Checkpointed,
    Failed,
    Flush,
    Flushed,
    Projected,
    PutSnapshots,
    Ready,
    Request,
    SetMeta,
    Space,
    SpaceState,
    Stop,
    Stopped,
    Stored,
    Trim,
    Trimmed,
    Work,
    Worked,
    kind_of,
)
from storage.jobs import Jobs
from storage.link import Link
from storage.records import Group, Project, Snapshot
from storage.sqlite import SqliteStore

SLICE_NS = 5_000_000
"""How long a slice of other work should keep a commit waiting at most."""
MAX_BACKLOG_EVENTS = 200_000
"""Beyond so many unprojected events every commit is followed by a slice of projection."""
BUSY_S = 0.25
"""For so long after a group the daemon counts as busy, and projection is paced: it shares a processor with it."""
REST = 4
"""While the daemon is busy, projection rests so many times as long as its last slice took."""
BACKLOGGED_SLICES = 8
"""While projection is backlogged every so many slices one goes to the other kinds in turn."""
LINGER_S = 0.001
"""How long after a request the next group is waited for before other work begins: groups that follow closely
are not held up, and their rows gather into one transaction."""
COMMITS_PER_SLICE = 256
"""After so many commits without a pause one slice of other work is taken anyway."""
SNAPSHOTS_PER_SLICE = 50
TRIM_GROUPS_PER_SLICE = 200
CHECKPOINT_PAGES = 512
IDLE_CHECKPOINT_S = 1.0
LATE_S = 10.0
"""So long may history lag before the writer stands in nobody's shadow any more."""
RETRY_S = 0.05
MAX_RETRY_S = 1.0
STOP_FULL_S = 5.0
"""How long a stop waits for space before it gives up on a group."""
_KINDS_OF_WORK = 5


def run(
    fd: int,
    directory: Path | str,
    project: Project,
    *,
    take_epoch: bool = True,
    ballast_bytes: int = BALLAST_BYTES,
    store_type: type[SqliteStore] = SqliteStore,
    relaxed: bool = False,
    works: Jobs | None = None,
) -> int:
    """Serve the daemon at the other end of the socket ``fd`` until it stops us or is gone.

    ``relaxed`` syncs with checkpoints only (``SqliteStore.relax``). ``store_type`` lets crash tests hand in a
    store that dies at a named place. Returns the exit status: 0, or that of the failure whose ``Failed`` was sent
    last.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=fd) as sock:
        link = Link(sock)
        try:
            store = store_type.open(directory, take_epoch=take_epoch, ballast_bytes=ballast_bytes)
            if relaxed:
                store.relax()
            with contextlib.closing(store):
                return Writer(link, store, project, works).serve()
        except StorageError as error:
            kind = kind_of(error)
            link.send(Failed(kind, str(error)))
            return EXIT_STATUS[kind]
        except _ProjectionRaised as error:
            link.send(Failed("projection", f"{type(error.__cause__).__name__}: {error.__cause__}"))
            return 70
        finally:
            link.finish()


class _ProjectionRaised(Exception):
    """The project function handed to us raised something of its own."""


class Writer:
    """The loop. Holds what was asked for and not done yet."""

    def __init__(
        self,
        link: Link,
        store: SqliteStore,
        project: Project,
        works: Jobs | None = None,
        background: Background | None = None,
    ) -> None:
        self._link = link
        self._background = background or Background()
        self._complete_at = time.monotonic()
        """When history last had everything."""
        self._works = works or {}
        self._store = store
        self._project = project
        self._groups: deque[Group] = deque()
        self._snapshots: deque[Snapshot] = deque()
        self._trim_below = 0
        self._flushes: deque[int] = deque()
        """Event numbers up to which projections are asked for."""
        self._jobs: deque[Checkpoint | SetMeta | Work] = deque()
        self._stop = False
        self._calm = True
        """The last wait brought nothing, and nothing has come since."""
        self._space: SpaceState = "ok"
        self._retry_s = RETRY_S
        self._retry_at = 0.0
        """Until then a full disk is left alone (monotonic seconds)."""
        self._slice_groups = 16
        self._commits = 0
        self._checkpoint_pages = CHECKPOINT_PAGES
        self._turn = 0
        self._slices = 0
        self._busy_at = 0.0
        self._rest_until = 0.0

    def serve(self) -> int:
        """Returns the exit status; storage faults are raised."""
        self._link.send(Ready(self._store.head(), self._store.projected_seq()))
        self._tell_space()
        while not (self._stop or self._link.ended):
            requests = self._link.receive(self._patience())
            if requests or self._link.quiet:
                self._calm = self._link.quiet
            for request in requests:
                self._take(request)
            self._background.put(self._may_wait())
            if self._paused():
                continue
            if self._groups:
                self._commit()
            if self._space != "stuck" and self._slice_due():
                self._slice()
        self._finish()
        return 0

    def _patience(self) -> float | None:
        """How long to wait for requests: not at all with work in hand, else until something is due."""
        if self._paused():
            return max(0.001, self._retry_at - time.monotonic())
        if self._groups or self._flushes:
            return 0.0
        if self._waiting():
            resting = self._resting()
            if resting > 0:
                return resting
            return 0.0 if self._calm else LINGER_S
        if self._store.wal_pages or self._space != "ok":
            return IDLE_CHECKPOINT_S
        return None

    def _may_wait(self) -> bool:
        """Whether whoever else has something to do goes first: nobody waits for us, and history is not too late."""
        now = time.monotonic()
        if not self._store.projection_backlog():
            self._complete_at = now
        return not (
            self._flushes or self._jobs or self._stop or self._backlogged() or now - self._complete_at > LATE_S
        )

    def _slice_due(self) -> bool:
        if self._backlogged() or self._commits >= COMMITS_PER_SLICE:
            return True
        return not self._groups and (self._calm or bool(self._flushes)) and self._resting() <= 0

    def _take(self, request: Request) -> None:
        match request:
            case Append(group):
                self._groups.append(group)
                self._busy_at = time.monotonic()
            case PutSnapshots(snapshots):
                self._snapshots.extend(snapshots)
            case Trim(below_seq):
                self._trim_below = max(self._trim_below, below_seq)
            case Checkpoint() | SetMeta() | Work():
                self._jobs.append(request)
            case Flush():
                self._flushes.append(self._groups[-1].seq_last if self._groups else self._store.head().seq)
            case Stop():
                self._stop = True

    # -- commits

    def _commit(self) -> None:
        group = self._groups[0]
        started = time.perf_counter_ns()
        try:
            digest = self._store.append(group)
        except StorageFull:
            self._space_stuck()
            return
        self._groups.popleft()
        self._commits += 1
        self._link.send(Appended(group.seq_last, digest, time.perf_counter_ns() - started))
        if self._space == "stuck" or not self._store.ballast_held:
            self._tell_space()

    def _commit_all(self) -> None:
        deadline = time.monotonic() + STOP_FULL_S
        while self._groups:
            if self._paused():
                time.sleep(RETRY_S)
            self._commit()
            if self._groups and self._space == "stuck" and time.monotonic() > deadline:
                raise StorageFull("the disk is full and stays so; the last groups are not stored")

    # -- a full disk

    def _paused(self) -> bool:
        return time.monotonic() < self._retry_at if self._retry_at else False

    def _pause(self) -> None:
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(MAX_RETRY_S, self._retry_s * 2)

    def _space_stuck(self) -> None:
        if self._space != "stuck":
            self._space = "stuck"
            self._link.send(Space("stuck"))
        # Moving pages home lets the log start over in the space it has already.
        with contextlib.suppress(StorageFull):
            self._store.checkpoint(truncate=False)
        self._pause()

    def _tell_space(self) -> None:
        """Take the ballast back if there is room, and tell the daemon what changed."""
        state: SpaceState = "ok" if self._store.restore_ballast() else "low"
        if state != self._space:
            self._retry_at, self._retry_s = 0.0, RETRY_S
            self._space = state
            self._link.send(Space(state))

    # -- everything else, in slices

    def _backlogged(self) -> bool:
        return self._store.head().seq - self._store.projected_seq() > MAX_BACKLOG_EVENTS

    def _resting(self) -> float:
        """How long projection still rests for the daemon's sake, in seconds."""
        if self._flushes or self._stop or self._backlogged():
            return 0.0
        now = time.monotonic()
        return self._rest_until - now if now - self._busy_at < BUSY_S else 0.0

    def _waiting(self) -> bool:
        return bool(
            self._flushes
            or self._jobs
            or self._snapshots_ready()
            or self._trim_below
            or self._store.projection_backlog()
            or self._store.wal_pages >= self._checkpoint_pages
        )

    def _slice(self) -> None:
        """One piece of whatever waits, each kind in its turn; mostly projection while it is backlogged."""
        idle = self._calm and not self._waiting()
        self._commits = 0
        try:
            if self._space != "ok":
                self._tell_space()
            self._slices += 1
            if self._flushes or (self._backlogged() and self._slices % BACKLOGGED_SLICES):
                self._project_slice()
                return
            if idle:
                self._checkpoint_slice()
                return
            for _ in range(_KINDS_OF_WORK):
                self._turn = (self._turn + 1) % _KINDS_OF_WORK
                if self._slice_of(self._turn):
                    return
        except StorageFull:
            self._space_low()

    def _space_low(self) -> None:
        if self._space == "ok":
            self._space = "low"
            self._link.send(Space("low"))
        self._pause()

    def _slice_of(self, kind: int) -> bool:
        """Take a slice of one kind; False when nothing of the kind waits."""
        if kind == 0 and self._store.projection_backlog():
            self._project_slice()
        elif kind == 1 and self._snapshots_ready():
            self._snapshot_slice()
        elif kind == 2 and self._trim_below:
            self._trim_slice()
        elif kind == 3 and self._store.wal_pages >= self._checkpoint_pages:
            self._checkpoint_slice()
        elif kind == 4 and self._jobs:
            self._job()
        else:
            return False
        return True

    def _project_slice(self) -> None:
        before = self._store.projected_seq()
        started = time.perf_counter_ns()
        try:
            self._store.project(self._project, self._slice_groups)
        except StorageError:
            raise
        except Exception as error:
            raise _ProjectionRaised from error
        took = time.perf_counter_ns() - started
        self._rest_until = time.monotonic() + REST * took / 1e9
        if took > SLICE_NS * 3 // 4:
            self._slice_groups = max(1, self._slice_groups // 2)
        elif took < SLICE_NS // 3:
            self._slice_groups = min(256, self._slice_groups * 2)
        seq = self._store.projected_seq()
        if seq != before:
            self._link.send(Projected(seq))
        while self._flushes and self._flushes[0] <= seq:
            self._flushes.popleft()
            self._link.send(Flushed(seq))

    def _snapshots_ready(self) -> bool:
        """Snapshots whose group is still waiting wait with it."""
        return bool(self._snapshots) and (not self._groups or self._snapshots[0].seq <= self._store.head().seq)

    def _snapshot_slice(self) -> None:
        seq = self._store.head().seq if self._groups else math.inf
        few = itertools.islice(self._snapshots, SNAPSHOTS_PER_SLICE)
        chunk = list(itertools.takewhile(lambda snapshot: snapshot.seq <= seq, few))
        self._store.put_snapshots(chunk)
        for _ in chunk:
            self._snapshots.popleft()
        self._link.send(Stored([(snapshot.account_no, snapshot.n) for snapshot in chunk]))

    def _trim_slice(self) -> None:
        removed = self._store.trim(self._trim_below, TRIM_GROUPS_PER_SLICE)
        if removed < TRIM_GROUPS_PER_SLICE:
            self._trim_below = 0
        self._link.send(Trimmed(removed))

    def _job(self) -> None:
        match self._jobs[0]:
            case Checkpoint(truncate):
                self._link.send(Checkpointed(self._store.checkpoint(truncate)))
            case SetMeta(key, value):
                self._store.set_meta(key, value)
            case Work(name, argument):
                self._link.send(self._work(name, argument))
        self._jobs.popleft()

    def _work(self, name: str, argument: bytes) -> Worked:
        try:
            return Worked(self._works[name](self._store, argument))
        except StorageError:
            raise
        except Exception as error:
            return Worked(b"", f"{type(error).__name__}: {error}"[:500])

    def _checkpoint_slice(self) -> None:
        # A reader may hold pages back; then the next try waits until as many new ones have come.
        self._checkpoint_pages = CHECKPOINT_PAGES + self._store.checkpoint(truncate=False)

    # -- the end

    def _finish(self) -> None:
        """Commit what was read. When asked to stop, also do the rest and leave a clean file."""
        self._background.put(False)
        self._retry_at = 0.0
        if self._link.ended:
            with contextlib.suppress(StorageFull):
                while self._groups:
                    self._store.append(self._groups.popleft())
            return
        self._commit_all()
        with contextlib.suppress(StorageFull):
            while self._snapshots:
                self._snapshot_slice()
            while self._jobs:
                self._job()
            while self._store.projection_backlog() or self._flushes:
                self._project_slice()
            self._store.checkpoint(truncate=True)
        self._link.send(Stopped(self._store.head()))
