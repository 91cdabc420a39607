"""Retention by tier: how long a user's history is kept, and the nightly purge (architecture §5).

Invariants: balances and open positions are never touched (storage/retention.py); a tier that keeps for ever is never
looked at; the account's newest snapshot must cover the cut, so the purge asks for one first.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mbtd.core import Core
from mbtd.covering import cover_everything
from mbtd.logs import get_logger
from mbtd.maintenance import PurgeArgument
from storage.retention import Purged

log = get_logger(subsystem="retention")
DAY_NS: Final = 86_400 * 1_000_000_000
KEEP_DAYS: Final[dict[str, int | None]] = {"free": 90, "pro": 3 * 365, "pro_plus": None}
"""Days of history by tier; None: for ever."""
ACCOUNTS_PER_JOB = 50


def due(core: Core, now: int) -> dict[int, int]:
    """For each account that may lose history: the instant before which it does."""
    before: dict[int, int] = {}
    for user in core.engine.house.users.values():
        days = KEEP_DAYS.get(user.tier)
        if days is not None:
            before |= dict.fromkeys(user.account_nos, now - days * DAY_NS)
    return dict(sorted(before.items()))


async def purge(core: Core, *, dry_run: bool = False) -> dict[str, Any]:
    """Forget what is older than its tier keeps, a few accounts at a time."""
    await cover_everything(core)
    wanted = list(due(core, core.now()).items())
    total = Purged()
    for start in range(0, len(wanted), ACCOUNTS_PER_JOB):
        argument = PurgeArgument(dict(wanted[start : start + ACCOUNTS_PER_JOB]), dry_run)
        result = await core.store.work("purge", msgspec.msgpack.encode(argument))
        purged = msgspec.msgpack.decode(result, type=Purged)
        for name in Purged.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(purged, name))
    found: dict[str, Any] = {"accounts": len(wanted), "dry_run": dry_run, **msgspec.to_builtins(total)}
    log.info("history.purged", **found)
    return found
