"""Which contracts are active at a moment, and pages of them while contracts end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from actors.book.instruments import Instruments
from actors.book.units import parse_time
from mbtd.core import Core
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from mbtd.market.contracts import TICKS
from mbtd.market.feed import Feed
from mbtd.pricing.inputs import PricingInputs
from mbtd.service import reads as r
from mbtd.service.options import OptionQueries

XNYS, ALWAYS = Calendar(), Calendar(always_open=True)
TODAY = [f"SPY261130C00{strike}000" for strike in (640, 650, 660)]
LATER = ["SPY261201C00640000", "SPY261201C00650000", "AAPL261204P00240000"]


class Market:
    """A market with a few contracts at a moment."""

    def __init__(self, calendar: Calendar, at: str) -> None:
        self.table = Instruments(instrument_of(symbol, calendar) for symbol in ("SPY", *TODAY, *LATER))
        self.world = SimpleNamespace(instruments=self.table)
        self._now = 0
        core = SimpleNamespace(engine=SimpleNamespace(world=self.world), now=lambda: self._now, interest=None)
        feed = SimpleNamespace(calendar=calendar, with_figures=list)
        self._calendar = calendar
        self._queries = OptionQueries(cast(Core, core), cast(Feed, feed), cast(Any, PricingInputs))
        self.go(at)

    def go(self, at: str) -> None:
        """Let time come to ``at``."""
        self._now = parse_time(at)
        self.world.session = self._calendar.session_at(self._now)

    async def list(self, **params: Any) -> tuple[list[Any], str | None]:
        answer = await self._queries.contracts(r.OptionContracts(**{"expiration_date_gte": "2026-01-01", **params}))
        return answer["items"], answer["next_page_token"]

    async def states(self) -> dict[str, str]:
        """How each contract says that it is, after the lists of both kinds said the same."""
        found = {}
        for status in ("active", "inactive"):
            items, _ = await self.list(status=status)
            found |= {item["symbol"]: status for item in items}
            assert {(item["status"], item["tradable"]) for item in items} <= {(status, status == "active")}
        return found


@pytest.mark.trio
@pytest.mark.parametrize(
    ("calendar", "at", "active"),
    [
        (XNYS, "2026-11-30T20:59:59Z", True),
        (XNYS, "2026-11-30T21:00:00Z", False),
        (XNYS, "2026-12-01T00:59:59Z", False),
        (XNYS, "2026-12-01T01:00:00Z", False),
        (ALWAYS, "2026-11-30T20:59:59Z", True),
        (ALWAYS, "2026-11-30T21:00:00Z", False),
        (ALWAYS, "2026-11-29T21:00:00Z", True),
    ],
)
async def test_a_contract_ends_with_the_close_of_its_last_day(calendar: Calendar, at: str, active: bool) -> None:
    states = await Market(calendar, at).states()
    assert {states[symbol] for symbol in TODAY} == {"active" if active else "inactive"}
    assert {states[symbol] for symbol in LATER} == {"active"}


@pytest.mark.trio
async def test_a_half_day_ends_them_at_its_close() -> None:
    market = Market(XNYS, "2026-11-27T17:59:59Z")
    market.table.update([instrument_of("SPY261127C00650000", XNYS)])
    assert (await market.states())["SPY261127C00650000"] == "active"
    market.go("2026-11-27T18:00:00Z")
    assert (await market.states())["SPY261127C00650000"] == "inactive"


@pytest.mark.trio
async def test_pages_go_on_where_they_were_though_contracts_ended_meanwhile() -> None:
    market = Market(XNYS, "2026-11-30T20:59:59Z")
    first, token = await market.list(limit=2)
    assert [item["symbol"] for item in first] == TODAY[:2]
    market.go("2026-11-30T21:00:00Z")
    rest, token = await market.list(limit=2, page_token=token)
    assert [item["symbol"] for item in rest] == LATER[:2]
    rest, token = await market.list(limit=2, page_token=token)
    assert ([item["symbol"] for item in rest], token) == (LATER[2:], None)


@pytest.mark.trio
async def test_the_penny_programme_is_a_filter() -> None:
    market = Market(XNYS, "2026-11-30T15:00:00Z")
    below, above = TICKS["standard"]
    coarse = replace(market.table.by_symbol[LATER[0]], tick_price=below, tick_price_from_3=above)
    below, above = TICKS["penny"]
    market.table.update(
        [coarse, replace(market.table.by_symbol[LATER[1]], tick_price=below, tick_price_from_3=above)]
    )
    for ppind in (True, False):
        items, _ = await market.list(ppind=ppind)
        assert items
        assert {item["ppind"] for item in items} == {ppind}
    assert len((await market.list(ppind=True))[0]) + len((await market.list(ppind=False))[0]) == len(TODAY + LATER)
