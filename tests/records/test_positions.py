"""Positions and buying power as clients see them."""

from __future__ import annotations

import pytest

from mbtd.records.accounts import render_account, render_position
from tests.corporate.rig import Stage
from tests.structures.rig import BY_WORD, Floor


def available(floor: Floor, symbol: str) -> str:
    return str(render_position(floor.own, floor.own.positions[symbol], floor.engine.world)["qty_available"])


@pytest.mark.parametrize(("level", "left"), [(3, "50"), (4, "150")])
def test_shares_under_a_covered_call_are_not_available_below_the_uncovered_level(level: int, left: str) -> None:
    floor = Floor(level=level)
    floor.single("XYZ", "buy", "150")
    assert available(floor, "XYZ") == "150"
    floor.single("C105", "sell")
    assert available(floor, "XYZ") == left
    assert available(floor, BY_WORD["C105"].symbol) == "-1"
    floor.single("XYZ", "sell", "50", limit="200")
    assert available(floor, "XYZ") == str(int(left) - 50)


def test_what_a_short_owes_of_a_dividend_lowers_buying_power_overnight_too() -> None:
    stage = Stage("2026-08-03 10:00", ("KO",))
    stage.quote("KO", 50)
    account = stage.account("10000")
    stage.order(account, "sell", "100", "KO")
    names = ("buying_power", "regt_buying_power", "withdrawable")

    def shown() -> list[float]:
        body = render_account(stage.book(account), "n1", "pro", stage.engine.world)
        return [float(body[name]) for name in names]

    stage.go("2026-08-03 20:30")
    before = shown()
    terms = {"ex_date": "2026-08-05", "record_date": "2026-08-05", "payable_date": "2026-08-20"}
    assert stage.announce(id="d", type="cash_dividend", symbol="KO", rate="2", **terms) is None
    stage.go("2026-08-04 20:30")
    assert [b - a for a, b in zip(shown(), before, strict=True)] == [200, 200, 200]
