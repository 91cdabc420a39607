"""Appends under a file-size limit (0: none) until the store refuses, and says how it ended.

``python -m tests.storage.full_disk_main DIRECTORY LIMIT_BYTES``: the last durable seq, the error's name, and
that of the error the next append meets.
"""

from __future__ import annotations

import os
import resource
import sys

from storage.errors import StorageBroken, StorageFull
from storage.sqlite import SqliteStore
from tests.storage.groups import append

if __name__ == "__main__":
    store = SqliteStore.open(sys.argv[1], ballast_bytes=64 * 1024)
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        while True:
            append(store, body=b"x" * 5000)
    except (StorageFull, StorageBroken) as error:
        print(store.head().seq, type(error).__name__, end=" ", flush=True)
    try:
        append(store)
    except (StorageFull, StorageBroken) as error:
        print(type(error).__name__, flush=True)
    os._exit(0)
