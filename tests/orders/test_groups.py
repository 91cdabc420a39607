"""Brackets, OCO and OTO: when exits are released, what one does to the other, how a group ends."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.outcome import Done, Placed
from actors.book.rules.reasons import Refusal
from actors.commands import CancelAll, CancelOrder, ClosePosition, ReplaceOrder, StopLoss, TakeProfit
from tests.oracle.rig import HOUR, feed, quote
from tests.orders.rig import OPEN, Desk

SHARE = 10**9


def test_exits_are_held_until_the_entry_fills() -> None:
    desk = Desk()
    entry, profit, loss = desk.bracket(type="limit", limit_price="9.95")
    assert desk.live() == {entry: "new", profit: "held", loss: "held"}
    assert desk.held() == 0
    desk.print(850)
    desk.quote(1100, 1101)
    assert desk.live() == {entry: "new", profit: "held", loss: "held"}
    desk.quote(994, 995)
    assert desk.live() == {profit: "new", loss: "held"}
    assert (desk.position(), desk.held()) == (10, 10)
    assert desk.order(profit).terms.position_intent == "sell_to_close"
    desk.quote(1100, 1101)
    assert desk.book.orders == desk.book.groups == desk.book.held == desk.book.open_sides == {}
    assert desk.position() == 0
    assert desk.ends() == {
        entry: ("filled", ""), profit: ("filled", ""), loss: ("canceled", "exit_filled"),
    }  # fmt: skip


def test_an_elected_stop_takes_the_target_with_it() -> None:
    desk = Desk()
    _entry, profit, loss = desk.bracket()
    assert desk.live() == {profit: "new", loss: "held"}
    desk.quote(899, 900)
    assert desk.live() == {profit: "new", loss: "held"}
    desk.print(900)
    desk.wait()
    assert desk.book.orders == {}
    assert desk.ends()[profit] == ("canceled", "exit_filled")
    assert desk.ends()[loss] == ("filled", "")
    assert desk.position() == 0


@pytest.mark.parametrize(("profile", "released"), [("brisk", 4), ("conservative", 2)])
def test_a_partial_entry_releases_its_share(profile: str, released: int) -> None:
    desk = Desk(profile)
    desk.quote(990, 1000, ask_size=4)
    entry, profit, loss = desk.bracket(type="limit", limit_price="10.00")
    desk.wait()
    assert desk.order(entry).filled_qty == released * SHARE
    for leg in (profit, loss):
        assert (desk.order(leg).leaves_qty, desk.order(leg).reserved_qty) == (released * SHARE, released * SHARE)
    assert desk.held() == desk.position() == released
    assert desk.live() == {entry: "partially_filled", profit: "new", loss: "held"}


def test_alpaca_parity_releases_exits_of_a_complete_entry_only() -> None:
    desk = Desk("alpaca-parity")
    for _ in range(40):
        entry, profit, loss = desk.bracket(qty="10", type="limit", limit_price="10.01")
        if desk.order(loss).reserved_qty:
            assert entry not in desk.book.orders
        else:
            assert desk.order(entry).status == "partially_filled"
            assert (desk.order(profit).status, desk.held()) == (
                "held",
                desk.position() - desk.order(entry).filled_qty // SHARE,
            )
            desk.quote(1000, 1001)
            while entry in desk.book.orders:
                desk.quote(1000, 1001)
            assert (desk.order(profit).status, desk.order(profit).reserved_qty) == ("new", 10 * SHARE)
            return
    pytest.fail("no partial fill was drawn")


def test_exits_take_no_shares_that_were_sold_before_their_release() -> None:
    desk = Desk("alpaca-parity")
    entry = 0
    while entry not in desk.book.orders:
        desk.do(CancelAll())
        entry, profit, loss = desk.bracket(type="limit", limit_price="10.01")
    desk.do(ClosePosition(symbol="AAA"))
    assert (desk.position(), desk.held()) == (0, 0)
    before = desk.order(entry).leaves_qty
    while entry in desk.book.orders:
        desk.quote(1000, 1001)
    assert desk.position() == desk.held() == before // SHARE
    assert desk.order(profit).terms.qty == desk.order(loss).terms.qty == before


def test_what_one_exit_fills_the_other_gives_up() -> None:
    desk = Desk()
    _, profit, loss = desk.bracket()
    desk.quote(1100, 1101, bid_size=4)
    assert desk.position() == 6
    assert (desk.order(profit).filled_qty, desk.order(profit).leaves_qty) == (4 * SHARE, 6 * SHARE)
    assert (desk.order(loss).terms.qty, desk.order(loss).reserved_qty, desk.held()) == (6 * SHARE, 6 * SHARE, 6)
    desk.quote(890, 891)
    desk.print(890)
    desk.wait()
    assert (desk.book.orders, desk.position()) == ({}, 0)
    assert desk.ends()[loss] == ("filled", "")
    assert desk.records()[loss].filled_qty == 6 * SHARE
    assert desk.ends()[profit] == ("canceled", "exit_filled")


def test_an_exit_that_closes_all_there_is_ends_the_entry_too() -> None:
    desk = Desk()
    desk.quote(990, 1000, ask_size=4)
    entry, profit, loss = desk.bracket(type="limit", limit_price="10.00")
    desk.quote(1100, 1101)
    assert desk.book.orders == {}
    assert desk.position() == 0
    assert desk.ends() == {
        entry: ("canceled", "exit_filled"), profit: ("filled", ""), loss: ("canceled", "exit_filled"),
    }  # fmt: skip


@pytest.mark.parametrize("which", [0, 1, 2])
def test_cancelling_any_one_ends_the_group(which: int) -> None:
    desk = Desk("realistic")
    numbers = desk.bracket(type="limit", limit_price="9.50")
    desk.wait()
    assert isinstance(desk.do(CancelOrder(order_id=desk.order(numbers[which]).terms.order_id)), Done)
    assert desk.live()[numbers[which]] == "pending_cancel"
    desk.wait()
    assert desk.book.orders == {}
    reasons = {no: reason for no, (_, reason) in desk.ends().items()}
    assert reasons.pop(numbers[which]) == "user_cancel"
    assert set(reasons.values()) == {"group_ended"}
    assert desk.book.reserved_money == 0


def test_an_entry_that_expires_unfilled_takes_its_exits_with_it() -> None:
    desk = Desk()
    numbers = desk.bracket(type="limit", limit_price="9.50")
    desk.wait(OPEN + 6 * HOUR)
    assert {status for status, _ in desk.ends().values()} == {"expired"}
    assert sorted(desk.ends()) == list(numbers)


def test_exits_of_a_gtc_bracket_outlive_the_day() -> None:
    desk = Desk()
    _, profit, loss = desk.bracket(time_in_force="gtc")
    desk.wait(OPEN + 7 * HOUR)
    assert desk.live() == {profit: "new", loss: "held"}
    assert desk.order(loss).terms.expires_at - OPEN > 80 * 24 * HOUR


def test_a_short_bracket_is_the_mirror() -> None:
    desk = Desk()
    _entry, profit, loss = desk.bracket(side="sell", profit="9.00", loss="11.00", type="limit", limit_price="10.00")
    desk.wait()
    assert (desk.position(), desk.held()) == (-10, 10)
    assert {desk.order(no).terms.position_intent for no in (profit, loss)} == {"buy_to_close"}
    assert desk.order(loss).terms.collar_price == 114_400
    desk.quote(1099, 1100)
    desk.print(1100)
    desk.wait()
    assert (desk.position(), desk.book.orders) == (0, {})


def test_oto_has_one_exit_that_lives_on_alone() -> None:
    desk = Desk()
    placed = desk.place(order_class="oto", stop_loss=StopLoss(stop_price="9.00", limit_price="8.90"))
    assert isinstance(placed, Placed)
    (leg,) = placed.legs
    assert (leg.type, leg.limit_price) == ("stop_limit", 89_000)
    assert desk.live() == {leg.order_no: "held"}
    desk.quote(899, 901)
    desk.print(899)
    desk.wait()
    assert (desk.position(), desk.book.orders) == (0, {})
    placed = desk.place(order_class="oto", take_profit=TakeProfit(limit_price="12.00"))
    assert [leg.leg for leg in placed.legs] == ["take_profit"]


def test_oco_exits_hold_the_shares_once() -> None:
    desk = Desk()
    desk.place()
    profit, loss = desk.oco()
    assert desk.held() == 10
    assert desk.live() == {profit: "new", loss: "held"}
    refused = desk.place(side="sell", qty="1", type="limit", limit_price="12.00")
    assert isinstance(refused, Refusal)
    assert refused.reason == "insufficient_qty"
    named = refused.numbers["related_orders"].split(",")
    assert named == [desk.order(no).terms.order_id for no in (profit, loss)]
    desk.quote(1100, 1101, bid_size=3)
    assert (desk.held(), desk.order(loss).terms.qty) == (7, 7 * SHARE)
    desk.do(CancelAll())
    desk.wait()
    assert (desk.book.orders, desk.held(), desk.position()) == ({}, 0, 7)


def test_the_price_of_a_leg_can_change_but_no_quantity() -> None:
    desk = Desk("realistic")
    entry, profit, loss = desk.bracket(type="limit", limit_price="9.50", time_in_force="gtc")
    desk.wait()

    def change(order_no: int, **fields: str) -> str:
        outcome = desk.do(ReplaceOrder(order_id=desk.order(order_no).terms.order_id, **fields))
        return outcome.reason if isinstance(outcome, Refusal) else str(outcome.order_no)

    assert change(profit, qty="5") == change(entry, qty="5") == "qty_of_group"
    assert change(profit, limit_price="8.00") == "exits_crossed"
    assert change(entry, time_in_force="day") == "invalid_time_in_force"
    new_profit = int(change(profit, limit_price="9.80"))
    desk.wait()
    assert desk.live() == {entry: "new", loss: "held", new_profit: "held"}
    assert (desk.order(new_profit).terms.replaces, desk.order(new_profit).terms.limit_price) == (profit, 98_000)
    assert desk.records()[new_profit].status == "held"
    desk.quote(949, 950)
    desk.wait()
    assert desk.live() == {loss: "held", new_profit: "new"}
    pending = int(change(new_profit, limit_price="9.70"))
    new_loss = int(change(loss, stop_price="9.20"))
    desk.quote(940, 941)
    assert desk.live() == {pending: "new", new_loss: "held"}
    assert (desk.held(), desk.position()) == (10, 10)
    desk.quote(970, 972)
    desk.wait()
    assert (desk.position(), desk.book.orders, desk.held()) == (0, {}, 0)


def test_an_entry_replaced_keeps_its_exits() -> None:
    desk = Desk("realistic")
    entry, profit, loss = desk.bracket(type="limit", limit_price="9.50")
    desk.wait()
    new = desk.do(ReplaceOrder(order_id=desk.order(entry).terms.order_id, limit_price="10.01"))
    desk.wait()
    desk.wait()
    assert desk.live() == {profit: "new", loss: "held"}
    assert desk.records()[new.order_no].status == "filled"
    assert desk.position() == desk.held() == 10


def test_the_group_of_a_change_in_flight_ends_it_and_says_so() -> None:
    desk = Desk("realistic")
    _, profit, loss = desk.bracket()
    desk.wait()
    desk.quote(1099, 1102)
    outcome = desk.do(ReplaceOrder(order_id=desk.order(loss).terms.order_id, stop_price="9.10"))
    assert isinstance(outcome, Placed)
    desk.do(CancelAll(), after=0)
    assert desk.live() == {profit: "pending_cancel", loss: "pending_cancel"}
    desk.wait()
    assert (desk.book.orders, desk.held()) == ({}, 0)
    refused = [event for event in desk.events() if isinstance(event, e.OrderReplaceRejected)]
    assert [(event.order_no, event.reason) for event in refused] == [(loss, "cancel_requested")]


def test_a_target_that_fills_while_its_stop_is_being_changed_leaves_nothing() -> None:
    desk = Desk("realistic")
    _, _profit, loss = desk.bracket(profit="10.05")
    desk.wait()
    desk.quote(999, 1004)
    assert isinstance(desk.do(ReplaceOrder(order_id=desk.order(loss).terms.order_id, stop_price="9.10")), Placed)
    assert desk.order(loss).status == "pending_replace"
    feed(desk.engine, quote("AAA", 1005, 1006, desk.at + 1))
    feed(desk.engine, quote("AAA", 1005, 1007, desk.at + 2))
    desk.wait()
    assert (desk.position(), desk.book.orders, desk.held()) == (0, {}, 0)


@pytest.mark.parametrize(
    ("reason", "field", "fields"),
    [
        ("exit_required", "stop_loss", {"order_class": "bracket", "take_profit": TakeProfit(limit_price="11")}),
        ("exit_required", "take_profit", {"order_class": "bracket", "stop_loss": StopLoss(stop_price="9")}),
        ("exit_required", "take_profit", {"order_class": "oto"}),
        (
            "exit_not_accepted",
            "stop_loss",
            {
                "order_class": "oto",
                "take_profit": TakeProfit(limit_price="11"),
                "stop_loss": StopLoss(stop_price="9"),
            },
        ),
        ("invalid_limit_price", "take_profit.limit_price", {"take_profit": TakeProfit()}),
        ("sub_penny_price", "stop_loss.stop_price", {"stop_loss": StopLoss(stop_price="9.001")}),
        ("sub_penny_price", "stop_loss.limit_price", {"stop_loss": StopLoss(stop_price="9", limit_price="8.001")}),
        ("exits_crossed", "take_profit.limit_price", {"take_profit": TakeProfit(limit_price="8.00")}),
        ("take_profit_not_beyond", "take_profit.limit_price", {"take_profit": TakeProfit(limit_price="10.00")}),
        ("stop_loss_not_beyond", "stop_loss.stop_price", {"stop_loss": StopLoss(stop_price="10.00")}),
        ("not_an_exit", "order_class", {"order_class": "oco", "side": "sell", "limit_price": None}),
        (
            "not_an_entry",
            "order_class",
            {
                "side": "sell",
                "take_profit": TakeProfit(limit_price="9"),
                "stop_loss": StopLoss(stop_price="11"),
            },
        ),
        ("oco_not_limit", "type", {"order_class": "oco"}),
        ("invalid_time_in_force", "time_in_force", {"time_in_force": "ioc"}),
        (
            "extended_hours_not_simple",
            "extended_hours",
            {"type": "limit", "limit_price": "10", "extended_hours": True},
        ),
        ("fractional_not_simple", "qty", {"qty": "1.5"}),
        ("invalid_type", "type", {"type": "trailing_stop", "trail_price": "1"}),
    ],
)
def test_groups_that_make_no_sense(reason: str, field: str, fields: dict[str, object]) -> None:
    desk = Desk()
    if reason == "not_an_entry":
        desk.place()
    given = {
        "order_class": "bracket",
        "type": "limit",
        "limit_price": "10.00",
        "take_profit": TakeProfit(limit_price="11"),
        "stop_loss": StopLoss(stop_price="9"),
    }
    if fields.get("order_class") in ("bracket", "oto"):
        given = {"type": "market"}
    if reason in ("oco_not_limit", "invalid_type"):
        given |= {"type": "market", "limit_price": None}  # type: ignore[dict-item]
    refused = desk.place(**{**given, **fields})
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == (reason, field)
    assert desk.book.orders == {}
