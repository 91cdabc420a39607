"""The fault campaign: every kind of fault of operations §14 on real processes, one table at the end."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from mbtd.jobs.verify import verify
from mbtd.journal import DIRECTORY, catch_up, open_front
from storage.database import FILE_NAME
from storage.sqlite import SqliteStore
from tests.crash.trial import Outcome, Trial

WAL_HEADER, WAL_FRAME = 32, 24 + 4096
BROKEN_CLIENTS = 100
SMALL_DISK_MIB = 40


def kills(directory: Path, count: int, seed: int) -> Outcome:
    """SIGKILL at a random moment under load."""
    outcome, random = Outcome("sigkill"), Random(seed)
    trial = Trial(directory / "state", outcome, seed)
    trial.start()
    trial.open_account()
    for _ in range(count):
        outcome.trials += 1
        killer = threading.Timer(random.uniform(0.01, 0.3), trial.kill)
        killer.start()
        trial.trade(100_000)
        killer.join()
        trial.note_exit()
        trial.settle()
        trial.start()
    trial.kill()
    return outcome


def file_limit(directory: Path, count: int, seed: int) -> Outcome:
    """The disk is full, first way: files may not grow beyond a limit that comes at a random moment."""
    outcome, random = Outcome("full: RLIMIT_FSIZE"), Random(seed)
    trial = Trial(directory / "state", outcome, seed)
    for _ in range(count):
        outcome.trials += 1
        trial.start()
        trial.open_account()
        trial.trade(random.randrange(1, 40))
        trial.limit_files(random.choice((4_096, 65_536, 300_000, 1_000_000)))
        trial.trade(60, time.monotonic() + 2.0)
        trial.limit_files(0)
        _leave(trial)
    return outcome


def small_disk(directory: Path, count: int, seed: int) -> Outcome:
    """The disk is full, second way: a small file system of its own, filled to the last byte by somebody else."""
    outcome, random = Outcome("full: small tmpfs"), Random(seed)
    with _mounted(directory / "small") as place:
        if place is None:
            outcome.notes.append("mounting is not allowed here")
            return outcome
        trial = Trial(place / "state", outcome, seed)
        filler = place / "filler"
        for _ in range(count):
            outcome.trials += 1
            trial.start(MBTD_STORAGE__TAPE_MAX_DAYS="0")
            trial.open_account()
            trial.trade(random.randrange(1, 40))
            free = shutil.disk_usage(place).free
            with contextlib.suppress(OSError):
                _fill(filler, max(0, free - random.choice((0, 4_096, 200_000))))
            trial.trade(60, time.monotonic() + 3.0)
            filler.unlink(missing_ok=True)
            trial.trade(5, time.monotonic() + 3.0)
            _leave(trial)
    return outcome


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        while size > 0:
            file.write(bytes(min(size, 65_536)))
            file.flush()
            size -= 65_536


def _leave(trial: Trial) -> None:
    """The fault is over: whether it lives on or ended with a status, everything must be right."""
    assert trial.process is not None
    if trial.process.poll() is None:
        trial.kill()
    trial.note_exit()
    trial.settle()


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


def failing_sync(directory: Path, count: int, seed: int) -> Outcome:
    """fsync and fdatasync fail from the n-th call on: nothing unconfirmed leaves, the process ends with 74."""
    outcome, random = Outcome("fsync: EIO"), Random(seed)
    if shutil.which("strace") is None:
        outcome.notes.append("strace is not here")
        return outcome
    trial = Trial(directory / "state", outcome, seed)
    trial.start()
    trial.open_account()
    trial.kill()
    for _ in range(count):
        outcome.trials += 1
        when = random.randrange(6, 60)
        inject = f"inject=fsync,fdatasync:error=EIO:when={when}+"
        trial.start("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject)
        trial.trade(200, time.monotonic() + 8.0)
        _leave(trial)
    return outcome


def torn_log(directory: Path, count: int, seed: int) -> Outcome:
    """The journal's log cut at frame edges and inside frames: always a gap-free, verified prefix."""
    outcome, random = Outcome("torn log"), Random(seed)
    trial = Trial(directory / "state", outcome, seed)
    trial.start()
    trial.open_account()
    trial.trade(120)
    trial.kill()
    log = directory / "state" / DIRECTORY / f"{FILE_NAME}-wal"
    edges = list(range(WAL_HEADER, log.stat().st_size + 1, WAL_FRAME))
    used = edges[: 1 + max(1, len([e for e in edges if _used(log, e)]))]
    chosen = used if len(used) <= count else sorted(random.sample(used, count))
    seen = 0
    for edge in chosen:
        outcome.trials += 1
        copy = directory / "cut"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(directory / "state", copy, ignore=shutil.ignore_patterns("*.sock", "*-shm", "tape"))
        with (copy / DIRECTORY / log.name).open("r+b") as file:
            file.truncate(edge + random.choice((0, 0, random.randrange(WAL_FRAME))))
        store = SqliteStore.open(copy, take_epoch=False, ballast_bytes=0)
        front = open_front(copy, take_epoch=False)
        with contextlib.closing(store), contextlib.closing(front):
            catch_up(front, store)
            seq = store.head().seq
        outcome.lost += seq < seen
        seen = max(seen, seq)
        report = verify(copy)
        if not report.ok:
            outcome.verify_failed += 1
            outcome.notes += report.wrong[:2]
    trial.settle()
    return outcome


