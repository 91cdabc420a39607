"""The clock's next open and close: what programs that sleep until them may rely on (alpaca-api §4.7)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.units import NS_PER_SECOND, parse_time
from mbtd.market.calendar import NEW_YORK, Calendar
from mbtd.records.market import render_clock

XNYS, ALWAYS = Calendar(), Calendar(always_open=True)
instants = st.integers(parse_time("1991-01-01T00:00:00Z"), parse_time("2037-11-01T00:00:00Z"))


def new_york_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * NS_PER_SECOND


def shown(calendar: Calendar, at: int) -> tuple[bool, datetime, datetime]:
    clock = render_clock(calendar.session_at(at), at)
    opens, closes = (
        datetime.fromtimestamp(parse_time(clock[name]) // NS_PER_SECOND, NEW_YORK)
        for name in ("next_open", "next_close")
    )
    return clock["is_open"], opens, closes


@given(instants)
def test_a_market_that_never_closes_is_open_until_a_close_that_an_open_follows(at: int) -> None:
    is_open, opens, closes = shown(ALWAYS, at)
    now = datetime.fromtimestamp(at / NS_PER_SECOND, NEW_YORK)
    assert is_open
    assert now < closes <= now + timedelta(hours=25)
    assert f"{closes:%H:%M}" == "16:00"
    assert (opens.date(), f"{opens:%H:%M}") == (closes.date() + timedelta(days=1), "09:30")


@pytest.mark.parametrize("past_ns", [0, 1, 25_000_000])
def test_the_close_is_over_also_while_the_next_date_is_not_told_yet(past_ns: int) -> None:
    close = new_york_ns("2026-11-28T16:00")
    clock = render_clock(ALWAYS.session_at(close - 1), close + past_ns)
    assert clock["is_open"]
    assert parse_time(clock["next_close"]) == new_york_ns("2026-11-29T16:00")
    assert parse_time(clock["next_open"]) == new_york_ns("2026-11-30T09:30")


@pytest.mark.parametrize(
    ("at", "is_open", "opens", "closes"),
    [
        ("2026-11-25T09:29", False, "2026-11-25T09:30", "2026-11-25T16:00"),
        ("2026-11-25T09:30", True, "2026-11-27T09:30", "2026-11-25T16:00"),
        ("2026-11-25T16:00", False, "2026-11-27T09:30", "2026-11-27T13:00"),
        ("2026-11-26T12:00", False, "2026-11-27T09:30", "2026-11-27T13:00"),
        ("2026-11-27T13:00", False, "2026-11-30T09:30", "2026-11-30T16:00"),
        ("2026-11-28T12:00", False, "2026-11-30T09:30", "2026-11-30T16:00"),
    ],
)
def test_the_exchanges_own_hours(at: str, is_open: bool, opens: str, closes: str) -> None:
    found = shown(XNYS, new_york_ns(at))
    assert (found[0], f"{found[1]:%Y-%m-%dT%H:%M}", f"{found[2]:%Y-%m-%dT%H:%M}") == (is_open, opens, closes)
