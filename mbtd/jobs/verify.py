"""``mbtd verify``: is what is stored right? (operations §5, architecture §5)

Reads only, beside a running daemon if need be, as of one moment: SQLite's own check, the journal's chain of
groups, the audit chain of every account, the archive folded into books and compared with the snapshots, the ledger
of every account, and the rows that clients read against the events (:mod:`mbtd.jobs.records_check`).
``redecide`` lives in :mod:`mbtd.jobs.redecide`.
Invariant: every finding names the account and the event, none names a user.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from actors.book import events as e
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.house.state import HOUSE_NO, House
from actors.inputs import Section, Step, decode_steps
from mbtd.jobs import records_check
from mbtd.jobs.records_check import Archived
from mbtd.journal import DIRECTORY
from mbtd.maintenance import book_at, decode_event
from mbtd.records.projection import decode_account
from storage import audit, backup, retention
from storage.chain import next_hash
from storage.database import FILE_NAME
from storage.records import Group

FINDINGS_MAX = 20


class Finding(Struct, frozen=True):
    """The outcome of one check."""

    check: str
    ok: bool
    looked_at: int
    wrong: tuple[str, ...] = ()


class Report(Struct, frozen=True):
    """All checks of one state directory."""

    directory: str
    seq: int
    accounts: int
    findings: tuple[Finding, ...]
    state_hash: str = ""
    """BLAKE2b-256 over every account's folded book: equal states have equal hashes."""

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return all(finding.ok for finding in self.findings)

    @property
    def wrong(self) -> list[str]:
        """What is not, in words."""
        return [f"{finding.check}: {text}" for finding in self.findings for text in finding.wrong]


def verify(directory: Path, *, progress: Callable[[str], None] | None = None, front: bool = True) -> Report:
    """Check a state directory or a backup. Raises ``OSError`` when there is no database to open.

    Without ``front`` the main database is judged by itself, as if it had no journal beside it.
    """
    say = progress or (lambda text: None)
    path = directory / FILE_NAME
    if not path.is_file():
        raise FileNotFoundError(f"there is no {FILE_NAME} in {directory}")
    findings = []
    say("integrity")
    wrong = backup.integrity(path)
    beside = directory / DIRECTORY / FILE_NAME
    with_front = front and beside.is_file()
    if with_front:
        wrong += backup.integrity(beside)
    findings.append(_finding("integrity", 1 + with_front, wrong))
    try:
        with contextlib.ExitStack() as stack:
            # The front first: what it holds then is never trimmed beyond what the store shows a moment later.
            front_db = stack.enter_context(contextlib.closing(_open(beside))) if with_front else None
            db = stack.enter_context(contextlib.closing(_open(path)))
            for each in (front_db, db):
                if each is not None:
                    each.execute("BEGIN")
                    each.execute("SELECT count(*) FROM store").fetchone()
            checker = _Checker(db, front_db)
            for name, check in checker.checks():
                say(name)
                findings.append(_finding(name, *check()))
            return Report(str(directory), checker.seq, len(checker.books), tuple(findings), checker.state_hash())
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        findings.append(_finding("readable", 0, [str(error)]))
        return Report(str(directory), 0, 0, tuple(findings))


def _finding(name: str, looked_at: int, wrong: list[str]) -> Finding:
    return Finding(name, not wrong, looked_at, tuple(wrong[:FINDINGS_MAX]))


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.execute("PRAGMA query_only = ON")
    return db


def groups_of(db: sqlite3.Connection) -> Iterator[tuple[int, bytes, Group]]:
    """Number, stored hash and group of a journal, its anchor first."""
    for number, digest, *columns in db.execute(
        "SELECT group_no, hash, epoch, seq_first, seq_last, input_seq, tape_pos, at, cursor, body, moved "
        "FROM journal ORDER BY group_no"
    ):
        yield number, digest, Group(*columns)


