"""The daemon's end of the writer process, for asyncio (uvloop included).

Requests never wait: they are written to the socket, and what becomes of them arrives through a ``Listener``,
in order, from the event loop. How many groups may be on their way is the caller's to bound (``in_flight``).
After ``on_failed`` nothing more arrives and every request is dropped: the process must end.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from storage.errors import JobFailed, StorageBroken
from storage.frames import (
    Answer,
    Append,
    Appended,
    Checkpoint,
    Checkpointed,
    Failed,
    FailureKind,
    Flush,
    Flushed,
    FrameError,
    FrameReader,
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
    decode_answer,
    encode,
)
from storage.lock import StateLock
from storage.records import Group, Head, Snapshot

Command = Callable[[int], Sequence[str]]
"""Given the number of the inherited socket: the writer's command line."""

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class Listener(Protocol):
    """What the writer reports. Called from the event loop; must neither wait nor raise."""

    def on_durable(self, seq_last: int, digest: bytes, commit_ns: int) -> None:
        """One more group, the oldest on its way, is on disk."""

    def on_projected(self, seq: int) -> None:
        """History now shows every event up to ``seq``."""

    def on_stored(self, accounts: Sequence[tuple[int, int]]) -> None:
        """Snapshots on disk, as pairs of ``account_no`` and ``n``."""

    def on_space(self, state: SpaceState) -> None:
        """The disk has filled up or has room again (storage.frames.SpaceState)."""

    def on_failed(self, kind: FailureKind, text: str) -> None:
        """The writer cannot go on; groups not reported durable may or may not be."""