def _used(log: Path, edge: int) -> bool:
    """Whether a frame stands at this place of the preallocated log."""
    with log.open("rb") as file:
        file.seek(edge)
        return any(file.read(24))


def broken_clients(directory: Path, count: int, seed: int) -> Outcome:
    """A hundred clients that never read, never finish a line, send rubbish or vanish; one good one between them."""
    outcome, random = Outcome("broken clients"), Random(seed)
    trial = Trial(directory / "state", outcome, seed)
    trial.start()
    trial.open_account()
    place = b'{"jsonrpc":"2.0","id":1,"method":"order.list","params":{"account":"ann","status":"all","limit":500}}\n'

    def vanish(peer: socket.socket) -> None:
        peer.sendall(place)
        peer.close()

    kinds: tuple[Callable[[socket.socket], object], ...] = (
        vanish,
        lambda s: s.sendall(place * 50),
        lambda s: s.sendall(b'{"jsonrpc":"2.0","id":1,"meth'),
        lambda s: s.sendall(random.randbytes(4_000) + b"\n"),
        lambda s: s.sendall(b"[" * 60_000 + b"\n"),
        lambda s: s.sendall(b"x" * 1_000_000),
    )
    for _ in range(count):
        outcome.trials += 1
        held = []
        for _ in range(BROKEN_CLIENTS):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(0.05)
            with contextlib.suppress(OSError):
                peer.connect(str(trial.state / "mbtd.sock"))
                random.choice(kinds)(peer)
            held.append(peer)
        started = time.monotonic()
        before = len(trial.acknowledged)
        trial.trade(100, started + 10.0)
        took = (time.monotonic() - started) / max(1, len(trial.acknowledged) - before)
        outcome.notes.append(f"{took * 1e3:.1f} ms an order meanwhile")
        for peer in held:
            peer.close()
    trial.kill()
    trial.settle()
    return outcome


def lost_feed(directory: Path, count: int, seed: int) -> Outcome:
    """The feed is lost and comes back, over and over, with deaths between."""
    outcome, random = Outcome("feed lost"), Random(seed)
    trial = Trial(directory / "state", outcome, seed)
    for _ in range(count):
        outcome.trials += 1
        trial.start()
        trial.open_account()
        with trial.client() as client:
            for _ in range(3):
                client.call("admin.switch", name="market_data_disabled", on=True, why="campaign")
                trial.trade(random.randrange(1, 20))
                client.call("admin.switch", name="market_data_disabled", on=False, why="campaign")
                trial.trade(random.randrange(1, 20))
        _leave(trial)
    return outcome


KINDS: dict[str, Callable[[Path, int, int], Outcome]] = {
    "kills": kills,
    "file-limit": file_limit,
    "small-disk": small_disk,
    "fsync": failing_sync,
    "torn-log": torn_log,
    "clients": broken_clients,
    "feed": lost_feed,
}
SHORT = {"kills": 2, "file-limit": 2, "small-disk": 2, "fsync": 1, "torn-log": 12, "clients": 1, "feed": 1}
LONG = {"kills": 1000, "file-limit": 100, "small-disk": 100, "fsync": 50, "torn-log": 1000, "clients": 10, "feed": 50}


def run(kind: str, count: int, seed: int) -> Outcome:
    """One kind in a directory of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mbtd-campaign-") as directory:
        outcome = KINDS[kind](Path(directory), count, seed)
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


def table(outcomes: list[Outcome]) -> str:
    """For the note."""
    head = "| fault | trials | acknowledged | unanswered | lost | twice | verify failed | exits | s |"
    rows = [
        f"| {o.fault} | {o.trials} | {o.acknowledged} | {o.unanswered} | {o.lost} | {o.duplicates} "
        f"| {o.verify_failed} | {o.exits} | {o.seconds} |"
        for o in outcomes
    ]
    return "\n".join([head, "|" + "---|" * 9, *rows])
