"""A stored day in an operator's hands: verify finds what was changed, a purge leaves everything that is needed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from actors.book.events import DayEnded
from actors.inputs import encode
from mbtd.jobs.verify import verify
from mbtd.maintenance import needed_orders, purge_account
from mbtd.records.lots import decode_lot
from mbtd.records.projection import decode_fill, decode_order, project
from mbtd.residency import book_of, snapshot_of, snapshot_of_house
from storage.database import FILE_NAME
from storage.records import Group
from storage.sqlite import SqliteStore
from tests.simulation.days import Day, World, drawn_days, run

FOREVER = 1 << 62


@pytest.fixture(scope="module")
def world() -> World:
    days = [Day(tuple(op for op in day.ops if op.kind != "erase")) for day in drawn_days(3, 2)]
    return run(3, days)


@pytest.fixture
def state(world: World, tmp_path: Path) -> Path:
    """The simulated days as a state directory."""
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=0)) as store:
        head, last = store.head(), world.steps[-1]
        for start in range(0, len(world.steps), 50):
            steps = world.steps[start : start + 50]
            seq = steps[-1].seq_last
            store.append(
                Group(
                    head.epoch,
                    steps[0].seq_first,
                    seq,
                    steps[-1].input_seq,
                    last.tape_pos,
                    last.at,
                    b"",
                    encode(steps),
                )
            )
        seq = store.head().seq
        rows = [snapshot_of(book, seq) for _, book in sorted(world.engine.books.items())]
        store.put_snapshots([snapshot_of_house(world.engine.house, seq), *rows])
        while store.projection_backlog():
            store.project(project, 64)
    return tmp_path


def test_a_good_state_passes(state: Path, world: World) -> None:
    report = verify(state)
    assert report.ok, report.wrong
    assert report.accounts == world.accounts
    assert all(finding.looked_at for finding in report.findings)


DAMAGE = (
    ("journal chain", "UPDATE journal SET at = at + 1 WHERE group_no = 2"),
    ("journal chain", "DELETE FROM journal WHERE group_no = 2"),
    ("audit chain", "UPDATE archive SET at = at + 1 WHERE account_no = 1 AND n = 2"),
    ("replay", "DELETE FROM archive WHERE account_no = 1 AND n = 2"),
    ("replay", "UPDATE snapshots SET body = (SELECT body FROM snapshots WHERE account_no = 2) WHERE account_no = 1"),
    ("records", "UPDATE orders SET live = 1 - live WHERE order_no = 1"),
    ("records", "UPDATE orders SET status = 'filled' WHERE status = 'canceled'"),
    ("records", "DELETE FROM orders WHERE order_no = 1"),
    ("records", "DELETE FROM fills WHERE fill_no = (SELECT max(fill_no) FROM fills)"),
    ("records", "UPDATE fills SET at = at + 1 WHERE fill_no = (SELECT min(fill_no) FROM fills)"),
    ("records", "UPDATE fills SET order_no = order_no + 1 WHERE fill_no = (SELECT min(fill_no) FROM fills)"),
    ("records", "DELETE FROM days WHERE trade_date = (SELECT max(trade_date) FROM days)"),
    ("records", "UPDATE days SET body = (SELECT max(body) FROM days)"),
    ("records", "DELETE FROM activities WHERE account_no = 2"),
    ("records", "UPDATE closed_lots SET n = n + 1 WHERE account_no = (SELECT max(account_no) FROM closed_lots)"),
    ("records", "INSERT INTO days SELECT 99, trade_date, at, body FROM days LIMIT 1"),
    ("house", "UPDATE accounts SET body = (SELECT body FROM accounts WHERE account_no = 2) WHERE account_no = 1"),
    ("house", "DELETE FROM accounts WHERE account_no = 3"),
)


def _smaller_fill(body: bytes) -> bytes:
    """The order's record with one share less filled: of the right form, and false."""
    record = decode_order(body)
    return encode(msgspec.structs.replace(record, filled_qty=record.filled_qty - 10**9))


def _other_price(body: bytes) -> bytes:
    record = decode_fill(body)
    return encode(msgspec.structs.replace(record, fill=msgspec.structs.replace(record.fill, price=1)))


def _more_basis(body: bytes) -> bytes:
    lot = decode_lot(body)
    return encode(msgspec.structs.replace(lot, basis_money=lot.basis_money + 1))


def _more_equity(body: bytes) -> bytes:
    day = msgspec.msgpack.decode(body, type=DayEnded)
    return encode(msgspec.structs.replace(day, equity_money=day.equity_money + 1))


FORGED: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("orders", _smaller_fill),
    ("fills", _other_price),
    ("closed_lots", _more_basis),
    ("days", _more_equity),
)


@pytest.mark.parametrize(("table", "forge"), FORGED)
def test_a_body_that_says_otherwise_than_the_events_is_found(
    state: Path, table: str, forge: Callable[[bytes], bytes]
) -> None:
    where = "WHERE status = 'filled'" if table == "orders" else ""
    with contextlib.closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as db:
        (body,) = db.execute(f"SELECT body FROM {table} {where} ORDER BY random() LIMIT 1").fetchone()
        db.execute(f"UPDATE {table} SET body = ? WHERE body = ?", (forge(body), body))
    report = verify(state)
    assert [finding.check for finding in report.findings if not finding.ok] == ["records"], report.wrong


@pytest.mark.parametrize(("check", "damage"), DAMAGE)
def test_damage_is_found_by_the_check_that_is_for_it(state: Path, check: str, damage: str) -> None:
    with contextlib.closing(sqlite3.connect(state / FILE_NAME, isolation_level=None)) as db:
        assert db.execute(damage).rowcount
    report = verify(state)
    assert check in [finding.check for finding in report.findings if not finding.ok], report.wrong


def test_flipped_bytes_are_found(state: Path) -> None:
    path = state / FILE_NAME
    whole = path.read_bytes()
    places = range(5_000, len(whole), len(whole) // 12)
    found = 0
    for place in places:
        body = bytearray(whole)
        body[place] ^= 0x40
        path.write_bytes(body)
        found += not verify(state).ok
    path.write_bytes(whole)
    assert verify(state).ok
    print(f"{found} of {len(places)}")
    assert found, "free space and what an index repeats may pass, not everything"


def test_a_purge_keeps_balances_positions_and_what_open_lots_need(state: Path, world: World) -> None:
    middle = world.steps[len(world.steps) * 2 // 3].at
    before = verify(state).state_hash
    with contextlib.closing(SqliteStore.open(state, ballast_bytes=0)) as store:
        gone = [purge_account(store, no, middle) for no in sorted(world.engine.books)]
        assert sum(each.events for each in gone) > 100
        assert sum(each.orders for each in gone) > 0
        for no, book in world.engine.books.items():
            row = store.snapshot(no)
            assert row is not None
            assert book_of(row).cash == book.cash
            kept = {r[1] for r in store.rows("orders") if r[0] == no}
            assert needed_orders(book) <= kept
    report = verify(state)
    assert report.ok, report.wrong
    assert report.state_hash == before
    with contextlib.closing(SqliteStore.open(state, ballast_bytes=0)) as store:
        for no in sorted(world.engine.books):
            purge_account(store, no, FOREVER)
            assert purge_account(store, no, FOREVER).events == 0, "nothing is left to forget"
        assert not [row for row in store.rows("archive") if row[0] != 0]
    assert verify(state).ok
