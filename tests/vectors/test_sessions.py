"""One case for each vector of ``sessions.json``: phases, settlement, expiries, order eligibility."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book.instruments import Instrument
from actors.book.units import format_time, parse_time
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine, Placed
from actors.inputs import Envelope, Issued
from mbtd.market.calendar import Calendar, new_york_date, to_int
from mbtd.market.feed import SessionSource
from tests.vectors.cases import load

FILE = "sessions"
PHASES = {"core": "regular"}
CALENDAR = Calendar()
INSTRUMENTS = (
    Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=1_000_000),
    Instrument("00000000-0000-8000-a000-00000000000b", "AAA261218C00100000", "us_option", multiplier=100),
)


def number(text: str) -> int:
    return int(text.replace("-", ""))


def text(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def instant(vector: dict[str, Any]) -> dict[str, Any]:
    at = parse_time(vector["instant_utc"])
    session = CALENDAR.session_at(at)
    closed = session.phase == "closed"
    before_open, before_close = at < session.core_opens_at, at < session.core_closes_at
    return {
        "session": PHASES.get(session.phase, session.phase),
        "trade_date": None if closed else text(session.trade_date),
        "next_regular_open": format_time(session.core_opens_at if before_open else session.next_core_opens_at),
        "next_regular_close": format_time(session.core_closes_at if before_close else session.next_core_closes_at),
        "half_day": not closed and CALENDAR.is_half_day(session.trade_date),
        "market_holiday": CALENDAR.is_market_holiday(to_int(new_york_date(at))),
    }


def settlement(vector: dict[str, Any]) -> dict[str, Any]:
    trade_date = number(vector["trade_date"])
    cycle = CALENDAR.settlement_cycle(trade_date, vector["asset_class"])
    return {"settlement_date": text(CALENDAR.settlement_date(trade_date, cycle))}


def expiration(vector: dict[str, Any]) -> dict[str, Any]:
    kind, _, date = vector["series"].partition(" ")
    if kind == "monthly":
        last, osi = CALENDAR.monthly_expiry(*map(int, date.split("-")))
        assert CALENDAR.last_trading_day(osi) == last
    else:
        last = osi = CALENDAR.last_trading_day(number(date))
    return {"last_trading_day": text(last), "osi_date": text(osi)}


def order_of(terms: dict[str, Any]) -> PlaceOrder:
    """An order of these terms that nothing but the hour can be against."""
    symbol = "AAA261218C00100000" if terms["asset_class"] == "us_option" else "AAA"
    kind = terms["type"]
    return PlaceOrder(
        symbol=symbol, qty="0.5" if terms["fractional"] else "1", side="buy", type=kind,
        time_in_force=terms["time_in_force"], extended_hours=terms["extended_hours"],
        limit_price="90.00" if kind in ("limit", "stop_limit") else None,
        stop_price="110.00" if kind in ("stop", "stop_limit") else None,
    )  # fmt: skip


def order_eligibility(vector: dict[str, Any]) -> dict[str, Any]:
    """Send the order to an engine at that instant and let the calendar go on until it is live in the market."""
    at = parse_time(vector["instant_utc"])
    engine = Engine(b"v" * 32, instruments=INSTRUMENTS)
    sessions = SessionSource(CALENDAR, at)
    engine.tape(sessions.take())
    action = CreateAccount(name="v", cash="100000", profile="alpaca-parity")
    engine.command(0, action, at, Envelope(), Issued(b"s" * 32))
    outcome = engine.command(1, order_of(vector["order"]), at, Envelope())
    if not isinstance(outcome, Placed):
        return {"decision": "rejected"}
    while not engine.books[1].orders[outcome.order_no].activated:
        engine.tape(sessions.take())
        engine.run_timers_through(engine.world.now)
    watch = engine.books[1].watch.get(outcome.order_no)
    waits_for_auction = watch is not None and watch.reason == "awaiting_print"
    first = watch.due_at if watch is not None and waits_for_auction else engine.world.now
    return {"decision": "live" if first == at else "queued", "first_executable": format_time(first)}


KINDS = {
    "instant": instant,
    "settlement": settlement,
    "expiration": expiration,
    "order_eligibility": order_eligibility,
}


@pytest.mark.parametrize("vector", load(FILE))
def test_vectors(vector: dict[str, Any]) -> None:
    assert KINDS[vector["kind"]](vector) == vector["expected"]
