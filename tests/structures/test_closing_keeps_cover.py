"""Closes that wait for other orders never take the cover from under what is short (alpaca-api §2.13)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from actors.book import events as e
from actors.book.outcome import Closed, Placed
from actors.book.units import QTY_PER_SHARE
from actors.commands import (
    CloseAllPositions,
    ClosePosition,
    ConfigureAccount,
    ExercisePosition,
    OrderLeg,
    PlaceOrder,
    ReplaceOrder,
    StopLoss,
    TakeProfit,
)
from tests.options.stage import STOCK
from tests.structures.rig import BY_WORD, Floor, check, placed, refused
from tests.structures.test_margin_call import uncovered


def spread_of_two_orders() -> Floor:
    """A covered short call whose cover was bought by an order of its own, so that nothing holds them together."""
    floor = Floor(cash=100_000)
    placed(floor.single("C100", "buy", "2"))
    placed(floor.single("C105", "sell", "2"))
    assert len(floor.own.structures) == 2
    return floor


def reason_of(floor: Floor, close: Placed) -> str:
    (end,) = [fact.reason for fact in floor.facts(e.OrderCanceled) if fact.order_no == close.order_no]
    return str(end)


def test_a_close_that_waited_does_not_sell_the_cover() -> None:
    floor = spread_of_two_orders()
    placed(floor.single("C100", "buy", "1", limit="0.05"))
    close = placed(floor.command(ClosePosition(symbol=BY_WORD["C100"].symbol, cancel_orders=True)))
    floor.wait(5)
    assert not uncovered(floor)
    assert floor.own.positions[BY_WORD["C100"].symbol].qty == 2 * QTY_PER_SHARE
    assert reason_of(floor, close) == "uncovered_short"
    check(floor)


def test_a_close_that_waited_does_not_sell_the_shares_behind_a_call() -> None:
    floor = Floor(cash=100_000)
    placed(floor.single("XYZ", "buy", "100"))
    placed(floor.single("C105", "sell"))
    placed(floor.single("XYZ", "buy", "10", limit="50"))
    close = placed(floor.command(ClosePosition(symbol="XYZ", cancel_orders=True)))
    floor.wait(5)
    assert not uncovered(floor)
    assert reason_of(floor, close) == "shares_cover_calls"
    check(floor)


@pytest.mark.parametrize("cancel_orders", [False, True])
def test_close_all_buys_back_what_is_short_before_it_sells_the_cover(cancel_orders: bool) -> None:
    floor = spread_of_two_orders()
    placed(floor.single("XYZ", "buy", "100"))
    placed(floor.single("C110", "sell"))
    answer = floor.command(CloseAllPositions(cancel_orders=cancel_orders))
    assert isinstance(answer, Closed)
    outcomes = dict(answer.items)
    assert [symbol for symbol, _ in answer.items] == sorted(outcomes)
    assert all(isinstance(outcome, Placed) for outcome in outcomes.values()), outcomes
    floor.wait(30)
    assert not floor.own.positions
    assert not floor.own.orders
    check(floor)


def test_a_cover_stays_when_the_short_could_not_be_bought_back() -> None:
    floor = spread_of_two_orders()
    floor.quote(BY_WORD["C105"].symbol, 0.5, 0.0)
    answer = floor.command(CloseAllPositions(cancel_orders=True))
    assert isinstance(answer, Closed)
    floor.wait(30)
    assert not uncovered(floor)
    check(floor)


def slow(kind: str = "margin", cash: int = 100_000, level: int = 3) -> Floor:
    """An account whose orders and changes take their time."""
    floor = Floor()
    floor.no = floor.account(cash, kind=kind, profile="realistic")
    floor.do(floor.no, ConfigureAccount(options_level=level))
    return floor


def asked(floor: Floor, word: str, side: str, qty: str, limit: str) -> Any:
    """An order, and no time for it."""
    symbol = word if word == "XYZ" else BY_WORD[word].symbol
    order = PlaceOrder(symbol=symbol, side=side, qty=qty, type="limit", limit_price=limit)
    return floor.do(floor.no, order)


@pytest.mark.parametrize(("kind", "reason"), [("margin", "uncovered_short"), ("cash", "covered_call_shares")])
def test_a_change_on_its_way_counts_with_its_new_quantity(kind: str, reason: str) -> None:
    floor = slow(kind)
    floor.give(floor.no, (STOCK, 200))
    order = placed(asked(floor, "C105", "sell", "1", "3.00"))
    floor.wait(2)
    placed(floor.do(floor.no, ReplaceOrder(order_id=order.terms.order_id, qty="2")))
    outcome = asked(floor, "C110", "sell", "1", "1.00")
    assert refused(outcome) == reason
    if kind == "cash":
        assert (outcome.numbers["required"], outcome.numbers["available"]) == ("100", "0")


def test_a_price_that_is_missing_opens_no_way_around() -> None:
    floor = Floor(cash=100_000, kind="cash")
    floor.give(floor.no, (STOCK, 100), (BY_WORD["C105"], -1))
    del floor.engine.world.board.slots["XYZ"]
    assert refused(asked(floor, "XYZ", "sell", "100", "99")) == "shares_cover_calls"


def test_exits_that_wait_for_their_entry_promise_its_shares_already() -> None:
    """Under ``alpaca-parity`` exits hold nothing before the entry is complete, and then sell all of it."""
    floor = Floor()
    floor.no = floor.account(100_000, profile="alpaca-parity")
    floor.do(floor.no, ConfigureAccount(options_level=3))
    bracket = PlaceOrder(
        symbol="XYZ", side="buy", qty="400", type="limit", limit_price="60", time_in_force="gtc", order_class="bracket",
        take_profit=TakeProfit(limit_price="120"), stop_loss=StopLoss(stop_price="55"),
    )  # fmt: skip
    placed(floor.do(floor.no, bracket))
    floor.give(floor.no, (STOCK, 100))
    ((no, group),) = floor.own.groups.items()
    assert floor.own.held == {}
    for part, expected in ((100, "uncovered_short"), (0, "")):
        floor.own.groups[no] = structs.replace(group, entry_qty=part * QTY_PER_SHARE)
        outcome = asked(floor, "C105", "sell", "1", "40")
        assert (refused(outcome) if expected else placed(outcome) and "") == expected


def test_the_holder_cannot_exercise_the_shares_away_from_under_a_call() -> None:
    floor = Floor(cash=30_000, kind="cash", level=2)
    for word, side, qty in (("XYZ", "buy", "100"), ("P105", "buy", "1"), ("C110", "sell", "1")):
        placed(floor.single(word, side, qty))
    floor.price(96.0)
    floor.quote_all()
    assert refused(floor.command(ExercisePosition(symbol=BY_WORD["P105"].symbol))) == "exercise_beyond_means"
    placed(floor.single("C110", "buy"))
    floor.command(ExercisePosition(symbol=BY_WORD["P105"].symbol))
    assert not floor.own.positions


def closing_unit(floor: Floor, contract: str, side: str, limit: str) -> Any:
    legs = (
        OrderLeg(symbol=BY_WORD[contract].symbol, ratio_qty="1", side=side),
        OrderLeg(symbol="XYZ", ratio_qty="100", side="sell"),
    )
    return floor.do(
        floor.no,
        PlaceOrder(qty="1", type="limit", limit_price=limit, order_class="mleg", legs=legs, any_sign=True),
    )


def test_a_covered_call_that_is_being_closed_as_one_locks_no_other_shares() -> None:
    floor = Floor()
    floor.give(floor.no, (STOCK, 200), (BY_WORD["C105"], -1))
    placed(closing_unit(floor, "C105", "buy", "-99.90"))
    placed(asked(floor, "XYZ", "sell", "100", "101"))
    assert refused(asked(floor, "XYZ", "sell", "1", "101")) == "insufficient_qty"


def test_a_unit_with_shares_can_change_its_limit() -> None:
    floor = Floor()
    floor.give(floor.no, (STOCK, 200), (BY_WORD["P95"], 1), (BY_WORD["C105"], -1))
    order = placed(closing_unit(floor, "P95", "sell", "-109.00"))
    floor.wait(2)
    placed(floor.do(floor.no, ReplaceOrder(order_id=order.terms.order_id, limit_price="-108.50")))


def test_shares_sold_short_on_order_hide_no_risk() -> None:
    floor = Floor()
    placed(floor.unit("+C100 -C105"))
    placed(closing_unit(floor, "C95", "buy", "-120"))
    placed(asked(floor, "C105'", "buy", "1", "0.05"))
    assert refused(floor.single("C100", "sell")) == "uncovered_short"


def test_a_closing_unit_leaves_no_put_bare() -> None:
    floor = Floor(cash=3_000)
    for word, side in (("P100", "buy"), ("P95", "sell"), ("C110", "buy")):
        placed(floor.single(word, side))
    assert refused(floor.unit("-P100 -C110")) == "uncovered_short"


def test_a_margin_profile_without_uncovered_shorts_keeps_cover_at_level_four() -> None:
    floor = Floor(level=4)
    floor.do(floor.no, ConfigureAccount(margin_profile="alpaca"))
    placed(floor.unit("+C100 -C105"))
    assert refused(floor.single("C100", "sell")) == "uncovered_short"
