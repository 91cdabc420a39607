"""A writer process for tests: ``python -m tests.storage.writer_main SOCKET DIRECTORY [PROJECTION]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from storage.records import Group, Lookup, Project, Row
from storage.writer import run
from tests.storage.groups import count_orders

BALLAST_BYTES = 64 * 1024


def failing(groups: Sequence[Group], lookup: Lookup) -> Iterator[Row]:
    yield from count_orders(groups, lookup)
    raise LookupError("a fault of the projection")


PROJECTIONS: dict[str, Project] = {"count": count_orders, "failing": failing}

if __name__ == "__main__":
    name = sys.argv[3] if len(sys.argv) > 3 else "count"
    sys.exit(run(int(sys.argv[1]), sys.argv[2], PROJECTIONS[name], ballast_bytes=BALLAST_BYTES))
