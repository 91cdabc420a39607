"""``mbtd verify --redecide``: the recorded inputs run again, and every step compared byte for byte (architecture §4).

The inputs are the journal's (commands, switches, timers) and the tape's (quotes, prints, phases), so this reaches
as far as both are kept: from the first event of a state directory whose journal was never trimmed. Every run of the
daemon says in its journal what it began with (:mod:`mbtd.began`); the engine is built anew there from the recorded
facts, as the daemon was, so a stretch whose tape is gone is passed over, and said, up to the next start. A replay's
directory has no tape of its own; its recordings are named on the command line.

Known limits: in journals of releases that did not say where a run began, a restart is known by its gap on the tape
and instruments are today's; a timer that came to nothing is not recorded, only the group that was cut after it; what
is due at the very instant at which a group was cut, while the wall clock stands still after a step back, can be run
again before a command of that instant: an alarm that is none.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from actors.book.rules.margin.outside import Found, SearchNeeded
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.engine import Engine
from actors.erasing import erase_user
from actors.house.decide import Defaults
from actors.house.state import House
from actors.inputs import (
    ArriveInput,
    CommandInput,
    EraseInput,
    FoundInput,
    HouseInput,
    LeaveInput,
    ReferenceInput,
    StartInput,
    Step,
    SwitchInput,
    TapeInput,
    TimerInput,
    UnreadableInput,
    decode_moved,
    decode_steps,
)
from actors.market.messages import FeedState, Session, TapeMessage
from actors.switching import show, switch
from mbtd.began import made_with, read_began
from mbtd.config import Config, find_config
from mbtd.feeds import make_feed
from mbtd.jobs.verify import Finding, groups_of
from mbtd.jobs.verify import _open as open_database
from mbtd.journal import DIRECTORY
from mbtd.market.assets import contracts_by_symbol
from mbtd.market.calendar import TradeDays
from mbtd.pasts import Pasts
from mbtd.rates import rates_of
from mbtd.seeds import partition_seed
from storage.database import FILE_NAME
from storage.records import Group
from storage.tape import read_tape

_decoder = msgspec.msgpack.Decoder(TapeMessage)
_encode = msgspec.msgpack.encode
NAME = "redecide"
TRIES = 10_000


class Differs(Exception):
    """The first step that came out otherwise."""


class Missing(Exception):
    """An input is not kept any more."""


def groups_in(directory: Path) -> tuple[int, list[Group]]:
    """The journal's groups, and the last event number that it no longer has."""
    groups: list[Group] = []
    trimmed, known = 0, (0, 0, 0, 0)
    for path in (directory / FILE_NAME, directory / DIRECTORY / FILE_NAME):
        if not path.is_file():
            continue
        with contextlib.closing(open_database(path)) as db:
            for index, (_, _, group) in enumerate(groups_of(db)):
                place = (group.seq_last, group.input_seq, group.tape_pos, group.at)
                if index == 0 and path.parent == directory:
                    trimmed, known = group.seq_last, place
                elif place > known:
                    groups.append(group)
                    known = place
    return trimmed, groups


def steps_of(directory: Path) -> tuple[int, list[Step]]:
    """The journal's steps, and the last event number that it no longer has."""
    trimmed, groups = groups_in(directory)
    return trimmed, [step for group in groups if group.body for step in decode_steps(group.body)]


def redecide(directory: Path, recordings: tuple[Path, ...] = ()) -> Finding:
    """Run everything again that can be; a finding like those of verify."""
    trimmed, groups = groups_in(directory)
    first = next((step for group in groups if group.body for step in decode_steps(group.body)), None)
    if first is None:
        return Finding(NAME, True, 0)
    if trimmed:
        note = f"inputs before event {trimmed + 1} are no longer kept; nothing could be run again"
        return Finding(f"{NAME} ({note})", True, 0)
    engine, tape = _recorded(directory, recordings) if recordings else _served(directory, first)
    runner = _Again(engine, tape)
    runner.know(Pasts(directory))
    try:
        for group in groups:
            runner.take(group)
    except Differs as error:
        return Finding(NAME, False, runner.compared, (str(error),))
    name = f"{NAME} ({'; '.join(runner.passed_over)})" if runner.passed_over else NAME
    return Finding(name, True, runner.compared)


