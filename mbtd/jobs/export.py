"""A user's own data: what is kept of them, table by table, as plain values (contracts §1, ``mbtd user export``).

Invariants: only the asked user's accounts; everything that an answer can show of them, and the raw events; secrets
are not kept, so they cannot be exported. Pages are bounded, so an export of any size passes through the socket.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from actors.book.units import format_time
from actors.engine import Engine
from mbtd.console.requests import Archive
from mbtd.maintenance import decode_event
from mbtd.records.lots import decode_lot, render_lot
from mbtd.records.orders import render_order
from mbtd.records.projection import decode_account, decode_fill, decode_order
from mbtd.service.why import render_fill
from storage.database import FILE_NAME

TABLES = ("accounts", "orders", "fills", "activities", "closed_lots", "archive")
HIDDEN = ("seed",)
"""What an account's chances derive from: to know it would be to know them beforehand."""
_KEY = {
    "orders": "order_no",
    "fills": "fill_no",
    "activities": "n",
    "closed_lots": "n * 1000000 + lot_no",
    "archive": "n",
}


def describe(engine: Engine, user_id: str) -> dict[str, Any]:
    """The user: tier, accounts, and which tables there are to fetch. Raises ``LookupError``."""
    user = engine.house.users.get(user_id)
    if user is None:
        raise LookupError(user_id)
    names = {no: name for name, no in engine.house.names.items()}
    return {
        "user_id": user_id,
        "tier": user.tier,
        "accounts": [{"account_no": no, "name": names.get(no, "")} for no in user.account_nos],
        "tables": list(TABLES),
    }


def page(directory: Path, engine: Engine, asked: Archive) -> dict[str, Any]:
    """One page of one table; ``next`` is the place to go on from, or null. Raises ``LookupError``."""
    user = engine.house.users.get(asked.user_id)
    if user is None or asked.account_no not in user.account_nos:
        raise LookupError(asked.user_id)
    uri = f"{(directory / FILE_NAME).absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
        if asked.table == "accounts":
            rows = db.execute("SELECT 0, body FROM accounts WHERE account_no = ?", (asked.account_no,)).fetchall()
        else:
            extra = ", at, seq" if asked.table == "archive" else ""
            rows = db.execute(
                f"SELECT {_KEY[asked.table]}, body{extra} FROM {asked.table} "
                f"WHERE account_no = ? AND {_KEY[asked.table]} > ? ORDER BY 1 LIMIT ?",
                (asked.account_no, asked.after, asked.limit),
            ).fetchall()
    items = [_render(asked.table, row) for row in rows if asked.table != "closed_lots" or decode_lot(row[1]).qty]
    more = len(rows) == asked.limit and asked.table != "accounts"
    return {"items": items, "next": rows[-1][0] if more else None}


def _render(table: str, row: Any) -> dict[str, Any]:
    body = row[1]
    if table == "accounts":
        card: dict[str, Any] = msgspec.structs.asdict(decode_account(body))
        return card | {"created_at": format_time(card["created_at"])}
    if table == "orders":
        return render_order(decode_order(body))
    if table == "fills":
        return render_fill(decode_fill(body))
    if table == "closed_lots":
        return render_lot(decode_lot(body))
    event = decode_event(body)
    values = {"event": type(event).__name__, **_plain(event)}
    if table == "archive":
        values = {"n": row[0], "seq": row[3], "at": format_time(row[2]), **values}
    return values


def _plain(value: Any) -> Any:
    """A fact by its fields' names."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__ if name not in HIDDEN}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
