"""Closes that wait for other orders never take the cover from under what is short (alpaca-api §2.13)."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.outcome import Closed, Placed
from actors.book.units import QTY_PER_SHARE
from actors.commands import CloseAllPositions, ClosePosition
from tests.structures.rig import BY_WORD, Floor, check, placed
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
