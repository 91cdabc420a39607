"""The run itself: merge tape and script, step the engine, store groups, write what is durable.

Invariants: ties go session, tape, timers, commands (architecture §3.4); the store's cursor names the next script
line and the output's length, so a killed run goes on exactly where its last durable group ended.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from actors.book.ids import derive_account_seed
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import parse_time
from actors.commands import CreateAccount
from actors.engine import Engine
from actors.house.decide import Defaults
from actors.inputs import Envelope, Issued, decode_steps
from actors.market.messages import Quote, TapeMessage
from mbtd.config import Config, find_config
from mbtd.failpoints import store_type
from mbtd.groups import GroupCutter, restore, resume_at
from mbtd.market.assets import contracts_by_symbol
from mbtd.market.calendar import Calendar, TradeDays
from mbtd.market.feeds.replay import last_roll, with_sessions
from mbtd.market.markouts import MarkOuts
from mbtd.market.recordings import Recording, open_recordings
from mbtd.methods import HOUSE_COMMANDS, BadParams, read_action, read_house
from mbtd.pasts import Pasts
from mbtd.rates import digest_of_rates, rates_of
from mbtd.records.lines import Lines
from mbtd.replay.identity import Identity, OtherInputs, claim, digest_of_profiles
from mbtd.replay.output import Output, encode_lines
from mbtd.replay.progress import Progress
from mbtd.replay.script import Command, Script, read_script
from storage.lock import StateLock
from storage.mark_outs import note

if TYPE_CHECKING:
    from mbtd.cli.options import ReplayOptions

__all__ = ["OtherInputs", "Replay", "ReplayRefused", "Summary"]

INPUTS_PER_GROUP = 4096
EVENTS_PER_GROUP = 512
NEVER = 1 << 63
_SYSTEM = Envelope("native", "replay")


class ReplayRefused(ValueError):
    """Arguments that cannot be run: one sentence."""


class Cursor(Struct, array_like=True):
    """Where a run stands."""

    script_next: int = 0
    out_length: int = 0
    finished: bool = False


class Summary(Struct):
    """What a run did."""

    finished: bool
    resumed: bool
    messages: int
    """Tape messages applied by this run."""
    commands: int
    events: int
    """Events of the whole replay, all runs together."""
    steps: int
    """Steps with events that this run added."""
    seconds: float
    messages_per_s: int

    def text(self) -> str:
        """One line for a person."""
        return (
            f"{self.messages} messages and {self.commands} commands in {self.seconds:.2f} s "
            f"({self.messages_per_s} messages/s), {self.events} events in all"
        )


class Replay:
    """A prepared run; use as a context manager."""

    def __init__(
        self, options: ReplayOptions, recording: Recording, script: Script, engine: Engine, identity: Identity
    ) -> None:
        self._options = options
        self._recording = recording
        self._script = script
        self._engine = engine
        self._identity = identity
        self._run_seed = run_seed(identity.seed)
        self._lines = Lines()
        self._calendar = Calendar()
        options.state.mkdir(parents=True, exist_ok=True)
        self._lock = StateLock.acquire(options.state, wait_s=2.0)
        try:
            claim(options.state, identity)
            self._store = store_type().open(options.state)
        except BaseException:
            self._lock.release()
            raise
        engine.world.past = Pasts(options.state, lambda: engine.steps)
        self._cursor = Cursor()
        self._marks = MarkOuts()

    @classmethod
    def prepare(cls, options: ReplayOptions) -> Replay:
        """Read and check every input; nothing is written before all of them are good."""
        script = read_script(options.script)
        recording = open_recordings(options.recordings)
        loaded = Config.load(find_config(None, {}), {}, {})
        try:
            profiles = Profiles({name: dict(p) for name, p in loaded.config.profiles.items()})
        except ValueError as error:
            raise ReplayRefused(str(error)) from None
        profile = options.profile or loaded.config.engine.profile
        if profiles.get(profile) is None:
            raise ReplayRefused(f"unknown profile {profile!r}; known: {', '.join(profiles.names())}")
        seed = options.seed or 0
        calendar = Calendar()
        engine = Engine(
            run_seed(seed),
            profiles,
            Defaults(profile=profile),
            recording.instruments(calendar),
            TradeDays(calendar),
            rates_of(loaded.config),
        )
        engine.world.feed = "replay"
        engine.world.describe = contracts_by_symbol(calendar)
        identity = Identity(
            recordings=recording.digest.hex(),
            script=script.digest.hex(),
            profile=profile,
            seed=seed,
            until=options.until or "",
            profiles=digest_of_profiles(profiles.hashes),
            rates=digest_of_rates(engine.world.rates),
        )
        return cls(options, recording, script, engine, identity)

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self._lock.release()

    def run(self) -> Summary:
        """Recover, go on to the end, and say what was done."""
        started = time.perf_counter()
        store, engine = self._store, self._engine
        gc.disable()
        head = store.head()
        if head.cursor:
            self._cursor = msgspec.msgpack.decode(head.cursor, type=Cursor)
        restore(engine, store.groups(0))
        output = Output.open(self._options.out, self._durable_lines(), self._cursor.out_length)
        resumed = head.input_seq > 0
        if self._cursor.finished:
            output.close()
            return self._summary(started, True, 0, 0, 0)
        resume_at(engine, head)
        for book in engine.books.values():
            self._lines.prime(book)
        self._lines.names = {no: name for name, no in engine.house.names.items()}
        tape = iter(self._tape())
        self._refeed(tape, head.tape_pos)
        for account_no in sorted(engine.books):
            engine.waits.arm_all(engine.books[account_no])
        runner = _Runner(self, output, GroupCutter(engine, head), tape)
        try:
            messages, commands = runner.run(self._cursor.script_next, self._until())
        finally:
            output.close()
        store.checkpoint(truncate=True)
        return self._summary(started, resumed, messages, commands, runner.steps)

    def _refeed(self, tape: Iterator[TapeMessage], count: int) -> None:
        """Put the tape that was applied before back on the board, and follow its fills along it again."""
        steps = [step for group in self._store.groups(0) if group.body for step in decode_steps(group.body)]
        seen = place = 0
        while place < count:
            batch = [next(tape) for _ in range(min(INPUTS_PER_GROUP, count - place))]
            for message in batch:
                self._engine.refeed(message)
            first = seen
            while seen < len(steps) and steps[seen].tape_pos <= place + len(batch):
                seen += 1
            self._marks.apply(batch, place + 1, steps[first:seen])
            place += len(batch)
        self._marks.note(steps[seen:])

    def _summary(self, started: float, resumed: bool, messages: int, commands: int, steps: int) -> Summary:
        seconds = time.perf_counter() - started
        rate = round(messages / seconds) if messages and seconds else 0
        return Summary(True, resumed, messages, commands, self._engine.seq, steps, round(seconds, 3), rate)

    def _durable_lines(self) -> Iterator[bytes]:
        lines = Lines()
        for group in self._store.groups(0):
            if group.body:
                yield encode_lines(lines, decode_steps(group.body))

    def _until(self) -> int:
        if self._options.until:
            return parse_time(self._options.until)
        last = self._recording.last_at
        if self._script.commands:
            last = max(last, self._script.commands[-1].at)
        return last_roll(last, self._calendar)

    def _tape(self) -> Iterator[TapeMessage]:
        start = self._recording.first_at
        if self._script.commands:
            start = min(start, self._script.commands[0].at)
        return with_sessions(self._recording.messages(), self._calendar, start, self._until())

    def execute(self, command: Command) -> None:
        """Run one script line."""
        engine = self._engine
        account_no = engine.house.find(command.account)
        try:
            if command.method in HOUSE_COMMANDS:
                engine.house_command(read_house(command.method, command.params), command.at, _SYSTEM)
                return
            action = read_action(command.method, command.params, command.account)
        except BadParams as error:
            engine.unreadable(account_no or 0, command.method, error.reason, error.text, command.at, command.account)
            return
        if isinstance(action, CreateAccount):
            seed = derive_account_seed(self._run_seed, action.name)
            engine.command(0, action, command.at, _SYSTEM, Issued(seed))
        elif account_no is None:
            text = f"there is no account {command.account!r}"
            engine.unreadable(0, command.method, "account_not_found", text, command.at, command.account)
        else:
            engine.command(account_no, action, command.at, _SYSTEM)

    def store_group(
        self,
        cutter: GroupCutter,
        output: Output,
        script_next: int,
        messages: Sequence[TapeMessage],
        finished: bool = False,
    ) -> int:
        """Make everything so far durable, then write its lines; returns how many steps that was.

        ``messages``: what the engine has taken since the last group.
        """
        steps = self._engine.take_steps()
        self._marks.apply(messages, self._engine.world.tape_seq - len(messages) + 1, steps)
        if finished:
            self._marks.finish()
        if rows := self._marks.take_rows():
            self._store.change(lambda db: note(db, rows))
        chunk = encode_lines(self._lines, steps)
        output.length += len(chunk)
        cursor = msgspec.msgpack.encode(Cursor(script_next, output.length, finished))
        self._store.append(cutter.cut(cursor, steps))
        output.write(chunk)
        return len(steps)

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self._engine

    @property
    def commands(self) -> tuple[Command, ...]:
        """The script."""
        return self._script.commands

    @property
    def total(self) -> int:
        """Messages of the recordings."""
        return self._recording.count


class _Runner:
    """The loop over tape and script."""

    def __init__(self, replay: Replay, output: Output, cutter: GroupCutter, tape: Iterator[TapeMessage]) -> None:
        self._replay = replay
        self._output = output
        self._cutter = cutter
        self._tape = tape
        self.steps = 0

    def run(self, script_next: int, until: int) -> tuple[int, int]:
        """To the end; returns messages and commands applied."""
        replay, engine = self._replay, self._replay.engine
        commands = replay.commands
        first_command = script_next
        messages = 0
        passed: list[TapeMessage] = []
        command_at = commands[script_next].at if script_next < len(commands) else NEVER
        quote, tape = engine.quote, engine.tape
        with Progress(replay.total, engine.world.tape_seq) as progress:
            for message in self._tape:
                at = message.at
                while command_at < at and command_at <= until:
                    replay.execute(commands[script_next])
                    script_next += 1
                    command_at = commands[script_next].at if script_next < len(commands) else NEVER
                    if len(engine.steps) >= EVENTS_PER_GROUP:
                        self.steps += replay.store_group(self._cutter, self._output, script_next, passed)
                        passed = []
                if at > until:
                    break
                if type(message) is Quote:
                    quote(message)
                else:
                    tape(message)
                messages += 1
                passed.append(message)
                if len(passed) >= INPUTS_PER_GROUP or len(engine.steps) >= EVENTS_PER_GROUP:
                    self.steps += replay.store_group(self._cutter, self._output, script_next, passed)
                    passed = []
                    progress.show(engine.world.tape_seq, engine.world.now)
            while script_next < len(commands) and commands[script_next].at <= until:
                replay.execute(commands[script_next])
                script_next += 1
            engine.run_timers_through(until)
            self.steps += replay.store_group(self._cutter, self._output, script_next, passed, finished=True)
        return messages, script_next - first_command


def run_seed(seed: int) -> bytes:
    """The run's 32-byte seed."""
    return blake2b(str(seed).encode(), digest_size=32, person=b"mbtd-run").digest()
