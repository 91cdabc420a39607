"""Mark-outs on their way to the writer, and what is known of a fill's when somebody asks.

Invariant: what the writer could not store comes again with the next rows, so nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mbtd.market.markouts import MarkOuts, decode_marked, render_marked
from mbtd.records.projection import FillRecord
from mbtd.recovery import RECENT_NS, Recovered
from storage.history import History
from storage.mark_outs import MarkRow, recent
from storage.remote import RemoteStore

ROWS_A_TIME = 1_000


class Marking(MarkOuts):
    """The daemon's mark-outs."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: tuple[list[MarkRow], asyncio.Future[bytes]] | None = None

    def go_on(self, directory: Path, recovered: Recovered) -> None:
        """After a start: with the fills that still wait."""
        rows = recent(directory, recovered.head.at - RECENT_NS)
        self.resume(rows, recovered.recent, recovered.head.tape_pos)

    def write(self, store: RemoteStore) -> asyncio.Future[bytes] | None:
        """Have the writer store what became known; what it is at work on, null for nothing."""
        if self._under_way is not None:
            rows, written = self._under_way
            if not written.done():
                return written
            if written.cancelled() or written.exception() is not None:
                self.again(rows)
            self._under_way = None
        if not (rows := self.take_rows(ROWS_A_TIME)):
            return None
        self._under_way = rows, store.begin_work("note_mark_outs", msgspec.msgpack.encode(rows))
        return self._under_way[1]

    async def finish_writing(self, store: RemoteStore, failed: Callable[[], bool]) -> None:
        """Until everything is stored or the store has failed."""
        while not failed() and (written := self.write(store)) is not None:
            await asyncio.wait([written])

    async def of_fills(self, history: History, account_no: int, records: Sequence[FillRecord]) -> list[Any]:
        """Of each fill: as followed at present, or as stored; null while there is none."""
        keys = [(record.terms.order_no, record.fill.fill_no) for record in records]
        fresh = [self.render((account_no, *key)) for key in keys]
        wanted = [key for key, marked in zip(keys, fresh, strict=True) if marked is None]
        stored = await history.mark_outs(account_no, wanted)
        return [
            (render_marked(decode_marked(stored[key])) if marked is None and key in stored else marked) or None
            for key, marked in zip(keys, fresh, strict=True)
        ]
