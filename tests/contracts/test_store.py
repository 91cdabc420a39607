"""What every store must do, whatever it stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.chain import GENESIS, next_hash
from storage.errors import OutOfSequence, ProjectionFault, StaleWriter
from storage.memory import MemoryStore
from storage.ports import Store
from storage.records import Group
from storage.sqlite import SqliteStore
from tests.storage.groups import append, count_orders, group_after, projected_count, snapshot

BALLAST_BYTES = 64 * 1024


class Bench:
    """Opens stores over one and the same durable state, as consecutive processes would."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._opened: list[Store] = []

    def open(self) -> Store:
        self._opened.append(self._open())
        return self._opened[-1]

    def close(self) -> None:
        for store in self._opened:
            store.close()


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "memory":
        first = MemoryStore()
        bench = Bench(first.reopened)
    else:
        bench = Bench(lambda: SqliteStore.open(tmp_path, ballast_bytes=BALLAST_BYTES))
    yield bench
    bench.close()


@pytest.fixture
def store(bench: Bench) -> Store:
    return bench.open()


def test_a_new_store_is_empty(store: Store) -> None:
    head = store.head()
    assert (head.seq, head.input_seq, head.tape_pos, head.at, head.cursor, head.hash) == (
        0,
        0,
        0,
        0,
        b"",
        GENESIS,
    )
    assert head.epoch >= 1
    assert list(store.groups(0)) == []
    assert store.projection_backlog() == 0
    assert list(store.snapshots(None)) == []


def test_groups_come_back_in_order_and_the_head_follows(store: Store) -> None:
    written = [append(store, events) for events in (1, 64, 0, 0, 3)]
    assert list(store.groups(0)) == written
    head = store.head()
    assert (head.seq, head.input_seq, head.tape_pos, head.cursor) == (68, 5, 10, b"cursor-68")


def test_the_hash_chain_is_the_documented_one(store: Store) -> None:
    first = group_after(store.head(), 2, moved=b"place")
    digest = store.append(first)
    assert digest == next_hash(GENESIS, first) == store.head().hash
    second = group_after(store.head())
    assert store.append(second) == next_hash(digest, second)


@pytest.mark.parametrize(("after_seq", "first_index"), [(0, 0), (1, 0), (2, 1), (3, 2), (5, 4), (6, 5), (99, 5)])
def test_groups_after_a_number(store: Store, after_seq: int, first_index: int) -> None:
    # events 1-2 | 3 | none | 4-5 | 6
    written = [append(store, events) for events in (2, 1, 0, 2, 1)]
    assert list(store.groups(after_seq)) == written[first_index:]


