"""``mbtd verify --redecide``: the recorded inputs run again, and every step compared byte for byte (architecture §4).

The inputs are the journal's (commands, switches, timers) and the tape's (quotes, prints, phases), so this reaches
as far as both are kept: from the first event of a state directory whose journal was never trimmed. A restart shows
itself on the tape as a gap; the engine is built anew from its own books there, as the daemon did. A replay's
directory has no tape of its own; its recordings are named on the command line.

Known limits: instruments are today's, not those of the day; a timer that came to nothing is not recorded, so state
that moved in it without an event may differ; a stretch whose inputs are gone is passed over and said.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from actors.book.rules.matching.profiles import Profiles
from actors.engine import Engine
from actors.erasing import erase_user
from actors.house.decide import Defaults
from actors.inputs import (
    CommandInput,
    EraseInput,
    HouseInput,
    ReferenceInput,
    Step,
    SwitchInput,
    TapeInput,
    TimerInput,
    UnreadableInput,
    decode_steps,
)
from actors.market.messages import FeedState, Session, TapeMessage
from actors.switching import show, switch
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
from storage.tape import read_tape

_decoder = msgspec.msgpack.Decoder(TapeMessage)
_encode = msgspec.msgpack.encode
NAME = "redecide"
TRIES = 10_000


class Differs(Exception):
    """The first step that came out otherwise."""


def steps_of(directory: Path) -> tuple[int, list[Step]]:
    """The journal's steps, and the last event number that it no longer has."""
    steps: list[Step] = []
    trimmed, seq = 0, 0
    for path in (directory / FILE_NAME, directory / DIRECTORY / FILE_NAME):
        if not path.is_file():
            continue
        with contextlib.closing(open_database(path)) as db:
            for index, (_, _, group) in enumerate(groups_of(db)):
                if index == 0 and path.parent == directory:
                    trimmed = seq = group.seq_last
                if group.body and group.seq_last > seq:
                    fresh = [step for step in decode_steps(group.body) if step.seq_last > seq]
                    steps += fresh
                    seq = group.seq_last
    return trimmed, steps


def redecide(directory: Path, recordings: tuple[Path, ...] = ()) -> Finding:
    """Run everything again that can be; a finding like those of verify."""
    trimmed, steps = steps_of(directory)
    if not steps:
        return Finding(NAME, True, 0)
    if trimmed:
        note = f"inputs before event {trimmed + 1} are no longer kept; nothing could be run again"
        return Finding(f"{NAME} ({note})", True, 0)
    engine, tape = _recorded(directory, recordings) if recordings else _served(directory)
    runner = _Again(engine, tape)
    runner.know(Pasts(directory))
    try:
        for step in steps:
            runner.match(step)
    except Differs as error:
        return Finding(NAME, False, runner.compared, (str(error),))
    return Finding(NAME, True, runner.compared)


def _served(directory: Path) -> tuple[Engine, Iterator[tuple[int, TapeMessage]]]:
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
    return engine, ((seq, _decoder.decode(record)) for seq, record in read_tape(directory, 1))


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
        self.compared = 0

    def know(self, pasts: Pasts) -> None:
        """Where accounts' histories are read."""
        self._engine.world.past = pasts

    def match(self, wanted: Step) -> None:
        """Bring the engine to this step and compare. Raises :class:`Differs`."""
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
        self._ready += self._engine.take_steps()

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
        while (found := self._next()) is not None and found[0] <= position and not self._ready:
            self._feed(*found)

    def _feed(self, seq: int, message: TapeMessage) -> None:
        if self._starts_anew(message):
            self._restart()
        self._ahead.popleft()
        engine = self._engine
        engine.world.tape_seq = seq - 1
        engine.tape(message)
        self._gather()

    def _restart(self) -> None:
        """What a start of the daemon does: a new board, the books as they are, the watches from the books."""
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
            case TimerInput():
                self._run_timers(wanted.at)
            case TapeInput():
                found = self._next()
                if found is None or found[0] != wanted.tape_pos:
                    raise Differs(f"event {wanted.seq_first}: message {wanted.tape_pos} is not on the tape any more")
                self._feed(*found)

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
