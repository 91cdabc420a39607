"""A progress bar on a terminal; silent anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from actors.book.units import format_time

_SECOND = 1_000_000_000


class Progress:
    """Shows how much of the tape has been played."""

    def __init__(self, total: int, done: int) -> None:
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True))
            self._task = self._bar.add_task("replay", total=total, completed=done)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def show(self, done: int, at: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=format_time(at - at % _SECOND))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
