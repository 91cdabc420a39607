"""Assets, contracts, calendar and clock as programs written for Alpaca read them (alpaca-api §4.7, §4.8)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading import requests as rq
from alpaca.trading.client import TradingClient
from alpaca.trading.models import OptionContract

from mbtd.market.calendar import NEW_YORK
from tests.gateway.running import User, eventually, serving

RECORDINGS = Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
HALF_DAY = RECORDINGS / "20151224-goog-options.ndjson.gz"
RECORDED = RECORDINGS / "20230803-spy-options.ndjson.gz"
WEEKS = rq.GetCalendarRequest(start=date(2026, 10, 26), end=date(2027, 1, 3))


# ── assets ───────────────────────────────────────────────────────────────────────────────────────────────


def symbols(trading: TradingClient, **given: str) -> set[str]:
    return {asset.symbol for asset in trading.get_all_assets(rq.GetAssetsRequest(**given))}


def optionable(trading: TradingClient) -> set[str]:
    """Stocks with contracts that can be traded, by the list of contracts itself."""
    first = rq.GetOptionContractsRequest(limit=10_000, expiration_date_gte=date(2020, 1, 1))
    stocks = {asset.symbol for asset in trading.get_all_assets()}
    return stocks & {contract.underlying_symbol for contract in trading.get_option_contracts(first).option_contracts}


@pytest.mark.parametrize("word", ["has_options", "options_enabled", "ipo,has_options", "has_options, ipo"])
def test_stocks_with_contracts_are_found_by_attribute(trading: TradingClient, word: str) -> None:
    found = symbols(trading, attributes=word)
    assert found == optionable(trading)
    assert {"AAPL", "SPY"} <= found < symbols(trading)


def test_attributes_say_what_is_so(trading: TradingClient) -> None:
    always = ["fractional_eh_enabled", "overnight_tradable"]
    assert trading.get_asset("SPY").attributes == [always[0], "has_options", "options_late_close", always[1]]
    assert trading.get_asset("AAPL").attributes == [always[0], "has_options", always[1]]
    assert trading.get_asset("KO").attributes == always
    assert symbols(trading, attributes="options_late_close") == {"SPY", "QQQ", "IWM"}
    assert symbols(trading, attributes="ptp_no_exception,overnight_halted") == set()
    assert symbols(trading, attributes="has_options", exchange="ARCA", status="active") == {"SPY", "IWM"}


def test_assets_say_what_margin_they_ask(trading: TradingClient) -> None:
    for symbol, long, short in (("AAPL", "30", "30"), ("TQQQ", "75", "90")):
        raw = trading.get(f"/assets/{symbol}")
        assert (raw["margin_requirement_long"], raw["margin_requirement_short"]) == (long, short)
        assert trading.get_asset(symbol).maintenance_margin_requirement == float(long)


def test_a_watchlists_assets_are_marked_too(trading: TradingClient) -> None:
    made = trading.create_watchlist(rq.CreateWatchlistRequest(name="marked", symbols=["AAPL"]))
    assert made.assets == [trading.get_asset("AAPL")]
    trading.delete_watchlist_by_id(made.id)


# ── contracts ────────────────────────────────────────────────────────────────────────────────────────────


def chain(trading: TradingClient, underlying: str, **more: Any) -> list[OptionContract]:
    """All contracts on one underlying that are not new since today."""
    given = {"limit": 10_000, "expiration_date_gte": date(2020, 1, 1), **more}
    listed = trading.get_option_contracts(rq.GetOptionContractsRequest(underlying_symbols=[underlying], **given))
    found = [contract for contract in listed.option_contracts if contract.open_interest_date is not None]
    assert 2 * len(found) > len(listed.option_contracts)
    return found


def test_programs_find_contracts_by_open_interest(trading: TradingClient) -> None:
    yesterday = trading.get_clock().next_close.date() - timedelta(days=1)
    contracts = chain(trading, "AAPL")
    assert {(c.open_interest_date, c.close_price_date) for c in contracts} == {(yesterday, yesterday)}
    assert all(int(c.open_interest) >= 0 and float(c.close_price) >= 0.01 for c in contracts)
    wheel = [c for c in contracts if c.type == "put" and int(c.open_interest) > 500 and float(c.close_price) > 0.5]
    assert wheel


def test_a_contract_is_the_same_in_the_list_and_by_itself(trading: TradingClient) -> None:
    listed = {contract.symbol: contract for contract in chain(trading, "SPX", type="call")}
    for contract in list(listed.values())[:: len(listed) // 5]:
        assert trading.get_option_contract(contract.symbol) == trading.get_option_contract(contract.id) == contract


def test_deliverables_are_shown_where_they_are_asked_for(trading: TradingClient) -> None:
    asked = {"underlying_symbols": "AAPL", "limit": 2}
    plain = trading.get("/options/contracts", asked)["option_contracts"]
    assert all("deliverables" not in contract for contract in plain)
    shown = trading.get("/options/contracts", {**asked, "show_deliverables": "true"})["option_contracts"]
    apple = trading.get_asset("AAPL")
    for contract in (*shown, trading.get(f"/options/contracts/{shown[0]['symbol']}")):
        assert contract["deliverables"] == [
            {
                "type": "equity",
                "symbol": "AAPL",
                "asset_id": str(apple.id),
                "amount": "100",
                "allocation_percentage": "100",
                "settlement_type": "T+1",
                "settlement_method": "CCC",
                "delayed_settlement": False,
            }
        ]
    index = trading.get("/options/contracts", {"underlying_symbols": "SPX", "show_deliverables": "true", "limit": 1})
    assert index["option_contracts"][0]["deliverables"] == []


def test_the_penny_programme_is_a_filter(trading: TradingClient) -> None:
    asked = {"underlying_symbols": "AAPL,SPX", "expiration_date_gte": "2020-01-01", "limit": 700}
    whole = trading.get("/options/contracts", {**asked, "limit": 10_000})["option_contracts"]
    found = []
    for ppind in ("true", "false"):
        token: str | None = None
        while True:
            more = {"page_token": token} if token else {}
            page = trading.get("/options/contracts", {**asked, "ppind": ppind, **more})
            assert {contract["ppind"] for contract in page["option_contracts"]} == {ppind == "true"}
            found += [contract["symbol"] for contract in page["option_contracts"]]
            if (token := page["next_page_token"]) is None:
                break
    assert len(found) == len(set(found))
    assert set(found) == {contract["symbol"] for contract in whole}


# ── calendar and clock of a market that never closes ─────────────────────────────────────────────────────


def test_every_date_opens_before_it_closes(trading: TradingClient) -> None:
    days = trading.get_calendar(WEEKS)
    assert [day.date for day in days] == [date(2026, 10, 26) + timedelta(days=n) for n in range(70)]
    assert {day.close - day.open for day in days} == {timedelta(hours=6, minutes=30)}
    assert all(day.open.date() == day.date == day.close.date() for day in days)
    raw = trading.get("/calendar", {"start": "2026-11-28", "end": "2026-11-28"})
    assert (raw[0]["session_open"], raw[0]["session_close"]) == ("0000", "2359")


def test_clock_and_calendar_tell_the_same_hours(trading: TradingClient) -> None:
    clock = trading.get_clock()
    assert clock.is_open
    assert clock.timestamp < clock.next_close < clock.next_open
    today = clock.timestamp.astimezone(NEW_YORK).date()
    days = trading.get_calendar(rq.GetCalendarRequest(start=today, end=today + timedelta(days=3)))
    hours = [(day.open.replace(tzinfo=NEW_YORK), day.close.replace(tzinfo=NEW_YORK)) for day in days]
    assert clock.next_close == next(closes for _, closes in hours if closes > clock.timestamp)
    assert clock.next_open == next(opens for opens, _ in hours if opens > clock.next_close)


def test_contracts_expire_on_dates_of_the_calendar_at_its_close(trading: TradingClient) -> None:
    listed = trading.get_option_contracts(rq.GetOptionContractsRequest(underlying_symbols=["SPY"], limit=500))
    clock = trading.get_clock()
    for expires in {contract.expiration_date for contract in listed.option_contracts}:
        (day,) = trading.get_calendar(rq.GetCalendarRequest(start=expires, end=expires))
        assert day.close.replace(tzinfo=NEW_YORK) >= clock.next_close


@pytest.mark.parametrize(
    ("asked", "dates"),
    [
        ("start=1960-01-01&end=1995-01-01", []),
        ("start=2036-01-01&end=2040-01-01", []),
        ("start=2035-12-31&end=2040-01-01", ["2035-12-31"]),
        ("end=2000-01-02", ["2000-01-01", "2000-01-02"]),
        ("start=2026-11-28&end=2026-11-28&date_type=TRADING", ["2026-11-28"]),
        ("start=2026-11-30&end=2026-11-30&date_type=SETTLEMENT", ["2026-11-27", "2026-11-28", "2026-11-29"]),
        ("start=2026-11-28&end=2026-11-29&date_type=SETTLEMENT", []),
        ("start=2026-10-13&end=2026-10-13&date_type=SETTLEMENT",
         ["2026-10-09", "2026-10-10", "2026-10-11", "2026-10-12"]),
        ("start=2000-01-04&end=2000-01-04&date_type=SETTLEMENT", ["1999-12-30"]),
    ],
)  # fmt: skip
def test_a_calendar_has_the_days_that_are_asked_for(user: User, asked: str, dates: list[str]) -> None:
    answer = user.ask("GET", f"/v2/calendar?{asked}")
    assert (answer.status_code, [day["date"] for day in answer.json()]) == (200, dates)


# ── a recorded day ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not here")
def test_a_recording_makes_nothing_up(tmp_path: Path) -> None:
    flags = ("--feed", "replay", "--recording", str(RECORDED), "--speed", "1")
    with serving(tmp_path / "state", *flags) as running:
        trading = running.open("recorded").trading()
        assert trading.get_clock().timestamp.date() == date(2023, 8, 3)
        assert trading.get_asset("SPY").attributes == ["has_options", "options_late_close"]
        assert symbols(trading, attributes="options_enabled") == {"SPY"}
        asked = rq.GetOptionContractsRequest(underlying_symbols=["SPY"], expiration_date_gte=date(2023, 8, 3))
        listed = trading.get_option_contracts(asked)
        assert listed.option_contracts
        for contract in listed.option_contracts:
            figures = (contract.open_interest, contract.close_price, contract.close_price_date)
            assert (*figures, contract.open_interest_date) == (None,) * 4
        one = trading.get(f"/options/contracts/{listed.option_contracts[0].symbol}")
        assert [part["asset_id"] for part in one["deliverables"]] == [str(trading.get_asset("SPY").id)]


@pytest.mark.skipif(not HALF_DAY.exists(), reason="the recordings are not here")
def test_contracts_are_over_with_their_last_close_everywhere(tmp_path: Path) -> None:
    flags = ("--feed", "replay", "--recording", str(HALF_DAY), "--speed", "20000")
    with serving(tmp_path / "state", *flags) as running:
        trading = running.open("christmas").trading()
        ended = datetime(2015, 12, 24, 13, tzinfo=NEW_YORK)
        eventually(lambda: trading.get_clock().timestamp >= ended, "the close")
        for symbol, status in (("GOOG151224C00750000", "inactive"), ("GOOG151231C00750000", "active")):
            asset, contract = trading.get_asset(symbol), trading.get_option_contract(symbol)
            assert (
                (asset.status, asset.tradable) == (contract.status, contract.tradable) == (status, status == "active")
            )
            of_status = {"underlying_symbols": "GOOG", "expiration_date_gte": "2015-12-24", "status": status}
            found = trading.get("/options/contracts", {**of_status, "limit": 1_000})["option_contracts"]
            assert symbol in {contract["symbol"] for contract in found}


# ── the exchange's own days ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user of a market that keeps the exchange's hours."""
    environ = {"MBTD_MARKET__SYNTHETIC__SESSION": "xnys"}
    with serving(tmp_path_factory.mktemp("exchange") / "state", **environ) as running:
        yield running.open("exchange")


