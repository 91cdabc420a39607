"""Steps of the wall clock: recorded times never go back, and whatever is due is done (operations §13)."""

from __future__ import annotations

import pytest

from actors.commands import CancelOrder, PlaceOrder
from actors.mailbox import Mailroom
from actors.market.messages import Quote
from actors.pump import Pump
from tests.oracle.rig import HOUR, SECOND, Do, feed, open_engine, session
from tests.oracle.scripts import ACCOUNTS, OPEN

STEPS = (-HOUR, 24 * HOUR, -30 * SECOND, HOUR)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_clock_neither_turns_time_back_nor_loses_a_timer(step: int) -> None:
    engine = open_engine(ACCOUNTS)
    clock = [OPEN + SECOND]
    pump = Pump(engine, Mailroom(), now=lambda: clock[0], monotonic=lambda: clock[0], after=lambda: None)
    feed(engine, session("core", OPEN))
    account_no = 2

    def place() -> None:
        order = PlaceOrder(symbol="AAA", qty="1", side="buy", type="limit", limit_price="1.00", time_in_force="day")
        feed(engine, Do(account_no, order, clock[0]))

    place()
    clock[0] += 2 * SECOND
    pump.spin()
    clock[0] += step
    pump.push([Quote("AAA", 100_000, 10, 100_100, 10, clock[0], received_at=clock[0])])
    pump.spin()
    if step < 24 * HOUR:
        feed(engine, Do(account_no, CancelOrder(), clock[0], 1))
        clock[0] += 2 * SECOND + abs(min(0, step))
        pump.spin()
    times = [item.at for item in engine.steps]
    assert times == sorted(times)
    assert not engine.books[account_no].orders, "cancelled, or expired where a day went by"
