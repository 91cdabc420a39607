"""The night of a split: the date that ends is of before it, the one that begins is of after it."""

from __future__ import annotations

import pytest

from actors.acting import in_old_units
from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.view import figures
from tests.corporate.rig import Stage

SPLITS = {
    "forward": {"type": "forward_split", "new_rate": "4", "old_rate": "1"},
    "reverse": {"type": "reverse_split", "new_rate": "1", "old_rate": "8"},
    "stock dividend": {"type": "stock_dividend", "rate": "0.25"},
}


@pytest.mark.parametrize("kind", SPLITS)
def test_the_date_that_ends_is_worth_what_it_was_in_old_units(kind: str) -> None:
    stage = Stage("2026-08-03 10:00", ("AAA",))
    stage.quote("AAA", 100)
    no = stage.account("50000")
    stage.order(no, "buy", "80")
    stage.announce(id="s", symbol="AAA", ex_date="2026-08-04", **SPLITS[kind])
    stage.go("2026-08-03 18:00")
    before = figures(stage.book(no), stage.engine.world).equity_money
    stage.go("2026-08-04 03:00")
    ended = stage.events(no, e.DayEnded)[-1]
    assert (ended.trade_date, ended.long_money) == (20260803, 8_000_000_000)
    assert ended.equity_money == before == figures(stage.book(no), stage.engine.world).equity_money
    assert stage.book(no).ledger().last_equity == before


def test_a_short_pays_to_borrow_what_it_was_short_of() -> None:
    """The end of the date charges by the price of before, and owes no call that only the new units would make."""
    stage = Stage("2026-08-03 10:00", ("AAA",))
    stage.quote("AAA", 100)
    no = stage.account("20000")
    stage.order(no, "sell", "80")
    stage.announce(id="s", symbol="AAA", ex_date="2026-08-04", **SPLITS["reverse"])
    stage.go("2026-08-04 03:00")
    ended = stage.events(no, e.DayEnded)[-1]
    assert ended.short_money == -8_000_000_000
    assert stage.events(no, e.MarginChanged) == []


@pytest.mark.parametrize(
    ("kind", "price", "told"),
    [("forward", 101, True), ("forward", 24, False), ("reverse", 99, True), ("reverse", 850, False),
     ("stock dividend", 100, False)],
)  # fmt: skip
def test_a_feed_that_goes_on_in_old_units_is_told(kind: str, price: float, told: bool) -> None:
    stage = Stage("2026-08-03 10:00", [], [Instrument("a", "AAA", previous_close=1_000_000)])
    stage.announce(id="s", symbol="AAA", ex_date="2026-08-04", **SPLITS[kind])
    stage.go("2026-08-03 21:00")
    assert in_old_units(stage.engine.world) == [], "nothing has come yet"
    stage.quote("AAA", price, price)
    assert in_old_units(stage.engine.world) == (["AAA"] if told else [])
