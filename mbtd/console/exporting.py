"""``mbtd user export``: a user's data fetched page by page into a directory, as JSON and CSV.

Invariant: the directory is new and readable by its maker only; a name from outside never becomes a path.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from mbtd.rpc.client import Client


def export(client: Client, user_id: str, out: Path, form: str) -> dict[str, Any]:
    """Fetch everything; how much it was. Raises ``FileExistsError`` as a refusal to overwrite."""
    user = client.call("user.export", user_id=user_id)
    out.mkdir(mode=0o700, parents=True, exist_ok=False)
    (out / "user.json").write_text(json.dumps(user, indent=2) + "\n")
    counts: dict[str, int] = {}
    for table in user["tables"]:
        rows = [
            {"account": account["name"], **row}
            for account in user["accounts"]
            for row in _rows(client, user_id, table, account["account_no"])
        ]
        counts[table] = len(rows)
        if form in ("json", "both"):
            (out / f"{table}.json").write_text(json.dumps(rows, indent=1) + "\n")
        if form in ("csv", "both"):
            _write_csv(out / f"{table}.csv", rows)
    return {"user_id": user_id, "directory": str(out), "accounts": len(user["accounts"]), "rows": counts}


def _rows(client: Client, user_id: str, table: str, account_no: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = client.call("user.export", user_id=user_id, table=table, account_no=account_no, after=after)
        rows += page["items"]
        after = page["next"]
    return rows


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    text = json.dumps(value) if isinstance(value, dict | list) else value
    # A cell that a spreadsheet would run as a formula is kept a text.
    return f"'{text}" if isinstance(text, str) and text[:1] in "=+@" else text
