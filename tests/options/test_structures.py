"""Names of structures."""

from __future__ import annotations

import pytest

from actors.book.rules.options.structures import StructureLeg, name


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
