"""An on-close order that is changed waits for its auction as the first one did, in whatever phase it is changed."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.outcome import Placed
from actors.commands import ReplaceOrder
from actors.market.messages import Auction
from tests.oracle.rig import HOUR, SECOND, feed
from tests.orders.rig import OPEN, Desk


def fills(desk: Desk) -> list[tuple[int, int]]:
    """Order number and price of each fill."""
    return [(event.order_no, event.price) for event in desk.events() if isinstance(event, e.OrderFilled)]


def closes_at(desk: Desk) -> int:
    """When the core session ends."""
    session = desk.engine.world.session
    assert session is not None
    return session.core_closes_at


def test_a_changed_on_close_order_trades_at_the_close_and_not_before() -> None:
    desk = Desk("realistic")
    first = desk.place(type="limit", limit_price="9.90", time_in_force="cls")
    assert isinstance(first, Placed)
    desk.wait()
    changed = desk.do(ReplaceOrder(order_id=desk.order(first.order_no).terms.order_id, limit_price="12.00"))
    assert isinstance(changed, Placed)
    desk.wait()
    desk.quote(1000, 1001)
    desk.wait(OPEN + HOUR)
    assert desk.live() == {changed.order_no: "new"}
    assert fills(desk) == []
    desk.at = closes_at(desk) + SECOND
    feed(desk.engine, Auction("AAA", "close", 100_500, 50_000, desk.at, "N"))
    assert fills(desk) == [(changed.order_no, 100_500)]
    assert desk.live() == {}


@pytest.mark.parametrize("phase", ["post", "closed"])
def test_a_change_after_the_close_waits_for_the_next_one(phase: str) -> None:
    desk = Desk("realistic")
    desk.session(phase, closes_at(desk) + SECOND)
    evening = OPEN + 10 * HOUR
    first = desk.place_at(evening, time_in_force="cls")
    assert isinstance(first, Placed)
    desk.wait()
    changed = desk.do(ReplaceOrder(order_id=desk.order(first.order_no).terms.order_id, qty="7"))
    assert isinstance(changed, Placed)
    desk.wait(evening + HOUR)
    assert desk.live() == {changed.order_no: "new"}
    assert fills(desk) == []