def _served(directory: Path, first: Step) -> tuple[Engine, Iterator[tuple[int, TapeMessage]]]:
    seed_file = directory / "seed"
    tape = ((seq, _decoder.decode(record)) for seq, record in read_tape(directory, 1))
    if isinstance(first.input, StartInput) and seed_file.exists():
        began = read_began(first.input.began)
        return made_with(began, partition_seed(int(seed_file.read_text()))), tape
    return _as_configured(directory), tape


def _as_configured(directory: Path) -> Engine:
    """For a journal that does not say what its first run began with."""
    config = Config.load(find_config(None, os.environ), os.environ, {}).config
    seed_file = directory / "seed"
    seed = int(seed_file.read_text()) if seed_file.exists() else config.engine.seed
    feed = make_feed(config, seed)
    profiles = Profiles({name: dict(numbers) for name, numbers in config.profiles.items()})
    defaults = Defaults(config.engine.profile, config.engine.margin_profile)
    engine = Engine(
        partition_seed(seed), profiles, defaults, feed.reference(), TradeDays(feed.calendar), rates_of(config)
    )
    engine.world.describe = contracts_by_symbol(feed.calendar)
    engine.world.feed, engine.world.data_class = feed.name, feed.data_class
    return engine


def _recorded(directory: Path, recordings: tuple[Path, ...]) -> tuple[Engine, Iterator[tuple[int, TapeMessage]]]:
    from mbtd.market.calendar import Calendar
    from mbtd.market.feeds.replay import last_roll, with_sessions
    from mbtd.market.recordings import open_recordings
    from mbtd.replay.identity import FILE, Identity
    from mbtd.replay.run import run_seed

    identity = msgspec.json.decode((directory / FILE).read_bytes(), type=Identity)
    recording = open_recordings(list(recordings))
    if recording.digest.hex() != identity.recordings:
        raise OSError(f"these are not the recordings of {directory}")
    config = Config.load(find_config(None, {}), {}, {}).config
    profiles = Profiles({name: dict(numbers) for name, numbers in config.profiles.items()})
    calendar = Calendar()
    engine = Engine(
        run_seed(identity.seed),
        profiles,
        Defaults(profile=identity.profile),
        recording.instruments(calendar),
        TradeDays(calendar),
        rates_of(config),
    )
    engine.world.describe = contracts_by_symbol(calendar)
    engine.world.feed = "replay"
    _, steps = steps_of(directory)
    start = min([recording.first_at, *(step.at for step in steps[:1])])
    until = max(last_roll(max(recording.last_at, steps[-1].at), calendar), steps[-1].at)
    return engine, enumerate(with_sessions(recording.messages(), calendar, start, until), 1)


