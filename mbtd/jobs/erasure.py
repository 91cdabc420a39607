"""Erasing a user: at once out of memory and every answer, then out of every byte on disk (architecture §5).

Order: the tombstone, the sequenced erasure (accounts gone, names forgotten), a snapshot of everything that
changed, so that no journal group is needed any more, then journals trimmed, rows deleted, files written anew. A
crash anywhere in between is finished by the next start, and a restore of an older backup does all of it again
(:func:`finish_offline`). Invariant: nothing of the user is said in the erasure itself. Known limits: backups made
before keep the user until they are rotated out; lines already given to the system's log are the system's.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import anyio
import msgspec

from actors.book.units import format_time
from actors.engine import Engine
from actors.erasing import erase_user
from actors.inputs import EraseInput
from mbtd.core import Core
from mbtd.covering import cover_everything, scrub_journal
from mbtd.groups import GroupCutter
from mbtd.journal import catch_up, open_front
from mbtd.logs import get_logger
from mbtd.maintenance import EraseArgument, erase
from mbtd.records.projection import project
from mbtd.recovery import load
from mbtd.residency import snapshot_of, snapshot_of_house
from storage.erasure import Erased, scrub
from storage.sqlite import SqliteStore
from storage.tombstones import Tombstone, Tombstones

log = get_logger(subsystem="erasure")
_encode = msgspec.msgpack.encode
ASIDE = "before-restore-"
"""Where a restore moves the files that it replaces."""
MADE = ".restoring-"
"""Where a restore builds the new ones; what a killed one leaves."""
PATIENCE_S = 60.0
POLL_S = 0.02


class NothingToErase(LookupError):
    """There is no such user."""


def _who(engine: Engine, user_id: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """A user's accounts, and every text that names the user."""
    user = engine.house.users.get(user_id)
    if user is None:
        raise NothingToErase(user_id)
    numbers = set(user.account_nos)
    names = [name for name, no in engine.house.names.items() if no in numbers]
    return tuple(sorted(numbers)), (user_id, *names)


async def erase_online(core: Core, directory: Path, user_id: str) -> dict[str, Any]:
    """Erase a user in a running daemon; returns when no byte is left. Raises :class:`NothingToErase`."""
    account_nos, names = _who(core.engine, user_id)
    stones = Tombstones(directory)
    mark = stones.mark(user_id)
    stone = Tombstone(mark.hex(), account_nos, format_time(core.now()))
    stones.set(stone)
    core.residency.forget(account_nos)
    erase_user(core.engine, EraseInput(account_nos, mark), core.now())
    core.lines.forget(account_nos)
    core.hand_on()
    seq = core.engine.seq
    with anyio.fail_after(PATIENCE_S):
        while core.outbox.durable_seq < seq or core.residency.needed_seq(core.engine.seq) <= seq:
            await cover_everything(core)
            await anyio.sleep(POLL_S)
    below = core.residency.needed_seq(core.engine.seq)
    await core.store.flush()
    result = await core.store.work("erase", _encode(EraseArgument(account_nos, names, below)))
    await scrub_journal(core, below)
    erased = msgspec.msgpack.decode(result, type=Erased)
    await anyio.to_thread.run_sync(drop_asides, directory)
    stones.set(msgspec.structs.replace(stone, done=True))
    # With the first account no two users' lines are repeats of one another.
    log.warning(
        "user.erased",
        account_no=min(account_nos, default=0),
        accounts=len(account_nos),
        rows=erased.rows,
        house_events=erased.house_events,
    )
    return {"accounts": len(account_nos), "rows": erased.rows, "house_events": erased.house_events}


def drop_asides(directory: Path) -> None:
    """Delete what earlier restores moved aside or left half made: it holds everybody as they were."""
    for path in (*directory.glob(f"{ASIDE}*"), *directory.glob(f"{MADE}*")):
        shutil.rmtree(path)


def finish_offline(directory: Path, *, everybody: bool = False) -> int:
    """Erase whoever has a tombstone and is still there; how many users that were. The lock is the caller's.

    At a start only what a crash left unfinished is looked at, after a restore ``everybody`` with a tombstone.
    """
    stones = Tombstones(directory)
    wanted = {stone.mark: stone for stone in (stones.known.values() if everybody else stones.unfinished)}
    if not wanted:
        return 0
    store = SqliteStore.open(directory, take_epoch=True, ballast_bytes=0)
    with contextlib.closing(store):
        front = open_front(directory, take_epoch=False)
        with contextlib.closing(front):
            catch_up(front, store)
        engine = Engine(bytes(32))
        load(engine, store)
        found = {stones.mark(user_id).hex(): user_id for user_id in engine.house.users}
        done = 0
        for mark, stone in wanted.items():
            user_id = found.get(mark)
            account_nos, names = _who(engine, user_id) if user_id is not None else (stone.account_nos, ())
            if user_id is None and everybody and stone.done:
                continue
            _erase_in(store, engine, EraseInput(account_nos, bytes.fromhex(mark)), names)
            stones.set(msgspec.structs.replace(stone, account_nos=account_nos, done=True))
            done += 1
        head = store.head()
    if done:
        front = open_front(directory, take_epoch=False)
        with contextlib.closing(front):
            front.plant(head)
            scrub(front)
    return done


def _erase_in(store: SqliteStore, engine: Engine, what: EraseInput, names: tuple[str, ...]) -> None:
    cutter = GroupCutter(engine, store.head())
    erase_user(engine, what, engine.world.now)
    store.append(cutter.cut(store.head().cursor))
    seq = engine.seq
    while store.projection_backlog():
        store.project(project, 256)
    rows = [snapshot_of(book, seq) for _, book in sorted(engine.books.items())]
    store.put_snapshots([snapshot_of_house(engine.house, seq), *rows])
    erase(store, _encode(EraseArgument(what.account_nos, names, seq + 1)))


__all__ = ["NothingToErase", "erase_online", "finish_offline"]
