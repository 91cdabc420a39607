"""Previews as people read them."""

from __future__ import annotations

from typing import Any

from mbtd.cli.previews import order_lines

EFFECT = {
    "buying_power_before": "200000",
    "buying_power": "-4500",
    "check_price": "-0.5",
    "reserved_qty": "0",
    "position_intent": "",
    "cost": "-250",
    "fees": "1.5",
    "initial_margin": "1912.5",
    "maintenance_margin": "1912.5",
    "options_buying_power": "-2250",
    "max_loss": "2250",
    "max_profit": "250",
    "breakevens": ["747", "753"],
    "settles_on": "2015-12-28",
    "warnings": [],
}


def lines(unit: bool = True, **more: Any) -> list[str]:
    answer = {"acceptable": True, "duplicate": False, "effect": EFFECT | more, "structures": {}}
    return order_lines(answer, {"legs": [{}]} if unit else {})


def test_a_unit_says_what_it_brings_holds_and_can_lose() -> None:
    text = "\n".join(lines())
    for words in ("0.5 credit a share", "brings 250", "fees 1.5", "settles 2015-12-28", "4,500 of 200,000"):
        assert words in text
    assert "max profit 250, max loss 2,250, breakeven 747, 753" in text
    assert "warning" not in text


def test_a_wrong_sign_is_told_with_both_words() -> None:
    (told,) = [line for line in lines(check_price="0.6", warnings=["sign_suspect"]) if "warning" in line]
    assert "sign of a debit" in told
    assert "is a credit" in told


def test_a_loss_without_limit_is_said_and_a_close_says_nothing_of_limits() -> None:
    assert any("without limit" in line for line in lines(max_loss=None))
    assert not any("max" in line for line in lines(max_loss=None, max_profit=None, breakevens=[]))


def test_stock_has_no_net() -> None:
    stock = {"check_price": "218.07", "cost": None, "max_loss": None, "max_profit": None}
    assert lines(unit=False, **stock)[0] == "would be accepted, checked at 218.07"


def test_a_repeated_order_and_a_refused_one() -> None:
    again = order_lines({"acceptable": True, "duplicate": True, "effect": {"buying_power_before": "1"}}, {})
    assert "nothing new" in again[0]
    refusal = {
        "code": 3301,
        "message": "insufficient buying power",
        "data": {
            "reason": "insufficient_buying_power", "field": "qty", "retryable": False, "remedy": "Order less.",
            "numbers": {"buying_power": "400000"},
        },
    }  # fmt: skip
    told = order_lines({"acceptable": False, "refusal": refusal, "effect": {}}, {})
    assert told[0] == "would be refused: insufficient buying power [insufficient_buying_power, 3301]"
    assert any("400,000" in line for line in told)
    assert told[-1].endswith("Order less.")
