"""The record of an order that was to take another's place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from actors.book.events import OrderAccepted
from actors.commands import ReplaceOrder, ResetAccount
from mbtd.groups import GroupCutter
from mbtd.records.orders import render_order
from mbtd.records.projection import project
from mbtd.service.order_views import find_order
from storage.history import History
from storage.sqlite import SqliteStore
from tests.money.rig import SECOND, Bench, when


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def resting(minute: str) -> tuple[Bench, int, OrderAccepted]:
    """An account with one order that rests, and the time."""
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account(profile="conservative")
    terms = bench.order(account, "buy", "100", type="limit", limit_price="90").terms
    bench.go(f"2026-08-03 {minute}")
    return bench, account, terms


@pytest.mark.anyio
async def test_one_that_came_too_late_is_rejected_and_says_why(tmp_path: Path) -> None:
    bench, account, old = resting("15:59")
    bench.now = when("2026-08-03 16:00") - SECOND // 20
    new = bench.do(account, ReplaceOrder(order_id=old.order_id, qty="50", limit_price="89")).terms
    bench.go("2026-08-03 16:05")
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=0)) as store:
        store.append(GroupCutter(bench.engine, store.head()).cut())
        store.project(project, 10)
    async with History.open(tmp_path) as history:
        first = await find_order(history, account, old.order_id, None)
        change = await find_order(history, account, new.order_id, None)
    assert first is not None
    assert change is not None
    assert first.status == "expired"
    shown = render_order(change)
    assert (shown["status"], shown["reason"], shown["replaces"]) == ("rejected", "order_not_open", old.order_id)
    assert shown["failed_at"] == shown["updated_at"]
    assert (shown["filled_qty"], shown["replaced_by"]) == ("0", None)


@pytest.mark.anyio
async def test_one_whose_order_ended_otherwise_is_not_left_alive(tmp_path: Path) -> None:
    bench, account, old = resting("10:01")
    new = bench.do(account, ReplaceOrder(order_id=old.order_id, qty="50", limit_price="89")).terms
    bench.do(account, ResetAccount(cash="1000"))
    bench.go("2026-08-03 10:05")
    with contextlib.closing(SqliteStore.open(tmp_path, ballast_bytes=0)) as store:
        store.append(GroupCutter(bench.engine, store.head()).cut())
        store.project(project, 10)
        assert not [row for row in store.rows("orders") if row[7]], "no order of an empty book is live"
    async with History.open(tmp_path) as history:
        change = await find_order(history, account, new.order_id, None)
    assert change is not None
    shown = render_order(change)
    assert (shown["status"], shown["reason"]) == ("rejected", "order_not_open")
