"""Figures worked by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbtd.records.lots import ClosedLot
from mbtd.records.performance import Day, render_performance, returns

DAY = 86_400 * 1_000_000_000


def _lot(symbol: str, n: int, basis: int, proceeds: int, opened_at: int = 0, closed_at: int = DAY) -> ClosedLot:
    return ClosedLot(symbol, n, 10**9, basis, proceeds, opened_at, closed_at, 1, 2, n, n)


def test_trades_are_closings_not_lots() -> None:
    lots = [
        _lot("A", 5, 100_000_000, 110_000_000),
        _lot("A", 5, 100_000_000, 95_000_000),
        _lot("B", 9, 50_000_000, 40_000_000),
    ]
    got = render_performance([Day(20260105, 200_000_000, 0)], 200_000_000, lots, 0, 0)
    assert (got["trades"], got["wins"], got["losses"], got["win_rate"]) == (2, 1, 1, "0.500000")
    assert (got["gross_profit"], got["gross_loss"], got["profit_factor"]) == ("5", "10", "0.500000")
    assert [row["symbol"] for row in got["by_symbol"]] == ["A", "B"]
    assert got["by_symbol"][1]["profit_factor"] == "0.000000"


def test_no_trades_has_no_ratios() -> None:
    got = render_performance([], 0, [], 0, 0)
    assert (got["win_rate"], got["profit_factor"], got["return"]) == (None, None, None)


def test_a_deposit_is_no_profit() -> None:
    days = [Day(1, 110, 10), Day(2, 220, 110), Day(3, 198, 0)]
    gained, drawdown, money = returns(days, 100)
    assert gained == pytest.approx(-0.1)
    assert drawdown == pytest.approx(0.1)
    assert money == 22


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=30))
def test_without_flows_the_return_is_last_over_first(values: list[int]) -> None:
    days = [Day(i, value, 0) for i, value in enumerate(values[1:])]
    gained, drawdown, _ = returns(days, values[0])
    assert gained == pytest.approx(values[-1] / values[0] - 1, rel=1e-9, abs=1e-9)
    worst = max(1 - late / early for i, early in enumerate(values) for late in values[i:])
    assert drawdown == pytest.approx(worst, rel=1e-9, abs=1e-9)
    assert (drawdown == 0) == all(a <= b for a, b in pairwise(values))


@pytest.mark.parametrize(
    ("days", "term"),
    [(365, "short"), (366, "long")],
)
def test_more_than_a_year_is_long_term(days: int, term: str) -> None:
    opened = 1_700_000_000 * 10**9  # 2023-11-14; the year after it has a leap day
    assert _lot("A", 1, 0, 0, opened, opened + (days + 1) * DAY).term == term
