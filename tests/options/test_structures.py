"""Names of structures, and their bounds against a search over every settlement price."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.rules.options.structures import Bounds, StructureLeg, bounds, name


def legs(text: str) -> tuple[list[StructureLeg], int]:
    """``+1C100 -1P90@2``: signed contracts, right, strike in dollars, month; ``S`` for lots of stock."""
    out, lots = [], 0
    for word in text.split():
        body, _, month = word.partition("@")
        if body.endswith("S"):
            lots = int(body[:-1])
            continue
        at = body.index("C") if "C" in body else body.index("P")
        out.append(StructureLeg(body[at] == "C", int(body[at + 1 :]) * 10_000, int(month or 1), int(body[:at])))
    return out, lots


NAMES = {
    "+1C100": "long_call",
    "-2P90": "short_put",
    "+1C100 -1C110": "call_debit_spread",
    "-1C100 +1C110": "call_credit_spread",
    "+1P90 -1P100": "put_credit_spread",
    "-3P90 +3P100": "put_debit_spread",
    "-1C100 -1P100": "short_straddle",
    "+1C110 +1P90": "long_strangle",
    "-1C90 -1P110": "short_guts",
    "+1P85 -1P90 -1C110 +1C115": "short_iron_condor",
    "-1P85 +1P90 +1C110 -1C115": "long_iron_condor",
    "+2P90 -2P100 -2C100 +2C115": "short_iron_butterfly",
    "+1C90 -1C95 -1C105 +1C110": "long_call_condor",
    "-1P90 +1P95 +1P105 -1P110": "short_put_condor",
    "+1C95 -2C100 +1C105": "long_call_butterfly",
    "-1P95 +2P100 -1P105": "short_put_butterfly",
    "+1P90 -2P100 +1P105": "long_put_broken_wing_butterfly",
    "+1C95 -3C100 +2C105": "long_call_ratio_butterfly",
    "-1C100@1 +1C100@2": "long_call_calendar",
    "+1P100@1 -1P100@2": "short_put_calendar",
    "-1C105@1 +1C100@2": "long_call_diagonal",
    "-1C100 +2C110": "call_backspread",
    "+1C100 -2C110": "call_ratio_spread",
    "+1C100 -1C105 -1C110": "long_call_ladder",
    "+1C100 -1C110 +1P110 -1P100": "long_box",
    "-1C100 +1C110 -1P110 +1P100": "short_box",
    "+1C100 -1P100": "synthetic_long_stock",
    "-1C100 +1P100": "synthetic_short_stock",
    "+1C110 -1P90": "bullish_risk_reversal",
    "-1P90 -1C110 +1C115": "jade_lizard",
    "-1C100@1 +1P100@1 +1C100@2 -1P100@2": "jelly_roll",
    "-1C110@1 -1P90@1 +1C110@2 +1P90@2": "long_double_calendar",
    "-1C110@1 -1P90@1 +1C115@2 +1P85@2": "long_double_diagonal",
    "1S -1C105": "covered_call",
    "2S -2C105": "covered_call",
    "1S -2C105": "custom",
    "-1S -1P95": "covered_put",
    "1S +1P95": "protective_put",
    "1S +1P95 -1C105": "collar",
    "1S +1P100 -1C100": "conversion",
    "-1S -1P100 +1C100": "reverse_conversion",
    "1S -1C110 -1P90": "covered_strangle",
    "1S": "long_stock",
    "+1C100 +1C105": "custom",
    "": "",
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items())
def test_the_name(text: str, expected: str) -> None:
    found, lots = legs(text)
    assert name(found, lots) == expected
    assert name(found[::-1], lots) == expected


def test_a_put_secured_by_cash_has_its_own_name() -> None:
    assert name(legs("-1P90")[0], cash_secured=True) == "cash_secured_put"


def test_an_iron_condor_by_hand() -> None:
    found = [
        StructureLeg(False, 850_000, 1, 1, 5_000),
        StructureLeg(False, 900_000, 1, -1, 12_000),
        StructureLeg(True, 1_100_000, 1, -1, 10_000),
        StructureLeg(True, 1_150_000, 1, 1, 4_000),
    ]
    assert bounds(found) == Bounds(-13_000, 13_000, 37_000, (887_000, 1_113_000))


LEG = st.builds(
    StructureLeg,
    st.booleans(),
    st.integers(1, 12),
    st.just(1),
    st.integers(-3, 3).filter(bool),
    st.integers(0, 6),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(LEG, min_size=1, max_size=5), st.integers(-2, 2), st.integers(1, 12))
def test_bounds_hold_at_every_settlement_price(found: list[StructureLeg], lots: int, paid: int) -> None:
    result = bounds(found, lots, paid)
    assert result is not None

    def profit(at: int) -> int:
        value = sum(leg.qty * max(0, at - leg.strike if leg.call else leg.strike - at) for leg in found)
        return value + lots * at - result.net_cost

    curve = [profit(at) for at in range(200)]
    slope = curve[-1] - curve[-2]
    assert (result.max_profit is None) == (slope > 0)
    assert (result.max_loss is None) == (slope < 0)
    if result.max_profit is not None:
        assert result.max_profit == max(curve)
    if result.max_loss is not None:
        assert result.max_loss == max(0, -min(curve))
    crossings = [at for at in range(199) if curve[at] * curve[at + 1] < 0]
    for at in crossings:
        assert any(at <= point <= at + 1 for point in result.breakevens)
    for point in result.breakevens:
        near = curve[max(0, point - 1) : point + 2]
        assert min(near) <= 0 <= max(near)


def test_legs_of_two_expiries_have_no_bounds_at_expiry() -> None:
    assert bounds(legs("-1C100@1 +1C100@2")[0]) is None
