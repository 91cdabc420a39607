"""Giving memory back to the host after a burst.

The C library keeps what was freed for later use. After a start, or after a hundred thousand accounts have been
opened and have left memory, that is half of what the process holds. Other C libraries than glibc are left alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _find() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_trim = _find()


def give_back() -> None:
    """Return free memory to the host. Takes milliseconds, so not for every day."""
    if _trim is not None:
        _trim(0)
