"""The writer process: ``python -m mbtd.writer FD DIRECTORY BALLAST_BYTES``. Started by the daemon only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mbtd.failpoints import store_type
from mbtd.maintenance import JOBS
from mbtd.records.projection import project
from storage.writer import run


def main() -> int:
    """Serve one daemon until it is gone."""
    return run(
        int(sys.argv[1]),
        Path(sys.argv[2]),
        project,
        ballast_bytes=int(sys.argv[3]),
        store_type=store_type(),
        relaxed=True,
        works=JOBS,
    )


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