class _Again:
    """An engine fed step by step, and the steps that came of it."""

    def __init__(self, engine: Engine, tape: Iterable[tuple[int, TapeMessage]]) -> None:
        self._engine = engine
        self._tape = iter(tape)
        self._ahead: deque[tuple[int, TapeMessage]] = deque()
        self._ready: list[Step] = []
        self._asleep: dict[int, Book] = {}
        self._told = Engine(engine.seed, engine.profiles, engine.defaults, (), engine.world.days, engine.world.rates)
        """What the recorded facts alone make of the books: a run begins with these."""
        self._began_at = -1
        """Where on the tape a run began that says so itself."""
        self._cut_at = -1
        """The time at which the last group was cut."""
        self._found: dict[int, dict[bytes, Found]] = {}
        """What searches outside of turns found for an account's next command."""
        self._blind = False
        """Whether inputs are missing since the last start."""
        self.compared = 0
        self.passed_over: list[str] = []

    def know(self, pasts: Pasts) -> None:
        """Where accounts' histories are read."""
        self._engine.world.past = pasts

    def take(self, group: Group) -> None:
        """Compare a group's steps, and go on to where it was cut. Raises :class:`Differs`."""
        for step in decode_steps(group.body) if group.body else ():
            self.match(step)
        for moved in decode_moved(group.moved):
            self._told.restore_moved(moved)
        self._told.world.now = max(self._told.world.now, group.at)
        if not self._blind:
            try:
                self._reach(group.tape_pos, group.at)
            except Missing as error:
                self._pass_over(group.seq_last + 1, error)

    def match(self, wanted: Step) -> None:
        """Bring the engine to this step and compare. Raises :class:`Differs`."""
        if isinstance(wanted.input, StartInput):
            self._begin(wanted, wanted.input)
        elif isinstance(wanted.input, FoundInput):
            self._found[wanted.input.account_no] = wanted.input.found
            self.compared += 1
        elif not self._blind:
            try:
                self._compare(wanted)
            except Missing as error:
                self._pass_over(wanted.seq_first, error)
        self._told.restore_step(wanted)

    def _pass_over(self, seq: int, error: Missing) -> None:
        self._blind, self._ready = True, []
        self.passed_over.append(f"from event {seq} to the next start nothing could be run again: {error}")

    def _reach(self, position: int, at: int) -> None:
        """Bring the engine to where a group was cut, of which nothing more may come."""
        self._cut_at = at
        self._play_to(position)
        if not self._ready:
            self._advance(at)
            self._gather()
        self._nothing_more(self._told.seq)

    def _nothing_more(self, seq: int) -> None:
        if self._ready and not (isinstance(self._ready[0].input, TimerInput) and self._ready[0].at == self._cut_at):
            # What is due at the very instant of the cut may have come after it, or never if the daemon died.
            event = self._ready[0].sections[0].events[0] if self._ready[0].sections else None
            raise Differs(f"after event {seq}: {type(event).__name__} comes of it again and is not recorded")

    def _advance(self, at: int) -> None:
        """Let the time be ``at``: what was due before it has run."""
        engine = self._engine
        engine.run_timers(at)
        engine.world.now = max(engine.world.now, at)

    def _compare(self, wanted: Step) -> None:
        what = wanted.input
        before = wanted.tape_pos - 1 if isinstance(what, TapeInput) else wanted.tape_pos
        if not self._ready:
            self._play_to(before)
        if not self._ready:
            self._apply(wanted)
        self._gather()
        if not self._ready:
            raise Differs(f"event {wanted.seq_first}: nothing came of {type(what).__name__} at {wanted.at}")
        found = self._ready.pop(0)
        self.compared += 1
        if _encode(found.sections) != _encode(wanted.sections):
            raise Differs(f"event {wanted.seq_first}: {_difference(found, wanted)}")

    def _gather(self) -> None:
        self._ready += [step for step in self._engine.take_steps() if not isinstance(step.input, FoundInput)]

    def _next(self) -> tuple[int, TapeMessage] | None:
        return self._ahead[0] if self._look(1) else None

    def _look(self, count: int) -> bool:
        """Have so many messages in hand."""
        while len(self._ahead) < count:
            found = next(self._tape, None)
            if found is None:
                return False
            self._ahead.append(found)
        return True

    def _starts_anew(self, message: TapeMessage) -> bool:
        """Whether a daemon began here: it says the phase first, and then that messages were lost."""
        return isinstance(message, Session) and self._look(2) and _is_restart(self._ahead[1][1])

    def _play_to(self, position: int) -> None:
        while self._engine.world.tape_seq < position and not self._ready:
            found = self._next()
            if found is None or found[0] != self._engine.world.tape_seq + 1:
                raise Missing(f"message {self._engine.world.tape_seq + 1} is not on the tape any more")
            self._feed(*found)

    def _feed(self, seq: int, message: TapeMessage) -> None:
        if seq != self._began_at + 1 and self._starts_anew(message):
            self._restart()
        self._ahead.popleft()
        engine = self._engine
        engine.world.tape_seq = seq - 1
        engine.tape(message)
        self._gather()

    def _begin(self, step: Step, what: StartInput) -> None:
        """What a start of the daemon did: the books from the recorded facts, a new board, watches from the books."""
        self._nothing_more(step.seq_first - 1)
        self._ready = []
        old, told = self._engine, self._told
        engine = made_with(read_began(what.began), old.seed)
        engine.world.past = old.world.past
        engine.house = House.decode(told.house.encode())
        books = {no: book for no, book in told.books.items() if engine.house.find(book.account_id) is not None}
        resident = frozenset(what.account_nos)
        self._asleep, self._found = {}, {}
        for account_no, book in sorted(books.items()):
            copy = msgspec.msgpack.decode(_encode(book), type=Book)
            (engine.books if account_no in resident else self._asleep)[account_no] = copy
        engine.seq, engine.input_seq = step.seq_first - 1, step.input_seq
        engine.world.now, engine.world.tape_seq = step.at, step.tape_pos
        show(engine)
        for account_no in sorted(engine.books):
            engine.waits.arm_all(engine.books[account_no])
        while (found := self._next()) is not None and found[0] <= step.tape_pos:
            self._ahead.popleft()
        self._engine, self._blind, self._began_at = engine, False, step.tape_pos
        self.compared += 1

    def _restart(self) -> None:
        """The same for a journal that says nothing of it: the books as they are, and the instruments."""
        old = self._engine
        world = old.world
        known = world.instruments.by_symbol.values()
        engine = Engine(old.seed, old.profiles, old.defaults, known, world.days, world.rates)
        engine.house, engine.seq, engine.input_seq = old.house, old.seq, old.input_seq
        engine.world.feed, engine.world.data_class = old.world.feed, old.world.data_class
        engine.world.now, engine.world.describe = world.now, world.describe
        engine.world.past = world.past
        engine.books = old.books
        show(engine)
        for account_no in sorted(engine.books):
            engine.waits.arm_all(engine.books[account_no])
        self._engine = engine

    def _apply(self, wanted: Step) -> None:
        engine, what = self._engine, wanted.input
        match what:
            case CommandInput():
                engine.outside = self._found.pop(what.account_no, None)
                try:
                    engine.command(what.account_no, what.action, wanted.at, what.envelope, what.issued)
                except SearchNeeded:
                    # It is decided otherwise than it was: what comes of it says in what.
                    engine.command(what.account_no, what.action, wanted.at, what.envelope, what.issued)
            case UnreadableInput():
                name = what.method
                engine.unreadable(what.account_no, name, what.reason, what.text, wanted.at, _account_of(wanted))
            case SwitchInput():
                switch(engine, what, wanted.at)
            case EraseInput():
                erase_user(engine, what, wanted.at)
            case HouseInput():
                engine.house_command(what.command, wanted.at, what.envelope)
            case ReferenceInput():
                engine.reference(what.instruments, wanted.at)
            case ArriveInput() | LeaveInput():
                self._advance(wanted.at)
                self._come_or_go(what)
            case TimerInput():
                self._run_timers(wanted.at)
            case TapeInput():
                found = self._next()
                if found is None or found[0] != wanted.tape_pos:
                    raise Missing(f"message {wanted.tape_pos} is not on the tape any more")
                message = found[1]
                if wanted.at > max(getattr(message, "received_at", 0) or message.at, engine.world.now):
                    # Something without an event had moved the time on before it came. A command that had done so may
                    # have been followed at once by the message: what it made due then came later.
                    self._advance(wanted.at)
                self._feed(*found)

    def _come_or_go(self, what: ArriveInput | LeaveInput) -> None:
        engine, account_no = self._engine, what.account_no
        if isinstance(what, LeaveInput) and account_no in engine.books:
            self._asleep[account_no] = engine.books[account_no]
            engine.release(account_no)
        elif isinstance(what, ArriveInput) and account_no in self._asleep:
            engine.admit(self._asleep.pop(account_no))
        else:
            engine.note_ground(what)

    def _run_timers(self, at: int) -> None:
        for _ in range(TRIES):
            if self._engine.steps or self._engine.waits.timers.next_due > at:
                return
            self._engine.run_due(at, 1)


def _is_restart(message: TapeMessage) -> bool:
    return isinstance(message, FeedState) and message.state == "gap" and message.reason == "restart"


def _account_of(step: Step) -> str:
    """The account that an unreadable command named, from the event that says so."""
    for section in step.sections:
        for event in section.events:
            numbers: dict[str, Any] = getattr(event, "numbers", {})
            return str(numbers.get("account", ""))
    return ""


def _difference(found: Step, wanted: Step) -> str:
    mine = [(s.account_no, event) for s in found.sections for event in s.events]
    theirs = [(s.account_no, event) for s in wanted.sections for event in s.events]
    for (no, event), (their_no, their_event) in zip(mine, theirs, strict=False):
        if no != their_no or _encode(event) != _encode(their_event):
            return (
                f"account {their_no} has {type(their_event).__name__}, run again account {no} has "
                f"{type(event).__name__} ({_fields(event, their_event)})"
            )
    return f"{len(theirs)} events are recorded, {len(mine)} came of it again"


def _fields(mine: Any, theirs: Any) -> str:
    if type(mine) is not type(theirs):
        return "another event"
    names = [name for name in mine.__struct_fields__ if getattr(mine, name) != getattr(theirs, name)]
    return "differs in " + ", ".join(names)
