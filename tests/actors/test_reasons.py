"""Every reason of the table is produced by a command here, or is named as another part's."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from actors.actor import HANDLERS
from actors.book.rules.reasons import REASONS, Refusal, advice_text, alpaca_text, refuse
from actors.book.state.book import Book
from actors.commands import (
    CancelOrder,
    CloseAccount,
    ClosePosition,
    ConfigureAccount,
    CreateAccount,
    Deposit,
    PlaceOrder,
    ReplaceOrder,
    StopLoss,
    TakeProfit,
    Withdraw,
)
from actors.engine import Engine
from actors.inputs import Envelope, Issued, encode
from tests.oracle.rig import HOUR, SECOND, START, Do, Wait, feed, open_engine, quote, session

OPEN = START + 6 * HOUR
MINUTE = 60 * SECOND
PRODUCED_ELSEWHERE = {
    name: "by the rules of exercise, in tests/options" for name, reason in REASONS.items() if reason.code // 100 == 36
} | {
    "order_of_house": "by the book, tests/money/test_orders_of_house.py",
    "order_not_open": "in events: a cancel or replace that came too late; the service refuses ended orders with it",
    "order_already_replaced": "by the service, which finds it in history",
    **dict.fromkeys(
        (
            "pdt_protection",
            "pdt_restricted",
            "day_trading_buying_power",
            "day_trade_call",
            "pdt_closes_only",
            "intraday_margin_deficit",
            "margin_freeze",
            "margin_call",
            "locate_required",
            "unsettled_sale",
            "lots_not_accepted",
            "invalid_lots",
            "fill_settled",
            "borrow_recalled",
            "overnight_disabled",
        ),
        "in tests/money, where there is a calendar",
    ),
    "invalid_corporate_action": "by the house, tests/corporate/test_announcing.py",
    "corporate_action_not_found": "by the house, tests/corporate/test_announcing.py",
    "trading_disabled": "by a kill switch, tests/actors/test_switches.py",
    "new_orders_disabled": "by a kill switch, tests/actors/test_switches.py",
    **dict.fromkeys(
        (
            "credential_not_found",
            "too_many_keys",
            "user_not_found",
            "watchlist_not_found",
            "watchlist_name_taken",
            "invalid_watchlist_name",
            "watchlist_too_long",
            "too_many_watchlists",
            "watchlist_symbol_taken",
            "watchlist_symbol_missing",
            "watchlist_symbol_unknown",
            "contract_not_found",
            "credential_taken",
        ),
        "by the house's directory and the services beside it, tests/gateway",
    ),
}
LIMIT = PlaceOrder(symbol="AAA", qty="1", side="buy", type="limit", time_in_force="day", limit_price="9.00")
MARKET = PlaceOrder(symbol="AAA", qty="1", side="buy", type="market", time_in_force="day")
STOP = PlaceOrder(symbol="AAA", qty="1", side="buy", type="stop", time_in_force="day", stop_price="11.00")
SELL = PlaceOrder(symbol="AAA", qty="1", side="sell", type="limit", time_in_force="day", limit_price="11.00")
NAMED = ReplaceOrder(client_order_id="a")
TRAIL = PlaceOrder(symbol="AAA", qty="1", side="buy", type="trailing_stop", time_in_force="day")
LOW = TakeProfit(limit_price="8.00")
BRACKET = replace(
    MARKET, order_class="bracket", take_profit=TakeProfit(limit_price="11.00"), stop_loss=StopLoss(stop_price="9.00")
)
OCO = replace(BRACKET, side="sell", type="limit", order_class="oco")


def prepared(case: str) -> tuple[Engine, int]:
    """An engine with a margin account (1) and a cash account (2) and what the case needs."""
    engine = open_engine([("margin", "brisk", "10000"), ("cash", "brisk", "100")])
    feed(engine, session("core", OPEN))
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    feed(engine, quote("CCC", 1000, 1001, OPEN + 1))
    before: dict[str, list[Any]] = {
        "live": [replace(LIMIT, client_order_id="a")],
        "dollars": [replace(LIMIT, qty=None, notional="5", client_order_id="a")],
        "held": [replace(MARKET, qty="2", client_order_id="x"), replace(SELL, qty="2", client_order_id="a")],
        "long": [replace(MARKET, qty="2")],
        "long and buying": [replace(MARKET, qty="2"), LIMIT],
        "shorting": [SELL],
        "grouped": [replace(BRACKET, type="limit", limit_price="9.50", client_order_id="a")],
        "whole only": [ConfigureAccount(fractional_trading=False)],
        "suspended": [ConfigureAccount(suspend_trade=True)],
        "no shorts": [ConfigureAccount(no_shorting=True)],
        "closed": [CloseAccount()],
    }
    for action in before.get(case, []):
        assert not isinstance(feed(engine, Do(1, action, OPEN + 2)), Refusal)
    if case == "partly":
        feed(engine, quote("AAA", 999, 1001, OPEN + 3, ask_size=2))
        feed(engine, Do(1, replace(LIMIT, qty="9", limit_price="10.01", client_order_id="a"), OPEN + 4))
    if case == "quarantined":
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(HANDLERS, Deposit, lambda *_: 1 // 0)
            feed(engine, Do(1, Deposit(amount="1"), OPEN + 2))
    return engine, OPEN + (6 * HOUR - 5 * MINUTE if case == "late" else SECOND)


CASES: list[tuple[str, str, int, Any]] = [
    ("qty_or_notional_required", "", 1, replace(LIMIT, qty=None)),
    ("qty_and_notional", "", 1, replace(LIMIT, notional="5")),
    ("invalid_qty", "", 1, replace(LIMIT, qty="0")),
    ("invalid_limit_price", "", 1, replace(LIMIT, limit_price="-1")),
    ("invalid_stop_price", "", 1, replace(STOP, stop_price="0")),
    ("invalid_type", "", 1, replace(LIMIT, type="iceberg")),
    ("invalid_side", "", 1, replace(LIMIT, side="hold")),
    ("invalid_time_in_force", "", 1, replace(STOP, time_in_force="ioc")),
    ("invalid_order_class", "", 1, replace(LIMIT, order_class="ladder")),
    ("limit_price_required", "", 1, replace(LIMIT, limit_price=None)),
    ("stop_price_required", "", 1, replace(STOP, stop_price=None)),
    ("stop_and_limit_required", "", 1, replace(STOP, type="stop_limit")),
    ("price_not_accepted", "", 1, replace(MARKET, limit_price="9")),
    ("client_order_id_too_long", "", 1, replace(LIMIT, client_order_id="i" * 129)),
    ("client_order_id_not_unique", "live", 1, replace(LIMIT, qty="2", client_order_id="a")),
    ("invalid_notional", "", 1, replace(MARKET, qty=None, notional="0.99")),
    ("sub_penny_price", "", 1, replace(LIMIT, limit_price="1.001")),
    ("fractional_not_day", "", 1, replace(LIMIT, qty="0.5", time_in_force="gtc")),
    ("extended_hours_not_limit", "", 1, replace(MARKET, extended_hours=True)),
    ("position_intent_mismatch", "", 1, replace(LIMIT, position_intent="buy_to_close")),
    ("invalid_position_intent", "", 1, replace(LIMIT, position_intent="hold")),
    ("invalid_amount", "", 1, Deposit(amount="x")),
    ("invalid_setting", "", 1, ConfigureAccount(profile="none")),
    ("invalid_name", "", 0, CreateAccount(name="")),
    ("not_supported", "", 1, replace(LIMIT, stop_loss=StopLoss(stop_price="1"))),
    ("invalid_percentage", "long", 1, ClosePosition(symbol="AAA", percentage="101")),
    ("trail_not_accepted", "", 1, replace(LIMIT, trail_price="1")),
    ("trail_required", "", 1, TRAIL),
    ("trail_percent_too_small", "", 1, replace(TRAIL, trail_percent="0.0999")),
    ("invalid_trail", "", 1, replace(TRAIL, trail_price="-1")),
    ("oco_not_limit", "", 1, replace(BRACKET, order_class="oco")),
    ("exit_required", "", 1, replace(BRACKET, stop_loss=None)),
    ("exit_not_accepted", "", 1, replace(BRACKET, order_class="oto")),
    ("order_id_missing", "", 1, CancelOrder()),
    ("fractional_not_simple", "", 1, replace(BRACKET, qty="1.5")),
    ("fractional_trailing", "", 1, replace(TRAIL, trail_price="1", qty="1.5")),
    ("extended_hours_stop", "", 1, replace(STOP, extended_hours=True)),
    ("extended_hours_not_simple", "", 1, replace(BRACKET, extended_hours=True)),
    ("not_an_entry", "long", 1, replace(BRACKET, side="sell", take_profit=LOW, stop_loss=StopLoss(stop_price="11"))),
    ("not_an_exit", "", 1, replace(OCO, side="buy", take_profit=LOW, stop_loss=StopLoss(stop_price="11"))),
    ("exits_crossed", "", 1, replace(BRACKET, take_profit=LOW)),
    ("take_profit_not_beyond", "", 1, replace(BRACKET, take_profit=TakeProfit(limit_price="10.01"))),
    ("stop_loss_not_beyond", "", 1, replace(BRACKET, stop_loss=StopLoss(stop_price="10.00"))),
    ("notional_too_small", "", 1, replace(LIMIT, qty="0.1")),
    ("qty_of_group", "grouped", 1, replace(NAMED, qty="2")),
    ("trail_kind", "live", 1, replace(NAMED, trail="1")),
    ("asset_not_active", "", 1, replace(LIMIT, symbol="FFF")),
    ("wash_trade", "long and buying", 1, replace(SELL, type="market", limit_price=None)),
    ("short_while_buying", "live", 1, SELL),
    ("buy_while_shorting", "shorting", 1, LIMIT),
    ("notional_while_closing", "held", 1, replace(LIMIT, qty=None, notional="5")),
    ("opg_window", "", 1, replace(MARKET, time_in_force="opg")),
    ("cls_window", "late", 1, replace(MARKET, time_in_force="cls")),
    ("order_not_found", "", 1, CancelOrder(order_id="nobody")),
    ("order_not_replaceable", "triggered", 1, replace(NAMED, qty="2")),
    ("nothing_changed", "live", 1, replace(NAMED, qty="1.0")),
    ("qty_not_above_filled", "partly", 1, replace(NAMED, qty="2")),
    ("notional_not_replaceable", "dollars", 1, replace(NAMED, limit_price="8.00")),
    ("position_not_found", "", 1, ClosePosition(symbol="AAA")),
    ("account_name_taken", "", 0, CreateAccount(name="n1")),
    ("asset_not_found", "", 1, replace(LIMIT, symbol="ZZZ")),
    ("symbol_required", "", 1, replace(LIMIT, symbol=None)),
    ("asset_not_tradable", "", 1, replace(LIMIT, symbol="DDD")),
    ("asset_not_fractionable", "", 1, replace(LIMIT, symbol="CCC", qty="0.5")),
    ("asset_not_shortable", "", 1, replace(SELL, symbol="BBB")),
    ("fractional_short", "", 1, replace(SELL, qty="0.5")),
    ("insufficient_buying_power", "", 2, replace(LIMIT, qty="12")),
    ("insufficient_qty", "held", 1, replace(SELL, qty="1")),
    ("insufficient_cash", "", 2, Withdraw(amount="100.01")),
    ("number_too_large", "", 1, replace(LIMIT, qty="9000000000", limit_price="100.00")),
    ("shorting_not_allowed", "no shorts", 1, SELL),
    ("account_closed", "closed", 2, None),
    ("account_quarantined", "quarantined", 1, LIMIT),
    ("trade_suspended", "suspended", 1, LIMIT),
    ("fractional_disabled", "whole only", 1, replace(LIMIT, qty="0.5")),
    ("account_not_empty", "live", 1, CloseAccount()),
    ("no_market_price", "", 1, replace(MARKET, symbol="BBB")),
    ("stop_not_below_market", "", 1, replace(STOP, side="sell", stop_price="10.50")),
    ("stop_not_above_market", "", 1, replace(STOP, stop_price="9.50")),
    ("options_not_served", "", 1, replace(LIMIT, symbol="EEE260116C00100000")),
]


def plain(book: Book) -> bytes:
    return encode(replace(book, n=0))


@pytest.mark.parametrize(("reason", "case", "account_no", "action"), CASES, ids=[row[0] for row in CASES])
def test_a_refusal_names_its_reason_and_changes_nothing(reason: str, case: str, account_no: int, action: Any) -> None:
    if case == "triggered":
        engine = open_engine([("margin", "realistic", "10000")])
        feed(engine, session("core", OPEN))
        feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
        feed(engine, Do(1, replace(LIMIT, client_order_id="a"), OPEN + 2))
        at = OPEN + 3
    else:
        engine, at = prepared(case if case != "closed" else "")
    if case == "closed":
        feed(engine, Do(2, Withdraw(amount="100"), at))
        feed(engine, Do(2, CloseAccount(), at))
        action = Deposit(amount="1")
    feed(engine, Wait(at))
    engine.take_steps()
    engine.take_moved()
    books = {no: (plain(book), book.n) for no, book in engine.books.items()}
    house_n = engine.house.n
    waits = (len(engine.waits.timers), len(engine.world.board), dict(engine.waits.phase_waiters))
    outcome = engine.command(account_no, action, at, Envelope(), Issued(b"s" * 32))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason
    assert alpaca_text(outcome)
    assert advice_text(outcome)
    for no, (body, count) in books.items():
        assert plain(engine.books[no]) == body
        assert engine.books[no].n == count + (no == account_no)
    assert engine.house.n == house_n + (account_no == 0)
    assert (len(engine.waits.timers), len(engine.world.board), dict(engine.waits.phase_waiters)) == waits
    assert engine.take_moved() == []
    (step,) = engine.take_steps()
    assert [len(section.events) for section in step.sections] == [1]


def test_every_reason_is_produced() -> None:
    produced = {row[0] for row in CASES}
    assert produced | set(PRODUCED_ELSEWHERE) == set(REASONS)
    assert not produced & set(PRODUCED_ELSEWHERE)


def test_codes_and_names_are_unique_and_texts_take_their_numbers() -> None:
    assert len({reason.code for reason in REASONS.values()}) == len(REASONS)
    for name in REASONS:
        assert "{" not in alpaca_text(refuse(name))
        assert "{" not in advice_text(refuse(name))
