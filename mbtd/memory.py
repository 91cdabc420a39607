"""Memory: how much there is, how much is used, and giving it back to the host after a burst.

The C library keeps what was freed for later use. After a start, or after a hundred thousand accounts have been
opened and have left memory, that is half of what the process holds. Other C libraries than glibc are left alone.

Running out is never survived halfway: a ``MemoryError`` anywhere ends the process without committing anything more,
as a kill by the kernel does, and the next start recovers. ``memory_low`` says beforehand that it is near.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mbtd.limits import MEMORY_LOW_PERCENT, MEMORY_OK_PERCENT


def _find() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_trim = _find()
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_UNLIMITED = 1 << 60
"""What a group without a limit says is larger than any host."""


def give_back() -> None:
    """Return free memory to the host. Takes milliseconds, so not for every day."""
    if _trim is not None:
        _trim(0)


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def limit_bytes(root: Path = Path("/")) -> int:
    """The smallest limit that a control group sets on this process (``MemoryMax``); 0 when none does."""
    return min(_limits(root), default=0)


def _limits(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        place = mount / path.strip("/")
        for each in (place, *place.parents):
            if not each.is_relative_to(mount):
                break
            try:
                value = int((each / name).read_text())
            except (OSError, ValueError):
                continue
            if value < _UNLIMITED:
                yield value


class MemoryWatch:
    """Whether memory is running out. Asked now and then; it costs a read of ``/proc``."""

    def __init__(self, limit: int | None = None, resident: Callable[[], int] = resident_bytes) -> None:
        self.limit = limit_bytes() if limit is None else limit
        """Bytes; 0: none that is known."""
        self.resident = 0
        self.low = False
        self._read = resident

    def look(self) -> bool:
        """Look again; True when ``low`` has changed."""
        self.resident = self._read()
        if not self.limit:
            return False
        if not self.low and self._share() >= MEMORY_LOW_PERCENT:
            give_back()
            self.resident = self._read()
        was, share = self.low, self._share()
        self.low = share >= (MEMORY_OK_PERCENT if was else MEMORY_LOW_PERCENT)
        return self.low != was

    def _share(self) -> int:
        return 100 * self.resident // self.limit
