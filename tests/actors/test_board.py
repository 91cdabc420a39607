"""The board's watches against a dictionary that is searched in full for every message."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.market.board import ASK_UP, BID_DOWN, LAST_DOWN, LAST_UP, NO_BOTTOM, Board
from actors.market.messages import Quote, Trade
from tests.oracle.scripts import profile

KEY = st.tuples(st.integers(1, 3), st.integers(1, 4))
PRICE = st.integers(1, 12)
OP = st.one_of(
    st.tuples(st.just("far"), st.sampled_from("AB"), st.integers(0, 3), PRICE, KEY),
    st.tuples(st.just("near"), st.sampled_from("AB"), KEY),
    st.tuples(st.just("off"), KEY),
    st.tuples(st.just("quote"), st.sampled_from("AB"), st.integers(0, 12), st.integers(0, 12)),
    st.tuples(st.just("trade"), st.sampled_from("AB"), PRICE),
)


def reaches(kind: int, price: int, bid: int, ask: int, last: int) -> bool:
    if kind == BID_DOWN:
        return last == 0 and bid <= price
    if kind == ASK_UP:
        return last == 0 and (ask >= price or ask == 0)
    if kind == LAST_UP:
        return last >= price > 0 and last > 0
    return 0 < last <= price


def expected(model: dict[Any, Any], symbol: str, bid: int, ask: int, last: int) -> list[Any]:
    woken = []
    for key, (on, kind, price) in list(model.items()):
        if on != symbol:
            continue
        if kind < 0:
            woken.append(key)
        elif reaches(kind, price, bid, ask, last):
            woken.append(key)
            del model[key]
    return sorted(woken)


@profile(150)
@given(st.lists(OP, max_size=120))
def test_every_watch_that_a_message_reaches_is_woken_once_and_in_order(ops: list[Any]) -> None:
    board = Board()
    model: dict[Any, Any] = {}
    for op in ops:
        if op[0] == "far":
            board.arm_far(op[1], op[2], op[3], op[4])
            model[op[4]] = (op[1], op[2], op[3])
        elif op[0] == "near":
            board.arm_near(op[1], op[2])
            model[op[2]] = (op[1], -1, 0)
        elif op[0] == "off":
            board.disarm(op[1])
            model.pop(op[1], None)
        elif op[0] == "quote":
            slot = board.slot(op[1])
            sees = op[2] <= slot.bid_down or not 0 < op[3] < slot.ask_up or slot.busy
            want = expected(model, op[1], op[2], op[3], 0)
            assert sees or not want
            assert board.woken_by_quote(slot, op[2], op[3]) == want
        else:
            assert board.woken_by_trade(board.slot(op[1]), op[2]) == expected(model, op[1], 0, 0, op[2])
        assert len(board) == len(model)
        for symbol in "AB":
            near = {key for key, (on, kind, _) in model.items() if on == symbol and kind < 0}
            assert set(board.slot(symbol).near) == near
            assert board.slot(symbol).busy == bool(near)


def test_removed_watches_do_not_pile_up() -> None:
    board = Board()
    for round_no in range(50):
        for order_no in range(1, 41):
            board.arm_far("A", BID_DOWN, 100 + order_no, (1, order_no))
            board.arm_far("A", LAST_DOWN, 100 + round_no, (2, order_no))
    for side in board.slot("A").sides:
        if side is not None:
            assert len(side.heap) <= 40 + 2 * 65
            assert 0 <= side.stale <= len(side.heap)
    for order_no in range(1, 41):
        board.disarm((1, order_no))
        board.disarm((2, order_no))
    assert len(board) == 0
    assert board.woken_by_quote(board.slot("A"), 0, 1) == []
    assert board.all_on(board.slot("A")) == []
    assert board.slot("A").bid_down == -1


def test_a_slot_is_busy_while_anyone_has_taken_from_it() -> None:
    board = Board()
    board.add_consumer("A", 1)
    board.arm_near("A", (1, 1))
    board.disarm((1, 1))
    slot = board.slot("A")
    assert slot.busy
    board.drop_consumer(slot, 1)
    assert not slot.busy


def test_the_mark_is_the_last_print_then_the_middle_then_the_side_there_is() -> None:
    slot = Board().slot("A")
    assert slot.mark() == 0
    slot.quote = Quote("A", 0, 0, 105, 1, 1)
    assert slot.mark() == 105
    slot.quote = Quote("A", 100, 1, 105, 1, 1)
    assert slot.mark() == 102
    slot.last = Trade("A", 99, 1, 1)
    assert slot.mark() == 99
    assert slot.last_up == slot.ask_up == NO_BOTTOM
