"""Positions as clients see them."""

from __future__ import annotations

import pytest

from mbtd.records.accounts import render_position
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
