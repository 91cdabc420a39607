"""The SDK on a recorded market day: the market's time is the tape's, the programs are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.requests import MarketOrderRequest

from tests.gateway.running import Served, User, eventually, serving
from tests.gateway.test_data_streams import Heard, handler, running
from tests.gateway.test_trading_client import status_of
from tests.service.running import until

RECORDINGS = Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
DAY = RECORDINGS / "20131007-equities.ndjson.gz"
SYMBOL = "SPY"
pytestmark = pytest.mark.skipif(not DAY.exists(), reason="the recordings are not here")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    flags = ("--feed", "replay", "--recording", str(DAY), "--speed", "5000")
    with serving(tmp_path_factory.mktemp("replay") / "state", *flags) as served:
        yield served


@pytest.fixture(scope="module")
def trader(replayed: Served) -> User:
    user = replayed.open("replayed")
    eventually(lambda: user.trading().get_clock().is_open, "the opening")
    return user


def test_the_clock_is_the_tapes(trader: User) -> None:
    assert trader.trading().get_clock().timestamp.date() == date(2013, 10, 7)


def test_an_order_fills_on_the_tape(trader: User) -> None:
    trading = trader.trading()
    order = trading.submit_order(MarketOrderRequest(symbol=SYMBOL, qty=3, side="buy", time_in_force="day"))
    done = status_of(trading, order, "filled")
    assert done.filled_at is not None
    assert done.filled_at.date() == date(2013, 10, 7)
    assert 160 < float(done.filled_avg_price or 0) < 175


def test_data_of_the_day(trader: User) -> None:
    data = StockHistoricalDataClient(trader.key, trader.secret, url_override=trader.served.url)
    quote = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=SYMBOL))[SYMBOL]
    assert quote.timestamp.date() == date(2013, 10, 7)
    bars = data.get_stock_bars(StockBarsRequest(symbol_or_symbols=SYMBOL, timeframe=TimeFrame.Minute))[SYMBOL]
    assert {bar.timestamp.date() for bar in bars} == {date(2013, 10, 7)}


def test_minute_bars_are_streamed(trader: User) -> None:
    stream = StockDataStream(trader.key, trader.secret, url_override=f"{trader.served.ws}/v2/sip")
    bars = Heard()
    stream.subscribe_bars(handler(bars), SYMBOL)
    with running(stream):
        until(lambda: len(bars.all) > 3, "bars")
    stamps = [bar.timestamp for bar in bars.all]
    assert stamps == sorted(set(stamps))
    assert all(bar.low <= bar.close <= bar.high for bar in bars.all)
