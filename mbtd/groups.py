"""Cutting what the engine did into groups for the journal, and putting a journal's groups back into an engine.

Invariants: a group holds whole inputs only; its ``moved`` part is by value, so the last one wins; event numbers
are without a gap from one group to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.engine import Engine
from actors.inputs import Section, Step, decode_moved, decode_steps, encode
from storage.records import Group, Head

MOVED_LATEST_NS = 1_000_000_000
"""State that moved without an event is at most this late on disk."""
GROUND_MAX_STEPS = 256
"""So many steps without an event wait for the next one; more are committed by themselves."""


class GroupCutter:
    """Cuts groups in order for one epoch."""

    def __init__(self, engine: Engine, head: Head) -> None:
        self._engine = engine
        self._epoch = head.epoch
        self.last_seq = head.seq
        """The last event number that was cut."""

    def cut(self, cursor: bytes = b"", steps: list[Step] | None = None) -> Group:
        """Everything since the last cut, as one group."""
        engine = self._engine
        if steps is None:
            steps = engine.take_steps()
        moved = engine.take_moved()
        first = self.last_seq + 1
        self.last_seq = engine.seq
        return Group(
            self._epoch,
            first,
            engine.seq,
            engine.input_seq,
            engine.world.tape_seq,
            engine.world.now,
            cursor,
            encode(steps) if steps else b"",
            encode(moved) if moved else b"",
        )


def restore(
    engine: Engine,
    groups: Iterable[Group],
    wanted: Callable[[Section], bool] = lambda section: True,
    seen: Callable[[Step], None] | None = None,
) -> int:
    """Fold groups into an engine; returns how many steps were folded.

    ``wanted`` says whether an account's part of a step concerns a book in memory, and brings one that has to come;
    what it leaves out is in a snapshot already. ``seen`` is told every step. The books' watches and timers are armed
    by the caller, once the board is back.
    """
    folded = 0
    for group in groups:
        if group.body:
            for step in decode_steps(group.body):
                engine.restore_step(step, wanted)
                folded += 1
                if seen is not None:
                    seen(step)
        for moved in decode_moved(group.moved):
            engine.restore_moved(moved)
    return folded


def resume_at(engine: Engine, head: Head) -> None:
    """Put the engine's counters where the store's head is."""
    engine.seq = head.seq
    engine.input_seq = head.input_seq
    engine.world.now = max(engine.world.now, head.at)
