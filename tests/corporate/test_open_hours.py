"""Corporate actions in a market that never closes happen when they do at the exchange, by the same clock."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.market.actions import post_at, roll_at
from mbtd.market.calendar import Calendar, TradeDays
from tests.corporate.rig import Stage
from tests.money.rig import DOLLAR, when

SHARE = 10**9
ALWAYS = TradeDays(Calendar(always_open=True))


class OpenStage(Stage):
    """A stage on the calendar that has no night."""

    calendar = Calendar(always_open=True)


@pytest.mark.parametrize("day", ["2026-08-05", "2026-08-08", "2026-11-27", "2026-12-24"])
def test_actions_roll_at_eight_in_the_evening_and_pay_at_four_in_the_morning(day: str) -> None:
    number = int(day.replace("-", ""))
    assert roll_at(ALWAYS, number) + 4 * 3_600 * 10**9 == when(f"{day} 00:00")
    assert post_at(ALWAYS, number) == when(f"{day} 04:00")


def test_a_split_that_is_announced_on_its_eve_is_in_time_and_its_dividend_is_paid_on_its_date() -> None:
    stage = OpenStage("2026-08-03 10:00", ("AAA",))
    stage.quote("AAA", 100)
    no = stage.account("50000")
    stage.order(no, "buy", "80")
    stage.announce(id="s", symbol="AAA", type="forward_split", ex_date="2026-08-04", new_rate="2", old_rate="1")
    terms = {"ex_date": "2026-08-04", "record_date": "2026-08-04", "payable_date": "2026-08-06"}
    stage.announce(id="d", symbol="AAA", type="cash_dividend", rate="1", **terms)
    cash = stage.book(no).cash
    stage.go("2026-08-03 19:59")
    assert stage.book(no).positions["AAA"].qty == 80 * SHARE
    stage.go("2026-08-03 20:01")
    assert stage.book(no).positions["AAA"].qty == 160 * SHARE
    assert stage.events(no, e.DayEnded)[-1].trade_date == 20260803
    stage.go("2026-08-06 03:59")
    assert stage.book(no).cash == cash
    stage.go("2026-08-06 04:01")
    assert stage.book(no).cash == cash + 160 * DOLLAR
