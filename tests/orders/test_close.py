"""Closing positions: alone, all together, behind the cancels of what holds the shares."""

from __future__ import annotations

from actors.book.outcome import Closed, Placed
from actors.book.rules.reasons import Refusal
from actors.commands import CancelOrder, CloseAllPositions, ClosePosition
from tests.oracle.rig import quote
from tests.orders.rig import Desk


def test_a_close_beside_exits_is_refused_and_behind_them_waits() -> None:
    desk = Desk("realistic")
    desk.place()
    desk.wait()
    desk.wait()
    profit, loss = desk.oco()
    refused = desk.do(ClosePosition(symbol="AAA"))
    assert isinstance(refused, Refusal)
    assert refused.reason == "insufficient_qty"
    placed = desk.do(ClosePosition(symbol="AAA", cancel_orders=True, client_order_id="out"))
    assert isinstance(placed, Placed)
    assert desk.live() == {profit: "pending_cancel", loss: "pending_cancel", placed.order_no: "held"}
    again = desk.do(ClosePosition(symbol="AAA", cancel_orders=True, client_order_id="out"), after=0)
    assert (again.order_no, again.duplicate) == (placed.order_no, True)
    desk.wait()
    assert desk.ends()[profit] == ("canceled", "user_cancel") or desk.ends()[loss] == ("canceled", "user_cancel")
    desk.wait()
    assert (desk.position(), desk.book.orders, desk.book.closing, desk.held()) == (0, {}, {}, 0)
    assert desk.ends()[placed.order_no] == ("filled", "")


def test_a_close_takes_what_is_left_when_the_last_order_has_ended() -> None:
    desk = Desk("realistic")
    desk.place()
    desk.wait()
    desk.wait()
    exit_order = desk.place(side="sell", type="limit", limit_price="10.05", qty="4")
    desk.wait()
    close = desk.do(ClosePosition(symbol="AAA", cancel_orders=True))
    desk.engine.tape(quote("AAA", 1006, 1007, desk.at + 1))
    desk.engine.tape(quote("AAA", 1006, 1008, desk.at + 2))
    desk.wait()
    desk.wait()
    assert desk.position() == 0
    assert desk.ends()[close.order_no][0] == "filled"
    sold = sum(record.filled_qty for no, record in desk.records().items() if record.terms.side == "sell")
    assert sold == 10 * 10**9
    assert exit_order.order_no in desk.ends()


def test_a_held_close_can_be_cancelled() -> None:
    desk = Desk("realistic")
    desk.place()
    desk.wait()
    desk.wait()
    desk.oco()
    close = desk.do(ClosePosition(symbol="AAA", cancel_orders=True))
    desk.do(CancelOrder(order_id=close.terms.order_id), after=0)
    desk.wait()
    desk.wait()
    assert (desk.position(), desk.book.orders, desk.book.closing) == (10, {}, {})


def test_close_all_answers_for_each_position() -> None:
    desk = Desk("realistic", cash="1000000")
    desk.engine.tape(quote("CCC", 1000, 1001, desk.at))
    desk.place()
    desk.place(symbol="CCC")
    desk.wait()
    desk.wait()
    desk.place(symbol="AAA", side="sell", type="limit", limit_price="12.00")
    desk.wait()
    answer = desk.do(CloseAllPositions())
    assert isinstance(answer, Closed)
    outcomes = dict(answer.items)
    assert isinstance(outcomes["AAA"], Refusal)
    assert isinstance(outcomes["CCC"], Placed)
    desk.wait()
    answer = desk.do(CloseAllPositions(cancel_orders=True))
    assert [symbol for symbol, _ in answer.items] == ["AAA"]
    desk.wait()
    desk.wait()
    assert (desk.book.positions, desk.book.orders, desk.book.held) == ({}, {}, {})
    assert desk.do(CloseAllPositions()) == Closed(())
