"""The faults of the campaign that strike at the disk: full in two ways, failing to sync, and logs cut short."""

from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from mbtd.jobs.verify import verify
from mbtd.journal import DIRECTORY, catch_up, open_front
from storage.database import FILE_NAME
from storage.sqlite import SqliteStore
from tests.crash.template import Template
from tests.crash.trial import Outcome, Trial

WAL_HEADER, WAL_FRAME = 32, 24 + 4096
SMALL_DISK_MIB = 40
FULL_S = 2.5
"""Longer than callers of a tail that is stuck wait until they hear so."""
ATTACH_S = 10.0
CUTS_LEAST, KILLS_MAX = 5, 10
"""A log that a checkpoint has moved home when the kill comes has no places left to cut: then another is made."""


def file_limit(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The disk is full, first way: files may not grow beyond a limit that comes at a random moment."""
    outcome, random = Outcome("full: RLIMIT_FSIZE"), Random(seed)
    trial = Trial(directory / "state", outcome, seed, template)
    trial.start()
    trial.open_accounts()
    for _ in range(count):
        outcome.trials += 1
        threads = trial.begin_trading(120, time.monotonic() + FULL_S)
        time.sleep(random.uniform(0.0, 0.1))
        trial.limit_files(random.choice((4_096, 65_536, 300_000, 1_000_000)))
        for thread in threads:
            thread.join()
        trial.limit_files(0)
        if random.random() < 0.5:
            # It lives on by itself.
            trial.trade(5, time.monotonic() + FULL_S)
        trial.leave()
        trial.settle()
    trial.finish()
    return outcome


def small_disk(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The disk is full, second way: a small file system of its own, filled to the last byte by somebody else."""
    outcome, random = Outcome("full: small tmpfs"), Random(seed)
    with _mounted(directory / "small") as place:
        if place is None:
            outcome.note("mounting is not allowed here")
            return outcome
        trial = Trial(place / "state", outcome, seed, template, MBTD_STORAGE__TAPE_MAX_DAYS="0")
        trial.log = directory / "log"
        filler = place / "filler"
        trial.start()
        trial.open_accounts()
        for _ in range(count):
            outcome.trials += 1
            threads = trial.begin_trading(120, time.monotonic() + FULL_S)
            time.sleep(random.uniform(0.0, 0.1))
            free = shutil.disk_usage(place).free
            with contextlib.suppress(OSError):
                _fill(filler, max(0, free - random.choice((0, 4_096, 200_000))))
            for thread in threads:
                thread.join()
            filler.unlink(missing_ok=True)
            if random.random() < 0.5:
                trial.trade(5, time.monotonic() + FULL_S)
            trial.leave()
            trial.settle()
        trial.finish()
    return outcome


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        while size > 0:
            file.write(bytes(min(size, 65_536)))
            file.flush()
            size -= 65_536


@contextlib.contextmanager
def _mounted(place: Path) -> Iterator[Path | None]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m", "mbtd-campaign", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def full_calls(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The disk is full, third way: writes of the daemon and its writer fail with ENOSPC from the n-th call on."""
    outcome, random = Outcome("full: ENOSPC by strace"), Random(seed)
    calls = "pwrite64,ftruncate,fallocate,pwritev"
    return _traced(
        directory, count, seed, template, outcome, lambda: (calls, f"error=ENOSPC:when={random.randrange(1, 120)}+")
    )


def failing_sync(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """fsync and fdatasync fail from the n-th call on: nothing unconfirmed leaves, the process ends with 74."""
    outcome, random = Outcome("fsync: EIO"), Random(seed)
    return _traced(
        directory, count, seed, template, outcome,
        lambda: ("fsync,fdatasync", f"error=EIO:when={random.randrange(1, 60)}+"),
    )  # fmt: skip


def _traced(
    directory: Path,
    count: int,
    seed: int,
    template: Template,
    outcome: Outcome,
    drawn: Callable[[], tuple[str, str]],
) -> Outcome:
    """Trials in which calls of the running daemon and its writer fail until the tracer lets go."""
    if shutil.which("strace") is None:
        outcome.note("strace is not here")
        return outcome
    random = Random(f"after/{seed}")
    trial = Trial(directory / "state", outcome, seed, template)
    trial.start()
    trial.open_accounts()
    for _ in range(count):
        outcome.trials += 1
        calls, inject = drawn()
        words = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{inject}"]
        for pid in trial.pids():
            words += ["-p", str(pid)]
        tracer = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        _await_tracer(trial, tracer.pid)
        trial.trade(60, time.monotonic() + FULL_S)
        # With the tracer the fault ends.
        tracer.terminate()
        tracer.wait()
        if random.random() < 0.5:
            trial.trade(5, time.monotonic() + FULL_S)
        trial.leave()
        trial.settle()
    trial.finish()
    return outcome


def _await_tracer(trial: Trial, tracer: int) -> None:
    deadline = time.monotonic() + ATTACH_S
    for pid in trial.pids():
        while f"TracerPid:\t{tracer}" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.01)


def torn_log(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The journal's log cut at frame edges and inside frames: always a gap-free, verified prefix.

    The writer never gets a group before the journal's disk has it, so its store is taken away, or, when the journal
    relies on it already, back to what its disk has for certain.
    """
    outcome, random = Outcome("torn log"), Random(seed)
    state, edges = _left_by_a_kill(directory, outcome, seed, template, f"{DIRECTORY}/{FILE_NAME}-wal")
    log = state / DIRECTORY / f"{FILE_NAME}-wal"
    front = open_front(_copied(directory, state), take_epoch=False)
    with contextlib.closing(front):
        relied_on = front.trimmed_seq() > 0
    for path in state.glob(f"{FILE_NAME}-*" if relied_on else f"{FILE_NAME}*"):
        path.unlink()
    seen = 0
    for edge in _sample(edges, count, random):
        outcome.trials += 1
        cut = edge + random.choice((0, 0, random.randrange(WAL_FRAME)))
        seq = _after_cut(directory, state, f"{DIRECTORY}/{log.name}", cut, outcome)
        if seq is None:
            outcome.trials -= 1
            continue
        if seq < seen:
            outcome.lost += 1
            outcome.note(f"cut at {cut}: the prefix ends at {seq}, that of an earlier cut at {seen}")
        seen = max(seen, seq)
    return outcome


def torn_store(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The writer's own log cut anywhere: the journal still has it all, so nothing at all is lost."""
    outcome, random = Outcome("torn store log"), Random(seed)
    state, edges = _left_by_a_kill(directory, outcome, seed, template, f"{FILE_NAME}-wal")
    log = state / f"{FILE_NAME}-wal"
    whole = _after_cut(directory, state, log.name, log.stat().st_size, outcome)
    for edge in _sample(edges, count, random):
        outcome.trials += 1
        cut = edge + random.choice((0, 0, random.randrange(WAL_FRAME)))
        seq = _after_cut(directory, state, log.name, cut, outcome)
        if seq != whole:
            outcome.lost += 1
            outcome.note(f"store log cut at {cut}: {seq} of {whole} events")
    return outcome


def _left_by_a_kill(
    directory: Path, outcome: Outcome, seed: int, template: Template, log: str
) -> tuple[Path, list[int]]:
    """A state whose daemon was killed, and the places where a disk could have cut one of its logs."""
    for number in range(KILLS_MAX):
        trial = Trial(directory / f"state-{number}", outcome, seed + number, template)
        trial.start()
        trial.open_accounts()
        trial.trade(40)
        trial.kill()
        trial.note_exit()
        outcome.acknowledged += sum(len(each.acknowledged) for each in trial.shoppers)
        edges = _edges(trial.state / log)
        if len(edges) >= CUTS_LEAST:
            break
    else:
        outcome.note(f"{KILLS_MAX} kills, and each time a checkpoint had moved {log} home")
    return trial.state, edges


def _sample(edges: list[int], count: int, random: Random) -> list[int]:
    return edges if len(edges) <= count else sorted(random.sample(edges, count))


def _edges(log: Path) -> list[int]:
    """The edges of the frames in a log, in order.

    Not those before what a checkpoint has begun to move home: the log is synced up to there before a page moves.
    """
    least = WAL_HEADER + _moving_home(log) * WAL_FRAME
    edges = list(range(least, log.stat().st_size + 1, WAL_FRAME))
    return edges[: 1 + max(1, sum(_used(log, edge) for edge in edges))]


def _moving_home(log: Path) -> int:
    """How many frames a checkpoint moved or was moving home when the process died (SQLite's wal-index, format 3007000)."""
    index = log.with_name(log.name.removesuffix("-wal") + "-shm")
    if not index.exists():
        return 0
    head = index.read_bytes()[:136]
    moved, attempted = struct.unpack_from("=I", head, 96)[0], struct.unpack_from("=I", head, 128)[0]
    return max(moved, attempted)


def _copied(directory: Path, state: Path) -> Path:
    copy = directory / "cut"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.sock", "*-shm", "tape", "ballast"))
    return copy


def _after_cut(directory: Path, state: Path, log: str, size: int, outcome: Outcome) -> int | None:
    """The last event after a start on a copy whose log ends at ``size``; the copy is verified.

    None for a cut that no disk could make: below what the store has for certain.
    """
    copy = _copied(directory, state)
    with (copy / log).open("r+b") as file:
        file.truncate(size)
    store = SqliteStore.open(copy, take_epoch=False, ballast_bytes=0)
    front = open_front(copy, take_epoch=False)
    with contextlib.closing(store), contextlib.closing(front):
        if front.head().seq < store.head().seq:
            return None
        catch_up(front, store)
        seq = store.head().seq
        if front.head().seq != seq:
            outcome.lost += 1
            outcome.note(f"{log} cut at {size}: journal {front.head().seq}, store {seq}")
    report = verify(copy)
    if not report.ok:
        outcome.verify_failed += 1
        outcome.note(*report.wrong)
    return seq


def _used(log: Path, edge: int) -> bool:
    """Whether a frame stands at this place of the preallocated log."""
    with log.open("rb") as file:
        file.seek(edge)
        return any(file.read(24))
