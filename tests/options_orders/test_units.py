"""Orders of several legs: what is refused, what is reserved, what each leg trades at."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import CancelAll, OrderLeg, ReplaceOrder
from mbtd.records.orders import accepted_record, follow, render_order
from tests.options_orders.rig import CALLS, OTHER, PUTS, STOCK, Desk

CONDOR = "+P90 -P95 -C105 +C110"


def quoted(**more: Any) -> Desk:
    """The wings at 1.00 to 1.10, the inside at 2.00 to 2.10."""
    desk = Desk(**more)
    for instrument in (PUTS[90], CALLS[110]):
        desk.quote(instrument, 100, 110)
    for instrument in (PUTS[95], CALLS[105]):
        desk.quote(instrument, 200, 210)
    return desk


def check_exact(desk: Desk) -> None:
    """Every fill's legs sum to its net, a lot of the stock counting one, and no leg lies outside its quote."""
    for fill in desk.events(e.OrderFilled):
        lines = [x for x in desk.events(e.OrderLegFilled) if (x.order_no, x.fill_no) == (fill.order_no, fill.fill_no)]
        signed = [x.qty * (1 if x.side == "buy" else -1) // (100 if x.symbol == "XYZ" else 1) for x in lines]
        net = sum(x.price * qty for x, qty in zip(lines, signed, strict=True))
        assert net == fill.price * fill.qty
        assert all(x.bid <= x.price <= x.ask for x in lines)


def test_a_condor_fills_at_its_net_and_every_leg_inside_its_quote() -> None:
    desk = quoted()
    placed = desk.unit(CONDOR, "-1.60", qty="2")
    assert isinstance(placed, Placed), placed
    desk.wait()
    assert [desk.held(x) for x in (PUTS[90], PUTS[95], CALLS[105], CALLS[110])] == [2, -2, -2, 2]
    (fill,) = desk.events(e.OrderFilled)
    assert fill.price <= -16_000
    check_exact(desk)
    assert desk.book.cash == 100_000_000_000 - fill.price * 2 * 100 * 100
    assert (desk.book.reserved_money, desk.book.held, desk.book.open_sides) == (0, {}, {})
    events = desk.events()
    for index, event in enumerate(events):
        if isinstance(event, e.OrderLegFilled):
            assert isinstance(events[index + 1], e.PositionChanged)


def test_a_condor_reserves_its_largest_loss() -> None:
    desk = quoted()
    desk.unit(CONDOR, "-2.15")
    (order,) = desk.book.orders.values()
    assert order.terms.reserved_money in (285_000_000, 285_000_000 * 2, 285_000_000 * 4)


@pytest.mark.parametrize(
    ("legs", "limit", "level", "found"),
    [
        ("-C105 +C110", "-0.90", 3, ""),
        ("+C105 -C110", "1.10", 3, ""),
        ("-P95 +P90", "-0.90", 3, ""),
        ("-C105 +C110", "-0.90", 2, "option_level"),
        (CONDOR, "-1.60", 2, "option_level"),
        ("+P95 +C105", "4.20", 2, ""),
        ("+C105 -2C110", "0.10", 3, "uncovered_short"),
        ("+C105 -2C110", "0.10", 4, ""),
    ],
)
def test_levels(legs: str, limit: str, level: int, found: str) -> None:
    desk = quoted(level=level)
    outcome = desk.unit(legs, limit)
    assert (outcome.reason if isinstance(outcome, Refusal) else "") == found
    if not found:
        desk.wait()
        check_exact(desk)


@pytest.mark.parametrize(
    ("legs", "fields", "found"),
    [
        ("+C105", {}, "leg_count"),
        ("+2C105 -2C110", {}, "ratio_not_reduced"),
        ("+C105 -C105", {}, "leg_repeated"),
        ("+C105 -C110", {"symbol": "XYZ"}, "mleg_field"),
        ("+C105 -C110", {"time_in_force": "gtc"}, "option_time_in_force"),
        ("+C105 -C110", {"qty": "1.5"}, "option_whole_contracts"),
        ("+C105 -C110", {"limit_price": None}, "option_limit_required"),
        ("+C105 -C110", {"limit_price": "-1.00"}, "sign_suspect"),
        ("+C105 -C110", {"extended_hours": True}, "option_extended_hours"),
    ],
)
def test_what_a_unit_may_not_say(legs: str, fields: dict[str, Any], found: str) -> None:
    outcome = quoted().unit(legs, **{"limit": "1.00", **fields})
    assert isinstance(outcome, Refusal)
    assert outcome.reason == found


def test_a_refusal_names_its_leg() -> None:
    desk = quoted()
    other = OrderLeg(symbol=OTHER.symbol, ratio_qty="1", side="sell")
    mine = OrderLeg(symbol=CALLS[105].symbol, ratio_qty="1", side="buy")
    outcome = desk.unit("+C105 -C110", "1.00", legs=(mine, other))
    assert (outcome.reason, outcome.numbers["leg"]) == ("underlying_mismatch", OTHER.symbol)
    stock = OrderLeg(symbol=STOCK.symbol, ratio_qty="150", side="buy")
    outcome = desk.unit("+C105 -C110", "1.00", legs=(mine, stock))
    assert (outcome.reason, outcome.numbers["leg"]) == ("leg_ratio", "XYZ")
    stock = OrderLeg(symbol=STOCK.symbol, ratio_qty="100", side="buy")
    outcome = desk.unit("+C105 -C110", "1.00", legs=(stock, stock))
    assert (outcome.reason, outcome.numbers["leg"]) == ("leg_repeated", "XYZ")
    closing = OrderLeg(symbol=CALLS[110].symbol, ratio_qty="1", side="sell", position_intent="sell_to_close")
    outcome = desk.unit("+C105 -C110", "1.00", legs=(mine, closing))
    assert (outcome.reason, outcome.field) == ("position_intent_mismatch", "legs.1.position_intent")


def test_what_was_opened_is_closed_for_the_spread() -> None:
    desk = quoted()
    desk.unit(CONDOR, "-1.60")
    desk.wait()
    for instrument, bid, ask in (
        (PUTS[90], 100, 110),
        (CALLS[110], 100, 110),
        (PUTS[95], 200, 210),
        (CALLS[105], 200, 210),
    ):
        desk.quote(instrument, bid, ask)
    placed = desk.unit("-P90 +P95 +C105 -C110", "2.40")
    assert isinstance(placed, Placed), placed
    assert placed.terms is not None
    assert {leg.position_intent for leg in placed.terms.legs} == {"sell_to_close", "buy_to_close"}
    desk.wait()
    assert not desk.book.positions
    opened, closed = desk.events(e.OrderFilled)
    assert desk.book.cash == 100_000_000_000 - (opened.price + closed.price) * 100 * 100
    assert 0 <= opened.price + closed.price <= 2 * 4 * 1_000
    check_exact(desk)


def test_contracts_on_their_way_out_are_held() -> None:
    desk = quoted()
    desk.unit(CONDOR, "-1.60")
    desk.wait()
    first = desk.unit("-P90 +P95 +C105 -C110", "1.60")
    assert isinstance(first, Placed)
    assert first.terms is not None
    assert desk.book.held[PUTS[90].symbol] == 10**9
    for outcome in (desk.unit("-P90 +P95 +C105 -C110", "1.60"), desk.place(CALLS[110], "sell", "9.00")):
        assert isinstance(outcome, Refusal)
        assert outcome.reason == "insufficient_qty"
        assert outcome.numbers["related_orders"] == first.terms.order_id
    desk.do(CancelAll())
    desk.wait()
    assert (desk.book.held, desk.book.orders) == ({}, {})


def test_the_net_limit_can_be_replaced() -> None:
    desk = quoted()
    placed = desk.unit(CONDOR, "-2.30")
    desk.wait()
    assert placed.terms is not None
    changed = desk.do(ReplaceOrder(order_id=placed.terms.order_id, limit_price="-1.60"))
    assert isinstance(changed, Placed), changed
    desk.wait()
    assert desk.held(PUTS[90]) == 1
    check_exact(desk)


def test_part_of_the_units_keeps_the_ratio() -> None:
    desk = Desk()
    desk.quote(CALLS[105], 200, 210, size=6)
    desk.quote(CALLS[110], 100, 110, size=50)
    desk.unit("+C105 -C110", "1.10", qty="40")
    desk.wait()
    assert 0 < desk.held(CALLS[105]) < 40
    assert desk.held(CALLS[105]) == -desk.held(CALLS[110])
    check_exact(desk)


def test_one_bad_leg_stops_the_unit_and_a_good_quote_of_it_fills_it() -> None:
    desk = quoted()
    desk.quote(CALLS[105], 220, 210)
    desk.unit(CONDOR, "-1.60")
    desk.wait()
    (watch,) = desk.book.watch.values()
    assert watch.reason == f"leg:{CALLS[105].symbol}:crossed"
    assert not desk.book.positions
    desk.quote(CALLS[105], 200, 210)
    assert desk.held(CALLS[105]) == -1


def test_a_repeat_is_answered_with_the_first() -> None:
    desk = quoted()
    first = desk.unit(CONDOR, "-2.30", client_order_id="once")
    again = desk.unit(CONDOR, "-2.30", client_order_id="once")
    assert (again.order_no, again.duplicate) == (first.order_no, True)
    assert desk.unit(CONDOR, "-2.31", client_order_id="once").reason == "client_order_id_not_unique"


def test_a_market_unit_fills() -> None:
    desk = quoted()
    assert isinstance(desk.unit(CONDOR), Placed)
    desk.wait()
    assert desk.held(CALLS[105]) == -1
    check_exact(desk)


def test_replayed_events_rebuild_the_book_and_the_record() -> None:
    desk = quoted()
    placed = desk.unit(CONDOR, "-1.60", qty="2")
    desk.wait()
    again, record = Book(1), None
    for step in desk.engine.steps:
        for section in step.sections:
            for event in section.events if section.account_no == 1 else ():
                fold(again, event, step.at, None)
                if isinstance(event, e.OrderAccepted):
                    record = accepted_record(event, step.at)
                elif record is not None and getattr(event, "order_no", 0) == placed.order_no:
                    record = follow(record, event, step.at)
    assert (again.positions, again.cash, again.held) == (desk.book.positions, desk.book.cash, desk.book.held)
    assert record is not None
    shown = render_order(record)
    assert (shown["status"], shown["filled_qty"], len(shown["legs"])) == ("filled", "2", 4)
    net = sum(float(leg["filled_avg_price"]) * (1 if leg["side"] == "buy" else -1) for leg in shown["legs"])
    assert net == pytest.approx(float(shown["filled_avg_price"]))
