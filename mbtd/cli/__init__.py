"""Entry point of the ``mbtd`` command; the commands are in :mod:`mbtd.cli.program`.

Invariant: this module imports nothing of weight, so that Ctrl-C while the rest is being read ends in one line.
Known limit: what the interpreter itself reads before it comes here is not covered.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from types import FrameType

_INTERRUPTED = 130


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: an exception in the middle of an import would be told as a traceback, or as the import's fault."""
    os.write(2, b"mbtd: interrupted\n")
    os._exit(_INTERRUPTED)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if usual:  # and not ignored, as under nohup
            signal.signal(signal.SIGINT, _leave)
    except ValueError:  # not the main thread: nothing is interrupted here
        usual = False
    from mbtd.cli.program import run

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run(argv)
