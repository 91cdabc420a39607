"""The fault campaign: every kind of fault of operations §14 on real processes, one table at the end.

It is cut into units: one directory, one seed, a few trials. A unit's outcome is one line of the log file as soon as
it is done; a unit that stands there already is not run again, so the campaign can be stopped at any time and be
gone on with, and shards of it (``first``, ``units``) can run in different places and be put together.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.crash.disk import failing_sync, file_limit, full_calls, small_disk, torn_log, torn_store
from tests.crash.faults import broken_clients, kills, lost_feed, stepping_clock
from tests.crash.garbage import garbage
from tests.crash.memory import killed_by_the_kernel, refused_by_the_allocator
from tests.crash.template import Template
from tests.crash.trial import Outcome

Fault = Callable[[Path, int, int, Template], Outcome]


class Kind(Struct, frozen=True):
    """One kind of fault: how many trials a directory sees, and how many directories the whole campaign has."""

    fault: Fault
    trials: int
    units: int


KINDS: dict[str, Kind] = {
    "kills": Kind(kills, 20, 50),
    "file-limit": Kind(file_limit, 10, 10),
    "small-disk": Kind(small_disk, 10, 10),
    "full-calls": Kind(full_calls, 10, 10),
    "fsync": Kind(failing_sync, 5, 10),
    "torn-log": Kind(torn_log, 500, 2),
    "torn-store": Kind(torn_store, 250, 2),
    "clock": Kind(stepping_clock, 10, 10),
    "feed": Kind(lost_feed, 10, 5),
    "garbage": Kind(garbage, 10, 5),
    "oom-kill": Kind(killed_by_the_kernel, 5, 4),
    "oom-error": Kind(refused_by_the_allocator, 5, 4),
    "clients": Kind(broken_clients, 2, 5),
}


class Unit(Struct, frozen=True):
    """A line of the log."""

    kind: str
    number: int
    seed: int
    trials: int
    ok: bool
    outcome: Outcome


def read_log(path: Path) -> list[Unit]:
    """What is done. A line that was cut short counts as not done."""
    units = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            units.append(msgspec.json.decode(line, type=Unit))
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
    return units


def run_unit(kind: str, number: int, seed: int, template: Template, trials: int | None = None) -> Unit:
    """One directory's trials, from the seed and the unit's number alone. What breaks in it is a failure of it."""
    wanted = KINDS[kind].trials if trials is None else trials
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mbtd-campaign-") as directory:
        try:
            outcome = KINDS[kind].fault(Path(directory), wanted, seed * 10_000 + number, template)
        except Exception:
            outcome = Outcome(kind, trials=1, verify_failed=1, notes=[traceback.format_exc()[-3_000:]])
        template.kill_daemons()
    outcome.seconds = round(time.monotonic() - started, 1)
    return Unit(kind, number, seed, outcome.trials, outcome.ok, outcome)


def run(
    kinds: list[str],
    seed: int,
    log: Path,
    *,
    first: int = 0,
    units: int | None = None,
    trials: int | None = None,
    until: float | None = None,
) -> Iterator[Unit]:
    """Run what is not done yet; each unit is in the log before it is handed on. ``until`` on the monotonic clock."""
    done = {(unit.kind, unit.number, unit.seed) for unit in read_log(log)}
    template = Template()
    try:
        for kind in kinds:
            last = KINDS[kind].units if units is None else first + units
            for number in range(first, last):
                if (kind, number, seed) in done:
                    continue
                if until is not None and time.monotonic() > until:
                    return
                unit = run_unit(kind, number, seed, template, trials)
                with log.open("ab") as file:
                    file.write(b"\n" + msgspec.json.encode(unit) + b"\n")
                yield unit
    finally:
        template.close()


def table(units: list[Unit]) -> str:
    """Sums by kind, for the note."""
    head = (
        "| fault | units | trials | acknowledged | looked up | unanswered, settled | lost | twice | verify failed "
        "| exits | s |"
    )
    sums: dict[str, tuple[int, Outcome]] = {}
    for unit in units:
        count, total = sums.get(unit.kind, (0, Outcome(unit.outcome.fault)))
        total.add(unit.outcome)
        sums[unit.kind] = (count + 1, total)
    rows = [
        f"| {o.fault} | {count} | {o.trials} | {o.acknowledged} | {o.looked_at} | {o.settled} | {o.lost} "
        f"| {o.duplicates} | {o.verify_failed} | {_exits(o)} | {o.seconds:.0f} |"
        for count, o in (sums[kind] for kind in KINDS if kind in sums)
    ]
    return "\n".join([head, "|" + "---|" * 11, *rows])


def _exits(outcome: Outcome) -> str:
    return ", ".join(f"{status}: {count}" for status, count in sorted(outcome.exits.items()))
