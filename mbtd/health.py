"""What ``health.get`` says: ok, degraded with reasons, or stopping (operations §9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.acting import in_old_units
from actors.book.units import format_time
from mbtd import __version__
from mbtd.core import Core
from mbtd.jobs.marks import Marks
from mbtd.market.feed import STATE_SENTENCES, Feed, FeedStatus
from mbtd.market.reference import ReferenceKeeper
from mbtd.memory import MemoryWatch, resident_bytes
from mbtd.passing import Passing
from mbtd.precedence import precedence
from mbtd.switchboard import Switchboard


def health(
    core: Core,
    feed: Feed,
    started_at: int,
    stopping: Callable[[], bool],
    reference: ReferenceKeeper | None = None,
    switchboard: Switchboard | None = None,
    memory: MemoryWatch | None = None,
    passing: Passing | None = None,
    draining: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """The state of everything an operator asks about first."""
    reasons = []
    status = feed.status()
    if switchboard is not None:
        reasons += switchboard.thrown
    if core.held:
        reasons.append("held")
    closed = switchboard is not None and switchboard.feed_closed
    if closed:
        reasons.append("feed_stopped")
    elif status.state != "live":
        reasons.append(f"feed_{status.state}")
    if core.storage_state != "ok":
        reasons.append(f"storage_{core.storage_state}")
    if core.readers is not None and core.readers.files_problem:
        reasons.append("tape_files_stopped")
    known = len(core.engine.world.instruments.by_symbol)
    if not known:
        reasons.append("reference_missing")
    elif reference is not None and reference.problem:
        reasons.append("reference_old")
    old_units = in_old_units(core.engine.world)
    if old_units:
        reasons.append("feed_in_old_units")
    if core.interest is not None and core.interest.left_out:
        reasons.append("interest_full")
    if memory is not None and memory.low:
        reasons.append("memory_low")
    quarantined = sum(1 for book in core.engine.books.values() if book.quarantined)
    if quarantined:
        reasons.append("accounts_quarantined")
    if passing is not None:
        reasons += passing.reasons(draining())
    state = "stopping" if stopping() else "degraded" if reasons else "ok"
    now = core.now()
    age = status.message_age_ns(feed.now())
    return {
        "status": state,
        "reasons": reasons,
        "version": __version__,
        "started_at": format_time(started_at),
        "now": format_time(now),
        "data_epoch": core.data_epoch,
        "switches": switchboard.describe() if switchboard is not None else {},
        "feed": {
            "name": feed.name,
            "state": "stopped" if closed else status.state,
            "reason": "market data is switched off" if closed else _sentence(status),
            "messages": status.messages,
            "age_ms": age // 1_000_000 if age is not None else None,
            "data_class": feed.data_class,
            "in_old_units": old_units,
            "streams": _streams(status),
        },
        "reference": {
            "age_s": reference.age_s() if reference is not None else None,
            "problem": reference.problem or None if reference is not None else None,
            "instruments": known,
        },
        "interest": _interest(core),
        "storage": {
            "state": core.storage_state,
            "seq": core.engine.seq,
            "durable_seq": core.outbox.durable_seq,
            "projected_seq": core.projected_seq,
            "groups": core.groups,
            "commit_max_ms": core.commit_ns_max / 1e6,
        },
        "engine": {
            "accounts": len(core.engine.house.names),
            "resident": len(core.engine.books),
            "live_orders": sum(len(book.orders) for book in core.engine.books.values()),
            "waiting_commands": core.mailroom.waiting,
            "waiting_commands_max": core.mailroom.waiting_max,
            "tape_backlog": core.pump.backlog,
            "tape_overflows": core.overflows,
            "tape_seq": core.engine.world.tape_seq,
            "long_turns": sum(core.pump.offenders.values()),
            "long_turn_accounts": sorted(core.pump.offenders, key=core.pump.offenders.__getitem__)[-8:],
            "searches": core.pump.searches,
            "waiting_for_searches": core.mailroom.parked,
            "longest_slice_ms": core.pump.longest_slice_ns / 1e6,
            "scheduling": precedence(),
            "session": core.engine.world.phase,
            "quarantined": quarantined,
        },
        "last": {kind: format_time(round(at * 1e9)) for kind, at in Marks(core.directory).read().items()},
        "lately": passing.lately() if passing is not None else {},
        "limits": {"mailbox": core.mailroom.capacity},
        "memory": {
            "resident_bytes": resident_bytes(),
            "limit_bytes": memory.limit or None if memory is not None else None,
        },
    }


def _sentence(status: FeedStatus) -> str | None:
    if status.state == "live":
        return None
    sentence = STATE_SENTENCES[status.state]
    return f"{sentence} ({status.reason})" if status.reason else sentence


def _streams(status: FeedStatus) -> list[dict[str, Any]]:
    """Each connection of a feed that has several."""
    return [
        {
            "name": stream.name,
            "state": stream.state,
            "reason": stream.reason or None,
            "subscribed": stream.subscribed,
            "refused": len(stream.refused),
            "connections": stream.counters.connections,
            "errors": stream.counters.errors,
        }
        for stream in getattr(status, "streams", ())
    ]


def _interest(core: Core) -> dict[str, int] | None:
    interest = core.interest
    if interest is None:
        return None
    return {
        "symbols": interest.symbols,
        "contracts": interest.contracts,
        "left_out": interest.left_out,
        "unknown": interest.unknown,
    }
