"""What a structure can lose and gain where that can be told without a model, and what its card says of legs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from actors.book.rules.reasons import Refusal
from actors.commands import DoNotExercisePosition
from mbtd.cli.structure_words import card
from mbtd.records.structures import render_structure
from tests.structures.rig import BY_WORD, Floor


def shown(floor: Floor) -> dict[str, Any]:
    return render_structure(floor.own, floor.only, floor.engine.world, floor.now)


def opened(words: str, level: int = 3) -> tuple[Floor, dict[str, Any]]:
    floor = Floor(level=level)
    outcome = floor.unit(words)
    assert not isinstance(outcome, Refusal), outcome
    return floor, shown(floor)


@pytest.mark.parametrize(
    ("words", "beyond"),
    [
        ("-C100 +C100'", 0),
        ("-P100 +P100'", 0),
        ("-C105 +C100'", 0),
        ("-C100 +C105'", 500),
        ("-P95 +P90'", 500),
        ("-C105 -P95 +C110' +P90'", 500),
    ],
)
def test_later_legs_that_were_bought_bound_the_loss_by_cost_and_strikes(words: str, beyond: int) -> None:
    _, item = opened(words)
    assert Decimal(item["max_loss"]) == Decimal(item["cost_basis"]) + beyond
    assert (item["bounds_at"], item["bounded"]) == ("first_expiry", True)
    assert item["max_profit"] is None
    assert item["breakevens"] == []
    text = card(item | {"greeks": None})
    assert "until the first expiry max loss" in text
    assert "max profit depends on what the later legs are worth then" in text


def test_later_legs_that_were_sold_bound_the_profit_alone() -> None:
    _, item = opened("+P100 -P100'", level=4)
    assert Decimal(item["max_profit"]) == -Decimal(item["cost_basis"])
    assert (item["max_loss"], item["bounded"]) == (None, None)
    assert "max loss depends on" in card(item)


def test_more_calls_sold_than_bought_have_no_end_whenever_they_end() -> None:
    _, item = opened("-2C100 +C100'", level=4)
    assert (item["max_loss"], item["bounded"], item["max_profit"]) == ("unlimited", False, None)
    _, item = opened("-C100 +2C100'", level=4)
    assert item["max_profit"] == "unlimited"
    assert Decimal(item["max_loss"]) == Decimal(item["cost_basis"])


def test_a_later_european_put_may_be_worth_less_than_its_exercise_and_bounds_nothing() -> None:
    floor, _ = opened("-P100 +P100'")
    symbol = BY_WORD["P100'"].symbol
    table = floor.engine.world.instruments.by_symbol
    table[symbol] = structs.replace(table[symbol], style="european")
    assert shown(floor)["max_loss"] is None
    assert "max profit and max loss depend on" in card(shown(floor))


def test_legs_of_one_day_are_told_exactly() -> None:
    _, item = opened("+P90 -P95 -C105 +C110")
    assert item["bounds_at"] == "expiry"
    assert Decimal(item["max_loss"]) == 500 + Decimal(item["cost_basis"])
    assert Decimal(item["max_profit"]) == -Decimal(item["cost_basis"])
    assert len(item["breakevens"]) == 2


def test_a_morning_contract_ends_before_one_of_the_same_days_close() -> None:
    floor, _ = opened("-C105 +C110")
    table = floor.engine.world.instruments.by_symbol
    symbol = BY_WORD["C105"].symbol
    table[symbol] = structs.replace(table[symbol], settles="am")
    assert shown(floor)["bounds_at"] == "first_expiry"


def test_a_leg_says_how_many_of_it_are_to_lapse() -> None:
    floor = Floor("2026-12-18 10:00")
    floor.unit("+C95 -C105", qty="3")
    symbol = BY_WORD["C95"].symbol
    floor.command(DoNotExercisePosition(symbol=symbol, qty="2"))
    told = {leg["symbol"]: leg["do_not_exercise_qty"] for leg in shown(floor)["legs"]}
    assert told == {symbol: "2", BY_WORD["C105"].symbol: None}
    assert "2 not to be exercised" in card(shown(floor))
    floor.unit("-C95 +C105", qty="2")
    assert shown(floor)["legs"][0]["do_not_exercise_qty"] == "1"


def test_shares_beside_a_call_count_in_its_bounds_and_are_told_apart_from_it() -> None:
    floor = Floor()
    floor.single("XYZ", "buy", "100")
    floor.single("C105", "sell")
    floor.price(103.0)
    item = shown(floor)
    bought, call = floor.own.positions["XYZ"].basis_money, floor.only.legs[0].basis_money
    assert Decimal(item["max_loss"]) == Decimal(bought + call) / 10**6
    assert Decimal(item["cover"]["cost_basis"]) == Decimal(bought) / 10**6
    assert Decimal(item["cover"]["unrealized_pl"]) == 10_300 - Decimal(bought) / 10**6
    assert Decimal(item["unrealized_pl"]) == Decimal(item["legs"][0]["unrealized_pl"])
    text = card(item | {"greeks": {"delta": "-30.5", "gamma": "0", "theta": "0", "vega": "0", "unpriced": []}})
    assert "by 100 XYZ held beside it" in text
    both = Decimal(item["net_pl"]) + Decimal(item["cover"]["unrealized_pl"])
    assert f"with them P/L {both:.2f}" in text.replace(",", "")
    assert "delta 69.5 shares" in text