@pytest.mark.parametrize(
    "change",
    [{"seq_first": 1}, {"seq_first": 3}, {"seq_last": 0}, {"input_seq": 0}, {"tape_pos": 1}],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_follow_is_refused_and_leaves_no_trace(store: Store, change: dict[str, int]) -> None:
    append(store)
    head = store.head()
    with pytest.raises(OutOfSequence):
        store.append(msgspec.structs.replace(group_after(head), **change))
    assert store.head() == head
    append(store)
    assert [group.seq_last for group in store.groups(0)] == [1, 2]


def test_reopening_keeps_everything_and_raises_the_epoch(bench: Bench) -> None:
    store = bench.open()
    written = [append(store, 3), append(store, 0)]
    store.put_snapshots([snapshot(7, 3)])
    store.set_meta("tape", b"\x00\xff")
    before = store.head()
    store.close()
    again = bench.open()
    assert again.head() == msgspec.structs.replace(before, epoch=before.epoch + 1)
    assert list(again.groups(0)) == written
    assert again.snapshot(7) == snapshot(7, 3)
    assert again.get_meta("tape") == b"\x00\xff"


def test_an_older_writer_is_fenced_from_everything(bench: Bench) -> None:
    old = bench.open()
    append(old)
    new = bench.open()
    with pytest.raises(StaleWriter):
        append(old)
    with pytest.raises(StaleWriter):
        old.put_snapshots([snapshot(1, 1)])
    with pytest.raises(StaleWriter):
        old.project(count_orders, 10)
    with pytest.raises(StaleWriter):
        old.set_meta("a", b"b")
    with pytest.raises(StaleWriter):
        new.append(msgspec.structs.replace(group_after(new.head()), epoch=old.head().epoch))
    append(new)
    assert [group.epoch for group in new.groups(0)] == [old.head().epoch, new.head().epoch]
    assert new.snapshot(1) is None
    assert new.get_meta("a") is None


def test_every_group_is_projected_exactly_once_across_reopening(bench: Bench) -> None:
    store = bench.open()
    for _ in range(5):
        append(store)
    assert store.projection_backlog() == 5
    assert store.project(count_orders, 2) == 3
    assert store.projected_seq() == 2
    store = bench.open()
    assert store.projected_seq() == 2
    append(store, 2)
    assert store.project(count_orders, 100) == 0
    assert store.project(count_orders, 100) == 0
    assert store.projected_seq() == store.head().seq == 7
    assert projected_count(store) == 6
    assert sorted(int(str(row[1])) for row in store.rows("archive")) == [1, 2, 3, 4, 5, 7]


def test_a_projection_that_fails_changes_nothing(store: Store) -> None:
    append(store)
    append(store)

    def failing(groups, lookup):  # type: ignore[no-untyped-def]
        yield from count_orders(groups[:1], lookup)
        raise KeyError("a fault of the projection")

    with pytest.raises(KeyError):
        store.project(failing, 10)
    assert store.projected_seq() == 0
    assert list(store.rows("orders")) == []
    assert store.project(count_orders, 10) == 0


@pytest.mark.parametrize(
    "rows",
    [
        [("nothing", (1,))],
        [("accounts", (1, "a"))],
        [("accounts", (1, "a", "n", "u", "ACTIVE", b"")), ("accounts", (2, "b", "n", "u", "ACTIVE", b""))],
        [("accounts", (1, "a", "n", "u", "ACTIVE", b"")), ("accounts", (2, "a", "m", "u", "ACTIVE", b""))],
    ],
    ids=["unknown table", "wrong width", "name taken", "id taken"],
)
def test_rows_that_cannot_be_are_refused_whole(store: Store, rows: list[tuple[str, tuple[object, ...]]]) -> None:
    append(store)
    with pytest.raises(ProjectionFault):
        store.project(lambda groups, lookup: rows, 10)
    assert store.projected_seq() == 0
    assert list(store.rows("accounts")) == []


def test_a_projection_reads_its_own_and_stored_rows(store: Store) -> None:
    seen: list[object] = []

    def project(groups, lookup):  # type: ignore[no-untyped-def]
        for group in groups:
            row = lookup("accounts", (1,))
            seen.append(row and row[4])
            yield ("accounts", (1, "id", "name", "user", f"after {group.seq_last}", b""))

    for _ in range(3):
        append(store)
    assert store.project(project, 2) == 1
    assert store.project(project, 2) == 0
    assert seen == [None, "after 1", "after 2"]
    assert [row[4] for row in store.rows("accounts")] == ["after 3"]


def test_trimming_stops_at_the_projection_and_keeps_the_chain(bench: Bench) -> None:
    store = bench.open()
    written = [append(store, 2) for _ in range(6)]
    store.project(count_orders, 4)
    assert store.trim(6) == 2
    assert store.trimmed_seq() == 4
    assert list(store.groups(0)) == written[2:]
    assert store.trim(100) == 2
    assert store.trimmed_seq() == 8
    assert list(store.groups(0)) == list(store.groups(8)) == written[4:]
    store = bench.open()
    append(store)
    assert [group.seq_last for group in store.groups(0)] == [10, 12, 13]
    store.project(count_orders, 10)
    assert store.trim(14) == 3
    head = store.head()
    store = bench.open()
    assert store.head() == msgspec.structs.replace(head, epoch=head.epoch + 1)
    assert list(store.groups(0)) == []
    append(store)
    assert [group.seq_last for group in store.groups(13)] == [14]
    assert projected_count(store) == 7


def test_trimming_in_portions(store: Store) -> None:
    for _ in range(5):
        append(store)
    store.project(count_orders, 5)
    assert [store.trim(5, 3), store.trim(5, 3), store.trim(5, 3)] == [3, 1, 0]


def test_snapshots_are_found_by_need(store: Store) -> None:
    append(store, 10)
    sleeping, live, due, later = (
        snapshot(4, 1),
        snapshot(3, 2, live=True),
        snapshot(2, 3, next_due=100),
        snapshot(1, 4, next_due=200),
    )
    store.put_snapshots([sleeping, live, due, later])
    assert list(store.snapshots(None)) == [later, due, live, sleeping]
    assert list(store.snapshots(101)) == [due, live]
    assert list(store.snapshots(100)) == [live]
    assert store.snapshot(4) == sleeping
    assert store.snapshot(5) is None


def test_a_snapshot_never_goes_back_nor_beyond_the_journal(store: Store) -> None:
    append(store, 5)
    store.put_snapshots([snapshot(1, 4, live=True, body=b"new"), snapshot(1, 3, body=b"old")])
    assert store.snapshot(1) == snapshot(1, 4, live=True, body=b"new")
    with pytest.raises(OutOfSequence):
        store.put_snapshots([snapshot(2, 1), snapshot(1, 6)])
    assert store.snapshot(2) is None


def test_a_checkpoint_changes_nothing_to_be_seen(store: Store) -> None:
    written = [append(store, body=b"x" * 10_000) for _ in range(4)]
    assert store.checkpoint(truncate=False) == 0
    written.append(append(store))
    assert store.checkpoint(truncate=True) == 0
    assert list(store.groups(0)) == written


def test_reading_tolerates_writing_in_between(store: Store) -> None:
    for _ in range(200):
        append(store)
    reader = store.groups(0)
    first = next(reader)
    append(store)
    store.checkpoint(truncate=True)
    rest = list(reader)
    assert [group.seq_last for group in [first, *rest]][:200] == list(range(1, 201))


blobs = st.binary(max_size=40)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 4), blobs, blobs, blobs),
        st.tuples(st.just("project"), st.integers(1, 4)),
        st.tuples(st.just("trim"), st.integers(0, 30)),
        st.tuples(st.just("snapshot"), st.integers(1, 3), st.integers(0, 30), st.booleans()),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_memory_and_sqlite_agree_on_any_history(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[object, ...]]
) -> None:
    directory = tmp_path_factory.mktemp("store")
    memory: Store = MemoryStore()
    disk: Store = SqliteStore.open(directory, ballast_bytes=0)
    try:
        for step in history:
            if step[0] == "reopen":
                disk.close()
                assert isinstance(memory, MemoryStore)
                memory, disk = memory.reopened(), SqliteStore.open(directory, ballast_bytes=0)
            else:
                assert _take(memory, step) == _take(disk, step)
            assert _seen(memory) == _seen(disk)
    finally:
        disk.close()


def _take(store: Store, step: tuple[object, ...]) -> object:
    match step:
        case ("append", int(events), bytes(cursor), bytes(body), bytes(moved)):
            group = group_after(store.head(), events, body, moved)
            return store.append(msgspec.structs.replace(group, cursor=cursor))
        case ("project", int(budget)):
            return store.project(count_orders, budget)
        case ("trim", int(below)):
            return store.trim(below)
        case ("snapshot", int(account_no), int(seq), bool(live)):
            try:
                store.put_snapshots([snapshot(account_no, seq, live=live)])
            except OutOfSequence:
                return "refused"
            return "stored"
    raise AssertionError(step)


def _seen(store: Store) -> tuple[object, ...]:
    head = msgspec.structs.replace(store.head(), data_epoch="")
    middle = head.seq // 2
    lists: list[list[Group]] = [list(store.groups(0)), list(store.groups(middle))]
    tables = [list(store.rows(name)) for name in ("orders", "archive")]
    return (
        head,
        lists,
        tables,
        store.projected_seq(),
        store.projection_backlog(),
        store.trimmed_seq(),
        list(store.snapshots(None)),
        list(store.snapshots(1)),
    )
