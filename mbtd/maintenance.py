"""The writer's jobs: what erasure and retention mean for events and books. Runs in the writer process, or offline.

Invariants: everything is projected before a job changes a table; an event of the house is blanked when any of its
fields names the user or an account of the user; a base is the archive folded up to the cut, never a later state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from actors.book.events import CorporateActionAnnounced, Event
from actors.book.state.book import Book
from actors.book.state.fold import fold
from mbtd.records.projection import project
from storage import erasure, mark_outs, retention
from storage.jobs import Jobs
from storage.retention import Base, Purged
from storage.sqlite import SqliteStore

_event = msgspec.msgpack.Decoder(Event)
_encode = msgspec.msgpack.Encoder().encode
_book = msgspec.msgpack.Decoder(Book)
PROJECT_GROUPS = 256


class EraseArgument(Struct, frozen=True, array_like=True):
    """What to take out: accounts, the texts that name the user, and up to where the journal may go."""

    account_nos: tuple[int, ...]
    names: tuple[str, ...]
    trim_below: int


class PurgeArgument(Struct, frozen=True, array_like=True):
    """For each account: forget what happened before this instant."""

    before: dict[int, int]
    dry_run: bool = False


def decode_event(body: bytes) -> Any:
    """An archived event."""
    return _event.decode(body)


def names_somebody(event: Any, account_nos: Iterable[int], names: Iterable[str]) -> bool:
    """Whether an event of the house is about one of these accounts or texts."""
    if isinstance(event, CorporateActionAnnounced):
        return False
    if getattr(event, "account_no", None) in set(account_nos):
        return True
    wanted = set(names)
    return any(text in wanted for text in _texts(msgspec.to_builtins(event)))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def erase(store: SqliteStore, argument: bytes) -> bytes:
    """The job ``erase``: rows, journal, then every byte."""
    asked = msgspec.msgpack.decode(argument, type=EraseArgument)
    while store.projection_backlog():
        store.project(project, PROJECT_GROUPS)
    numbers: list[int] = []

    def look(db: Any) -> None:
        rows = db.execute("SELECT n, body FROM archive WHERE account_no = 0 AND body != x''")
        numbers.extend(n for n, body in rows if names_somebody(decode_event(body), asked.account_nos, asked.names))

    store.change(look)
    erased = erasure.erase(store, asked.account_nos, numbers)
    store.trim(asked.trim_below)
    erasure.scrub(store)
    return _encode(erased)


def purge(store: SqliteStore, argument: bytes) -> bytes:
    """The job ``purge``: leave a base, delete what it covers."""
    asked = msgspec.msgpack.decode(argument, type=PurgeArgument)
    total = Purged()
    while store.projection_backlog():
        store.project(project, PROJECT_GROUPS)
    for account_no, before_at in asked.before.items():
        purged = purge_account(store, account_no, before_at, dry_run=asked.dry_run)
        for name in Purged.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(purged, name))
    return _encode(total)


def purge_account(store: SqliteStore, account_no: int, before_at: int, *, dry_run: bool = False) -> Purged:
    """Forget one account's history before an instant, as far as a stored snapshot vouches for what is left."""
    snapshot = store.snapshot(account_no)
    if snapshot is None:
        return Purged()
    found: list[Any] = []

    def look(db: Any) -> None:
        last = retention.last_before(db, account_no, before_at, snapshot.n)
        old = retention.base_of(db, account_no)
        if last is not None and (old is None or last[0] > old.n):
            book = book_at(old, retention.events_between(db, account_no, old.n if old else 0, last[0]), account_no)
            found.append(Base(account_no, last[0], last[1], last[2], _encode(book)))

    store.change(look)
    if not found:
        return Purged()
    if dry_run:
        return Purged(events=found[0].n)
    return retention.purge(store, found[0], before_at, needed_orders(_book.decode(snapshot.body)))


def book_at(base: Base | None, events: Iterable[Sequence[object]], account_no: int) -> Book:
    """A book from its base and the archived events behind it, given as ``(n, at, body)``."""
    book = msgspec.msgpack.decode(base.body, type=Book) if base is not None else Book(account_no)
    for n, at, body in events:
        assert n == book.n + 1, f"event {book.n + 1} of account {account_no} is missing"
        fold(book, decode_event(body), at)  # type: ignore[arg-type]
    return book


def needed_orders(book: Book) -> set[int]:
    """Orders whose records an account still needs: live ones, and those that opened a lot it holds."""
    lots = {lot.order_no for position in book.positions.values() for lot in position.lots}
    return lots | set(book.orders)


def note_mark_outs(store: SqliteStore, argument: bytes) -> bytes:
    """The job ``note_mark_outs``: rows as :mod:`storage.mark_outs` has them."""
    rows = msgspec.msgpack.decode(argument, type=list[mark_outs.MarkRow])
    store.change(lambda db: mark_outs.note(db, rows))
    return b""


JOBS: Jobs = {"erase": erase, "purge": purge, "note_mark_outs": note_mark_outs}
