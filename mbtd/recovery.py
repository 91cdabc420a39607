"""Putting a state directory's books back into an engine: snapshots, then each account's later sections.

Invariants: nothing here decides; the kill switches are back before anything else looks at the market; no account
comes back that the house does not know.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from actors.book.units import NS_PER_SECOND
from actors.engine import Engine
from actors.house.state import HOUSE_NO, House
from actors.inputs import Section, Step
from actors.switching import show as show_switches
from mbtd.groups import restore, resume_at
from mbtd.journal import catch_up, open_front
from mbtd.market.markouts import HORIZONS_S
from mbtd.residency import book_of
from storage.records import Head
from storage.sqlite import SqliteStore

RECENT_NS = HORIZONS_S[-1] * NS_PER_SECOND
"""So long ago a fill may still wait for a mark-out."""


class Recovered(Struct, frozen=True):
    """What a start found."""

    head: Head
    accounts: int
    steps: int
    recent: tuple[Step, ...] = ()
    """Steps of the last minutes, as far as the journal has them."""


def recover(engine: Engine, directory: Path, due_before: int = 0) -> tuple[Recovered, dict[int, int]]:
    """Put snapshots and the journal's tail into the engine; returns what was found and the snapshots' ``n``.

    Accounts for which something is due before ``due_before`` come with those that have live orders.
    """
    store = SqliteStore.open(directory, take_epoch=False)
    try:
        front = open_front(directory, take_epoch=False)
        try:
            catch_up(front, store)
        finally:
            front.close()
        return load(engine, store, due_before)
    finally:
        store.close()


def load(engine: Engine, store: SqliteStore, due_before: int = 0) -> tuple[Recovered, dict[int, int]]:
    """The same from an open store that has every group."""
    head = store.head()
    covered: dict[int, int] = {}
    house = store.snapshot(HOUSE_NO)
    if house is not None:
        engine.house = House.decode(house.body)
        covered[HOUSE_NO] = house.n
    for snapshot in store.snapshots(due_before):
        if snapshot.account_no != HOUSE_NO:
            engine.books[snapshot.account_no] = book_of(snapshot)
            covered[snapshot.account_no] = snapshot.n

    def wanted(section: Section) -> bool:
        account_no = section.account_no
        if account_no == HOUSE_NO or account_no in engine.books:
            return True
        n = covered.get(account_no)
        if n is None:
            n = covered[account_no] = store.snapshot_n(account_no)
        if section.n_first + len(section.events) - 1 <= n:
            return False
        row = store.snapshot(account_no)
        if row is not None:
            engine.books[account_no] = book_of(row)
        return True

    recent: list[Step] = []

    def seen(step: Step) -> None:
        if step.at >= head.at - RECENT_NS:
            recent.append(step)

    steps = restore(engine, store.groups(store.trimmed_seq()), wanted, seen)
    # A snapshot of the house may be newer than the journal's sections of an account that was erased before it.
    engine.drop_books([no for no, book in engine.books.items() if engine.house.find(book.account_id) is None])
    resume_at(engine, head)
    show_switches(engine)
    # A live tape goes on counting where it stood; what came before is not on the board any more.
    engine.world.tape_seq = head.tape_pos
    return Recovered(head, len(engine.books), steps, tuple(recent)), covered
