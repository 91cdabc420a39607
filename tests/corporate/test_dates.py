"""Under which dates what an action booked is shown and found: ex, effective and payment dates, not the eve's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE
from mbtd.market.bars import Bars
from mbtd.records.projection import project
from mbtd.service import reads as r
from mbtd.service.records import Records, present
from storage.history import History
from storage.sqlite import SqliteStore
from tests.corporate.rig import CALENDAR, Stage
from tests.corporate.test_lives import DIVIDEND, SPLIT, keep

MONDAY = "2026-08-10"
Row = tuple[str, str, str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def holder() -> tuple[Stage, int]:
    stage = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    stage.quote("AAA", 90)
    no = stage.account("50000")
    stage.hold(no, "AAA", 35 * QTY_PER_SHARE, 35 * 90 * MONEY_PER_DOLLAR)
    return stage, no


@asynccontextmanager
async def asking(stage: Stage, no: int, path: Path) -> AsyncIterator[Any]:
    """Asks for activities as they stand."""
    store = SqliteStore.open(path, ballast_bytes=0)
    keep(store, stage.engine.steps)
    store.project(project, 10)
    store.close()
    async with History.open(path) as history:
        records = Records(history, stage.engine.world, CALENDAR, Bars())

        async def ask(**wanted: Any) -> list[dict[str, Any]]:
            now = present(stage.book(no), stage.engine.world, stage.now)
            found = await records.activities(now, r.ActivityList(account="n1", direction="asc", **wanted))
            return list(found["items"])

        yield ask


def short(rows: Iterable[dict[str, Any]]) -> list[Row]:
    return [(row["activity_type"], row["date"], row["created_at"][:10]) for row in rows]


@pytest.mark.anyio
async def test_bookings_are_shown_and_found_under_the_date_of_the_action(tmp_path: Path) -> None:
    stage, no = holder()
    stage.announce(**{**SPLIT, "ex_date": MONDAY})
    stage.announce(**DIVIDEND)
    stage.go("2026-08-10 11:00")
    async with asking(stage, no, tmp_path) as ask:
        split = await ask(date=MONDAY)
        assert short(split) == [("SPLIT", MONDAY, MONDAY), ("SPLIT", MONDAY, MONDAY)]
        assert split[0]["created_at"] == "2026-08-10T00:00:00Z"  # 20:00 New York on Sunday
        assert await ask(date="2026-08-09") == []
        assert short(await ask(date="2026-08-07")) == [("DIV", "2026-08-07", "2026-08-07")]
        assert await ask(date="2026-08-06") == []


@pytest.mark.anyio
async def test_what_became_known_late_and_what_is_taken_back_have_their_own_dates(tmp_path: Path) -> None:
    stage, no = holder()
    stage.announce(**DIVIDEND)
    stage.go("2026-08-11 11:00")
    stage.announce(**SPLIT)
    stage.announce(**{**DIVIDEND, "rate": "0.5"})
    stage.go("2026-08-12 11:00")
    async with asking(stage, no, tmp_path) as ask:
        late = await ask(date="2026-08-06")
        assert [(row["activity_type"], row["status"]) for row in late] == [("SPLIT", "executed")] * 2
        assert {row["created_at"][:10] for row in late} == {"2026-08-11"}
        paid = await ask(date="2026-08-07")
        assert [(row["status"], row["net_amount"]) for row in paid] == [
            ("executed", "14"), ("canceled", "-14"), ("correct", "17.5")
        ]  # fmt: skip
        pages = []
        token = None
        while True:
            page = await ask(date="2026-08-07", limit=1, **({"page_token": token} if token else {}))
            if not page:
                break
            pages += page
            token = page[-1]["id"]
        assert pages == paid
