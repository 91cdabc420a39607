"""What backups and erasure need of a running partition: everything so far on disk, and nothing left of what is gone.

Invariant: nothing here decides; each waits until the store holds what it asks for.
"""

from __future__ import annotations

from mbtd.core import Core


async def cover_everything(core: Core) -> None:
    """Store a snapshot of every account that changed since its last."""
    core.hand_on()
    while (journal := core.covering) is not None:
        chunk = core.residency.take_snapshots(core.engine.seq, everything=True)
        if not chunk:
            break
        journal.pass_on(0, at_once=True)
        core.store.put_snapshots_nowait(chunk)
    await core.store.flush()


async def barrier(core: Core) -> int:
    """Have the writer's store hold, and show, every event so far; its number."""
    core.hand_on()
    seq = core.outbox.durable_seq
    await core.wait_projected(seq)
    return seq


async def scrub_journal(core: Core, below_seq: int) -> None:
    """Leave nothing of the groups below ``below_seq`` in the journal's files."""
    if core.journal is not None:
        await core.journal.scrub(below_seq)
