"""Queries over the projections: every filter and page against a plain sort of the same rows."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.history import History, Values
from storage.records import Row
from storage.sqlite import SqliteStore
from tests.storage.groups import append, snapshot

pytestmark = pytest.mark.anyio

SYMBOLS = ("AAPL", "MSFT", "SPY")

ORDERS: list[Values] = [
    (
        account_no,
        order_no,
        f"order-{account_no}-{order_no}",
        f"client-{order_no % 4}",
        SYMBOLS[order_no % 3],
        ("buy", "sell")[order_no % 2],
        "new" if order_no % 5 == 0 else "filled",
        int(order_no % 5 == 0),
        100 + order_no // 3,
        500,
        b"order",
    )
    for account_no, order_no in itertools.product((1, 2), range(1, 25))
]
FILLS: list[Values] = [
    (
        1,
        fill_no,
        f"fill-{fill_no}",
        fill_no // 2,
        f"order-1-{fill_no // 2}",
        SYMBOLS[fill_no % 3],
        100 + fill_no,
        b"f",
    )
    for fill_no in range(1, 13)
]
ACTIVITIES: list[Values] = [
    (1, n, f"activity-{n}", ("FILL", "DIV", "INT")[n % 3], 100 + n // 4, 20_260_800 + n % 5, b"a")
    for n in range(1, 25)
]
ACCOUNTS: list[Values] = [
    (account_no, f"id-{account_no}", f"name-{account_no}", f"user-{account_no % 2}", "ACTIVE", b"acc")
    for account_no in range(1, 6)
]
ARCHIVE: list[Values] = [(1, n, n, 100 + n, "order.new", n % 3 if n % 3 else None, b"event") for n in range(1, 20)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    tables = {
        "orders": ORDERS,
        "fills": FILLS,
        "activities": ACTIVITIES,
        "accounts": ACCOUNTS,
        "archive": ARCHIVE,
    }
    rows: list[Row] = [(name, row) for name, values in tables.items() for row in values]
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    append(store)
    store.project(lambda groups, lookup: rows, 1)
    store.put_snapshots([snapshot(3, 1, live=True)])
    async with History.open(tmp_path) as history:
        yield history
    store.close()


async def test_single_rows(history: History) -> None:
    assert await history.projected_seq() == 1
    assert await history.order(2, 7) == ORDERS[24 + 6]
    assert await history.order(2, 99) is None
    assert await history.order_by_id("order-1-3") == ORDERS[2]
    assert await history.order_by_id("nothing") is None
    assert await history.fill_by_id("fill-5") == FILLS[4]
    assert await history.account_by_name("name-2") == ACCOUNTS[1]
    assert await history.account_by_id("id-3") == ACCOUNTS[2]
    assert await history.account_by_name("nobody") is None
    assert await history.snapshot(3) == snapshot(3, 1, live=True)
    assert await history.snapshot(4) is None


async def test_orders_by_client_id_come_newest_first(history: History) -> None:
    rows = await history.orders_by_client_id(1, "client-2")
    assert [row[1] for row in rows] == [22, 18, 14, 10, 6, 2]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("live", [None, True, False])
@pytest.mark.parametrize("side", [None, "buy"])
@pytest.mark.parametrize("symbols", [None, ("AAPL", "SPY"), ()])
@pytest.mark.parametrize(("after_at", "until_at"), [(None, None), (102, 106)])
async def test_orders_page_by_page_are_the_sorted_matches(
    history: History,
    descending: bool,
    live: bool | None,
    side: str | None,
    symbols: tuple[str, ...] | None,
    after_at: int | None,
    until_at: int | None,
) -> None:
    expected = [
        row
        for row in ORDERS
        if row[0] == 1
        and (live is None or row[7] == live)
        and (side is None or row[5] == side)
        and (symbols is None or row[4] in symbols)
        and (after_at is None or row[8] > after_at)
        and (until_at is None or row[8] <= until_at)
    ]
    expected.sort(key=lambda row: (row[8], row[1]), reverse=descending)
    got: list[Values] = []
    last: int | None = None
    while True:
        page = await history.orders(
            1,
            live=live,
            side=side,
            symbols=symbols,
            after_at=after_at,
            until_at=until_at,
            limit=4,
            descending=descending,
            before_order_no=last if descending else None,
            after_order_no=None if descending else last,
        )
        if not page:
            break
        got += page
        last = page[-1][1]
    assert got == expected


@pytest.mark.parametrize("descending", [False, True])
async def test_activities_page_by_page(history: History, descending: bool) -> None:
    expected = [row for row in ACTIVITIES if row[3] in ("DIV", "INT") and 100 < row[4] <= 104]
    expected.sort(key=lambda row: (row[4], row[1]), reverse=descending)
    got: list[Values] = []
    beyond: tuple[int, int] | None = None
    while page := await history.activities(
        1,
        types=("DIV", "INT"),
        after_at=100,
        until_at=104,
        beyond=beyond,
        limit=3,
        descending=descending,
    ):
        got += page
        beyond = (page[-1][4], page[-1][1])
    assert got == expected


async def test_activities_of_a_date_are_those_shown_under_it(history: History) -> None:
    got = await history.activities(1, dated=20_260_803, after_at=100, until_at=101, descending=False)
    assert got == sorted((row for row in ACTIVITIES if row[5] == 20_260_803), key=lambda row: (row[4], row[1]))


async def test_fills_by_order_symbol_and_time(history: History) -> None:
    assert await history.fills(1, order_no=3) == [FILLS[6], FILLS[5]]
    assert [row[1] for row in await history.fills(1, symbols=("SPY",), after_at=103, descending=False)] == [
        5,
        8,
        11,
    ]
    assert [row[1] for row in await history.fills(1, before_fill_no=5, limit=2)] == [4, 3]
    assert [row[1] for row in await history.fills(1, after_fill_no=10, descending=False)] == [11, 12]


async def test_events_and_accounts_continue_where_asked(history: History) -> None:
    assert await history.events(1, 18) == ARCHIVE[17:]
    assert await history.events(1, 5, limit=2) == ARCHIVE[4:6]
    assert await history.order_events(1, 2) == [row for row in ARCHIVE if row[5] == 2]
    assert await history.accounts(2, limit=2) == ACCOUNTS[2:4]
    assert [row[0] for row in await history.accounts_of_user("user-1")] == [1, 3, 5]


async def test_history_sees_later_commits_and_holds_nothing_back(history: History, tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    append(store)
    store.project(lambda groups, lookup: [("orders", (1, 1, *ORDERS[0][2:6], "canceled", *ORDERS[0][7:]))], 9)
    assert await history.projected_seq() == 2
    row = await history.order(1, 1)
    assert row is not None
    assert row[6] == "canceled"
    assert store.checkpoint(truncate=True) == 0
    store.close()
