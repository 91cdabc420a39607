"""Outbox and residency: nothing leaves too early, nobody is forgotten, the journal is kept while it is needed."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.commands import Deposit
from actors.engine import Engine
from actors.inputs import Envelope
from mbtd.groups import GroupCutter, restore, resume_at
from mbtd.outbox import Outbox
from mbtd.residency import Residency, snapshot_of
from storage.memory import MemoryStore
from storage.ports import Store
from storage.reader import SnapshotReader
from storage.records import Snapshot
from storage.sqlite import SqliteStore
from tests.oracle.rig import CUSTOM, INSTRUMENTS, RUN_SEED, START, feed, open_engine, session
from tests.oracle.scripts import ACCOUNTS, profile, scripts

MARGIN = ("margin", "brisk", "100000")


@given(
    st.lists(
        st.one_of(st.tuples(st.just("put"), st.integers(0, 20)), st.tuples(st.just("durable"), st.integers(0, 20)))
    )
)
def test_everything_leaves_in_order_and_nothing_before_it_is_durable(calls: list[tuple[str, int]]) -> None:
    outbox = Outbox(0)
    left: list[int] = []
    put = 0
    for what, seq in calls:
        if what == "put":
            number, put = put, put + 1

            def deliver(number: int = number, seq: int = seq) -> None:
                assert seq <= outbox.durable_seq
                left.append(number)

            outbox.put(seq, deliver)
        else:
            outbox.on_durable(max(seq, outbox.durable_seq))
        assert left == list(range(len(left)))
    outbox.on_durable(20)
    assert left == list(range(put))


def test_a_sealed_outbox_lets_nothing_leave() -> None:
    outbox = Outbox(0)
    left: list[int] = []
    outbox.put(1, lambda: left.append(1))
    assert outbox.seal() == 1
    outbox.on_durable(5)
    outbox.put(1, lambda: left.append(2))
    outbox.on_durable(9)
    assert left == []


def test_who_waits_on_a_full_disk_is_told_once_and_the_delivery_stays() -> None:
    outbox = Outbox(0)
    said: list[str] = []
    outbox.put(1, lambda: said.append("done"), lambda: said.append("unknown"))
    assert outbox.give_up() == 1
    outbox.give_up()
    outbox.on_durable(1)
    assert said == ["unknown", "done"]


class House:
    """An engine with a store behind it, committed by hand."""

    def __init__(self, directory: Path, keep: int = 0) -> None:
        self.store = SqliteStore.open(directory)
        self.engine = open_engine([MARGIN] * 100)
        feed(self.engine, session("core", START + 1))
        self.cutter = GroupCutter(self.engine, self.store.head())
        self.residency = Residency(self.engine, SnapshotReader(directory), chunk=1_000, keep=keep)

    def commit(self) -> None:
        steps = self.engine.take_steps()
        self.residency.note(steps)
        self.store.append(self.cutter.cut(b"", steps))

    def snapshot(self) -> None:
        snapshots = self.residency.take_snapshots(self.engine.seq)
        self.store.put_snapshots(snapshots)
        self.residency.on_stored([(row.account_no, row.n) for row in snapshots])


def test_an_account_leaves_when_it_is_covered_and_comes_back_the_same(tmp_path: Path) -> None:
    rig = House(tmp_path)
    rig.commit()
    bytes_before = {no: msgspec.msgpack.encode(book) for no, book in rig.engine.books.items()}
    assert len(rig.engine.books) == 100
    assert rig.residency.needed_seq(rig.engine.seq) == 1
    rig.snapshot()
    assert len(rig.engine.books) < 100
    gone = sorted(set(bytes_before) - set(rig.engine.books))
    assert rig.residency.bring(gone[0])
    assert msgspec.msgpack.encode(rig.engine.books[gone[0]]) == bytes_before[gone[0]]
    assert not rig.residency.bring(10_000)
    rig.store.close()


def test_an_account_with_news_stays_until_the_news_is_covered(tmp_path: Path) -> None:
    rig = House(tmp_path)
    rig.commit()
    first_chunk = rig.residency.take_snapshots(rig.engine.seq)
    assert rig.residency.bring(7)
    rig.engine.command(7, Deposit(amount="5"), START + 2, Envelope())
    news_seq = rig.engine.seq
    rig.commit()
    rig.store.put_snapshots(first_chunk)
    rig.residency.on_stored([(row.account_no, row.n) for row in first_chunk])
    assert 7 in rig.engine.books
    # The house waits for a snapshot of its own from the first event on.
    assert rig.residency.needed_seq(rig.engine.seq) <= news_seq
    rig.snapshot()
    stored = rig.store.snapshot(7)
    assert stored is not None
    assert msgspec.msgpack.encode(rig.engine.books[7]) == stored.body if 7 in rig.engine.books else True
    assert rig.residency.bring(7)
    assert rig.engine.books[7].cash == 100_005_000_000
    rig.store.close()


def test_an_account_may_leave_while_its_snapshot_is_under_way(tmp_path: Path) -> None:
    rig = House(tmp_path)
    rig.commit()
    bytes_before = {no: msgspec.msgpack.encode(book) for no, book in rig.engine.books.items()}
    chunk = rig.residency.take_snapshots(rig.engine.seq)
    gone = sorted(set(bytes_before) - set(rig.engine.books))
    assert gone
    assert rig.residency.needed_seq(rig.engine.seq) == 1
    for account_no in gone:
        assert rig.residency.bring(account_no)
        assert msgspec.msgpack.encode(rig.engine.books[account_no]) == bytes_before[account_no]
    rig.engine.command(gone[0], Deposit(amount="5"), START + 2, Envelope())
    rig.commit()
    assert gone[0] not in [row.account_no for row in rig.residency.take_snapshots(rig.engine.seq)]
    rig.store.put_snapshots(chunk)
    rig.residency.on_stored([(row.account_no, row.n) for row in chunk])
    assert rig.engine.books[gone[0]].cash == 100_005_000_000
    n = rig.engine.books[gone[0]].n
    assert [row.n for row in rig.residency.take_snapshots(rig.engine.seq)] == [n]
    rig.store.close()


def test_a_book_damaged_in_memory_costs_nobody_else_anything(tmp_path: Path) -> None:
    """It is set aside, the others are stored and may leave, and the journal keeps what brings it back."""
    house = House(tmp_path)
    engine = house.engine
    house.commit()
    house.snapshot()
    before = engine.seq
    for account_no in (3, 4):
        assert house.residency.bring(account_no)
        assert engine.command(account_no, Deposit(amount="7"), START + 2, Envelope())
    house.commit()
    damaged = engine.books[3]
    damaged.cash = object()  # type: ignore[assignment]
    house.snapshot()
    house.snapshot()
    assert damaged.quarantined
    assert 4 not in engine.books
    assert [no for no, _ in engine.failures] == [3]
    assert engine.command(3, Deposit(amount="1"), START + 3, Envelope()).reason == "account_quarantined"
    assert house.residency.needed_seq(engine.seq) <= before + 1
    again = recovered(house.store, {}, None).books[3]
    assert not again.quarantined
    assert again.cash == recovered(house.store, {}, None).books[4].cash
    house.store.close()


def test_the_more_accounts_wait_the_more_are_written_at_once(tmp_path: Path) -> None:
    rig = House(tmp_path)
    rig.residency = Residency(rig.engine, SnapshotReader(tmp_path), chunk=3)
    rig.commit()
    sizes = []
    while chunk := rig.residency.take_snapshots(rig.engine.seq):
        sizes.append(len(chunk))
    assert sizes[0] == 101 // 8
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-2] == 3
    assert sum(sizes) == 100
    assert not rig.residency.waiting - 1
    rig.store.close()


def fresh() -> Engine:
    from actors.book.rules.matching.profiles import Profiles

    return Engine(RUN_SEED, Profiles(CUSTOM), instruments=INSTRUMENTS)


def recovered(store: Store, snapshots: dict[int, Snapshot], house: bytes | None) -> Engine:
    """An engine from the store, with or without snapshots."""
    from actors.house.state import House as HouseState
    from mbtd.residency import book_of

    engine = fresh()
    if house is not None:
        engine.house = HouseState.decode(house)
    for account_no, row in snapshots.items():
        engine.books[account_no] = book_of(row)
    restore(engine, store.groups(store.trimmed_seq()))
    resume_at(engine, store.head())
    return engine


@profile(20)
@given(scripts(), st.integers(1, 5), st.booleans())
def test_snapshots_and_tail_are_the_whole_journal(script: list[object], every: int, on_disk: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        store: Store = SqliteStore.open(directory) if on_disk else MemoryStore()
        engine = open_engine(ACCOUNTS)
        cutter = GroupCutter(engine, store.head())
        store.append(cutter.cut())
        middle: dict[int, Snapshot] = {}
        house: bytes | None = None
        for index, item in enumerate(script):
            feed(engine, item)
            if index % every == 0:
                store.append(cutter.cut())
            if index == len(script) // 2:
                store.append(cutter.cut())
                middle = {no: snapshot_of(book, engine.seq) for no, book in engine.books.items()}
                house = engine.house.encode()
        store.append(cutter.cut())
        want = {no: snapshot_of(book, engine.seq).body for no, book in engine.books.items()}
        for rows, body in (({}, None), (middle, house)):
            again = recovered(store, rows, body)
            assert {no: snapshot_of(book, again.seq).body for no, book in again.books.items()} == want
            assert again.house.encode() == engine.house.encode()
            assert (again.seq, again.input_seq) == (engine.seq, engine.input_seq)
        store.close()
