"""Portfolio history and performance of an account that lived through several days, over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.book.view import figures
from actors.commands import Deposit, ResetAccount
from mbtd.groups import GroupCutter
from mbtd.market.bars import Bars
from mbtd.records.accounts import render_account
from mbtd.records.projection import project
from mbtd.service import reads as r
from mbtd.service.records import Records, present
from storage.history import History
from storage.sqlite import SqliteStore
from tests.money.rig import CALENDAR, Bench


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def bench() -> Bench:
    """100 shares bought at 100 on Monday, worth 110 on Tuesday and 95 on Wednesday, and a deposit on Tuesday."""
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "100")
    bench.go("2026-08-04 11:00")
    bench.quote("AAA", 110)
    bench.do(account, Deposit(amount="5000"))
    bench.go("2026-08-05 11:00")
    bench.quote("AAA", 95)
    bench.go("2026-08-06 11:00")
    return bench


@pytest.fixture
async def records(bench: Bench, tmp_path: Path) -> AsyncIterator[Records]:
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    store.append(GroupCutter(bench.engine, store.head()).cut())
    store.project(project, 10)
    store.close()
    async with History.open(tmp_path) as history:
        yield Records(history, bench.engine.world, CALENDAR, Bars())


def now_of(bench: Bench) -> Any:
    return present(bench.engine.books[1], bench.engine.world, bench.now)


@pytest.mark.anyio
async def test_daily_points_are_the_ends_that_were_recorded(bench: Bench, records: Records) -> None:
    got = await records.portfolio(now_of(bench), r.PortfolioHistory(account="n1", period="1W", timeframe="1D"))
    # Marked at the price of each day, though no bar is kept: that is what was recorded then.
    assert got["equity"] == pytest.approx([100_000, 106_000, 104_500, 104_500], abs=5)
    assert got["profit_loss"][1] == pytest.approx(1_000, abs=5)
    assert got["profit_loss"][2] == pytest.approx(-500, abs=5)


@pytest.mark.anyio
async def test_performance_leaves_the_deposit_out(bench: Bench, records: Records) -> None:
    got = await records.performance(now_of(bench), r.Performance(account="n1"))
    expected = (106_000 / 105_000) * (104_500 / 106_000) - 1
    assert float(got["return"]) == pytest.approx(expected, abs=2e-4)
    assert float(got["max_drawdown"]) == pytest.approx(1 - 104_500 / 106_000, abs=2e-4)
    assert float(got["net_deposits"]) == 105_000


@pytest.mark.anyio
async def test_the_running_day_counts_what_accrued_as_the_account_does(tmp_path: Path) -> None:
    # 50,000 borrowed since Monday's trade settled, its interest is posted with the month; a sale today whose fees accrue.
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "1500")
    bench.go("2026-08-06 11:00")
    bench.quote("AAA", 100)
    bench.order(account, "sell", "1000")
    bench.go("2026-08-06 11:05")
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    store.append(GroupCutter(bench.engine, store.head()).cut())
    store.project(project, 10)
    store.close()
    async with History.open(tmp_path) as history:
        records = Records(history, bench.engine.world, CALENDAR, Bars())
        daily = await records.portfolio(now_of(bench), r.PortfolioHistory(account="n1", period="1W", timeframe="1D"))
        minutes = await records.portfolio(
            now_of(bench), r.PortfolioHistory(account="n1", period="1D", timeframe="1Min", pnl_reset="no_reset")
        )
        performance = await records.performance(now_of(bench), r.Performance(account="n1"))
    equity = figures(bench.book(account), bench.engine.world).equity_money
    nights = 2 * 50_000 * 0.065 / 360
    assert equity / 1e6 == pytest.approx(100_000 - 0.01 - nights - (2.06 + 0.20 + 0.01), abs=0.001)
    assert daily["equity"][-1] == minutes["equity"][-1] == pytest.approx(equity / 1e6, abs=0.005)
    # Before the trade of the day its fee had not accrued; the two nights' interest had.
    assert minutes["equity"][0] == pytest.approx(daily["equity"][-2], abs=0.005)
    assert float(performance["return"]) == pytest.approx(equity / 1e11 - 1, abs=1e-6)


@pytest.mark.anyio
@pytest.mark.parametrize(("price", "cash"), [(90, "50000"), (130, "100000"), (130, "0")])
async def test_what_a_reset_takes_away_is_no_profit_and_no_loss(tmp_path: Path, price: int, cash: str) -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "100")
    bench.go("2026-08-04 11:00")
    bench.quote("AAA", price)
    bench.go("2026-08-05 11:00")
    bench.quote("AAA", price)
    bench.do(account, ResetAccount(cash=cash))
    bench.go("2026-08-05 12:00")
    bench.do(account, Deposit(amount="50000"))
    bench.quote("BBB", 200)
    bench.order(account, "buy", "100", "BBB")
    bench.go("2026-08-05 13:00")
    bench.quote("BBB", 210)
    bench.go("2026-08-05 14:00")
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    store.append(GroupCutter(bench.engine, store.head()).cut())
    store.project(project, 10)
    store.close()
    async with History.open(tmp_path) as history:
        records = Records(history, bench.engine.world, CALENDAR, Bars())
        performance = await records.performance(now_of(bench), r.Performance(account="n1"))
        daily = await records.portfolio(
            now_of(bench), r.PortfolioHistory(account="n1", period="1W", timeframe="1D", cashflow_types="ALL")
        )
    assert (performance["trades"], performance["base_value"], performance["start"]) == (0, cash, "2026-08-05")
    assert performance["net_deposits"] == "50000"
    assert float(performance["return"]) == pytest.approx(1_000 / (float(cash) + 50_000), rel=0.02)
    assert float(performance["max_drawdown"]) < 0.001
    # Over all the days: what the first shares did before the reset, and a thousand since.
    first = (price - 100) * 100
    assert daily["profit_loss"][-2:] == pytest.approx([first, first + 1_000], abs=10)
    assert sum(sum(flows) for flows in daily["cashflow"].values()) == pytest.approx(
        150_000 + float(cash) - 90_000, abs=10
    )


def test_accrued_fees_and_interest_are_shown_apart_and_equity_counts_each_once() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "1500")
    bench.go("2026-08-06 11:00")
    bench.quote("AAA", 100)
    bench.order(account, "sell", "1000")
    shown = render_account(bench.book(account), "n1", "pro", bench.engine.world)
    assert shown["accrued_fees"] == "2.27"
    assert float(shown["accrued_interest"]) == pytest.approx(2 * 50_000 * 0.065 / 360, abs=1e-4)
    parts = {
        name: Decimal(shown[name]) for name in ("cash", "position_market_value", "accrued_fees", "accrued_interest")
    }
    owed = parts["accrued_fees"] + parts["accrued_interest"]
    assert Decimal(shown["equity"]) == parts["cash"] + parts["position_market_value"] - owed


@pytest.mark.anyio
@pytest.mark.parametrize("reset", ["per_day", "no_reset"])
@pytest.mark.parametrize(
    ("period", "timeframe"), [("1W", "1D"), ("1W", "15Min"), ("1W", "1H"), ("1D", "1Min"), ("1M", None)]
)
async def test_profit_of_a_young_account_is_relative_to_what_it_was_opened_with(
    tmp_path: Path, period: str, timeframe: Any, reset: Any
) -> None:
    bench = Bench("2026-08-03 15:20")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "100")
    bench.go("2026-08-03 15:40")
    bench.quote("AAA", 110)
    store = SqliteStore.open(tmp_path, ballast_bytes=0)
    store.append(GroupCutter(bench.engine, store.head()).cut())
    store.project(project, 10)
    store.close()
    async with History.open(tmp_path) as history:
        records = Records(history, bench.engine.world, CALENDAR, Bars())
        got = await records.portfolio(
            now_of(bench),
            r.PortfolioHistory(
                account="n1", period=period, timeframe=timeframe, pnl_reset=reset, cashflow_types="ALL"
            ),
        )
    assert (got["base_value"], got["base_value_asof"]) == (100_000, "2026-08-03")
    assert got["equity"][-1] == pytest.approx(101_000, abs=1)
    assert got["profit_loss"][-1] == pytest.approx(1_000, abs=1)
    for profit, share in zip(got["profit_loss"], got["profit_loss_pct"], strict=True):
        assert share == pytest.approx(profit / got["base_value"], abs=1e-6)
    assert sum(sum(flows) for flows in got["cashflow"].values()) == 100_000
