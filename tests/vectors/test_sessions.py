"""One case for each vector of ``sessions.json``: phases, settlement, expiries, order eligibility."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from actors.book.units import format_time, parse_time
from mbtd.market.calendar import Calendar, new_york_date, to_int
from mbtd.market.eligibility import OrderTerms, eligibility

FILE = "sessions"
DIRECTORY = Path(os.environ.get("MBTD_VECTORS") or Path(__file__).parents[2] / ".." / "shared" / "vectors")
PHASES = {"core": "regular"}
CALENDAR = Calendar()


def load_file(name: str) -> list[Any]:
    """The cases of one file; a missing one is skipped by name."""
    path = DIRECTORY / f"{name}.json"
    if not path.is_file():
        skip = pytest.mark.skip(reason=f"{path} is missing")
        return [pytest.param(None, id=f"{name}-missing", marks=skip)]
    return [pytest.param(vector, id=f"{name}-{vector['id']}") for vector in json.loads(path.read_text())["vectors"]]


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


def order_eligibility(vector: dict[str, Any]) -> dict[str, Any]:
    decision = eligibility(OrderTerms(**vector["order"]), parse_time(vector["instant_utc"]), CALENDAR)
    answer: dict[str, Any] = {"decision": decision.decision}
    if decision.first_executable_at:
        answer["first_executable"] = format_time(decision.first_executable_at)
    return answer


KINDS = {
    "instant": instant,
    "settlement": settlement,
    "expiration": expiration,
    "order_eligibility": order_eligibility,
}


@pytest.mark.parametrize("vector", load_file(FILE))
def test_vectors(vector: dict[str, Any]) -> None:
    assert KINDS[vector["kind"]](vector) == vector["expected"]
