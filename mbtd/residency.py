"""Which accounts are in memory, and the snapshots that let them leave it.

Invariants: an account with a live order, or with events that no stored snapshot covers, is resident; a snapshot
is sent only after the group that it depends on; the journal is never trimmed beyond what a snapshot still needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from actors.book.state.book import Book
from actors.engine import Engine
from actors.house.state import HOUSE_NO, House
from actors.inputs import Step
from storage.reader import SnapshotReader
from storage.records import Snapshot

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Book)
HOUSE_SNAPSHOT_EVERY = 20_000
"""House events between two snapshots of the house; also one at every clean stop."""


def snapshot_of(book: Book, seq: int) -> Snapshot:
    """The account as a stored row; ``seq`` is an event number that it covers."""
    return Snapshot(book.account_no, book.n, seq, 0, bool(book.orders), _encode(book))


def snapshot_of_house(house: House, seq: int) -> Snapshot:
    """The house as a stored row."""
    return Snapshot(HOUSE_NO, house.n, seq, 0, True, house.encode())


def book_of(snapshot: Snapshot) -> Book:
    """A book from its row."""
    return _decoder.decode(snapshot.body)


class Residency:
    """Keeps the books that are needed in memory and the others on disk."""

    def __init__(self, engine: Engine, reader: SnapshotReader, *, chunk: int, keep: int = 2_000) -> None:
        self._engine = engine
        self._reader = reader
        self._chunk = chunk
        self._keep = keep
        self._dirty: dict[int, int] = {}
        """First event number that no snapshot covers, by account, oldest first."""
        self._sent: dict[int, tuple[int, int]] = {}
        """Snapshots under way: ``n`` and the event number that was first uncovered."""
        self._house_n = 0
        self._idle: dict[int, None] = {}
        self._gone: set[int] = set()
        """Erased accounts: no row brings them back."""
        self.woken = 0
        """Accounts that came back into memory."""

    def note(self, steps: Iterable[Step]) -> None:
        """Events happened: their accounts need a new snapshot."""
        dirty = self._dirty
        for step in steps:
            for section in step.sections:
                if section.account_no not in dirty:
                    dirty[section.account_no] = step.seq_first
                    self._idle.pop(section.account_no, None)

    def recovered(self, covered: dict[int, int], since_seq: int) -> None:
        """After a start: every account whose book is ahead of its snapshot is dirty."""
        for account_no, book in self._engine.books.items():
            if book.n > covered.get(account_no, 0):
                self._dirty[account_no] = since_seq
            else:
                self._idle[account_no] = None
        self._house_n = covered.get(HOUSE_NO, 0)
        if self._engine.house.n > self._house_n:
            self._dirty[HOUSE_NO] = since_seq

    def bring(self, account_no: int) -> bool:
        """Have an account in memory; ``False`` if there is no such account."""
        if account_no in self._engine.books:
            return True
        if account_no in self._gone:
            return False
        row = self._reader.snapshot(account_no)
        if row is None:
            return False
        self._engine.admit(book_of(row))
        self._idle[account_no] = None
        self.woken += 1
        return True

    def forget(self, account_nos: Iterable[int]) -> None:
        """These accounts are erased: nothing of them is brought back or written any more."""
        for account_no in account_nos:
            self._gone.add(account_no)
            for table in (self._dirty, self._sent, self._idle):
                table.pop(account_no, None)

    def take_snapshots(self, seq: int, *, everything: bool = False) -> list[Snapshot]:
        """A chunk of the accounts that have waited longest; their groups must have been sent already."""
        self._release()
        out: list[Snapshot] = []
        for account_no in list(self._dirty):
            if len(out) >= self._chunk:
                break
            if account_no in self._sent:
                continue
            if account_no == HOUSE_NO:
                house = self._engine.house
                if not everything and house.n - self._house_n < HOUSE_SNAPSHOT_EVERY:
                    continue
                out.append(snapshot_of_house(house, seq))
            else:
                out.append(snapshot_of(self._engine.books[account_no], seq))
            self._sent[account_no] = (out[-1].n, self._dirty.pop(account_no))
        return out

    def on_stored(self, accounts: Sequence[tuple[int, int]]) -> None:
        """Snapshots are on disk."""
        for account_no, _n in accounts:
            self._sent.pop(account_no, None)
            if account_no == HOUSE_NO:
                self._house_n = _n
            elif account_no not in self._dirty:
                self._idle[account_no] = None
        self._release()

    def _release(self) -> None:
        """Let the longest idle accounts go once more than ``keep`` are idle."""
        excess = len(self._idle) - self._keep
        if excess <= 0:
            return
        books = self._engine.books
        for account_no in list(self._idle)[: excess + 64]:
            del self._idle[account_no]
            book = books.get(account_no)
            if (
                book is not None
                and not book.orders
                and account_no not in self._dirty
                and account_no not in self._sent
            ):
                self._engine.release(account_no)

    def needed_seq(self, head_seq: int) -> int:
        """The journal is needed from this event number on."""
        oldest = [*self._dirty.values(), *(first for _, first in self._sent.values())]
        return min(oldest, default=head_seq + 1)
