"""Out of memory, for real: the kernel kills in a control group, or the allocator refuses."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.crash.template import Template
from tests.crash.trial import Outcome, Trial

GROUPS = Path("/sys/fs/cgroup")
LIMIT_NAMES = ("memory.max", "memory.limit_in_bytes")
HOGS = 40
HOG_S = 4.0
REQUESTS = b"".join(
    b'{"jsonrpc":"2.0","id":%d,"method":"order.list","params":{"account":"ann","status":"all","limit":500}}\n'
    % number
    for number in range(60)
)


@contextlib.contextmanager
def control_group(name: str) -> Iterator[Path | None]:
    """A control group of our own that limits memory, of either version; None where that is not allowed."""
    for place in (GROUPS / "memory" / name, GROUPS / name):
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            yield place if any((place / limit).exists() for limit in LIMIT_NAMES) else None
        finally:
            deadline = time.monotonic() + 5.0
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    place.rmdir()
                    break
                time.sleep(0.05)
        return
    yield None


def killed_by_the_kernel(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """A control group allows a few megabytes more than are used; clients that never read use them up."""
    outcome, random = Outcome("memory: kernel kills"), Random(seed)
    with control_group(f"mbtd-campaign-{os.getpid()}") as group:
        if group is None:
            outcome.note("control groups are not ours here")
            return outcome
        limit = next(group / name for name in LIMIT_NAMES if (group / name).exists())
        trial = Trial(directory / "state", outcome, seed, template)
        trial.start()
        trial.open_accounts()
        trial.trade(60)
        for _ in range(count):
            outcome.trials += 1
            limit.write_text(str(1 << 40 if limit.name != "memory.max" else "max"))
            for pid in trial.pids():
                (group / "cgroup.procs").write_text(str(pid))
            # What was allocated before is not counted here: only what comes from now on.
            limit.write_text(str(random.randrange(4, 16) << 20))
            _press(trial)
            trial.leave()
            trial.settle()
        trial.finish()
    return outcome


def refused_by_the_allocator(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The daemon may have little more address space than it has: every allocation can fail from then on."""
    outcome, random = Outcome("memory: allocation fails"), Random(seed)
    trial = Trial(directory / "state", outcome, seed, template)
    trial.start()
    trial.open_accounts()
    trial.trade(60)
    for _ in range(count):
        outcome.trials += 1
        assert trial.process is not None
        size = int(Path(f"/proc/{trial.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        more = random.randrange(0, 8) << 20
        resource.prlimit(trial.process.pid, resource.RLIMIT_AS, (size + more, resource.RLIM_INFINITY))
        _press(trial)
        trial.leave()
        trial.settle()
    trial.finish()
    return outcome


def _press(trial: Trial) -> None:
    """Trade beside clients whose answers pile up, until the daemon is gone or some seconds have passed."""
    until = time.monotonic() + HOG_S
    threads = trial.begin_trading(100_000, until)
    held = []
    for _ in range(HOGS):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(0.2)
        with contextlib.suppress(OSError):
            peer.connect(str(trial.state / "mbtd.sock"))
            peer.sendall(REQUESTS)
        held.append(peer)
    for thread in threads:
        thread.join()
    for peer in held:
        peer.close()
    assert trial.process is not None
    if trial.process.poll() is None:
        trial.outcome.note(f"trial {trial.outcome.trials}: it lived on")