class RemoteStore(asyncio.Protocol):
    """A running writer. Start one with :meth:`spawn`."""

    def __init__(self, listener: Listener, process: subprocess.Popen[bytes]) -> None:
        self._listener = listener
        self._process = process
        self._transport: asyncio.WriteTransport | None = None
        self._reader = FrameReader()
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Ready] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._flushes: deque[asyncio.Future[int]] = deque()
        self._checkpoints: deque[asyncio.Future[int]] = deque()
        self._works: deque[asyncio.Future[bytes]] = deque()
        self._over = False
        self.in_flight = 0
        """Groups written to the socket and not yet reported durable."""
        self.projected_seq = 0

    @classmethod
    async def spawn(
        cls,
        command: Command,
        listener: Listener,
        *,
        lock: StateLock | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> tuple[RemoteStore, Head]:
        """Start the writer, which shares ``lock``, and wait until its store is open.

        The head's ``epoch`` is what groups must carry from now on. Raises ``StorageBroken`` when the writer
        fails or stays silent; its ``on_failed`` has then said why.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            shared = [theirs.fileno()] + ([lock.fileno()] if lock else [])
            process = _started(command(theirs.fileno()), shared)
        store = cls(listener, process)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: store, sock=ours)
            ready = await asyncio.wait_for(asyncio.shield(store._ready), ready_timeout_s)
        except BaseException as error:
            store._abandon()
            if isinstance(error, TimeoutError):
                raise StorageBroken(f"the writer said nothing for {ready_timeout_s:g} s") from error
            raise
        return store, ready.head

    @property
    def pid(self) -> int:
        return self._process.pid

    # -- requests

    def append_nowait(self, group: Group) -> None:
        """Ask for the group to be made durable; ``on_durable`` follows."""
        self.in_flight += 1
        self._send(Append(group))

    def append_all_nowait(self, groups: Sequence[Group]) -> None:
        """The same for several groups, in one write."""
        self.in_flight += len(groups)
        if self._transport is not None and not self._over:
            self._transport.write(b"".join([encode(Append(group)) for group in groups]))

    def put_snapshots_nowait(self, snapshots: Sequence[Snapshot]) -> None:
        """Ask for snapshots to be stored; ``on_stored`` follows. Their groups must have been sent before."""
        self._send(PutSnapshots(list(snapshots)))

    def trim_nowait(self, below_seq: int) -> None:
        """Ask for projected groups below to be deleted in time."""
        self._send(Trim(below_seq))

    def set_meta_nowait(self, key: str, value: bytes) -> None:
        """Store a named value when there is time; ``stop`` waits for it."""
        self._send(SetMeta(key, value))

    def flush_nowait(self) -> None:
        """Ask for everything sent so far to be projected soon; ``on_projected`` follows."""
        self._flushes.append(asyncio.get_running_loop().create_future())
        self._send(Flush())

    async def flush(self) -> int:
        """Project everything sent so far; returns the number projections then contain."""
        return await self._ask(Flush(), self._flushes)

    async def checkpoint(self, truncate: bool) -> int:
        """Checkpoint what is committed by then; returns the pages left in the log."""
        return await self._ask(Checkpoint(truncate), self._checkpoints)

    async def work(self, name: str, argument: bytes) -> bytes:
        """Have the writer do one of its jobs; its result. Raises ``StorageError`` when it could not."""
        return await self.begin_work(name, argument)

    def begin_work(self, name: str, argument: bytes) -> asyncio.Future[bytes]:
        """The same without waiting for it."""
        if self._over:
            raise StorageBroken("the writer is gone")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._works.append(future)
        self._send(Work(name, argument))
        return future

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Let the writer finish everything and end; returns its exit status. Kills it after the timeout."""
        self._send(Stop())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), timeout_s)
        if not self._ended.done():
            self._process.kill()
        if self._transport is not None:
            self._transport.close()
        return await asyncio.to_thread(self._process.wait)

    async def _ask(self, request: Request, queue: deque[asyncio.Future[int]]) -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._over:
            raise StorageBroken("the writer has ended")
        queue.append(future)
        self._send(request)
        return await future

    def _send(self, request: Request) -> None:
        if self._transport is not None and not self._over:
            self._transport.write(encode(request))

    # -- answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of this class without being of it.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._take(decode_answer(frame))
        except FrameError as error:
            self._fail("protocol", str(error))

    def _take(self, answer: Answer) -> None:
        if self._over:
            return
        match answer:
            case Appended(seq_last, digest, commit_ns):
                self.in_flight -= 1
                self._listener.on_durable(seq_last, digest, commit_ns)
            case Projected(seq):
                self.projected_seq = seq
                self._listener.on_projected(seq)
            case Stored(accounts):
                self._listener.on_stored(accounts)
            case Space(state):
                self._listener.on_space(state)
            case Flushed(seq):
                _settle(self._flushes, seq)
            case Checkpointed(pages_left):
                _settle(self._checkpoints, pages_left)
            case Worked(result, error):
                _settle_work(self._works, result, error)
            case Ready():
                # Here and not where it is waited for: what is projected next may come with the same read.
                self.projected_seq = answer.projected_seq
                if not self._ready.done():
                    self._ready.set_result(answer)
            case Failed(kind, text):
                self._fail(kind, text)
            case Stopped():
                self._end(StorageBroken("the writer has stopped"))
            case Trimmed():
                pass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over:
            self._fail("ended", f"the writer process {self.pid} ended without a word")
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, kind: FailureKind, text: str) -> None:
        if not self._over:
            self._end(StorageBroken(f"the writer failed: {text}"))
            if self._transport is not None:
                self._transport.close()
            self._listener.on_failed(kind, text)

    def _end(self, reason: StorageBroken) -> None:
        self._over = True
        waiting: list[asyncio.Future[int] | asyncio.Future[bytes]] = [
            *self._flushes,
            *self._checkpoints,
            *self._works,
        ]
        self._works.clear()
        self._flushes.clear()
        self._checkpoints.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(reason)
        if not self._ready.done():
            self._ready.set_exception(reason)

    def _abandon(self) -> None:
        """The writer never became ready: leave nothing of it behind."""
        self._over = True
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        if self._transport is not None:
            self._transport.close()
        self._process.kill()
        self._process.wait()


def _started(command: Sequence[str], shared: Sequence[int]) -> subprocess.Popen[bytes]:
    # Signals are the daemon's to answer. Its own process group keeps a terminal's from it; those that are sent to
    # every process of a service are blocked from its birth, since until it ignores them they would end it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        return subprocess.Popen(command, pass_fds=shared, stdin=subprocess.DEVNULL, process_group=0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_work(queue: deque[asyncio.Future[bytes]], result: bytes, error: str) -> None:
    if queue:
        future = queue.popleft()
        if not future.done():
            if error:
                future.set_exception(JobFailed(error))
            else:
                future.set_result(result)


def _settle(queue: deque[asyncio.Future[int]], value: int) -> None:
    if queue:
        future = queue.popleft()
        if not future.done():
            future.set_result(value)
