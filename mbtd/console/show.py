"""What an operator can look at: one table a word. Reads memory only and changes nothing.

Invariant: bounded by ``limit``; amounts of money of an account are shown to operators only, through ``account``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable
from typing import Any

import msgspec

from actors.book.units import format_money, format_qty
from mbtd import limits as bounds
from mbtd.config import Loaded, render
from mbtd.core import Core
from mbtd.rpc.server import Server

Rows = list[dict[str, Any]]
FRAMES_SHOWN = 3
FRAMES_MAX = 32


def accounts(core: Core, limit: int) -> Rows:
    """Resident accounts: those in quarantine, then those with most live orders."""
    books = sorted(
        core.engine.books.values(), key=lambda book: (not book.quarantined, -len(book.orders), book.account_no)
    )
    names = {no: name for name, no in core.engine.house.names.items()}
    return [
        {
            "no": book.account_no,
            "name": names.get(book.account_no, ""),
            "status": "QUARANTINED" if book.quarantined else book.status,
            "type": book.type,
            "events": book.n,
            "orders": len(book.orders),
            "positions": len(book.positions),
            "mail": core.mailroom.depth(book.account_no),
        }
        for book in books[:limit]
    ]


def account(core: Core, account_no: int) -> dict[str, Any]:
    """One account's book in short."""
    book = core.engine.books[account_no]
    return {
        "account_no": book.account_no,
        "account_id": book.account_id,
        "status": book.status,
        "quarantined": book.quarantined or None,
        "events": book.n,
        "epoch": book.epoch,
        "profile": book.profile,
        "margin_profile": book.margin_profile,
        "cash": format_money(book.cash),
        "reserved": format_money(book.reserved_money),
        "mail": core.mailroom.depth(account_no),
        "orders": [
            {
                "id": order.terms.order_id,
                "symbol": order.terms.symbol,
                "side": order.terms.side,
                "status": order.status,
                "waits": watch.reason if (watch := book.watch.get(no)) is not None else "level",
            }
            for no, order in sorted(book.orders.items())
        ],
        "positions": [{"symbol": p.symbol, "qty": format_qty(p.qty)} for _, p in sorted(book.positions.items())],
    }


def mailboxes(core: Core, limit: int) -> Rows:
    """Accounts with commands waiting, the fullest first."""
    names = {no: name for name, no in core.engine.house.names.items()}
    depths = ((no, core.mailroom.depth(no)) for no in (0, *core.engine.books))
    full = sorted(((no, depth) for no, depth in depths if depth), key=lambda pair: (-pair[1], pair[0]))
    return [{"no": no, "name": names.get(no, "house"), "waiting": depth} for no, depth in full[:limit]]


def clients(servers: Iterable[Server], limit: int) -> Rows:
    """Open connections."""
    rows = [
        {
            "no": connection.number,
            "uid": connection.peer.uid,
            "pid": connection.peer.pid,
            "role": connection.peer.role,
            "unanswered": connection.unanswered,
            "waiting_bytes": connection.waiting_bytes,
        }
        for server in servers
        for connection in server.connections
    ]
    return sorted(rows, key=lambda row: int(row["no"]))[:limit]


def streams(core: Core, limit: int) -> Rows:
    """What is subscribed to, and by how many connections."""
    return core.hub.describe()[:limit]


def tasks(limit: int) -> Rows:
    """Every task of the loop and where it waits."""
    rows = []
    for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
        rows.append(
            {"task": task.get_name(), "waits_in": " < ".join(reversed(_where(task.get_coro())[-FRAMES_SHOWN:]))}
        )
    return rows[:limit]


def _where(waiting: Any) -> list[str]:
    """The frames of a coroutine and of what it awaits, outermost first."""
    frames: list[str] = []
    while waiting is not None and len(frames) < FRAMES_MAX:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            frames.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}")
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frames


def storage(core: Core, health: dict[str, Any]) -> dict[str, Any]:
    """Journal, writer, files and free space."""
    directory = core.directory
    usage = shutil.disk_usage(directory)
    files = {
        str(path.relative_to(directory)): path.stat().st_size
        for path in sorted(directory.rglob("*.sqlite3*"))
        if path.is_file() and "backups" not in path.parts
    }
    return {
        **health["storage"],
        "data_epoch": core.data_epoch,
        "writer_pid": core.store.pid,
        "disk_free_bytes": usage.free,
        "disk_total_bytes": usage.total,
        "files_bytes": files,
    }


def limits() -> Rows:
    """Every bound that is built in; what may be set is under ``config``."""
    named = ((name, value) for name, value in vars(bounds).items() if name.isupper() and "_" in name)
    return [{"limit": name, "value": value} for name, value in named]


def config(loaded: Loaded[Any]) -> Rows:
    """Every setting as it is in force, and where it came from."""
    rows: Rows = msgspec.to_builtins(render(loaded))
    return rows
