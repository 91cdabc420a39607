"""Trailing stops: the mark follows prints in its favour only, in the core session only, and survives a restart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.book.rules.trailing import stop_now
from actors.commands import ReplaceOrder
from actors.engine import Engine
from mbtd.records.orders import record_of, render_order
from tests.oracle.rig import HOUR, SECOND, trade
from tests.oracle.scripts import profile
from tests.orders.rig import OPEN, Desk


def stop_of(desk: Desk, order_no: int) -> int:
    return stop_now(desk.order(order_no), desk.book.watch.get(order_no))


def trail(desk: Desk, **fields: Any) -> int:
    placed = desk.place(type="trailing_stop", **fields)
    assert isinstance(placed, Placed), placed
    return placed.order_no


def test_a_sale_trails_upwards_and_shows_its_mark() -> None:
    desk = Desk()
    desk.place()
    order_no = trail(desk, side="sell", trail_percent="10", time_in_force="gtc")
    assert (stop_of(desk, order_no), desk.held()) == (90_045, 10)
    n = desk.book.n
    desk.print(1100)
    desk.print(1050)
    assert desk.book.n == n
    assert stop_of(desk, order_no) == 99_000
    shown = render_order(record_of(desk.book, desk.order(order_no)))
    assert (shown["hwm"], shown["stop_price"], shown["trail_percent"]) == ("11", "9.9", "10")
    desk.quote(989, 990)
    desk.print(990)
    (elected,) = [event for event in desk.events() if isinstance(event, e.OrderTriggered)]
    assert (elected.high_water_mark, elected.stop_price, elected.trigger_price) == (110_000, 99_000, 99_000)
    desk.wait()
    assert (desk.position(), desk.book.orders) == (0, {})
    ended = render_order(desk.records()[order_no])
    assert (ended["status"], ended["hwm"], ended["stop_price"]) == ("filled", "11", "9.9")


def test_a_purchase_trails_downwards_and_reserves_at_the_collar() -> None:
    desk = Desk()
    desk.print(1000)
    order_no = trail(desk, trail_price="0.50")
    assert stop_of(desk, order_no) == 105_000
    assert desk.book.reserved_money == 1092 * 100_000
    desk.print(950)
    assert stop_of(desk, order_no) == 100_000
    desk.print(1000)
    desk.wait()
    assert desk.position() == 10


def test_nothing_moves_outside_the_core_session() -> None:
    desk = Desk()
    desk.place()
    order_no = trail(desk, side="sell", trail_price="1", time_in_force="gtc")
    before = stop_of(desk, order_no)
    desk.session("post", OPEN + 6 * HOUR)
    desk.print(1500)
    desk.print(100)
    assert (stop_of(desk, order_no), desk.live()) == (before, {order_no: "new"})
    desk.session("core", OPEN + 24 * HOUR, day=1)
    desk.print(1500)
    assert stop_of(desk, order_no) == 140_000


def test_the_trail_can_change_and_keeps_its_kind_and_its_mark() -> None:
    desk = Desk("realistic")
    desk.place()
    order_no = trail(desk, side="sell", trail_price="1")
    desk.wait()
    desk.print(1200)

    def change(**fields: str) -> Any:
        return desk.do(ReplaceOrder(order_id=desk.order(order_no).terms.order_id, **fields))

    assert change(stop_price="9.00").reason == "price_not_accepted"
    assert change(trail="1.00").reason == "nothing_changed"
    assert change(trail="0").reason == "invalid_trail"
    assert change(trail="13").reason == "invalid_trail"
    new = change(trail="2.5")
    desk.print(1300)
    desk.wait()
    assert desk.live() == {new.order_no: "new"}
    assert stop_of(desk, new.order_no) == 105_000
    plain = desk.place(type="limit", limit_price="5", client_order_id="plain")
    desk.wait()
    assert isinstance(plain, Placed)
    assert desk.do(ReplaceOrder(client_order_id="plain", trail="1")).reason == "trail_kind"


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("trail_required", {}),
        ("trail_required", {"trail_price": "1", "trail_percent": "1"}),
        ("trail_percent_too_small", {"trail_percent": "0.09"}),
        ("invalid_trail", {"trail_price": "0"}),
        ("invalid_trail", {"trail_price": "100"}),
        ("invalid_trail", {"trail_percent": "100"}),
        ("invalid_trail", {"trail_percent": "1.00001"}),
        ("price_not_accepted", {"trail_price": "1", "stop_price": "9"}),
        ("fractional_trailing", {"trail_price": "1", "qty": "0.5"}),
        ("extended_hours_stop", {"trail_price": "1", "extended_hours": True}),
        ("invalid_time_in_force", {"trail_price": "1", "time_in_force": "ioc"}),
        ("trail_not_accepted", {"type": "market", "trail_price": "1"}),
    ],
)
def test_trails_that_make_no_sense(reason: str, fields: dict[str, Any]) -> None:
    desk = Desk()
    desk.place()
    refused = desk.place(**{"side": "sell", "type": "trailing_stop", **fields})
    assert isinstance(refused, Refusal)
    assert refused.reason == reason


@profile(60)
@given(st.lists(st.integers(900, 1300), max_size=25), st.booleans(), st.sampled_from(["0.37", "1%", "2.55%"]))
def test_the_mark_is_the_best_print_and_the_first_touch_elects(prints: list[int], buying: bool, width: str) -> None:
    desk = Desk()
    if not buying:
        desk.place()
    percent = width.endswith("%")
    fields = {"trail_percent" if percent else "trail_price": width.rstrip("%")}
    order_no = trail(desk, side="buy" if buying else "sell", **fields)
    best = Decimal(desk.order(order_no).terms.high_water_mark) / 10_000
    elected = None
    for number, cents in enumerate(prints):
        desk.engine.tape(trade("AAA", cents, desk.at + number * SECOND))
        price = Decimal(cents) / 100
        best = min(best, price) if buying else max(best, price)
        distance = best * Decimal(width[:-1]) / 100 if percent else Decimal(width)
        stop = round(best + distance if buying else best - distance, 4)
        if price >= stop if buying else price <= stop:
            elected = number
            break
        assert Decimal(stop_of(desk, order_no)) / 10_000 == stop
    triggered = [event for event in desk.events() if isinstance(event, e.OrderTriggered)]
    assert len(triggered) == (elected is not None)


def test_the_mark_is_saved_by_value_and_the_stop_is_armed_again() -> None:
    desk = Desk()
    desk.place()
    order_no = trail(desk, side="sell", trail_price="1")
    desk.engine.take_moved()
    desk.print(1400)
    moved = desk.engine.take_moved()
    again = Engine(
        desk.engine.seed, desk.engine.profiles, instruments=desk.engine.world.instruments.by_symbol.values()
    )
    for step in desk.engine.steps:
        again.restore_step(step)
    for part in moved:
        again.restore_moved(part)
    again.refeed(desk.engine.world.session)  # type: ignore[arg-type]
    again.admit(again.books[1])
    again.tape(trade("AAA", 1301, desk.at + 1))
    assert not again.books[1].orders[order_no].triggered
    again.tape(trade("AAA", 1300, desk.at + 2))
    assert again.books[1].orders[order_no].triggered
