"""alpaca-py's historical clients for stocks and options, unmodified (alpaca-api §5)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from alpaca.data import requests as rq
from alpaca.data.enums import DataFeed
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.requests import GetOptionContractsRequest

from tests.gateway.running import Served, User, eventually

PAIR = ["AAPL", "SPY"]


@pytest.fixture(scope="module")
def stocks(user: User) -> StockHistoricalDataClient:
    return StockHistoricalDataClient(user.key, user.secret, url_override=user.served.url)


@pytest.fixture(scope="module")
def options(user: User) -> OptionHistoricalDataClient:
    return OptionHistoricalDataClient(user.key, user.secret, url_override=user.served.url)


@pytest.fixture(scope="module")
def contracts(user: User) -> list[str]:
    """Contracts near the market that are quoted."""
    listed = user.trading().get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["SPY"], strike_price_gte="655", strike_price_lte="675", limit=20
        )
    )
    return [contract.symbol for contract in listed.option_contracts]


@pytest.mark.parametrize("feed", [None, DataFeed.IEX, DataFeed.SIP, DataFeed.DELAYED_SIP])
def test_newest_quotes(stocks: StockHistoricalDataClient, feed: DataFeed | None) -> None:
    found = stocks.get_stock_latest_quote(rq.StockLatestQuoteRequest(symbol_or_symbols=PAIR, feed=feed))
    for symbol in PAIR:
        assert 0 < found[symbol].bid_price < found[symbol].ask_price
        assert datetime.now(timezone.utc) - found[symbol].timestamp < timedelta(seconds=30)


def test_newest_prints(stocks: StockHistoricalDataClient) -> None:
    found = stocks.get_stock_latest_trade(rq.StockLatestTradeRequest(symbol_or_symbols=PAIR))
    assert all(found[symbol].price > 0 and found[symbol].size > 0 for symbol in PAIR)


def test_newest_bars(stocks: StockHistoricalDataClient) -> None:
    found = stocks.get_stock_latest_bar(rq.StockLatestBarRequest(symbol_or_symbols=PAIR))
    assert all(found[symbol].low <= found[symbol].close <= found[symbol].high for symbol in PAIR)


def test_snapshots(stocks: StockHistoricalDataClient) -> None:
    found = stocks.get_stock_snapshot(rq.StockSnapshotRequest(symbol_or_symbols=PAIR))
    for symbol in PAIR:
        assert found[symbol].latest_quote is not None
        assert found[symbol].minute_bar is not None
        assert found[symbol].daily_bar is not None


@pytest.mark.parametrize(
    "frame",
    [
        TimeFrame.Minute,
        TimeFrame(5, TimeFrameUnit.Minute),
        TimeFrame(15, TimeFrameUnit.Minute),
        TimeFrame.Hour,
        TimeFrame.Day,
        TimeFrame.Week,
        TimeFrame.Month,
    ],
    ids=str,
)
def test_bars(stocks: StockHistoricalDataClient, frame: TimeFrame) -> None:
    start = datetime.now(timezone.utc) - timedelta(days=40)
    found = stocks.get_stock_bars(rq.StockBarsRequest(symbol_or_symbols=PAIR, timeframe=frame, start=start))
    for symbol in PAIR:
        bars = found[symbol]
        assert bars
        assert [bar.timestamp for bar in bars] == sorted(bar.timestamp for bar in bars)
        assert all(bar.low <= bar.vwap <= bar.high or bar.trade_count > 1 for bar in bars)


def test_a_coarser_bar_is_the_sum_of_the_finer_ones(stocks: StockHistoricalDataClient) -> None:
    end = datetime.now(timezone.utc)

    def volumes(frame: TimeFrame) -> float:
        request = rq.StockBarsRequest(symbol_or_symbols="SPY", timeframe=frame, end=end)
        return sum(bar.volume for bar in stocks.get_stock_bars(request)["SPY"])

    eventually(lambda: volumes(TimeFrame.Hour) - volumes(TimeFrame.Minute) == 0, "one sum")


def test_past_quotes_and_prints(stocks: StockHistoricalDataClient) -> None:
    start = datetime.now(timezone.utc) - timedelta(minutes=5)
    quotes = stocks.get_stock_quotes(rq.StockQuotesRequest(symbol_or_symbols="AAPL", start=start)).data["AAPL"]
    assert len(quotes) > 5
    assert [quote.timestamp for quote in quotes] == sorted(quote.timestamp for quote in quotes)
    trades = stocks.get_stock_trades(rq.StockTradesRequest(symbol_or_symbols="AAPL", start=start)).data["AAPL"]
    assert trades
    latest = stocks.get_stock_latest_trade(rq.StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert latest.timestamp >= trades[-1].timestamp


def test_past_quotes_come_by_pages_without_a_gap(stocks: StockHistoricalDataClient) -> None:
    end = datetime.now(timezone.utc)
    start = end - timedelta(minutes=5)

    def newest() -> datetime:
        return stocks.get_stock_latest_quote(rq.StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"].timestamp

    # Then everything stamped up to the end is on the tape.
    eventually(lambda: newest() > end, "a later quote")
    request = rq.StockQuotesRequest(symbol_or_symbols="AAPL", start=start, end=end)
    whole = eventually(lambda: stocks.get_stock_quotes(request).data.get("AAPL"), "quotes")
    pages: list[Any] = []
    token = None
    while True:
        page = stocks.get(
            "/stocks/quotes",
            {"symbols": "AAPL", "start": start.isoformat(), "end": end.isoformat(), "limit": 7, "page_token": token},
        )
        pages += page["quotes"].get("AAPL", [])
        token = page["next_page_token"]
        if token is None:
            break
    assert len(pages) == len(whole)
    assert [row["bp"] for row in pages] == [quote.bid_price for quote in whole]


def test_a_limit_is_kept(stocks: StockHistoricalDataClient) -> None:
    request = rq.StockQuotesRequest(
        symbol_or_symbols="AAPL", start=datetime.now(timezone.utc) - timedelta(minutes=5), limit=3
    )
    assert len(stocks.get_stock_quotes(request).data["AAPL"]) == 3


@pytest.mark.parametrize("path", ["quotes/latest", "trades/latest", "bars/latest", "snapshot"])
def test_one_symbol_in_the_path(user: User, path: str) -> None:
    answer = user.ask("GET", f"/v2/stocks/AAPL/{path}")
    assert answer.status_code == 200
    assert answer.json().get("symbol", "AAPL") == "AAPL"


def test_options(options: OptionHistoricalDataClient, contracts: list[str]) -> None:
    request = rq.OptionLatestQuoteRequest(symbol_or_symbols=contracts)
    quotes = eventually(lambda: options.get_option_latest_quote(request), "an option's quote")
    for symbol, quote in quotes.items():
        assert symbol in contracts
        assert quote.bid_price <= quote.ask_price
    assert set(options.get_option_snapshot(rq.OptionSnapshotRequest(symbol_or_symbols=contracts))) == set(contracts)
    options.get_option_latest_trade(rq.OptionLatestTradeRequest(symbol_or_symbols=contracts))
    assert "N" in options.get_option_exchange_codes()


def _fits(snapshot: Any, spot: float) -> bool:
    """Whether what the model says of one contract is of the right kind."""
    greeks, call = snapshot.greeks, snapshot.symbol[-9] == "C"
    return (
        0.01 < snapshot.implied_volatility < 3
        and (0 <= greeks.delta <= 1 if call else -1 <= greeks.delta <= 0)
        and greeks.gamma >= 0
        and greeks.vega >= 0
        and (greeks.rho >= 0) == call
        and greeks.theta < 0.01 * spot
    )


def test_option_snapshots_have_volatility_and_greeks(
    options: OptionHistoricalDataClient, stocks: StockHistoricalDataClient, contracts: list[str]
) -> None:
    request = rq.OptionSnapshotRequest(symbol_or_symbols=contracts)

    def look() -> Any:
        found = options.get_option_snapshot(request)
        return found if sum(each.greeks is not None for each in found.values()) > 10 else None

    shown = eventually(look, "Greeks")
    spot = stocks.get_stock_latest_trade(rq.StockLatestTradeRequest(symbol_or_symbols="SPY"))["SPY"].price
    for snapshot in shown.values():
        assert (snapshot.greeks is None) == (snapshot.implied_volatility is None)
        assert snapshot.greeks is None or _fits(snapshot, spot)


def test_a_chain_of_many_pages_has_volatility_and_greeks(
    options: OptionHistoricalDataClient, stocks: StockHistoricalDataClient
) -> None:
    spot = stocks.get_stock_latest_trade(rq.StockLatestTradeRequest(symbol_or_symbols="SPY"))["SPY"].price
    near = {"strike_price_gte": round(spot * 0.98), "strike_price_lte": round(spot * 1.02)}
    found = options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPY", **near))
    alone = options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPY", type="put", **near))
    with_greeks = [each for each in found.values() if each.greeks is not None]
    assert len(with_greeks) > len(found) / 2
    assert all(_fits(each, spot) for each in with_greeks)
    for symbol, each in alone.items():
        if each.greeks is not None and found[symbol].greeks is not None:
            # The page that a contract is on changes nothing but the moment.
            assert each.implied_volatility == pytest.approx(found[symbol].implied_volatility, rel=0.2)


def test_an_index_option_is_computed_on_its_forward(options: OptionHistoricalDataClient, user: User) -> None:
    """Calls and puts of one strike agree on the volatility, though a page has only one of them."""
    strike = {"strike_price_gte": 6_000.0, "strike_price_lte": 7_300.0, "root_symbol": "SPX"}

    def look() -> list[tuple[float, float]]:
        calls, puts = (
            options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPX", type=right, **strike))
            for right in ("call", "put")
        )
        found = []
        for symbol, call in calls.items():
            put = puts[f"{symbol[:-9]}P{symbol[-8:]}"]
            if call.greeks and put.greeks and 0.4 < call.greeks.delta < 0.6:
                found.append((call.implied_volatility, put.implied_volatility))
        return found

    for call, put in eventually(look, "calls and puts near the money"):
        assert call == pytest.approx(put, rel=0.05)


def test_a_free_user_has_what_the_delayed_quotes_say(served: Served) -> None:
    late = served.open("late greeks", tier="free")
    client = OptionHistoricalDataClient(late.key, late.secret, url_override=served.url)
    request = rq.OptionChainRequest(underlying_symbol="SPY", strike_price_gte=640, strike_price_lte=690)
    found = eventually(
        lambda: [each for each in client.get_option_chain(request).values() if each.greeks], "late Greeks"
    )
    assert all(each.latest_quote.timestamp <= datetime.now(timezone.utc) - timedelta(seconds=2) for each in found)
    assert all(_fits(each, 665) for each in found)


def test_an_option_chain_is_whole(options: OptionHistoricalDataClient, user: User) -> None:
    chain = options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPY", type="call"))
    listed = user.trading().get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["SPY"], type="call", expiration_date_gte="2020-01-01", limit=10_000
        )
    )
    assert set(chain) == {contract.symbol for contract in listed.option_contracts}


@pytest.mark.parametrize(
    "given",
    [
        {"strike_price_gte": 650.0, "strike_price_lte": 670.0},
        {"strike_price_gte": 665 * 0.987654321, "strike_price_lte": 665 * 1.012345678},
        {"type": "put"},
        {"root_symbol": "SPY"},
    ],
    ids=str,
)
def test_an_option_chain_is_filtered(options: OptionHistoricalDataClient, given: dict[str, Any]) -> None:
    everything = options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPY"))
    some = options.get_option_chain(rq.OptionChainRequest(underlying_symbol="SPY", **given))
    assert set(some) <= set(everything)
    assert some
    strikes = [int(symbol[-8:]) / 1000 for symbol in some]
    assert all(given.get("strike_price_gte", 0) <= strike <= given.get("strike_price_lte", 1e9) for strike in strikes)
    assert given.get("type") != "put" or {symbol[-9] for symbol in some} == {"P"}


def test_option_bars_and_prints(options: OptionHistoricalDataClient, contracts: list[str]) -> None:
    start = datetime.now(timezone.utc) - timedelta(minutes=5)
    bars = rq.OptionBarsRequest(symbol_or_symbols=contracts, timeframe=TimeFrame.Minute, start=start)
    trades = rq.OptionTradesRequest(symbol_or_symbols=contracts, start=start)
    assert set(options.get_option_bars(bars).data) == set(options.get_option_trades(trades).data)


def test_corporate_actions(user: User) -> None:
    client = CorporateActionsClient(user.key, user.secret, url_override=user.served.url)
    found = client.get_corporate_actions(rq.CorporateActionsRequest(symbols=["AAPL"]))
    assert found.data == {}


# ── what a tier may see ──────────────────────────────────────────────────────────────────────────────────


def quote_age(user: User) -> timedelta:
    client = StockHistoricalDataClient(user.key, user.secret, url_override=user.served.url)
    found = client.get_stock_latest_quote(rq.StockLatestQuoteRequest(symbol_or_symbols="SPY"))
    return datetime.now(timezone.utc) - found["SPY"].timestamp


def test_free_is_served_the_delayed_lane_and_pro_the_present_one(served: Served) -> None:
    free, pro = served.open("late", tier="free"), served.open("prompt", tier="pro")
    assert quote_age(free) >= timedelta(seconds=2)
    assert quote_age(pro) < timedelta(seconds=2)


def test_nothing_late_is_early_in_any_form(served: Served) -> None:
    free = served.open("careful", tier="free")
    client = StockHistoricalDataClient(free.key, free.secret, url_override=served.url)
    start = datetime.now(timezone.utc) - timedelta(minutes=5)
    quotes = client.get_stock_quotes(rq.StockQuotesRequest(symbol_or_symbols="SPY", start=start)).data["SPY"]
    trades = client.get_stock_trades(rq.StockTradesRequest(symbol_or_symbols="SPY", start=start)).data["SPY"]
    horizon = datetime.now(timezone.utc) - timedelta(seconds=2)
    assert max(row.timestamp for row in (*quotes, *trades)) <= horizon
    snapshot = client.get_stock_snapshot(rq.StockSnapshotRequest(symbol_or_symbols="SPY"))["SPY"]
    assert snapshot.latest_trade.timestamp <= datetime.now(timezone.utc) - timedelta(seconds=2)
    late = client.get_stock_bars(rq.StockBarsRequest(symbol_or_symbols="SPY", timeframe=TimeFrame.Day))["SPY"][-1]
    pro = served.open("reckless", tier="pro")
    prompt = StockHistoricalDataClient(pro.key, pro.secret, url_override=served.url)
    now = prompt.get_stock_bars(rq.StockBarsRequest(symbol_or_symbols="SPY", timeframe=TimeFrame.Day))["SPY"][-1]
    assert late.volume < now.volume


def test_a_change_of_tier_is_in_force_at_once(served: Served) -> None:
    user = served.open("changing", tier="free", user_id="changing-user")
    assert quote_age(user) >= timedelta(seconds=2)
    served.call("user.set_tier", user_id="changing-user", tier="pro")
    assert quote_age(user) < timedelta(seconds=2)
    assert user.ask("GET", "/api/sessions/current").json()["lane"] == "real_time"
    served.call("user.set_tier", user_id="changing-user", tier="free")
    assert quote_age(user) >= timedelta(seconds=2)


def test_the_archive_is_for_whoever_has_it(served: Served) -> None:
    path = "/v2/stocks/quotes?symbols=SPY&start=2026-01-02"
    refused = served.open("no archive", tier="pro").ask("GET", path)
    assert (refused.status_code, refused.json()["code"]) == (403, 40310000)
    assert served.open("archive", tier="pro_plus").ask("GET", path).status_code == 200


def test_the_socket_serves_the_same_lanes(served: Served) -> None:
    late = served.open("socket late", tier="free")
    assert served.call("quote.get", symbol="SPY", account=late.name)["lane"] == "delayed"
    assert served.call("quote.get", symbol="SPY")["lane"] == "real_time"
