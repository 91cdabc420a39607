"""An account as it was before an instant, and all that happened to it since: for corporate actions known late.

Invariants: put together from what is durable and from what the engine has just done, whole or not at all: base and
archive, then the groups that are not projected yet, then steps that are not committed; every event is taken once, by
its number. ``None`` when the history of before the instant was forgotten (retention), and the engine says so. Read in
the account's own turn, like the row that wakes it: it happens only when an operator announces something late.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from actors.book.state.fold import fold
from actors.inputs import Step, decode_steps
from actors.market.world import Past
from mbtd.journal import DIRECTORY
from mbtd.maintenance import book_at, decode_event
from storage import retention
from storage.database import FILE_NAME

_TAIL: Final = "SELECT body FROM journal WHERE seq_last > ? ORDER BY group_no"


class Pasts:
    """Answers for one state directory."""

    def __init__(
        self, directory: Path, recent: Callable[[], Iterable[Step]] = tuple, durable: Callable[[], int] = int
    ) -> None:
        self._directory = directory
        self._recent = recent
        """The engine's steps that nobody has taken yet."""
        self._durable = durable
        """The last event that is in a file."""
        self._taken: deque[Step] = deque()

    def note(self, steps: Sequence[Step]) -> None:
        """Steps were taken from the engine; they are not durable yet."""
        durable = self._durable()
        while self._taken and self._taken[0].seq_last <= durable:
            self._taken.popleft()
        self._taken.extend(steps)

    def __call__(self, account_no: int, since: int, n: int) -> Past | None:
        """The book before ``since``, and instants and events of then up to the account's ``n``-th."""
        with contextlib.closing(_open(self._directory / FILE_NAME)) as db:
            base = retention.base_of(db, account_no)
            if base is not None and base.at >= since:
                return None
            book = book_at(base, (), account_no)
            later: list[tuple[int, Any]] = []
            seen = book.n
            for number, at, event in self._events(db, account_no, book.n):
                if number != seen + 1 or number > n:
                    continue
                seen = number
                if at < since and not later:
                    fold(book, event, at)
                else:
                    later.append((at, event))
        return (book, later) if seen == n else None

    def _events(self, db: sqlite3.Connection, account_no: int, after: int) -> Iterator[tuple[int, int, Any]]:
        """Number, instant and event, in order; some may come twice."""
        projected = db.execute("SELECT projected_seq FROM store").fetchone()[0]
        for number, at, body in retention.events_between(db, account_no, after, 1 << 62):
            if not body:
                return
            yield number, at, decode_event(body)  # type: ignore[misc, arg-type]
        for step in self._tail(db, projected):
            for section in step.sections:
                if section.account_no == account_no:
                    for number, event in enumerate(section.events, section.n_first):
                        yield number, step.at, event

    def _tail(self, db: sqlite3.Connection, projected: int) -> Iterator[Step]:
        front = self._directory / DIRECTORY / FILE_NAME
        for (body,) in db.execute(_TAIL, (projected,)):
            yield from decode_steps(body) if body else ()
        if front.is_file():
            with contextlib.closing(_open(front)) as ahead:
                for (body,) in ahead.execute(_TAIL, (projected,)):
                    yield from decode_steps(body) if body else ()
        yield from self._taken
        yield from self._recent()


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.execute("PRAGMA query_only = ON")
    return db
