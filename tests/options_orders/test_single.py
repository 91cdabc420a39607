"""Orders in one contract: who may have them, what they reserve, what they fill at."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.book.view import figures
from actors.commands import CancelAll, ConfigureAccount, Deposit
from actors.engine import Engine
from tests.options_orders.rig import CALLS, PAST, PUTS, STOCK, Desk


def reason(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def test_a_bought_call_costs_its_premium_times_a_hundred() -> None:
    desk = Desk()
    desk.quote(CALLS[100], 200, 210)
    placed = desk.place(CALLS[100], "buy", "2.10", qty="3")
    assert isinstance(placed, Placed)
    desk.wait()
    assert desk.held(CALLS[100]) == 3
    (fill,) = desk.events(e.OrderFilled)
    assert 20_000 <= fill.price <= 21_000
    assert fill.evidence.kind == 1
    assert desk.book.cash == 100_000_000_000 - fill.price * 100 * 3 * 100
    assert desk.book.reserved_money == 0


def test_an_open_order_reserves_its_premium() -> None:
    desk = Desk("cash", cash="250")
    desk.quote(CALLS[100], 200, 210)
    assert isinstance(desk.place(CALLS[100], "buy", "1.00", qty="2"), Placed)
    assert desk.book.reserved_money == 200_000_000
    assert reason(desk.place(CALLS[100], "buy", "1.00", qty="1")) == "options_buying_power"


def test_a_put_is_sold_against_its_strike_in_cash() -> None:
    desk = Desk("cash", cash="9600", level=1)
    desk.quote(PUTS[95], 200, 210)
    assert reason(desk.place(PUTS[100], "sell", "2.00")) == "cash_secured_put"
    assert isinstance(desk.place(PUTS[95], "sell", "2.00"), Placed)
    desk.wait()
    assert desk.held(PUTS[95]) == -1
    assert figures(desk.book, desk.engine.world).buying_power_money == desk.book.cash - 9_500_000_000
    assert reason(desk.place(STOCK, "buy", "100.00", qty="4")) == "insufficient_buying_power"


def test_a_covered_call_locks_its_shares() -> None:
    desk = Desk("cash", cash="20000", level=1)
    desk.place(STOCK, "buy", qty="150")
    desk.wait()
    desk.quote(CALLS[105], 200, 210)
    assert reason(desk.place(CALLS[105], "sell", "2.00", qty="2")) == "covered_call_shares"
    assert isinstance(desk.place(CALLS[105], "sell", "2.00"), Placed)
    desk.wait()
    assert desk.held(CALLS[105]) == -1
    refused = desk.place(STOCK, "sell", "100.00", qty="51")
    assert reason(refused) == "shares_cover_calls"
    numbers = {"requested": "51", "available": "50", "existing_qty": "150", "held_for_orders": "0"}
    assert {name: refused.numbers[name] for name in numbers} == numbers
    assert isinstance(desk.place(STOCK, "sell", "100.00", qty="50"), Placed)


def test_shares_behind_an_open_order_are_locked_too() -> None:
    desk = Desk("cash", cash="20000", level=1)
    desk.place(STOCK, "buy", qty="100")
    desk.wait()
    desk.quote(CALLS[105], 200, 210)
    assert isinstance(desk.place(CALLS[105], "sell", "9.00"), Placed)
    assert reason(desk.place(STOCK, "sell", "100.00", qty="1")) == "shares_cover_calls"


@pytest.mark.parametrize(
    ("level", "instrument", "side", "found"),
    [
        (0, PUTS[95], "sell", "options_not_authorized"),
        (1, CALLS[100], "sell", "covered_call_shares"),
        (1, CALLS[100], "buy", "option_level"),
        (2, CALLS[100], "buy", ""),
        (3, CALLS[100], "sell", "uncovered_short"),
        (4, CALLS[100], "sell", ""),
        (1, PUTS[95], "sell", ""),
    ],
)
def test_levels(level: int, instrument: Any, side: str, found: str) -> None:
    desk = Desk(level=level)
    desk.quote(instrument, 200, 210)
    outcome = desk.place(instrument, side, "2.05")
    assert (outcome.reason if isinstance(outcome, Refusal) else "") == found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"type": "stop", "limit_price": None, "stop_price": "3.00"}, "option_order_type"),
        ({"time_in_force": "gtc"}, "option_time_in_force"),
        ({"extended_hours": True}, "option_extended_hours"),
        ({"qty": "1.5"}, "option_whole_contracts"),
        ({"limit_price": "2.005"}, "sub_penny_price"),
        ({"symbol": PAST.symbol}, "contract_expired"),
        ({"position_intent": "buy_to_close"}, "position_intent_mismatch"),
    ],
)
def test_what_an_order_may_not_say(fields: dict[str, Any], found: str) -> None:
    desk = Desk()
    desk.quote(CALLS[100], 200, 210)
    given = {"limit": fields.pop("limit_price", "2.00"), **fields}
    assert reason(desk.place(CALLS[100], "buy", **given)) == found


def test_what_was_opened_is_closed_for_the_spread_alone() -> None:
    desk = Desk()
    desk.quote(CALLS[100], 200, 210)
    desk.place(CALLS[100], "buy", "2.10")
    desk.wait()
    desk.quote(CALLS[100], 200, 210)
    desk.place(CALLS[100], "sell", "2.00")
    desk.wait()
    assert desk.held(CALLS[100]) == 0
    bought, sold = desk.events(e.OrderFilled)
    assert desk.book.cash == 100_000_000_000 - (bought.price - sold.price) * 100 * 100
    assert 0 <= bought.price - sold.price <= 1_000


def test_the_long_side_of_a_spread_cannot_leave_alone() -> None:
    desk = Desk()
    desk.quote(CALLS[100], 500, 510)
    desk.quote(CALLS[105], 200, 210)
    desk.place(CALLS[100], "buy", "5.10")
    desk.wait()
    assert isinstance(desk.place(CALLS[105], "sell", "2.00"), Placed)
    desk.wait()
    assert (desk.held(CALLS[100]), desk.held(CALLS[105])) == (1, -1)
    assert figures(desk.book, desk.engine.world).maintenance_money < 3_000_000_000
    assert reason(desk.place(CALLS[100], "sell", "5.00")) == "uncovered_short"


def test_replayed_events_rebuild_the_book() -> None:
    desk = Desk()
    desk.quote(CALLS[100], 200, 210)
    desk.place(CALLS[100], "buy", "2.10", qty="3")
    desk.wait()
    again = Book(1)
    for step in desk.engine.steps:
        for section in step.sections:
            if section.account_no == 1:
                for event in section.events:
                    fold(again, event, step.at, None)
    assert (again.positions, again.cash, again.reserved_money) == (
        desk.book.positions, desk.book.cash, desk.book.reserved_money,
    )  # fmt: skip


def test_a_cash_account_buys_a_call_back_only_with_cash_it_has() -> None:
    desk = Desk("cash", cash="10020", level=1)
    desk.place(STOCK, "buy", qty="100")
    desk.wait()
    desk.quote(CALLS[105], 200, 210)
    desk.place(CALLS[105], "sell", "2.00")
    desk.wait()
    desk.quote(CALLS[105], 500, 510)
    assert reason(desk.place(CALLS[105], "buy", "5.10")) == "insufficient_buying_power"
    desk.quote(CALLS[105], 100, 110)
    assert isinstance(desk.place(CALLS[105], "buy", "1.10"), Placed)
    desk.wait()
    assert desk.held(CALLS[105]) == 0
    assert desk.book.cash >= 0


def test_two_sales_do_not_both_rely_on_the_same_cover() -> None:
    desk = Desk()
    for strike in (100, 105, 110):
        desk.quote(CALLS[strike], 200, 210)
    for long in (105, 110):
        desk.place(CALLS[long], "buy", "2.10")
        desk.wait()
    desk.place(CALLS[100], "sell", "2.00")
    desk.wait()
    assert [desk.held(CALLS[strike]) for strike in (100, 105, 110)] == [-1, 1, 1]
    assert isinstance(desk.place(CALLS[105], "sell", "3.00"), Placed)
    assert reason(desk.place(CALLS[110], "sell", "3.00")) == "uncovered_short"


def test_profiles_by_their_numbers_close_out_and_charge_nothing() -> None:
    numbers = {"base": "realistic", "expiry_policy": "closeout", "fees": "none"}
    world = Engine(b"s" * 32, Profiles({"mine": numbers, "plain": {"base": "realistic"}})).world
    assert world.closeouts == {"alpaca-parity", "mine"} == world.without_fees


def test_the_wing_of_a_put_spread_is_sold_alone_only_where_cash_secures_what_stays() -> None:
    answers = []
    for cash in ("3000", "30000"):
        desk = Desk(cash=cash)
        desk.quote(PUTS[100], 200, 210)
        desk.quote(PUTS[95], 100, 110)
        assert isinstance(desk.unit("+P95 -P100", "-0.50"), Placed)
        desk.wait(3)
        assert (desk.held(PUTS[95]), desk.held(PUTS[100])) == (1, -1)
        answers.append(desk.place(PUTS[95], "sell", "1.00", position_intent="sell_to_close"))
    assert answers[0].reason == "uncovered_short"
    assert isinstance(answers[1], Placed)


def test_the_same_cash_does_not_secure_two_puts_of_a_margin_account() -> None:
    desk = Desk(cash="15000", level=2)
    desk.quote(PUTS[95], 200, 210)
    desk.quote(PUTS[90], 100, 110)
    assert isinstance(desk.place(PUTS[95], "sell", "2.00"), Placed)
    desk.wait()
    assert desk.held(PUTS[95]) == -1
    refused = desk.place(PUTS[90], "sell", "1.00")
    # 15,200 less the strike of 9,500 leaves 5,700 for a strike of 9,000 that brings in 100.
    assert reason(refused) == "cash_secured_put"
    assert float(refused.numbers["buying_power"]) == pytest.approx(5_700, abs=15)
    assert float(refused.numbers["cost_basis"]) == pytest.approx(8_900, abs=15)
    desk.do(Deposit(amount="3150"))
    assert isinstance(desk.place(PUTS[90], "sell", "1.50"), Placed)


def test_cash_on_order_is_promised_once_beside_puts_held() -> None:
    desk = Desk(cash="28400", level=2)
    for strike, bid in ((95, 200), (90, 100)):
        desk.quote(PUTS[strike], bid, bid + 10)
    desk.place(PUTS[95], "sell", "2.00")
    desk.wait()
    assert desk.held(PUTS[95]) == -1
    # Two resting orders: 28,400 + 200 + 2 × 500 against 9,500 + 9,500 + 9,500; a third put has nothing left.
    assert isinstance(desk.place(PUTS[95], "sell", "5.00"), Placed)
    assert isinstance(desk.place(PUTS[95], "sell", "5.00"), Placed)
    assert reason(desk.place(PUTS[90], "sell", "5.00")) == "cash_secured_put"


def test_puts_beyond_their_cash_are_bought_back_and_hedged_but_not_rolled_up() -> None:
    desk = Desk(cash="15000", level=4)
    for strike, bid in ((90, 100), (95, 200), (100, 300), (105, 600)):
        desk.quote(PUTS[strike], bid, bid + 10)
    assert isinstance(desk.place(PUTS[95], "sell", "2.00", qty="3"), Placed)
    desk.wait()
    assert desk.held(PUTS[95]) == -3
    desk.do(ConfigureAccount(options_level=3))
    assert desk.book.options_level == 3
    for strike, bid in ((90, 100), (95, 200), (100, 300), (105, 600)):
        desk.quote(PUTS[strike], bid, bid + 10)
    assert reason(desk.unit("+P95 -P100", "-0.80")) == "options_buying_power"
    for sent in (
        lambda: desk.unit("+P95 -P90", "1.00"),
        lambda: desk.unit("+P100 -P105", "-3.50"),
        lambda: desk.place(PUTS[90], "buy", "1.00"),
        lambda: desk.place(PUTS[95], "buy", "2.00"),
    ):
        assert isinstance(sent(), Placed)
        desk.do(CancelAll())
        desk.wait()
