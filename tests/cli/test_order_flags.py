"""Command lines of orders: what is sent for them, and which make no sense."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cli.shell import Shell, sent
from tests.rpc.fake_broker import Running


def test_both_forms_of_an_order_say_the_same(running: Running, shell: Shell) -> None:
    assert shell("order place --account alice --symbol SPY --qty 10 --side buy --type market") == 0
    long_form = sent(running, "order.place")
    assert shell("order place alice buy 10 SPY") == 0
    short_form = sent(running, "order.place")
    assert long_form.pop("client_order_id") != short_form.pop("client_order_id")
    assert (
        long_form
        == short_form
        == {
            "account": "alice",
            "symbol": "SPY",
            "qty": "10",
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
        }
    )
    assert "buy 10 SPY market day: accepted" in shell.out
    assert shell.err == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("alice buy 10 SPY --limit 450.10 --tif gtc", {"type": "limit", "limit_price": "450.10"}),
        ("alice --limit 450.10 buy 10 --tif gtc SPY", {"type": "limit", "time_in_force": "gtc"}),
        ("alice sell 10 SPY --stop 440", {"type": "stop", "stop_price": "440"}),
        ("alice sell 10 SPY --stop 440 --limit 439", {"type": "stop_limit"}),
        ("alice sell 10 SPY --trail-percent 2", {"type": "trailing_stop", "trail_percent": "2"}),
        ("alice buy $500 SPY", {"notional": "500", "type": "market"}),
        (
            "alice buy 1 SPY --order-class bracket --take-profit 470 --stop-loss 430 --stop-loss-limit 429",
            {"take_profit": {"limit_price": "470"}, "stop_loss": {"stop_price": "430", "limit_price": "429"}},
        ),
        (
            "-a alice --qty 1 --leg A:1:buy --leg B:1:sell",
            {
                "legs": [
                    {"symbol": "A", "ratio_qty": "1", "side": "buy"},
                    {"symbol": "B", "ratio_qty": "1", "side": "sell"},
                ],
            },
        ),
        (
            "-a alice --qty 1 --limit 1.05 --leg A:1:buy_to_open --leg B:2:sell_to_open",
            {
                "order_class": "mleg",
                "legs": [
                    {"symbol": "A", "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
                    {"symbol": "B", "ratio_qty": "2", "side": "sell", "position_intent": "sell_to_open"},
                ],
            },
        ),
    ],
)
def test_order_flags_become_alpacas_fields(
    running: Running, shell: Shell, words: str, expected: dict[str, Any]
) -> None:
    assert shell(f"order place {words}") == 0
    assert expected.items() <= sent(running, "order.place").items()


@pytest.mark.parametrize("verb", ["place", "preview"])
def test_a_limit_of_either_sign_may_be_meant(running: Running, shell: Shell, verb: str) -> None:
    line = f"order {verb} alice --qty 1 --limit 1 --leg A:1:buy_to_open --leg B:1:sell_to_open"
    shell(line)
    assert "any_sign" not in sent(running, f"order.{verb}")
    shell(f"{line} --any-sign")
    assert sent(running, f"order.{verb}")["any_sign"] is True
    shell("order replace alice o --limit 1 --any-sign")
    assert sent(running, "order.replace") == {
        "account": "alice",
        "order_id": "o",
        "limit_price": "1",
        "any_sign": True,
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "order",
        "order place",
        "order place alice buy 10",
        "order place --account alice buy 10 SPY",
        "order place alice buy 10 SPY --qty 10",
        "order place alice buy 10 SPY --nonsense",
        "order place -a alice --qty 1 --leg A:1",
        "order place -a alice --qty 1 --side buy",
        "order place -a alice --symbol SPY --side buy",
        "order place -a alice --qty 1 --symbol SPY",
        "order place alice buy 1 SPY --wait soon",
        "order replace alice o",
        "structure exit alice 1 --take-profit cheap",
        "order cancel alice",
        "account create",
        "account configure alice",
        "account show alice bob",
        "account configure alice --suspend-trade perhaps",
        "position list alice --limit 0",
        "position list alice --limit many",
        "stream",
        "stream a b --from-n 1",
        "status now",
        "serve --feed replay",
        "serve --feed synthetic --speed 2",
        "serve --gateway 8970",
        "serve --speed -1",
        "serve --seed x",
        "replay --recording a --script b --state c",
        "replay --recording a --script b --state c --out d --until 2013-10-07",
    ],
)
def test_what_makes_no_sense_is_a_usage_error(running: Running, shell: Shell, line: str) -> None:
    assert shell(line) == 2
    assert shell.out == ""
    assert shell.err
    assert not re.search(r"invalid (_\w+|seconds|positive) value", shell.err)
    assert running.broker.asked == []
