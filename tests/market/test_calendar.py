"""The calendar: phases partition time, trade dates roll, clock changes, half days."""

from __future__ import annotations

from datetime import datetime, time, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.units import NS_PER_SECOND, format_time, parse_time
from mbtd.market import make_calendar
from mbtd.market.calendar import NEW_YORK, Calendar, CalendarError, load_data, to_date

XNYS = Calendar()
ALWAYS = Calendar(always_open=True)
HOUR = 3600 * NS_PER_SECOND

instants = st.integers(parse_time("1991-01-01T00:00:00Z"), parse_time("2037-11-01T00:00:00Z"))


def local(at: int) -> datetime:
    return datetime.fromtimestamp(at / NS_PER_SECOND, NEW_YORK)


# 2026-11: exchange-calendars 4.13 reads Series.values, which pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:Series.values")
def test_packaged_data_is_what_the_library_says() -> None:
    generated = make_calendar.generate()
    assert msgspec.structs.replace(load_data(), source=generated.source) == generated


@given(instants)
def test_phases_partition_time(at: int) -> None:
    now, change = XNYS.session_at(at), XNYS.next_change(at)
    assert now.at == at < change.at
    before = XNYS.session_at(change.at - 1)
    assert msgspec.structs.replace(before, at=at) == now
    assert XNYS.session_at(change.at) == change
    assert (change.phase, change.trade_date) != (now.phase, now.trade_date)


@given(instants)
def test_session_instants_are_in_order(at: int) -> None:
    session = XNYS.session_at(at)
    assert session.core_opens_at < session.core_closes_at < session.post_closes_at
    assert at < session.post_closes_at < session.next_core_opens_at < session.next_core_closes_at
    assert XNYS.session_at(session.core_opens_at).phase == "core"
    assert XNYS.next_trading_day(session.trade_date) == session.next_trade_date
    assert XNYS.previous_trading_day(session.next_trade_date) == session.trade_date


@given(instants, st.integers(0, 20 * 24 * HOUR), st.integers(0, 20 * 24 * HOUR))
def test_changes_join_without_gap_or_overlap(at: int, first: int, second: int) -> None:
    middle, end = at + first, at + first + second
    whole = list(XNYS.changes(at, end))
    assert [*XNYS.changes(at, middle), *XNYS.changes(middle, end)] == whole
    assert all(at <= change.at < end for change in whole)


@pytest.mark.parametrize(
    ("day", "instants"),
    [
        # the night in which clocks go forward, and the one in which they go back
        (20260309, "2026-03-09T00:00:00Z 2026-03-09T08:00:00Z 2026-03-09T13:30:00Z 2026-03-09T20:00:00Z"),
        (20261102, "2026-11-02T01:00:00Z 2026-11-02T09:00:00Z 2026-11-02T14:30:00Z 2026-11-02T21:00:00Z"),
        # a half day whose overnight session runs on a holiday evening
        (20261127, "2026-11-27T01:00:00Z 2026-11-27T09:00:00Z 2026-11-27T14:30:00Z 2026-11-27T18:00:00Z"),
    ],
)
def test_days_around_clock_changes_and_holidays(day: int, instants: str) -> None:
    found = XNYS.trading_day(day)
    starts = [found.overnight_opens_at, found.pre_opens_at, found.core_opens_at, found.core_closes_at]
    assert [format_time(at) for at in starts] == instants.split()
    changes = list(XNYS.changes(found.overnight_opens_at, found.post_closes_at))
    assert [change.phase for change in changes] == ["overnight", "pre", "core", "post"]
    assert {change.trade_date for change in changes} == {day}


def test_half_day_closes_before_the_next_overnight_session() -> None:
    closes = XNYS.trading_day(20241224).post_closes_at
    assert local(closes).time() == time(17)
    closed = XNYS.session_at(closes)
    assert (closed.phase, closed.trade_date) == ("closed", 20241226)
    assert XNYS.next_change(closes).phase == "overnight"
    assert local(XNYS.next_change(closes).at).strftime("%m-%d %H:%M") == "12-25 20:00"


def test_overnight_start_is_configurable_and_the_roll_is_not() -> None:
    later = Calendar(overnight_opens=time(21))
    at = parse_time("2026-11-24T01:30:00Z")  # Monday 20:30
    assert (later.session_at(at).phase, later.session_at(at).trade_date) == ("closed", 20261124)
    assert later.next_change(at).phase == "overnight"
    assert local(later.next_change(at).at).time() == time(21)


@given(instants)
def test_always_open_is_one_core_session_after_another(at: int) -> None:
    session = ALWAYS.session_at(at)
    assert session.phase == "core"
    assert session.core_opens_at <= at < session.core_closes_at == session.next_core_opens_at
    assert session.post_closes_at == session.core_closes_at
    assert local(session.core_closes_at).time() == time(16)
    assert local(session.core_closes_at).date() == to_date(session.trade_date)
    change = ALWAYS.next_change(at)
    assert (change.at, change.trade_date) == (session.core_closes_at, session.next_trade_date)


def test_always_open_keeps_the_exchange_dates_of_settlement_and_expiry() -> None:
    assert ALWAYS.is_trading_day(20261128)
    assert ALWAYS.settlement_date(20261128) == 20261130
    assert ALWAYS.last_trading_day(20140621) == 20140620


@pytest.mark.parametrize("osi_date", [20140419, 20140418])
def test_saturday_expiry_behind_a_holiday(osi_date: int) -> None:
    assert XNYS.last_trading_day(osi_date) == 20140417


@pytest.mark.parametrize("day", [20261131, 19000101, 20380104])
def test_unknown_dates_are_refused(day: int) -> None:
    with pytest.raises(CalendarError):
        XNYS.is_trading_day(day)


@given(st.dates(datetime(2000, 1, 1, tzinfo=timezone.utc).date(), datetime(2037, 1, 1, tzinfo=timezone.utc).date()))
def test_settlement_never_falls_on_a_closed_day(day: object) -> None:
    trade_date = int(str(day).replace("-", ""))
    settles = XNYS.settlement_date(trade_date)
    assert settles > trade_date
    assert XNYS.is_exchange_day(settles)
    assert XNYS.is_settlement_day(settles)
