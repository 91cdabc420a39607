"""Client order ids like those of the house's own orders: a client may choose them and gains nothing by it."""

from __future__ import annotations

from actors.book import events as e
from actors.book.outcome import Placed
from actors.commands import PlaceOrder
from tests.money.rig import DOLLAR
from tests.money.test_margin import in_call
from tests.options.test_bought_in import assigned


def test_an_order_that_is_called_a_liquidation_holds_up_no_forced_sale() -> None:
    bench, account = in_call(62.0)
    mine = bench.order(account, "sell", "1", type="limit", limit_price="900", client_order_id="liquidation-me",
                       time_in_force="gtc")  # fmt: skip
    assert isinstance(mine, Placed)
    bench.go("2026-08-04 09:31")
    bench.quote("AAA", 62)
    bench.go("2026-08-04 09:33")
    assert bench.book(account).money.call.state == "ok"
    assert [(event.order_no, event.reason) for event in bench.events(account, e.OrderCanceled)] == [
        (mine.order_no, "margin_call")
    ]
    assert bench.book(account).cash > -10_000 * DOLLAR


def test_an_order_that_is_called_a_buy_in_does_not_take_the_place_of_one() -> None:
    stage = assigned()
    order = PlaceOrder(symbol="XYZ", side="buy", qty="100", type="limit", time_in_force="gtc", limit_price="90",
                       client_order_id="buy-in-1")  # fmt: skip
    assert isinstance(stage.do(1, order), Placed)
    stage.go("2026-12-21 09:31")
    assert [event.reason for event in stage.events(1, e.OrderCanceled)] == ["buy_in"]
    stage.quote("XYZ", 107, 107)
    stage.go("2026-12-21 09:32")
    assert stage.held(1) == {}
