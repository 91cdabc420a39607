"""What the fill of a unit means for an account that never traded."""

from __future__ import annotations

from tests.options.stage import DOLLAR
from tests.structures.rig import CONDOR, Floor


def test_a_first_trade_of_several_legs_leaves_the_equity_of_the_day_before() -> None:
    floor = Floor(cash=100_000)
    floor.unit(CONDOR)
    floor.wait()
    assert len(floor.own.positions) == 4
    assert floor.own.ledger().last_equity == 100_000 * DOLLAR
