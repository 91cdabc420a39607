"""A cash account that an assignment left short of shares: it is called, and bought in at the next open (§5.8)."""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.commands import PlaceOrder
from mbtd.records.orders import record_of
from mbtd.service.why import why_live
from tests.money.rig import when
from tests.options.stage import CALL, Stage

SOLD_FOR = 1_000 + 200 + 10_000
"""Cash after the premium and the strike."""


def assigned(*held: Any) -> Stage:
    """A call without cover was assigned over the weekend of 2026-12-18."""
    stage = Stage()
    stage.account(1_000, (CALL, -1), *held, kind="cash")
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go("2026-12-18 17:31")
    assert stage.held(1)["XYZ"] < 0
    return stage


def states(stage: Stage) -> list[tuple[str, str]]:
    return [(event.state, event.reason) for event in stage.events(1, e.MarginChanged)]


def bought(stage: Stage) -> list[tuple[str, int]]:
    return [
        (event.client_order_id, event.qty // 10**9)
        for event in stage.events(1, e.OrderAccepted)
        if event.position_intent == "buy_to_close" and event.client_order_id.startswith("buy-in-")
    ]


def test_it_is_called_for_the_shares_and_bought_in_at_the_next_open() -> None:
    stage = assigned()
    call = stage.book(1).money.call
    assert (call.state, call.reason, call.due_at) == ("call", "short_stock", when("2026-12-21 09:30"))
    stage.go("2026-12-21 09:29")
    assert bought(stage) == []
    stage.go("2026-12-21 09:31")
    ((_, qty),) = bought(stage)
    assert qty == 100
    stage.quote("XYZ", 107, 107)
    stage.go("2026-12-21 09:32")
    assert stage.held(1) == {}
    assert stage.cash(1) == SOLD_FOR - 10_700
    assert states(stage) == [("call", "short_stock"), ("liquidating", "short_stock"), ("ok", "")]
    assert not stage.book(1).quarantined


def test_until_then_nothing_new_is_opened_and_its_owner_may_cover() -> None:
    stage = assigned()
    stage.go("2026-12-21 08:00")
    stage.quote("XYZ", 104, 104)
    order: dict[str, Any] = {"symbol": "XYZ", "qty": "100", "type": "limit", "time_in_force": "day",
                             "extended_hours": True}  # fmt: skip
    refused = stage.do(1, PlaceOrder(side="buy", **{**order, "symbol": CALL.symbol, "qty": "1", "limit_price": "1",
                                                    "extended_hours": False}))  # fmt: skip
    assert isinstance(refused, Refusal)
    assert refused.reason == "margin_call"
    stage.do(1, PlaceOrder(side="buy", limit_price="105", **order))
    stage.engine.run_timers_through(stage.now)
    assert stage.held(1) == {}
    assert stage.book(1).money.call.state == "ok"
    stage.go("2026-12-21 09:40")
    assert bought(stage) == []


def test_what_does_not_fill_is_ordered_again_and_other_orders_in_the_stock_give_way() -> None:
    stage = assigned()
    stage.do(1, PlaceOrder(symbol="XYZ", side="buy", qty="100", type="limit", time_in_force="gtc", limit_price="90"))
    stage.go("2026-12-22 09:31")  # a day without a quote
    assert [event.reason for event in stage.events(1, e.OrderCanceled)] == ["buy_in"]
    assert len(bought(stage)) == 2
    stage.quote("XYZ", 107, 107)
    stage.go("2026-12-22 09:32")
    assert stage.held(1) == {}


def test_an_order_of_the_house_says_what_it_is_for() -> None:
    stage = assigned()
    stage.go("2026-12-21 09:31")
    (order,) = stage.book(1).orders.values()
    record = record_of(stage.book(1), order)
    waiting = why_live(stage.book(1), order, record, stage.engine.world, stage.engine.profiles)
    assert waiting["placed_by"] == "house"
    assert waiting["explanation"].startswith("The house placed this order to buy back 100 XYZ")


def test_buying_in_may_overdraw_it_and_then_it_is_called_for_cash() -> None:
    stage = assigned()
    stage.go("2026-12-21 09:31")
    stage.quote("XYZ", 150, 150)
    stage.go("2026-12-21 09:32")
    assert stage.held(1) == {}
    assert stage.cash(1) == SOLD_FOR - 15_000
    assert (stage.book(1).money.call.state, stage.book(1).money.call.reason) == ("call", "overdrawn")
