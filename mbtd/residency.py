"""Which accounts are in memory, and the snapshots that let them leave it.

Invariants: an account with a live order, or with events that no snapshot covers, is resident; a snapshot is sent
only after the group that it depends on, and its bytes stay here until they are on disk, so that the account may
leave before; the journal is never trimmed beyond what a stored snapshot still needs. An account for which something
is due is fetched before its instant; one that wakes later catches up first.

Why so early: accounts that are opened by the thousand would else wait for the writer in the form that takes the
most memory, and what they leave in pieces is not given back to the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from weakref import WeakSet

import msgspec

from actors.book.dues import NEVER, next_due
from actors.book.margin_call import is_leveraged
from actors.book.state.book import Book
from actors.book.units import NS_PER_SECOND
from actors.engine import Engine
from actors.house.state import HOUSE_NO, House
from actors.inputs import Step
from actors.market.world import World
from storage.reader import SnapshotReader
from storage.records import Snapshot

_encode = msgspec.msgpack.Encoder().encode
_chunk_decoder = msgspec.msgpack.Decoder(list[Snapshot])
_decoder = msgspec.msgpack.Decoder(Book)
UNDER_WAY_MAX = 100_000
"""Snapshots that the writer has not stored yet."""
CROWDED_CHUNKS = 5
"""So many chunks in one at most, when very many accounts wait."""
HOUSE_SNAPSHOT_EVERY = 20_000
"""House events between two snapshots of the house; also one at every clean stop."""
FETCH_AHEAD_NS = 600 * NS_PER_SECOND
"""Sleepers are fetched so long before their instant."""
FETCH_MAX_ROWS = 200
"""Sleepers fetched in one go."""


def snapshot_of(book: Book, seq: int, world: World | None = None) -> Snapshot:
    """The account as a stored row; ``seq`` is an event number that it covers.

    In which order watches came into memory is no part of an account: the same book has the same row.
    """
    if len(book.watch) > 1:
        book = msgspec.structs.replace(book, watch=dict(sorted(book.watch.items())))
    due = next_due(book, world) if world is not None else NEVER
    live = bool(book.orders or book.exits) or is_leveraged(book)
    return Snapshot(book.account_no, book.n, seq, due if due != NEVER else 0, live, _encode(book))


def snapshot_of_house(house: House, seq: int) -> Snapshot:
    """The house as a stored row."""
    return Snapshot(HOUSE_NO, house.n, seq, 0, True, house.encode())


def book_of(snapshot: Snapshot) -> Book:
    """A book from its row."""
    return _decoder.decode(snapshot.body)


class _Chunk:
    """Snapshots under way, in one piece: as objects they would be what takes the most memory of all."""

    __slots__ = ("__weakref__", "first_seq", "packed")

    def __init__(self, snapshots: list[Snapshot], first_seq: int) -> None:
        self.packed = _encode(snapshots)
        self.first_seq = first_seq
        """The first event number that was uncovered before."""

    def find(self, account_no: int) -> Snapshot:
        return next(row for row in _chunk_decoder.decode(self.packed) if row.account_no == account_no)


class Residency:
    """Keeps the books that are needed in memory and the others on disk."""

    def __init__(self, engine: Engine, reader: SnapshotReader, *, chunk: int, keep: int = 2_000) -> None:
        self._engine = engine
        self._reader = reader
        self._chunk = chunk
        self._keep = keep
        self._dirty: dict[int, int] = {}
        """First event number that no snapshot covers, by account, oldest first."""
        self._sent: dict[int, _Chunk] = {}
        """Accounts of which a snapshot is under way."""
        self._chunks: WeakSet[_Chunk] = WeakSet()
        """Chunks that an account still needs."""
        self._house_n = 0
        self._idle: dict[int, None] = {}
        """Accounts that have not changed since their snapshot was made, the longest idle first."""
        self._fetched_to = 0
        self._damaged: set[int] = set()
        """Accounts of which no row can be made: the journal keeps what brings them back at the next start."""
        self._gone: set[int] = set()
        """Erased accounts: no row brings them back."""
        self.woken = 0
        """Accounts that came back into memory."""

    @property
    def waiting(self) -> int:
        """Accounts that changed and have no snapshot under way."""
        return len(self._dirty)

    @property
    def busy(self) -> bool:
        """Whether more than a few accounts wait, or their snapshots do."""
        return len(self._dirty) + len(self._sent) > self._chunk

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
        for account_no, book in list(self._engine.books.items()):
            if book.n > covered.get(account_no, 0):
                self._dirty[account_no] = since_seq
            else:
                self._idle[account_no] = None
        self._house_n = covered.get(HOUSE_NO, 0)
        if self._engine.house.n > self._house_n:
            self._dirty[HOUSE_NO] = since_seq
        self._release()

    def bring(self, account_no: int) -> bool:
        """Have an account in memory; ``False`` if there is no such account."""
        if account_no in self._engine.books:
            return True
        if account_no in self._gone:
            return False
        sent = self._sent.get(account_no)
        row = sent.find(account_no) if sent is not None else self._reader.snapshot(account_no)
        if row is None:
            return False
        self._engine.admit(book_of(row))
        self._idle[account_no] = None
        self.woken += 1
        return True

    def fetch_due(self, now: int) -> int:
        """Bring some of the sleepers that are due soon into memory; returns how many came."""
        rows = self._reader.due_before(now + FETCH_AHEAD_NS, self._fetched_to, FETCH_MAX_ROWS)
        self._fetched_to = rows[-1] if len(rows) == FETCH_MAX_ROWS else 0
        came = 0
        for account_no in rows:
            if account_no not in self._engine.books:
                came += self.bring(account_no)
        return came

    def forget(self, account_nos: Iterable[int]) -> None:
        """These accounts are erased: nothing of them is brought back or written any more."""
        for account_no in account_nos:
            self._gone.add(account_no)
            for table in (self._dirty, self._sent, self._idle):
                table.pop(account_no, None)

    def take_snapshots(self, seq: int, *, everything: bool = False) -> list[Snapshot]:
        """A chunk of the accounts that have waited longest; their groups must have been sent already."""
        out: list[Snapshot] = []
        most = max(self._chunk, min(len(self._dirty) // 8, CROWDED_CHUNKS * self._chunk))
        if not everything:
            most = min(most, UNDER_WAY_MAX - len(self._sent))
        with_house = everything or self._engine.house.n - self._house_n >= HOUSE_SNAPSHOT_EVERY
        due = (
            no
            for no in self._dirty
            if no not in self._sent and no not in self._damaged and (no != HOUSE_NO or with_house)
        )
        firsts = []
        for account_no in list(islice(due, max(0, most))):
            if account_no == HOUSE_NO:
                out.append(snapshot_of_house(self._engine.house, seq))
            else:
                row = self._row_of(account_no, seq)
                if row is None:
                    continue
                out.append(row)
                self._idle[account_no] = None
            firsts.append(self._dirty.pop(account_no))
        if out:
            chunk = _Chunk(out, min(firsts))
            self._chunks.add(chunk)
            for row in out:
                self._sent[row.account_no] = chunk
        self._release()
        return out

    def _row_of(self, account_no: int, seq: int) -> Snapshot | None:
        """An account as a row; one that can be none has been damaged in memory, and is set aside."""
        try:
            return snapshot_of(self._engine.books[account_no], seq, self._engine.world)
        except MemoryError:
            raise
        except Exception as error:
            self._damaged.add(account_no)
            self._engine.set_aside(account_no, f"{type(error).__name__}: {error}"[:200])
            return None

    def on_stored(self, accounts: Sequence[tuple[int, int]]) -> None:
        """Snapshots are on disk."""
        for account_no, n in accounts:
            self._sent.pop(account_no, None)
            if account_no == HOUSE_NO:
                self._house_n = n

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
                and not book.exits
                and not is_leveraged(book)
                and next_due(book, self._engine.world) > self._engine.world.now + 2 * FETCH_AHEAD_NS
                and account_no not in self._dirty
            ):
                self._engine.release(account_no)

    def needed_seq(self, head_seq: int) -> int:
        """The journal is needed from this event number on."""
        dirty = next(iter(self._dirty.values()), head_seq + 1)
        return min(dirty, min((chunk.first_seq for chunk in self._chunks), default=dirty))
