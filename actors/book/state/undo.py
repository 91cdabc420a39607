"""Writing entries so that a draft can take them back.

Invariant: every dictionary entry of a book is written through :func:`put` and :func:`drop`.
"""

from __future__ import annotations

from typing import Any

from actors.book.state.book import MISSING, Undo


def put(table: dict[Any, Any], key: Any, value: Any, undo: Undo | None) -> None:
    """Set an entry."""
    if undo is not None:
        undo.append((table, key, table.get(key, MISSING)))
    table[key] = value


def drop(table: dict[Any, Any], key: Any, undo: Undo | None) -> None:
    """Remove an entry if it is there."""
    old = table.pop(key, MISSING)
    if undo is not None and old is not MISSING:
        undo.append((table, key, old))


def take_back(undo: Undo, left: int = 0) -> None:
    """Undo every entry but the first ``left``, newest first. The order of keys of a restored entry is not kept."""
    while len(undo) > left:
        table, key, old = undo.pop()
        if old is MISSING:
            table.pop(key, None)
        else:
            table[key] = old
