"""Orders in one line: of several legs too, and no word twice."""

from __future__ import annotations

from typing import Any

import pytest

from mbtd.cli.order_words import describe, in_words, order_line


def leg(symbol: str, side: str, ratio: str = "1") -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "ratio_qty": ratio, "qty": ratio, "status": "new", "id": "leg-id"}


def unit(*legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = {"order_class": "mleg", "qty": "2", "type": "market", "time_in_force": "day", "status": "new"}
    return found | {"symbol": None, "side": None, "legs": list(legs), "id": "o"} | more


NEAR, WING = "AAPL261218C00245000", "AAPL261218C00252500"


@pytest.mark.parametrize(
    ("legs", "expected"),
    [
        ((leg(NEAR, "sell"), leg(WING, "buy")), "AAPL 2026-12-18 -245C +252.5C"),
        ((leg(NEAR, "sell"), leg(WING, "buy", "2")), "AAPL 2026-12-18 -245C +2×252.5C"),
        (
            (leg(NEAR, "sell"), leg("AAPL270319C00245000", "buy")),
            "AAPL -245C 2026-12-18 +245C 2027-03-19",
        ),
        ((leg("AAPL", "buy", "100"), leg(NEAR, "sell")), "AAPL 2026-12-18 +100 shares -245C"),
        (
            (leg("SPXW261218P05000500", "sell"), leg("SPX261218P05000000", "buy")),
            "SPX SPXW 2026-12-18 -5000.5P +5000P",
        ),
    ],
)
def test_an_order_of_several_legs_names_them(legs: tuple[dict[str, Any], ...], expected: str) -> None:
    assert order_line(unit(*legs)) == f"2 × {expected} market day: new"
    answer = {"order": unit(*legs), "explanation": "It waits."}
    assert in_words(answer).splitlines() == [f"2 × {expected} market day: new", "It waits."]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"type": "limit", "limit_price": "-1.5"}, "limit -1.5"),
        ({"type": "stop", "stop_price": "440"}, "stop 440"),
        ({"type": "stop_limit", "stop_price": "440", "limit_price": "439"}, "stop_limit stop 440 limit 439"),
        ({"type": "market"}, "market"),
    ],
)
def test_a_type_and_its_price_are_named_once(terms: dict[str, str], expected: str) -> None:
    order = {"side": "buy", "qty": "1", "symbol": "SPY", "time_in_force": "gtc", "status": "new", **terms}
    assert order_line(order) == f"buy 1 SPY {expected} gtc: new"


def test_legs_and_exits_have_a_line_each() -> None:
    filled = leg(NEAR, "sell") | {"filled_avg_price": "1.74", "status": "filled"}
    assert f"leg              sell 1 {NEAR} at 1.74: filled  leg-id" in describe(unit(filled))
    target = {"side": "sell", "qty": "1", "type": "limit", "limit_price": "470", "status": "held", "id": "x"}
    order = {
        "side": "buy",
        "qty": "1",
        "symbol": "SPY",
        "type": "market",
        "status": "new",
        "id": "o",
        "legs": [target],
    }
    assert "exit             sell 1 limit 470: held  x" in describe(order)
