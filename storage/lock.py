"""One process per state directory: an exclusive lock on ``mbtd.lock``, held by the open descriptor.

The lock belongs to the open file, so a child that inherits the descriptor holds it as well and it lasts
until the last holder is gone, however that ends. Releasing therefore only closes; it never unlocks, which
would take the lock from the child too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from storage.errors import AlreadyRunning

FILE_NAME = "mbtd.lock"
_RETRY_S = 0.02


class StateLock:
    """A held lock. Get one with :meth:`acquire`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, directory: Path | str, *, wait_s: float = 0.0, inheritable: bool = False) -> StateLock:
        """Take the lock, waiting up to ``wait_s`` for a writer whose daemon is gone to leave.

        Blocks while it waits. Raises ``AlreadyRunning`` with the pid found in the file.
        """
        path = Path(directory) / FILE_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + wait_s
            while not _locked(descriptor):
                if time.monotonic() >= deadline:
                    pid = _read_pid(descriptor)
                    raise AlreadyRunning(
                        f"{path.parent} is in use by process {pid or 'unknown'} or its writer; "
                        f"stop it or name another state directory",
                        pid,
                    )
                time.sleep(_RETRY_S)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            os.set_inheritable(descriptor, inheritable)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def fileno(self) -> int:
        """The descriptor to hand to a child that must hold the lock too."""
        return self._descriptor

    def release(self) -> None:
        """Give up this process's hold."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _locked(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
