"""What an underlying is to the margin of its uncovered contracts (margin-and-options §3.2)."""

from __future__ import annotations

import pytest

from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.book.view import figures
from actors.engine import Engine
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import TradeDays
from tests.money.rig import CALENDAR, DOLLAR, QUICK, SECOND, Bench


@pytest.mark.parametrize(
    ("root", "asset_class", "part"),
    [
        ("SPY", "us_equity", 15),
        ("QQQ", "us_equity", 15),
        ("IWM", "us_equity", 15),
        ("DIA", "us_equity", 15),
        ("XYZ", "us_equity", 20),
        ("XSP", "us_index", 15),
        ("VIX", "us_index", 20),
    ],
)
def test_an_uncovered_put_asks_by_the_class_of_its_underlying(root: str, asset_class: str, part: int) -> None:
    bench = Bench("2026-11-23 10:00")
    put = instrument_of(f"{root}261216P00100000", CALENDAR)
    under = Instrument(
        "00000000-0000-8000-a000-00000000000a", root, asset_class=asset_class, previous_close=1_000_000
    )  # type: ignore[arg-type]
    bench.engine = Engine(b"r" * 32, Profiles(QUICK), instruments=(under, put), days=TradeDays(CALENDAR))
    bench.engine.tape(CALENDAR.session_at(bench.now))
    account = bench.account("50000")
    bench.engine.books[account].options_level = 4
    bench.quote(root, 100)
    bench.quote(put.symbol, 2)
    bench.order(account, "sell", "1", put.symbol)
    bench.now += SECOND
    bench.engine.run_timers_through(bench.now)
    assert bench.book(account).positions[put.symbol].qty < 0
    f = figures(bench.book(account), bench.engine.world)
    assert f.maintenance_money == (part * 100 + 200) * DOLLAR
