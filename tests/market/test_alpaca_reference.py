"""Reference data over real HTTP, through alpaca-py, with a cache that outlives failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from typing import Any

import pytest

from actors.book.instruments import Deliverable, Instrument
from mbtd.feeds import calendar_problems
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.alpaca_reference import AlpacaReference, ReferenceUnavailable, TradingDay, Wishes, close_before
from mbtd.market.calendar import NEW_YORK, Calendar
from tests.standin.alpaca_server import KEY, SECRET, AlpacaRestStandIn

pytestmark = pytest.mark.anyio
EQUITY = {"type": "equity", "symbol": "AAPL", "amount": "100"}
ASSET = {
    "id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "class": "us_equity",
    "exchange": "NASDAQ",
    "symbol": "AAPL",
    "name": "Apple Inc.",
    "status": "active",
    "tradable": True,
    "marginable": True,
    "shortable": True,
    "easy_to_borrow": False,
    "fractionable": True,
}
CONTRACT = {
    "id": "6e58f870-fe73-4583-81e4-b9a37892c36f",
    "symbol": "AAPL261218C00150000",
    "name": "AAPL Dec 18 2026 150 Call",
    "status": "active",
    "tradable": True,
    "expiration_date": "2026-12-18",
    "root_symbol": "AAPL",
    "underlying_symbol": "AAPL",
    "type": "call",
    "style": "american",
    "strike_price": "150",
    "multiplier": "100",
    "size": "100",
    "close_price": "3.15",
    "close_price_date": "2026-11-20",
    "open_interest": "77",
    "open_interest_date": "2026-11-19",
    "ppind": True,
    "deliverables": [EQUITY],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[AlpacaRestStandIn]:
    with AlpacaRestStandIn() as running:
        yield running


@pytest.fixture
def reference(server: AlpacaRestStandIn) -> AlpacaReference:
    return AlpacaReference(AlpacaCredentials(KEY, SECRET), trading_url=server.url, data_url=server.url, timeout_s=20)


async def test_assets_become_instruments_and_unreadable_rows_are_counted(
    server: AlpacaRestStandIn, reference: AlpacaReference
) -> None:
    crypto = {**ASSET, "class": "crypto", "symbol": "BTC/USD"}
    server.assets = [
        {**ASSET, "symbol": "ZZZ", "exchange": "A_NEW_ONE", "status": "inactive"},
        ASSET,
        crypto,
        {"symbol": "X"},
    ]
    answer = await reference.assets()
    assert answer.skipped == 2
    assert [(i.symbol, i.exchange, i.active) for i in answer.value] == [
        ("AAPL", "NASDAQ", True),
        ("ZZZ", "A_NEW_ONE", False),
    ]
    assert answer.value[0] == Instrument(
        str(ASSET["id"]), "AAPL", exchange="NASDAQ", name="Apple Inc.", easy_to_borrow=False
    )


async def test_contracts_come_over_all_pages(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    mini = {**CONTRACT, "symbol": "AAPL261218P00002500", "type": "put", "strike_price": "2.5", "ppind": False}
    index = {**CONTRACT, "symbol": "AAPL261218C00999000", "style": "european", "deliverables": []}
    spun = {"type": "cash", "symbol": None, "amount": "12.34"}
    adjusted = {
        **CONTRACT,
        "symbol": "AAPL1261218C00150000",
        "deliverables": [EQUITY, spun],
    }
    odd = {**CONTRACT, "strike_price": "1,5"}
    spx = {**index, "symbol": "SPX261218C06000000", "root_symbol": "SPX", "underlying_symbol": "SPX"}
    server.contracts = [CONTRACT, mini, index, adjusted, odd, spx]
    answer = await reference.option_contracts(["AAPL", "SPX"], date(2026, 1, 1), date(2027, 1, 1))
    assert (len(server.requests), answer.skipped, len(answer.value)) == (3, 1, 5)
    by_symbol = {i.symbol: i for i in answer.value}
    assert by_symbol["AAPL261218C00150000"] == Instrument(
        str(CONTRACT["id"]),
        "AAPL261218C00150000",
        "us_option",
        "",
        str(CONTRACT["name"]),
        fractionable=False,
        marginable=False,
        multiplier=100,
        tick_price=100,
        tick_price_from_3=500,
        previous_close=31_500,
        previous_close_date=20261120,
        open_interest=77,
        open_interest_date=20261119,
        underlying="AAPL",
        root="AAPL",
        osi_date=20261218,
        settles_on=20261218,
        settles="pm",
        expiry_date=20261218,
        strike=1_500_000,
        right="call",
        style="american",
        settlement="physical",
        deliverables=(Deliverable("equity", "AAPL", 100_000_000_000),),
    )
    assert (by_symbol["AAPL261218P00002500"].strike, by_symbol["AAPL261218P00002500"].tick_price) == (
        25_000,
        500,
    )
    assert by_symbol["AAPL261218C00999000"].settlement == "cash"
    spx = by_symbol["SPX261218C06000000"]
    assert (spx.settles, spx.settles_on, spx.expiry_date) == ("am", 20261218, 20261217)
    assert (spx.tick_price, spx.tick_price_from_3, spx.deliverables) == (500, 1_000, ())
    assert by_symbol["AAPL1261218C00150000"].deliverables[1] == Deliverable("cash", "USD", 12_340_000)


async def test_the_calendar_is_new_yorks(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    server.calendar = [
        {"date": "2026-11-27", "open": "09:30", "close": "13:00", "settlement_date": "2026-11-30"},
        {"date": "2026-07-01", "open": "09:30", "close": "16:00"},
    ]
    answer = await reference.calendar(date(2026, 7, 1), date(2026, 11, 30))

    def ns(*moment: int) -> int:
        return int(datetime(*moment, tzinfo=timezone.utc).timestamp()) * 1_000_000_000  # type: ignore[misc,arg-type]

    assert answer.value == [
        TradingDay(20261127, ns(2026, 11, 27, 14, 30), ns(2026, 11, 27, 18), 20261130),
        TradingDay(20260701, ns(2026, 7, 1, 13, 30), ns(2026, 7, 1, 20), 0),
    ]


async def test_the_previous_close_is_of_the_day_before(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    monday = {"t": "2026-11-23T05:00:00Z", "c": 187.2501}
    friday = {"t": "2026-11-20T05:00:00Z", "c": 185}
    server.snapshots = {
        "AAPL": {"dailyBar": monday, "prevDailyBar": friday},
        "NEW": {"dailyBar": None},
        "BAD": {"dailyBar": {"t": "x", "c": 1}},
    }
    answer = await reference.previous_closes(["AAPL", "NEW", "BAD", "GONE"], 20261124)
    assert (answer.value, answer.skipped) == ({"AAPL": 1_872_501}, 1)
    assert close_before(server.snapshots["AAPL"], 20261123) == 1_850_000
    assert close_before(server.snapshots["AAPL"], 20261120) == 0


async def test_everything_joins_closes_and_contracts(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    marked = {**ASSET, "attributes": ["has_options", "fractional_eh_enabled"]}
    server.assets = [marked, {**ASSET, "symbol": "OLD", "status": "inactive", "attributes": ["options_enabled"]}]
    server.contracts = [CONTRACT]
    server.snapshots = {"AAPL": {"dailyBar": {"t": "2026-11-23T05:00:00Z", "c": 187.25}}}
    wishes = Wishes(20261124, ("AAPL",), date(2026, 11, 24), date(2027, 1, 1))
    answer = await reference.everything(wishes, ())
    assert answer.problems == ()
    assert [(i.symbol, i.previous_close) for i in answer.instruments] == [
        ("AAPL", 1_872_500),
        ("OLD", 0),
        ("AAPL261218C00150000", 31_500),
    ]
    assert answer.attributes == {"AAPL": ("fractional_eh_enabled", "has_options"), "OLD": ("has_options",)}


async def test_a_part_that_fails_keeps_what_was_known(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    server.assets = [ASSET]
    server.contracts = [CONTRACT]
    server.snapshots = {"AAPL": {"dailyBar": {"t": "2026-11-23T05:00:00Z", "c": 187.25}}}
    wishes = Wishes(20261124, ("AAPL",), date(2026, 11, 24), date(2027, 1, 1))
    known = (await reference.everything(wishes, ())).instruments
    server.failing = {"/v2/options/contracts", "/v2/stocks/snapshots"}
    answer = await reference.everything(wishes, known)
    assert answer.instruments == known
    assert [problem.split(":")[0] for problem in answer.problems] == ["option contracts", "previous closes"]
    without_contracts = await reference.everything(Wishes(20261124), known)
    assert [i.symbol for i in without_contracts.instruments] == ["AAPL"]


async def test_a_closure_that_our_calendar_does_not_know_is_named(
    server: AlpacaRestStandIn, reference: AlpacaReference
) -> None:
    calendar = Calendar()

    def wall(at: int) -> str:
        return datetime.fromtimestamp(at // 10**9, NEW_YORK).strftime("%H:%M")

    days = [calendar.trading_day(day) for day in range(20261124, 20261131) if calendar.is_trading_day(day)]
    days += [calendar.trading_day(day) for day in range(20261201, 20261209) if calendar.is_trading_day(day)]
    server.calendar = [
        {
            "date": f"{day.trade_date // 10_000}-{day.trade_date // 100 % 100:02}-{day.trade_date % 100:02}",
            "open": wall(day.core_opens_at),
            "close": wall(day.core_closes_at),
        }
        for day in days
    ]
    first = date(2026, 11, 24)
    assert await calendar_problems(reference, calendar, first) == []
    assert server.calendar.pop(2)["close"] == "13:00"
    server.calendar[3]["close"] = "12:00"
    problems = await calendar_problems(reference, calendar, first)
    assert [problem.split()[4] for problem in problems] == ["20261127", "20261201"]
    server.status = 500
    (problem,) = await calendar_problems(reference, calendar, first)
    assert "500" in problem


async def test_a_failure_is_told_without_keys(server: AlpacaRestStandIn, reference: AlpacaReference) -> None:
    server.status = 401
    server.failure_text = f"secret {SECRET} of {KEY} unknown"
    with pytest.raises(ReferenceUnavailable) as caught:
        await reference.assets()
    assert "401" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_server_that_never_answers_is_given_up(
    server: AlpacaRestStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()

    def never(*_arguments: Any) -> tuple[int, str]:
        given_up.wait(10)
        return 200, "[]"

    monkeypatch.setattr(server, "answer", never)
    slow = AlpacaReference(AlpacaCredentials(KEY, SECRET), trading_url=server.url, timeout_s=0.2)
    try:
        with pytest.raises(ReferenceUnavailable, match="within"):
            await slow.assets()
    finally:
        given_up.set()
