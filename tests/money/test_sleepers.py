"""Accounts out of memory: fetched before their instant, loaded at a start when they are due, caught up when late."""

from __future__ import annotations

from pathlib import Path

from actors.book import events as e
from mbtd.groups import GroupCutter
from mbtd.residency import FETCH_AHEAD_NS, Residency, book_of, snapshot_of
from storage.reader import SnapshotReader
from storage.sqlite import SqliteStore
from tests.money.rig import Bench, when


def asleep(directory: Path, profile: str = "quick") -> tuple[Bench, int, SqliteStore, Residency]:
    """An account that holds something, in a stored snapshot only."""
    store = SqliteStore.open(directory)
    bench = Bench("2026-08-05 10:00")
    bench.quote("AAA", 100)
    account = bench.account("100000", profile=profile)
    idle = bench.account()
    bench.order(account, "buy", "10")
    store.append(GroupCutter(bench.engine, store.head()).cut())
    for number in (account, idle):
        store.put_snapshots([snapshot_of(bench.book(number), bench.engine.seq, bench.engine.world)])
    residency = Residency(bench.engine, SnapshotReader(directory), chunk=10, keep=0)
    bench.engine.release(account)
    bench.engine.release(idle)
    return bench, account, store, residency


def test_a_sleeper_is_fetched_before_its_day_ends_and_nobody_else(tmp_path: Path) -> None:
    bench, account, store, residency = asleep(tmp_path)
    end = when("2026-08-05 20:00")
    assert residency.fetch_due(end - FETCH_AHEAD_NS - 1) == 0
    assert not bench.engine.books
    assert residency.fetch_due(end - FETCH_AHEAD_NS + 1) == 1
    assert list(bench.engine.books) == [account]
    bench.go("2026-08-05 20:01")
    (ended,) = bench.events(account, e.DayEnded)
    step = next(step for step in bench.engine.steps if any(ended in section.events for section in step.sections))
    assert (step.at, ended.at) == (end, end)
    store.close()


def test_a_start_loads_who_is_due(tmp_path: Path) -> None:
    _, account, store, _ = asleep(tmp_path)
    end = when("2026-08-05 20:00")
    assert [row.account_no for row in store.snapshots(end)] == []
    assert [row.account_no for row in store.snapshots(end + 1)] == [account]
    store.close()


def test_a_late_sleeper_catches_up_before_its_command(tmp_path: Path) -> None:
    bench, account, store, residency = asleep(tmp_path)
    bench.go("2026-08-07 12:00")
    assert residency.bring(account)
    assert [end.trade_date for end in bench.events(account, e.DayEnded)] == [20260805, 20260806]
    assert [end.at for end in bench.events(account, e.DayEnded)] == [
        when("2026-08-05 20:00"), when("2026-08-06 20:00")
    ]  # fmt: skip
    store.close()


def test_a_leveraged_account_counts_as_live(tmp_path: Path) -> None:
    bench = Bench("2026-08-05 10:00")
    bench.quote("AAA", 100)
    account = bench.account("10000")
    bench.order(account, "buy", "150")
    row = snapshot_of(bench.book(account), 1, bench.engine.world)
    assert row.live
    assert book_of(row) == bench.book(account)
