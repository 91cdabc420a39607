"""The live screen, driven without a terminal."""

from __future__ import annotations

from typing import Any, cast

import pytest
from textual.widgets import DataTable, Static

from mbtd.console.top import Top, rates
from mbtd.rpc.client import Client

HEALTH: dict[str, Any] = {
    "status": "degraded", "reasons": ["held"], "version": "1", "started_at": "2026-01-01T00:00:00Z",
    "now": "2026-01-01T00:00:01Z", "data_epoch": "e", "switches": {},
    "feed": {"name": "fake", "state": "live", "age_ms": 5},
    "storage": {"state": "ok", "seq": 10, "durable_seq": 10, "groups": 4, "commit_max_ms": 1.0},
    "engine": {"session": "core", "accounts": 1, "resident": 1, "quarantined": 0, "live_orders": 2,
               "waiting_commands": 0, "tape_backlog": 0, "tape_seq": 100},
}  # fmt: skip
ROW = {
    "no": 1,
    "name": "ann",
    "status": "ACTIVE",
    "type": "margin",
    "events": 7,
    "orders": 2,
    "positions": 0,
    "mail": 0,
}


class FakeClient:
    def call(self, method: str, **params: Any) -> Any:
        if method == "health.get":
            return HEALTH
        return {"accounts": [ROW], "clients": [], "metrics": {"fast": {"share": 1.0, "target": 0.99}}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_it_shows_state_rates_and_accounts() -> None:
    app = Top(cast("Client", FakeClient()), 60.0)
    async with app.run_test() as pilot:
        app.refresh_now()
        await pilot.pause()
        assert "DEGRADED" in str(app.query_one("#status", Static).render())
        assert "events/s" in str(app.query_one("#rates", Static).render())
        assert app.query_one("#accounts", DataTable).get_row_at(0)[0] == "ann"
        await pilot.press("q")


def test_rates_are_differences_over_time() -> None:
    later = {"health": {**HEALTH, "storage": {**HEALTH["storage"], "seq": 30}}}
    assert rates({"health": HEALTH}, later, 2.0)["events"] == 10.0
    assert rates(None, later, 2.0)["events"] == 0.0
