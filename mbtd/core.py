"""The partition at work: engine, pump, writer, outbox, residency and streams, joined.

Invariants: one group is under way at a time while the next gathers; whatever leaves names the event number it
waits for; a storage failure seals the outbox and ends the process (storage.frames.EXIT_STATUS).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from actors.book.instruments import Instrument
from actors.engine import Engine
from actors.inputs import Step
from actors.mailbox import Mailroom
from actors.market.messages import FeedState, Session, TapeMessage
from actors.pump import Pump, Searcher
from mbtd import limits
from mbtd.began import began_with, begin
from mbtd.failpoints import reach
from mbtd.groups import GROUND_MAX_STEPS, MOVED_LATEST_NS, GroupCutter
from mbtd.interest import Interest
from mbtd.journal import Journal, open_front
from mbtd.logs import get_logger
from mbtd.marking import Marking
from mbtd.memory import give_back
from mbtd.outbox import Outbox
from mbtd.records.lines import HouseNames, Lines
from mbtd.recovery import Recovered, recover
from mbtd.residency import FETCH_AHEAD_NS, Residency
from mbtd.spread import Spread
from mbtd.streams import Hub
from mbtd.tape import TapeReaders
from storage.ballast import BALLAST_BYTES
from storage.errors import StorageError, StorageFull
from storage.frames import EXIT_STATUS, FailureKind, SpaceState, kind_of
from storage.lock import StateLock
from storage.reader import SnapshotReader
from storage.records import Group
from storage.remote import RemoteStore

log = get_logger(subsystem="core")
OUTCOME_UNKNOWN_AFTER_NS = 2_000_000_000
"""How long callers of a tail that cannot be committed wait before they hear so."""


class Core:
    """One running partition. Make it with :meth:`start`."""

    def __init__(
        self,
        engine: Engine,
        mailroom: Mailroom,
        *,
        now: Callable[[], int],
        monotonic: Callable[[], int],
        slice_ns: int,
        tape_max: int,
        group_max_ns: int = limits.GROUP_MAX_MS * 1_000_000,
        group_max_events: int = limits.GROUP_MAX_EVENTS,
        turn_budget_ns: int = limits.TURN_BUDGET_MS * 1_000_000,
        search: Searcher | None = None,
    ) -> None:
        self.engine = engine
        self.mailroom = mailroom
        self.now = now
        self.monotonic = monotonic
        self.tape_max = tape_max
        """Messages that may wait for the engine before the tape overflows."""
        self._group_max_ns = group_max_ns
        """How long steps wait for others at most while more commands are in the mailboxes."""
        self._group_max_events = group_max_events
        """So many events wait for no others."""
        self.overflows = 0
        self.pump = Pump(
            engine,
            mailroom,
            now=now,
            monotonic=monotonic,
            after=self.hand_on,
            applied=self._applied,
            slice_ns=slice_ns,
            turn_budget_ns=turn_budget_ns,
            search=search,
        )
        self.outbox = Outbox(0)
        self.lines = Lines()
        self.hub = Hub(engine, self.outbox, self.lines)
        self.markouts = Marking()
        self.readers: TapeReaders | None = None
        self.interest: Interest | None = None
        self.followers: list[Callable[[Sequence[Step]], None]] = []
        """Whoever else follows the engine's steps; they are not durable yet."""
        self.storage_state: str = "ok"
        self._full_since = 0
        self.failed: int | None = None
        """Exit status once the process cannot go on."""
        self.failure = anyio.Event()
        self.projected_seq = 0
        self._store: RemoteStore | None = None
        self._journal: Journal | None = None
        self._cutter: GroupCutter | None = None
        self._stuck: Group | None = None
        """A group that a full disk did not take."""
        self._far_full = False
        self._pending: list[Step] = []
        self._handed_seq = 0
        self._pending_since = 0
        self._last_cut = 0
        self._awaiting: list[tuple[int, anyio.Event]] = []
        self.residency: Residency
        self.groups = 0
        """Groups made durable since the start."""
        self.commit_ns_max = 0
        self.commits = Spread()
        """How long groups took to become durable."""
        self._held, self._turns_seen = False, 0
        self.data_epoch = ""
        self.directory = Path()

    async def start(
        self, directory: Path, lock: StateLock, snapshot_chunk: int, ballast_bytes: int = BALLAST_BYTES
    ) -> Recovered:
        """Recover, start the writer, and arm every live order."""
        self.directory = directory
        began = began_with(self.engine)
        recovered, covered = recover(self.engine, directory, self.now() + FETCH_AHEAD_NS)

        def command(descriptor: int) -> Sequence[str]:
            return [sys.executable, "-m", "mbtd.writer", str(descriptor), str(directory), str(ballast_bytes)]

        self._store, far_head = await RemoteStore.spawn(command, self, lock=lock)
        self.data_epoch = far_head.data_epoch
        self.markouts.go_on(directory, recovered)
        self.projected_seq = self._store.projected_seq
        self._journal = Journal(
            open_front(directory, take_epoch=True, ballast_bytes=ballast_bytes), self._store, far_head
        )
        head = self._journal.head
        self._cutter = GroupCutter(self.engine, head)
        self.outbox.durable_seq = head.seq
        self.residency = Residency(self.engine, SnapshotReader(directory), chunk=snapshot_chunk)
        self.residency.recovered(covered, 1)
        begin(self.engine, began)
        self._handed_seq = head.seq
        self.lines.names = HouseNames(self.engine.house)
        for account_no in sorted(self.engine.books):
            self.engine.waits.arm_all(self.engine.books[account_no])
        if head.seq:
            self.gap("restart")
        return recovered

    @property
    def store(self) -> RemoteStore:
        """The writer's near end."""
        assert self._store is not None
        return self._store

    @property
    def journal(self) -> Journal | None:
        """The journal, from the start to the end."""
        return self._journal

    @property
    def covering(self) -> Journal | None:
        """The journal, while nothing waits to be committed to it: then snapshots may be sent."""
        return self._journal if not self._pending else None

    def _applied(self, messages: Sequence[TapeMessage], first_seq: int) -> None:
        self.markouts.apply(messages, first_seq, self.engine.steps)
        if self.readers is not None:
            self.readers(messages, first_seq)

    # ── the engine's products ────────────────────────────────────────────────────────────────────────────

    def hand_on(self) -> None:
        """Hand what the engine has done so far to streams and journal.

        The pump does so after every burst; whoever starts a stream does so first, so that the stream begins
        behind everything that the account holds already.
        """
        engine = self.engine
        if engine.seq != self._handed_seq or len(engine.steps) > GROUND_MAX_STEPS:
            steps = engine.take_steps()
            self._handed_seq = engine.seq
            self.markouts.note(steps)
            if not self._pending:
                self._pending_since = self.monotonic()
            self._pending.extend(steps)
            self.residency.note(steps)
            self.hub.publish(steps)
            for follow in self.followers:
                follow(steps)
            if self.interest is not None:
                self.interest.note(steps)
            if engine.failures:
                self._report_failures()
        self._maybe_cut()

    def _report_failures(self) -> None:
        for account_no, reason in self.engine.failures:
            log.error("account.quarantined", account_no=account_no, reason=reason)
        self.engine.failures.clear()

    def _maybe_cut(self) -> None:
        """Commit what has gathered, once no more commands wait or it has waited long enough."""
        journal, cutter = self._journal, self._cutter
        if journal is None or cutter is None or self._stuck is not None or self.failed is not None:
            return
        now = self.monotonic()
        if self._pending:
            if (
                self.mailroom.waiting
                and now - self._pending_since < self._group_max_ns
                and self.engine.seq - cutter.last_seq < self._group_max_events
            ):
                return
        elif now - self._last_cut < MOVED_LATEST_NS or not self.engine.has_moved:
            journal.pass_on(now)
            return
        steps, self._pending = self._pending or self.engine.take_steps(), []
        self._last_cut = now
        self._commit(journal, cutter.cut(b"", steps))

    def _commit(self, journal: Journal, group: Group) -> None:
        started = self.monotonic()
        try:
            journal.commit(group, started)
        except StorageFull:
            self._stuck = group
            self._note_space()
            return
        except StorageError as error:
            self.on_failed(kind_of(error), str(error))
            return
        self._stuck = None
        took = self.monotonic() - started
        self.groups += 1
        self.commits.note(took)
        if took > self.commit_ns_max:
            self.commit_ns_max = took
        reach("release.before")
        self.outbox.on_durable(group.seq_last)
        journal.pass_on(started, at_once=bool(self._awaiting))
        if not journal.ballast_held:
            self._note_space()

    # ── what the writer reports ──────────────────────────────────────────────────────────────────────────

    def on_durable(self, seq_last: int, digest: bytes, commit_ns: int) -> None:
        """The writer has committed a group."""
        if self._journal is not None:
            self._journal.far_seq = seq_last

    def on_projected(self, seq: int) -> None:
        """History shows everything up to ``seq``."""
        self.projected_seq = seq
        if self._awaiting:
            still = []
            for wanted, event in self._awaiting:
                if wanted <= seq:
                    event.set()
                else:
                    still.append((wanted, event))
            self._awaiting = still

    def on_stored(self, accounts: Sequence[tuple[int, int]]) -> None:
        """Snapshots are on disk."""
        self.residency.on_stored(accounts)

    def on_space(self, state: SpaceState) -> None:
        """The disk filled up or has room again: no matching and no new commands meanwhile."""
        self._far_full = state != "ok"
        self._note_space()

    def _note_space(self) -> None:
        """Put the disk's state together from the journal's and the writer's."""
        journal = self._journal
        paused = self._far_full or self._stuck is not None or (journal is not None and not journal.ballast_held)
        if paused == (self.storage_state != "ok"):
            return
        if paused:
            self._full_since = self.monotonic()
        else:
            self.pump.drop_tape()
            self.gap("storage_pause")
        self.storage_state = "full" if paused else "ok"
        self.pump.tape_paused = paused or self._held
        log.warning("storage.space_changed", state=self.storage_state)
        self.pump.wake()

    def _retry_space(self, journal: Journal) -> None:
        """Try again what a full disk did not take."""
        if self._stuck is not None:
            self._commit(journal, self._stuck)
        if self._stuck is None and not journal.ballast_held:
            journal.restore_ballast()
        self._note_space()

    def on_failed(self, kind: FailureKind, text: str) -> None:
        """The writer cannot go on: nothing unconfirmed may leave, and the process ends."""
        if self.failed is None:
            lost = self.outbox.seal()
            self.failed = EXIT_STATUS[kind]
            log.critical("storage.failed", kind=kind, text=text, unconfirmed=lost)
            self.failure.set()

    async def wait_projected(self, seq: int) -> None:
        """Until history shows every event up to ``seq`` (read your own writes)."""
        if self.projected_seq >= seq:
            return
        event = anyio.Event()
        self._awaiting.append((seq, event))
        if self._journal is not None:
            self._journal.pass_on(self.monotonic(), at_once=True)
            self.store.flush_nowait()
        await event.wait()

    # ── the tape ─────────────────────────────────────────────────────────────────────────────────────────

    def push(self, messages: Sequence[TapeMessage]) -> None:
        """The feed's end of the tape."""
        if self.pump.backlog + len(messages) > self.tape_max:
            dropped = self.pump.drop_tape()
            self.overflows += 1
            log.warning("tape.overflowed", dropped=dropped)
            self.gap("overflow")
        self.pump.push(messages)

    def gap(self, reason: str) -> None:
        """Messages were lost on the way to the engine: what was measured on the tape starts again."""
        world = self.engine.world
        self.pump.push([FeedState("gap", max(world.now, self.now()), world.feed, (), reason)])

    def push_reference(self, instruments: Sequence[Instrument]) -> None:
        """New or changed instruments."""
        self.engine.reference(instruments, self.engine.world.now)
        self.pump.wake()

    def pump_moves(self) -> bool:
        """Whether the pump has taken a turn since the last question, or has nothing to do."""
        turns = self.pump.turns
        moved = turns != self._turns_seen or not (self.mailroom.waiting or self.pump.backlog)
        self._turns_seen = turns
        return moved or self.pump.commands_paused or self.pump.tape_paused

    def hold(self, held: bool) -> None:
        """An operator stops or continues everything that waits for a turn: commands, market, timers."""
        self._held = held
        self.pump.commands_paused = held
        self.pump.tape_paused = held or self.storage_state != "ok"
        self.pump.wake()

    @property
    def held(self) -> bool:
        """Whether an operator holds the engine."""
        return self._held

    def begin_session(self, session: Session) -> None:
        """Let the engine know the market's phase before anything else, and the tape's readers with it."""
        self.engine.tape(session)
        self._applied([session], self.engine.world.tape_seq)

    def backlog(self) -> int:
        """Messages that the engine has not taken yet."""
        return self.pump.backlog

    # ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────

    async def upkeep(self, interval_s: float, keep_journal: int) -> None:
        """Write snapshots a chunk at a time, trim journals behind them, note what moved, look after a full disk."""
        crowd_passed = False
        while True:
            crowded = self.residency.waiting > limits.CROWD
            await anyio.sleep(limits.CROWDED_INTERVAL_S if crowded and not self.mailroom.waiting else interval_s)
            self.hand_on()
            crowd_passed = crowd_passed or crowded
            if crowd_passed and not self.residency.busy and not self.mailroom.waiting:
                crowd_passed = False
                give_back()
            journal = self._journal
            if journal is None or self._cutter is None or self.failed is not None:
                continue
            try:
                self._look_after(journal, keep_journal)
                if self.storage_state == "ok":
                    self.markouts.write(self.store)
                    await journal.sync_far(self.monotonic())
            except StorageFull:
                self._note_space()
            except StorageError as error:
                self.on_failed(kind_of(error), str(error))

    def _look_after(self, journal: Journal, keep_journal: int) -> None:
        if self.storage_state != "ok":
            self._retry_space(journal)
            if self.storage_state != "ok" and self.monotonic() - self._full_since > OUTCOME_UNKNOWN_AFTER_NS:
                unknown = self.outbox.give_up()
                if unknown:
                    log.warning("storage.outcomes_unknown", requests=unknown)
            return
        journal.tidy()
        if self._pending:
            return
        self.residency.fetch_due(self.now())
        snapshots = self.residency.take_snapshots(self.engine.seq)
        if snapshots:
            journal.pass_on(0, at_once=True)
            self.store.put_snapshots_nowait(snapshots)
        needed = self.residency.needed_seq(self.engine.seq) - keep_journal
        if needed > 1:
            self.store.trim_nowait(needed)

    async def stop(self) -> int:
        """Commit what there is, store every snapshot, end the writer; returns its exit status."""
        journal = self._journal
        assert journal is not None
        # Nothing more is sequenced: what still waits in a mailbox is truly not done.
        self.pump.commands_paused = self.pump.tape_paused = True
        self.hand_on()
        with anyio.move_on_after(limits.TAIL_MAX_S):
            while (self._pending or self._stuck is not None) and self.failed is None:
                self._maybe_cut()
                if self._stuck is not None:
                    await anyio.sleep(0.1)
                    self._retry_space(journal)
        if self.failed is None and (self._pending or self._stuck is not None):
            log.error("storage.tail_lost", unconfirmed=self.outbox.seal())
            self.failed = 74
        while self.failed is None:
            journal.pass_on(0, at_once=True)
            if self._pending or not (chunk := self.residency.take_snapshots(self.engine.seq, everything=True)):
                break
            self.store.put_snapshots_nowait(chunk)
            await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(limits.TAIL_MAX_S):
            await self.markouts.finish_writing(self.store, lambda: self.failed is not None)
        # The pump goes on until the process ends; what it still does is cut no more, so nothing of it leaves.
        self._cutter = None
        status = await self.store.stop(limits.STOP_WRITER_MAX_S)
        self._journal = None
        if self.failed is None:
            journal.close()
        return status