def test_the_exchanges_days(exchange: User) -> None:
    days = exchange.trading().get("/calendar", {"start": "2026-11-25", "end": "2026-11-30"})
    usual = {"open": "09:30", "session_open": "0400"}
    assert days == [
        {"date": "2026-11-25", **usual, "close": "16:00", "session_close": "2000", "settlement_date": "2026-11-27"},
        {"date": "2026-11-27", **usual, "close": "13:00", "session_close": "1700", "settlement_date": "2026-11-30"},
        {"date": "2026-11-30", **usual, "close": "16:00", "session_close": "2000", "settlement_date": "2026-12-01"},
    ]


@pytest.mark.parametrize(
    ("day", "settles"),
    [("2026-10-09", "2026-10-13"), ("2024-05-24", "2024-05-29"), ("2024-05-28", "2024-05-29"),
     ("2018-01-03", "2018-01-05"), ("2026-11-10", "2026-11-12")],
)  # fmt: skip
def test_settlement_dates_are_those_by_which_trades_are_booked(exchange: User, day: str, settles: str) -> None:
    (found,) = exchange.trading().get("/calendar", {"start": day, "end": day})
    assert found["settlement_date"] == settles


def test_weekends_and_holidays_have_no_day(exchange: User) -> None:
    trading = exchange.trading()
    for start, end in (("2026-11-28", "2026-11-29"), ("2026-11-26", "2026-11-26")):
        assert trading.get("/calendar", {"start": start, "end": end}) == []
    clock = trading.get_clock()
    assert clock.timestamp < clock.next_close
    assert clock.is_open == (clock.next_close < clock.next_open)
