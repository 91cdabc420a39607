"""When and beside what an order is taken: auction windows, extended hours, wash trades, repeats."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.outcome import Done, Placed
from actors.book.rules.matrix import CLASSES, RULES, published
from actors.book.rules.reasons import Refusal, advice_text, alpaca_text
from actors.commands import CancelAll, CancelOrder, ConfigureAccount, ReplaceOrder, StopLoss, TakeProfit
from actors.market.messages import Session
from tests.oracle.rig import DAY, HOUR, SECOND, START, feed
from tests.orders.rig import OPEN, Desk

MINUTE = HOUR // 60
LIMIT = {"type": "limit", "limit_price": "9.00"}
CLOSE = START + 12 * HOUR
POST_CLOSE = START + 16 * HOUR


def expiry(placed: Any) -> int:
    assert isinstance(placed, Placed), placed
    assert placed.terms is not None
    return placed.terms.expires_at


@pytest.mark.parametrize("kind", ["market", "limit"])
@pytest.mark.parametrize(
    ("in_force", "at", "auction"),
    [
        ("opg", OPEN - 2 * MINUTE - 1, OPEN),
        ("opg", OPEN - 2 * MINUTE, 0),
        ("opg", OPEN + 570 * MINUTE - 1, 0),
        ("opg", OPEN + 570 * MINUTE, OPEN + DAY),
        ("cls", OPEN - HOUR, CLOSE),
        ("cls", CLOSE - 10 * MINUTE - 1, CLOSE),
        ("cls", CLOSE - 10 * MINUTE, 0),
        ("cls", OPEN + 570 * MINUTE, CLOSE + DAY),
    ],
)
def test_auction_orders_have_their_hours(kind: str, in_force: str, at: int, auction: int) -> None:
    fields = {**(LIMIT if kind == "limit" else {}), "time_in_force": in_force}
    placed = Desk(opened_at=START + HOUR).place_at(at, **fields)
    if auction:
        assert auction < expiry(placed) <= auction + HOUR
    else:
        assert isinstance(placed, Refusal)
        assert placed.reason == f"{in_force}_window"


def test_an_extended_day_order_lives_to_the_end_of_its_post_session() -> None:
    desk = Desk()
    assert expiry(desk.place(**LIMIT, extended_hours=True)) == POST_CLOSE
    assert expiry(desk.place(**LIMIT)) == CLOSE
    desk.session("post", CLOSE)
    assert expiry(desk.place(**LIMIT, extended_hours=True)) == POST_CLOSE
    assert expiry(desk.place(**LIMIT)) == CLOSE + DAY
    desk.session("closed", POST_CLOSE)
    assert expiry(desk.place(**LIMIT, extended_hours=True)) == POST_CLOSE + DAY
    assert expiry(desk.place(**LIMIT)) == CLOSE + DAY
    assert expiry(desk.place(**LIMIT, time_in_force="gtc", extended_hours=True)) == START + 90 * DAY


def test_a_repeat_is_answered_with_the_first_order_whatever_happened_since() -> None:
    desk = Desk()
    first = desk.place(**LIMIT, client_order_id="a")
    desk.do(ConfigureAccount(suspend_trade=True))
    again = desk.place(**LIMIT, client_order_id="a")
    assert (again.order_no, again.duplicate) == (first.order_no, True)
    other = desk.place(**LIMIT, client_order_id="b")
    assert isinstance(other, Refusal)
    assert other.reason == "trade_suspended"
    desk.do(CancelAll())
    desk.wait()
    assert desk.place(**LIMIT, client_order_id="a") == Placed(None, first.order_no, duplicate=True)


def test_a_repeated_group_is_the_first_group() -> None:
    desk = Desk()
    fields = {
        **LIMIT,
        "order_class": "bracket",
        "take_profit": TakeProfit(limit_price="11"),
        "client_order_id": "g",
    }
    first = desk.place(**fields, stop_loss=StopLoss(stop_price="8"))
    again = desk.place(**fields, stop_loss=StopLoss(stop_price="8.00"))
    assert (again.order_no, again.duplicate, len(desk.book.orders)) == (first.order_no, True, 3)
    other = desk.place(**fields, stop_loss=StopLoss(stop_price="7"))
    assert isinstance(other, Refusal)
    assert other.reason == "client_order_id_not_unique"


def test_cancel_all_takes_orders_that_are_being_changed() -> None:
    desk = Desk("realistic")
    order_no = desk.place(**LIMIT).order_no
    desk.wait()
    desk.do(ReplaceOrder(order_id=desk.order(order_no).terms.order_id, qty="20"))
    assert desk.live() == {order_no: "pending_replace"}
    assert desk.do(CancelAll(), after=0) == Done((order_no,))
    assert desk.live() == {order_no: "pending_cancel"}
    desk.wait()
    assert (desk.book.orders, desk.book.reserved_money) == ({}, 0)
    assert desk.ends() == {order_no: ("canceled", "user_cancel")}


def never_closing(at: int) -> Desk:
    """A market whose core sessions run from 16:00 to 16:00."""
    desk = Desk()
    opens = START + 12 * HOUR
    this = Session(
        "core", at, 20231115, opens, opens + DAY, opens + DAY, opens + DAY, opens + 2 * DAY, 20231116, 0,
        opens + 90 * DAY,
    )  # fmt: skip
    feed(desk.engine, this)
    desk.at = at
    return desk


@pytest.mark.parametrize(
    ("in_force", "until_next", "window"),
    [
        ("opg", DAY - 6 * HOUR, ""),  # 22:00
        ("opg", 392 * MINUTE + 1, ""),
        ("opg", 392 * MINUTE, "9:30am and before 9:28am"),
        ("opg", 389 * MINUTE, ""),  # for that of the following morning
        ("opg", 2 * MINUTE, ""),
        ("cls", DAY - 6 * HOUR, ""),
        ("cls", 10 * MINUTE + 1, ""),
        ("cls", 10 * MINUTE, "4:00pm and before 3:50pm"),
    ],
)
def test_a_market_that_never_closes_takes_orders_for_its_next_auction(
    in_force: str, until_next: int, window: str
) -> None:
    at = START + 12 * HOUR + DAY - until_next
    found = never_closing(at - SECOND).place(**{**LIMIT, "time_in_force": in_force})
    if not window:
        assert isinstance(found, Placed)
        return
    found = never_closing(at).place(**{**LIMIT, "time_in_force": in_force})
    assert isinstance(found, Refusal)
    assert alpaca_text(found) == f"{in_force} orders must be submitted after {window}"


def test_the_window_of_a_half_day_ends_before_its_close() -> None:
    desk = Desk()
    closes = OPEN + 210 * MINUTE
    feed(
        desk.engine, Session("core", OPEN, 20231114, OPEN, closes, closes + HOUR, OPEN + DAY, closes + DAY, 20231115)
    )
    desk.at = closes - 10 * MINUTE
    found = desk.place(**{**LIMIT, "time_in_force": "cls"})
    assert isinstance(found, Refusal)
    assert alpaca_text(found) == "cls orders must be submitted after 7:00pm and before 12:50pm"
    assert "{" not in advice_text(found)


@pytest.mark.parametrize("by", ["old id", "old client id", "new id", "new client id"])
def test_a_cancel_wins_over_a_change_that_is_on_its_way(by: str) -> None:
    desk = Desk("realistic")
    order_no = desk.place(**LIMIT, client_order_id="first").order_no
    desk.wait()
    old = desk.order(order_no).terms.order_id
    asked = desk.do(ReplaceOrder(order_id=old, qty="20", client_order_id="second"))
    assert isinstance(asked, Placed)
    assert desk.live() == {order_no: "pending_replace"}
    name = {
        "old id": {"order_id": old},
        "old client id": {"client_order_id": "first"},
        "new id": {"order_id": asked.terms.order_id},
        "new client id": {"client_order_id": "second"},
    }[by]
    assert desk.do(CancelOrder(**name), after=0) == Done((order_no,))
    assert desk.live() == {order_no: "pending_cancel"}
    desk.wait()
    assert (desk.book.orders, desk.book.reserved_money) == ({}, 0)
    assert desk.ends() == {order_no: ("canceled", "user_cancel")}
    refused = [event for event in desk.events() if isinstance(event, e.OrderReplaceRejected)]
    assert [(event.order_no, event.reason) for event in refused] == [(order_no, "cancel_requested")]


LONG = 10
"""Shares that the account holds before the second order of a wash-trade case."""


@pytest.mark.parametrize(
    ("standing", "new", "kind"),
    [
        (("buy", "limit", "9.00"), ("sell", "market", None), "limit"),
        (("buy", "limit", "9.00"), ("sell", "limit", "9.00"), "limit"),
        (("buy", "limit", "9.00"), ("sell", "limit", "9.01"), None),
        (("buy", "stop", "11.00"), ("sell", "limit", "12.00"), "market/stop"),
        (("buy", "limit", "9.00"), ("sell", "stop", "8.00"), "limit"),
        (("buy", "limit", "9.00"), ("sell", "trailing_stop", None), None),
        (("sell", "limit", "11.00"), ("buy", "limit", "10.99"), None),
        (("sell", "limit", "11.00"), ("buy", "limit", "11.00"), "limit"),
        (("sell", "stop", "9.00"), ("buy", "limit", "5.00"), "market/stop"),
        (("sell", "trailing_stop", None), ("buy", "market", None), None),
    ],
)
def test_orders_that_could_trade_with_each_other(standing: Any, new: Any, kind: str | None) -> None:
    desk = Desk()
    desk.place(qty=str(LONG))

    def send(side: str, order_type: str, price: str | None) -> Any:
        fields: dict[str, Any] = {"side": side, "type": order_type, "qty": "1"}
        if price is not None:
            fields["stop_price" if order_type == "stop" else "limit_price"] = price
        if order_type == "trailing_stop":
            fields["trail_price"] = "5"
        return desk.place(**fields)

    first = send(*standing)
    assert isinstance(first, Placed)
    answer = send(*new)
    if kind is None:
        assert isinstance(answer, Placed)
    else:
        assert isinstance(answer, Refusal)
        assert (answer.reason, answer.numbers) == (
            "wash_trade",
            {
                "existing_order_id": first.terms.order_id if first.terms else "",
                "reject_reason": f"opposite side {kind} order exists",
            },
        )


def test_a_change_of_price_cannot_make_a_wash_trade() -> None:
    desk = Desk()
    desk.place()
    desk.place(**LIMIT, client_order_id="buy")
    desk.place(side="sell", type="limit", limit_price="11.00")
    refused = desk.do(ReplaceOrder(client_order_id="buy", limit_price="11.00"))
    assert isinstance(refused, Refusal)
    assert refused.reason == "wash_trade"
    assert isinstance(desk.do(ReplaceOrder(client_order_id="buy", limit_price="10.00")), Placed)


def test_long_and_short_are_never_opened_at_once() -> None:
    desk = Desk()
    desk.place(**LIMIT)
    refused = desk.place(side="sell", type="limit", limit_price="12.00")
    assert isinstance(refused, Refusal)
    assert refused.reason == "short_while_buying"
    desk.do(CancelAll())
    desk.place(side="sell", type="limit", limit_price="12.00")
    refused = desk.place(**LIMIT)
    assert isinstance(refused, Refusal)
    assert refused.reason == "buy_while_shorting"


def test_dollars_do_not_open_while_shares_are_being_closed() -> None:
    desk = Desk()
    desk.place()
    desk.place(side="sell", type="limit", limit_price="12.00")
    refused = desk.place(qty=None, notional="50", type="limit", limit_price="9.00")
    assert isinstance(refused, Refusal)
    assert refused.reason == "notional_while_closing"


def test_a_cancel_without_a_name() -> None:
    desk = Desk()
    for action in (CancelOrder(), ReplaceOrder(qty="1")):
        refused = desk.do(action)
        assert isinstance(refused, Refusal)
        assert refused.reason == "order_id_missing"


@pytest.mark.parametrize("order_class", list(CLASSES))
@pytest.mark.parametrize("in_force", ["day", "gtc", "ioc", "fok", "opg", "cls", "gtd"])
@pytest.mark.parametrize("kind", list(RULES))
def test_what_is_published_is_what_is_taken(kind: str, in_force: str, order_class: str) -> None:
    desk = Desk(opened_at=OPEN - HOUR if in_force == "opg" else OPEN)
    side = "buy"
    if order_class == "oco" and in_force != "opg":
        desk.place()
        side = "sell"
    rules = published()
    rule, group = rules["order_types"][kind], rules["classes"][order_class]
    fields: dict[str, Any] = {"side": side, "type": kind, "time_in_force": in_force, "order_class": order_class}
    if rule["limit_price"] and order_class != "oco":
        fields["limit_price"] = "10.50"
    if rule["stop_price"] and order_class != "oco":
        fields["stop_price"] = "10.40"
    if rule["trail"]:
        fields["trail_price"] = "1.00"
    if group["exits"]:
        fields["take_profit"] = TakeProfit(limit_price="12.00")
    if group["exits_most"] == 2:
        fields["stop_loss"] = StopLoss(stop_price="9.00")
    taken = in_force in rule["time_in_force"] and in_force in group["time_in_force"] and kind in group["order_types"]
    placed = desk.place(**fields)
    assert isinstance(placed, Placed) is taken, placed


def test_numbers_of_an_order_by_value_too_small() -> None:
    desk = Desk()
    refused = desk.place(qty="0.05")
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == ("notional_too_small", "qty")
    assert isinstance(desk.place(qty="0.1"), Placed)
