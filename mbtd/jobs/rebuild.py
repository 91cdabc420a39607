"""Which base and which journal groups make the state whole again, or why none do (``mbtd restore --replay``).

A base is the main database if it passes every check by itself, else the newest backup that does. From its last group
on, both journals are followed: the main database's where its chain of hashes goes on from the base's own, the other's
from a place that both have.
Invariant: without a moment to stop at, a plan is made only when it reaches the last event that anything speaks of and
the journal's end is known; then nothing acknowledged is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from actors.book.units import format_time
from mbtd.jobs.salvage import Entry, Kept, Place, head_of, kept_in
from mbtd.jobs.verify import verify
from storage.backup import BadBackup, check_files, list_backups
from storage.database import FILE_NAME
from storage.errors import Corrupt


class Base(Struct, frozen=True):
    """A whole database to begin with."""

    path: Path
    number: int
    hash: bytes
    place: Place


class Plan(Struct, frozen=True):
    """What is to be put together."""

    base: Base
    groups: tuple[tuple[Kept, Entry], ...]
    missing: str
    """What cannot be accounted for; empty when nothing."""
    note: str = ""

    @property
    def place(self) -> Place:
        """Where it ends."""
        return self.groups[-1][1].place if self.groups else self.base.place


class Diagnosis(Struct):
    """What was found on the way."""

    damaged: list[str]
    passed_over: list[str] = []
    """Bases that would not do, and why."""


class CannotRebuild(Corrupt):
    """Nothing that is there makes a whole state; nothing was touched."""

    def __init__(self, diagnosis: Diagnosis, missing: list[str], plans: list[Plan], state: Path) -> None:
        super().__init__(f"{state} cannot be made whole: {'; '.join(missing)}")
        self.damaged = diagnosis.damaged
        self.passed_over = diagnosis.passed_over
        self.missing = missing
        self.next_steps = _next_steps(plans, state)


def make_plan(state: Path, backups: Path | None, backup: Path | None, until_at: int | None) -> tuple[Plan, Diagnosis]:
    """The first base, newest first, with which nothing is missing. Raises :class:`CannotRebuild`.

    With ``backup`` only that base is tried; ``until_at`` asks for what happened up to then and no more.
    """
    main, front = kept_in(state)
    diagnosis = Diagnosis([*main.damage, *front.damage])
    plans: list[Plan] = []
    missing: list[str] = []
    for path, load in _candidates(state, main, diagnosis, backups, backup, until_at):
        try:
            base = load()
        except (Corrupt, OSError) as error:
            diagnosis.passed_over.append(str(error))
            continue
        plan = _follow(base, main, front, until_at)
        if not plan.missing:
            return plan, diagnosis
        plans.append(plan)
        missing.append(f"{plan.missing} (on top of {path})")
    raise CannotRebuild(diagnosis, missing or ["no base passes its check"], plans, state)


def _candidates(
    state: Path, main: Kept, diagnosis: Diagnosis, backups: Path | None, backup: Path | None, until_at: int | None
) -> list[tuple[Path, Callable[[], Base]]]:
    if backup is not None:
        return [(backup, partial(whole_backup, backup))]
    found: list[tuple[Path, Callable[[], Base]]] = []
    if not main.damage and (until_at is None or head_of(main.path)[2][3] <= until_at):
        found.append((main.path, partial(_main, state, diagnosis)))
    for path, manifest in reversed(list_backups(backups) if backups is not None else []):
        if until_at is None or manifest.at <= until_at:
            found.append((path, partial(whole_backup, path)))
    return found


def _main(state: Path, diagnosis: Diagnosis) -> Base:
    report = verify(state, front=False)
    if not report.ok:
        diagnosis.damaged += [f"{state / FILE_NAME}: {text}" for text in report.wrong[:5]]
        raise Corrupt(f"{state / FILE_NAME} does not pass its check")
    return Base(state, *head_of(state / FILE_NAME))


def whole_backup(path: Path) -> Base:
    """A backup as a base. Raises ``BadBackup`` unless files and books pass their check."""
    check_files(path)
    report = verify(path)
    if not report.ok:
        raise BadBackup(f"{path} does not pass its check: {'; '.join(report.wrong[:3])}")
    return Base(path, *head_of(path / FILE_NAME))


def _follow(base: Base, main: Kept, front: Kept, until_at: int | None) -> Plan:
    """Everything that goes on from the base, from whichever journal has it."""
    groups: list[tuple[Kept, Entry]] = []
    place, going = base.place, True
    while going:
        going = False
        for kept in (main, front):
            mark = kept.marks.get(place)
            if mark is None or (kept is main and not groups and mark.hash != base.hash):
                continue
            number = mark.number
            while (entry := kept.entries.get(number + 1)) is not None:
                if until_at is not None and entry.place[3] > until_at:
                    return Plan(base, tuple(groups), "", f"stopped before event {entry.seq_first}, as asked")
                groups.append((kept, entry))
                place, number, going = entry.place, number + 1, True
    return Plan(base, tuple(groups), _missing(place, main, front, until_at))


def _missing(place: Place, main: Kept, front: Kept, until_at: int | None) -> str:
    beyond = sorted((found, kept.name) for kept in (main, front) for found in kept.marks if found > place)
    if until_at is not None:
        beyond = [pair for pair in beyond if pair[0][3] < until_at]
        return _gap(place, beyond[0][0][0]) if beyond else ""
    if beyond:
        return _gap(place, beyond[0][0][0])
    last = max(main.last_seq, front.last_seq)
    if last > place[0]:
        return f"events {place[0] + 1} to {last} are in no journal that can be read"
    if not front.ends:
        return f"whether anything followed event {place[0]} is not known: the end of {front.path} cannot be trusted"
    return ""


def _gap(place: Place, next_seq: int) -> str:
    if next_seq <= place[0]:
        return f"what moved after event {place[0]} is in no journal that can be read"
    return f"event {place[0] + 1} and what follows it, up to event {next_seq}, cannot be read or proved"


def _next_steps(plans: list[Plan], state: Path) -> list[str]:
    steps = [f"nothing was touched; copy {state} to another disk before anything else"]
    steps.append("look for a newer backup, on the other host too: mbtd restore --replay --backups DIR")
    if plans:
        best = max(plans, key=lambda plan: plan.place)
        at = format_time(best.place[3])
        base = "" if best.base.path == state else f" {best.base.path}"
        steps.append(
            f"to go on without what is missing, up to event {best.place[0]} at {at}: "
            f"mbtd restore{base} --until {at} --state {state}"
        )
    return steps