class _Checker:
    """One pass over one moment of a store."""

    def __init__(self, db: sqlite3.Connection, front: sqlite3.Connection | None) -> None:
        self._db = db
        self._front = front
        self.seq = 0
        self.books: dict[int, Book] = {}
        self._sections: dict[int, list[tuple[int, Section]]] = {}
        """Journal sections by account, with their instants."""
        self._rows = 0
        self._rows_wrong: list[str] = []

    def checks(self) -> list[tuple[str, Callable[[], tuple[int, list[str]]]]]:
        """In this order."""
        return [
            ("journal chain", self._journal),
            ("audit chain", self._audit),
            ("replay", self._replay),
            ("records", self._records),
            ("ledger", self._ledger),
            ("house", self._house),
        ]

    def _journal(self) -> tuple[int, list[str]]:
        count, wrong = 0, []
        for db, name in ((self._db, "store"), (self._front, "front")):
            if db is None:
                continue
            previous: tuple[int, bytes, int] | None = None
            for number, digest, group in groups_of(db):
                if previous is not None:
                    count += 1
                    if number != previous[0] + 1 or group.seq_first != previous[2] + 1:
                        wrong.append(f"{name}: group {number} does not follow {previous[0]}")
                    elif next_hash(previous[1], group) != digest:
                        wrong.append(f"{name}: the chain breaks at group {number} (from event {group.seq_first})")
                    if not wrong:
                        self._take(group)
                previous = (number, digest, group.seq_last)
        return count, wrong

    def _take(self, group: Group) -> None:
        if group.seq_last <= self.seq or not group.body:
            return
        for step in decode_steps(group.body):
            if step.seq_last > self.seq:
                self._take_step(step)
        self.seq = max(self.seq, group.seq_last)

    def _take_step(self, step: Step) -> None:
        for section in step.sections:
            self._sections.setdefault(section.account_no, []).append((step.at, section))

    def _audit(self) -> tuple[int, list[str]]:
        count, breaks = audit.verify(self._db)
        return count, [f"account {each.account_no} event {each.n}: {each.what}" for each in breaks]

    def _replay(self) -> tuple[int, list[str]]:
        """Base, archive and journal folded give what the snapshots say."""
        count = 0
        wrong: list[str] = []
        snapshots = {
            no: (n, body) for no, n, body in self._db.execute("SELECT account_no, n, body FROM snapshots ORDER BY 1")
        }
        self.seq = max(self.seq, *(row[0] or 0 for row in self._db.execute("SELECT max(seq_last) FROM journal")))
        numbers = {no for (no,) in self._db.execute("SELECT DISTINCT account_no FROM archive")}
        gone = self._erased()
        for account_no in sorted((numbers | set(snapshots) | set(self._sections)) - {HOUSE_NO} - gone):
            try:
                count += self._replay_account(account_no, snapshots.get(account_no), wrong)
            except Exception as error:
                wrong.append(f"account {account_no} cannot be folded: {type(error).__name__}: {error}")
        return count, wrong

    def _replay_account(self, account_no: int, snapshot: tuple[int, bytes] | None, wrong: list[str]) -> int:
        base = retention.base_of(self._db, account_no)
        after = base.n if base is not None else 0
        stored_n = snapshot[0] if snapshot is not None else -1
        book = book_at(base, (), account_no)
        events = self._archived(account_no, after)
        for n, _, at, event in events:
            if n != book.n + 1:
                raise LookupError(f"event {book.n + 1} is missing")
            if book.n == stored_n and snapshot is not None:
                _compare(book, snapshot, wrong)
            fold(book, event, at)
        rows, texts = records_check.check_account(self._db, book, base, events)
        self._rows += rows
        self._rows_wrong += texts
        known = {n: event for n, _, _, event in events}
        for at, section in self._sections.get(account_no, ()):
            for n, event in enumerate(section.events, section.n_first):
                if n > book.n:
                    if book.n == stored_n and snapshot is not None:
                        _compare(book, snapshot, wrong)
                    fold(book, event, at)
                elif n in known and known[n] != event:
                    wrong.append(f"account {account_no} event {n}: the archive and the journal disagree")
        if snapshot is not None and stored_n == book.n:
            _compare(book, snapshot, wrong)
        elif snapshot is not None and stored_n > book.n:
            wrong.append(f"account {account_no}: the snapshot knows event {stored_n}, history ends at {book.n}")
        self.books[account_no] = book
        return book.n - after

    def _archived(self, account_no: int, after: int) -> list[Archived]:
        return [
            (n, seq, at, decode_event(body))
            for n, seq, at, body in self._db.execute(
                "SELECT n, seq, at, body FROM archive WHERE account_no = ? AND n > ? ORDER BY n", (account_no, after)
            )
        ]

    def _records(self) -> tuple[int, list[str]]:
        """Orders, fills, bookings, closed lots and days are what the events say."""
        return self._rows, self._rows_wrong + records_check.strangers(self._db, self.books)

    def _erased(self) -> set[int]:
        gone: set[int] = set()
        for (body,) in self._db.execute("SELECT body FROM archive WHERE account_no = 0 AND kind = 'hze'"):
            gone.update(decode_event(body).account_nos if body else ())
        for _, section in self._sections.get(HOUSE_NO, ()):
            for event in section.events:
                if isinstance(event, e.UserErased):
                    gone.update(event.account_nos)
        return gone

    def _ledger(self) -> tuple[int, list[str]]:
        """Cash is what was booked; lots and reservations add up."""
        wrong: list[str] = []
        for account_no, book in self.books.items():
            base = retention.base_of(self._db, account_no)
            start = msgspec.msgpack.decode(base.body, type=Book).cash if base is not None else 0
            after = base.n if base is not None else 0
            booked, n = 0, after
            rows = [event for _, event in self._events_after(account_no, after)]
            for event in rows:
                n += 1
                if isinstance(event, e.PositionChanged | e.ActivityBooked):
                    booked += event.net_money
                    if event.cash != start + booked:
                        wrong.append(f"account {account_no} event {n}: cash {event.cash} is not {start + booked}")
                    bought = isinstance(event, e.PositionChanged) and event.net_money < 0
                    if book.type == "cash" and event.cash < 0 and bought:
                        # A settlement or a correction may overdraw it, a purchase never.
                        wrong.append(f"account {account_no} event {n}: a cash account bought with {event.cash}")
            if book.cash != start + booked:
                wrong.append(f"account {account_no}: cash {book.cash} is not {start + booked}")
            wrong += _adds_up(book)
        return len(self.books), wrong

    def _events_after(self, account_no: int, after: int) -> Iterator[tuple[int, Any]]:
        n = after
        for number, _, body in retention.events_between(self._db, account_no, after, 1 << 62):
            n = int(number)  # type: ignore[call-overload]
            if body:
                yield n, decode_event(body)  # type: ignore[arg-type]
        for _, section in self._sections.get(account_no, ()):
            for event in section.events[max(0, n - section.n_first + 1) :]:
                n += 1
                yield n, event

    def state_hash(self) -> str:
        """One hash over all books, in the order of their numbers."""
        digest = blake2b(digest_size=32)
        for _, book in sorted(self.books.items()):
            digest.update(msgspec.msgpack.encode(bare(book)))
        return digest.hexdigest()

    def _house(self) -> tuple[int, list[str]]:
        """The house's snapshot and what follows it number without a gap."""
        row = self._db.execute("SELECT n, body FROM snapshots WHERE account_no = 0").fetchone()
        house = House.decode(row[1]) if row is not None else House()
        wrong = (
            [] if row is None or house.n == row[0] else [f"the house's snapshot has {house.n} events, not {row[0]}"]
        )
        for _, event in self._events_after(HOUSE_NO, house.n):
            house.fold(event)
        missing = set(self.books) - set(house.by_id.values())
        wrong += [f"account {no} is unknown to the house" for no in sorted(missing)]
        return house.n, wrong + self._cards()

    def _cards(self) -> list[str]:
        """The list of accounts says what was registered."""
        wrong = []
        told = {
            event.account_no: (event.account_id, event.name, event.user_id)
            for (body,) in self._db.execute("SELECT body FROM archive WHERE account_no = 0 AND body != x''")
            if isinstance(event := decode_event(body), e.AccountRegistered)
        }
        for account_no, body in self._db.execute("SELECT account_no, body FROM accounts"):
            card = decode_account(body)
            if account_no in told and told.pop(account_no) != (card.account_id, card.name, card.user_id):
                wrong.append(f"account {account_no}: the list of accounts names it otherwise than it was registered")
        return wrong + [f"account {no}: it is not in the list of accounts" for no in sorted(told)]


def bare(book: Book) -> Book:
    """A book without what moves with the tape and no event."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(book), type=Book)
    copy.watch, copy.consumed = {}, {}
    return copy


def _compare(book: Book, snapshot: tuple[int, bytes], wrong: list[str]) -> None:
    stored = msgspec.msgpack.decode(snapshot[1], type=Book)
    mine, theirs = bare(book), bare(stored)
    if mine == theirs:
        return
    names = [name for name in Book.__struct_fields__ if getattr(mine, name) != getattr(theirs, name)]
    wrong.append(f"account {book.account_no} event {snapshot[0]}: folded history differs in {', '.join(names)}")


def _adds_up(book: Book) -> list[str]:
    wrong = []
    where = f"account {book.account_no}"
    for symbol, position in book.positions.items():
        if position.qty != sum(lot.qty for lot in position.lots):
            wrong.append(f"{where}: lots of {symbol} do not add up")
        if position.basis_money != sum(lot.basis_money for lot in position.lots):
            wrong.append(f"{where}: basis of {symbol} does not add up")
    if book.reserved_money != sum(order.reserved_money for order in book.orders.values()):
        wrong.append(f"{where}: reserved money does not add up")
    return wrong
