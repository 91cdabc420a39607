"""A daemon for tests that appends through a writer process for ever and reports what became durable.

``python -m tests.storage.daemon_main DIRECTORY``; a line with the writer's pid, then one for each durable
group.
"""

from __future__ import annotations

import asyncio
import sys

from storage.lock import StateLock
from storage.remote import RemoteStore
from tests.storage.groups import group_after
from tests.storage.test_writer import Recorder, writer_command


async def main(directory: str) -> None:
    lock = StateLock.acquire(directory)
    listener = Recorder()
    store, head = await RemoteStore.spawn(writer_command(directory), listener, lock=lock)
    print(store.pid, flush=True)
    while True:
        group = group_after(head, 3)
        store.append_nowait(group)
        await listener.until(lambda seq=group.seq_last: listener.durable[-1:] == [seq])  # type: ignore[misc]
        print(group.seq_last, flush=True)
        head = listener.after(head, group)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
