"""Margin accounts: buying power, calls, liquidation, day trades, borrow (margin-and-options §2, rules §8, §12)."""

from __future__ import annotations

import pytest

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.view import buying_power, figures, sma, withdrawable
from actors.commands import ConfigureAccount, Deposit, LocateShares, RecallBorrow, ResetAccount, Withdraw
from mbtd.records.accounts import render_account
from tests.money.rig import DOLLAR, Bench, when


def opened(cash: str = "10000", start: str = "2026-08-03 10:00") -> tuple[Bench, int]:
    bench = Bench(start)
    for symbol in ("AAA", "BBB", "HARD", "TRIPLE", "NOLOAN"):
        bench.quote(symbol, 100)
    bench.quote("CHEAP", 2)
    return bench, bench.account(cash)


def reason(outcome: object) -> str:
    return outcome.reason if isinstance(outcome, Refusal) else ""


def power(bench: Bench, account: int) -> int:
    return buying_power(bench.book(account), bench.engine.world) // DOLLAR


@pytest.mark.parametrize(
    ("at", "cash", "expected"),
    [
        ("2026-08-03 10:00", "10000", 40_000),  # intraday
        ("2026-08-03 15:55", "10000", 20_000),  # too late to close before the night
        ("2026-08-03 21:00", "10000", 20_000),
        ("2026-08-08 10:00", "10000", 20_000),  # a Saturday
        ("2026-08-03 10:00", "1999.99", 1_999),
        ("2025-08-04 10:00", "10000", 20_000),  # before the rules of 2026
    ],
)
def test_buying_power_by_multiplier(at: str, cash: str, expected: int) -> None:
    bench, account = opened(cash, at)
    assert power(bench, account) == expected


@pytest.mark.parametrize(
    ("cash", "kind", "allowed"), [("2000", "margin", True), ("1999.99", "margin", False), ("10000", "cash", False)]
)
def test_the_account_says_whether_it_may_short_as_orders_hear_it(cash: str, kind: str, allowed: bool) -> None:
    bench, _ = opened()
    account = bench.account(cash, kind)
    shown = render_account(bench.book(account), "n", "pro", bench.engine.world)
    assert shown["shorting_enabled"] is allowed
    assert isinstance(bench.order(account, "sell", "1"), Refusal) is not allowed


def test_the_multiplier_is_capped_by_the_account_and_by_the_user() -> None:
    bench, account = opened()
    bench.do(account, ConfigureAccount(max_margin_multiplier="2"))
    assert power(bench, account) == 20_000
    bench.do(account, ConfigureAccount(max_margin_multiplier="1"))
    assert power(bench, account) == 10_000


def test_what_is_lent_less_on_uses_more_buying_power() -> None:
    for symbol, most in (("AAA", 199), ("NOLOAN", 99), ("TRIPLE", 133)):
        bench, account = opened("10000", "2026-08-03 15:55")
        assert reason(bench.order(account, "buy", str(most + 1), symbol)) == "insufficient_buying_power"
        assert reason(bench.order(account, "buy", str(most), symbol)) == ""


def test_the_intraday_level_may_not_fall_below_nothing() -> None:
    bench, account = opened()
    # Buying power by the legal minimum is 40,000; at the house's 30 % only 33,333 can be carried.
    refused = bench.order(account, "buy", "334")
    assert reason(refused) == "intraday_margin_deficit"
    assert refused.numbers["shortfall"] == "20"
    assert reason(bench.order(account, "buy", "333")) == ""
    assert figures(bench.book(account), bench.engine.world).excess_money >= 0


def test_open_orders_count_before_they_fill() -> None:
    bench, account = opened()
    limit = {"type": "limit", "limit_price": "99.00"}
    assert reason(bench.order(account, "buy", "200", **limit)) == ""
    assert reason(bench.order(account, "buy", "200", "BBB", **limit)) == "intraday_margin_deficit"
    assert reason(bench.order(account, "buy", "130", "BBB", **limit)) == ""


def test_a_mode_lets_it_through_and_records_the_deficit() -> None:
    bench, account = opened()
    bench.do(account, ConfigureAccount(intraday_mode="eod_only"))
    assert reason(bench.order(account, "buy", "390")) == ""
    (low,) = bench.events(account, e.IntradayLow)
    assert low.level_money == 10_000 * DOLLAR - 390 * 30 * DOLLAR - 10_000
    bench.go("2026-08-03 20:00")
    (deficit,) = bench.events(account, e.DayEnded)[-1].deficits
    assert (deficit.trade_date, deficit.money, deficit.minor) == (20260803, 1_700 * DOLLAR + 10_000, False)
    assert deficit.call_due == 20260805


def test_a_deficit_that_is_not_met_in_five_days_freezes_the_account() -> None:
    bench, account = opened()
    bench.do(account, ConfigureAccount(intraday_mode="eod_only"))
    bench.order(account, "buy", "390")
    bench.go("2026-08-03 19:00")
    bench.order(account, "sell", "250", type="limit", limit_price="99.00", extended_hours=True)
    bench.go("2026-08-10 19:00")
    assert reason(bench.order(account, "sell", "1", "BBB")) != "margin_freeze"
    bench.go("2026-08-11 10:00")
    refused = bench.order(account, "sell", "1", "BBB")
    assert (reason(refused), refused.numbers["until"]) == ("margin_freeze", "2026-11-08")
    assert reason(bench.order(account, "sell", "1")) == ""
    bench.do(account, Deposit(amount="2000"))
    bench.go("2026-08-13 10:00")
    assert reason(bench.order(account, "buy", "1", "BBB")) == ""


def in_call(price: float) -> tuple[Bench, int]:
    bench, account = opened()
    bench.order(account, "buy", "180")
    bench.quote("AAA", price)
    bench.go("2026-08-03 10:05")
    return bench, account


def standings(bench: Bench, account: int) -> list[str]:
    return [event.state for event in bench.events(account, e.MarginChanged)]


def test_a_fall_opens_a_call_with_its_numbers_without_any_event_of_the_account() -> None:
    bench, account = in_call(62.0)
    assert standings(bench, account) == ["call"]
    event = bench.events(account, e.MarginChanged)[0]
    # 180 shares at 62, and 8,000 dollars owed.
    assert event.equity_money == (180 * 62 - 8_000) * DOLLAR - 10_000
    assert event.maintenance_money == 180 * 62 * DOLLAR * 3 // 10
    assert event.excess_money == event.equity_money - event.maintenance_money
    assert reason(bench.order(account, "buy", "1")) == "margin_call"
    assert reason(bench.order(account, "sell", "1")) == ""


def test_a_deposit_meets_a_call() -> None:
    bench, account = in_call(62.0)
    bench.do(account, Deposit(amount="5000"))
    assert standings(bench, account) == ["call", "ok"]
    assert bench.book(account).money.call.state == "ok"


def test_a_call_that_is_not_met_by_the_next_open_is_sold_out_just_enough() -> None:
    bench, account = in_call(62.0)
    bench.go("2026-08-04 09:31")
    bench.quote("AAA", 62)
    bench.go("2026-08-04 09:33")
    assert standings(bench, account) == ["call", "liquidating", "ok"]
    accepted = [o for o in bench.events(account, e.OrderAccepted) if o.client_order_id.startswith("liquidation-")]
    assert [o.side for o in accepted] == ["sell"]
    f = figures(bench.book(account), bench.engine.world)
    assert f.excess_money * 20 >= f.net_maintenance_money
    # One share less would not have been enough.
    assert f.excess_money - 62 * DOLLAR * 3 // 10 < (f.net_maintenance_money + 62 * DOLLAR * 3 // 10) // 20 + 1


def test_a_large_deficit_is_sold_at_once() -> None:
    bench, account = in_call(50.0)
    bench.quote("AAA", 50)
    bench.go("2026-08-03 10:07")
    assert standings(bench, account)[0] == "liquidating"
    assert bench.events(account, e.MarginChanged)[0].reason == "large_deficit"
    assert bench.book(account).positions["AAA"].qty < 180 * 10**9


def test_a_maintenance_call_does_not_wait_for_the_later_date_of_regulation_t() -> None:
    bench, account = opened()
    bench.order(account, "buy", "300")
    bench.go("2026-08-04 10:00")
    call = bench.book(account).money.call
    assert (call.state, call.reason, call.due_at) == ("call", "regulation_t", when("2026-08-06 09:30"))
    # 300 shares at 80 ask 7,200; 4,000 are there.
    bench.quote("AAA", 80)
    bench.go("2026-08-04 10:05")
    call = bench.book(account).money.call
    assert (call.state, call.reason, call.due_at) == ("call", "maintenance", when("2026-08-05 09:30"))
    assert [c.reason for c in bench.events(account, e.MarginChanged)] == ["regulation_t", "maintenance"]
    bench.quote("AAA", 100)
    bench.go("2026-08-04 21:00")
    call = bench.book(account).money.call
    # Met; what Regulation T asks keeps the date that it had.
    assert (call.state, call.reason, call.due_at) == ("call", "regulation_t", when("2026-08-06 09:30"))
    bench.do(account, Deposit(amount="5100"))
    bench.go("2026-08-05 21:00")
    assert bench.book(account).money.call.state == "ok"


def test_liquidation_cancels_opening_orders_newest_first() -> None:
    bench, account = opened()
    bench.order(account, "buy", "180")
    for price in ("20.00", "21.00"):
        bench.order(account, "buy", "1", "BBB", type="limit", limit_price=price)
    bench.quote("AAA", 50)
    bench.go("2026-08-03 10:05")
    ended = [o.order_no for o in bench.events(account, e.OrderCanceled) if o.reason == "margin_call"]
    assert ended == sorted(ended, reverse=True)
    assert len(ended) == 2


def test_a_short_squeeze_is_covered() -> None:
    bench, account = opened()
    bench.order(account, "sell", "90")
    bench.quote("AAA", 190)
    bench.go("2026-08-03 10:05")
    bench.quote("AAA", 190)
    bench.go("2026-08-03 10:07")
    covers = [o for o in bench.events(account, e.OrderAccepted) if o.client_order_id.startswith("liquidation-")]
    assert covers
    assert {o.side for o in covers} == {"buy"}
    # 1,900 dollars carry 31 shares at 57 dollars each with a twentieth to spare.
    assert bench.book(account).positions["AAA"].qty == -31 * 10**9


def test_open_orders_keep_half_of_their_value_from_being_withdrawn() -> None:
    bench, account = opened()

    def free() -> int:
        return withdrawable(bench.book(account), bench.engine.world) // DOLLAR

    bench.order(account, "buy", "100", "BBB", type="limit", limit_price="80.00")
    assert free() == 5_999  # 10,000 less half of 8,000 and of a fee
    # A short position asks 2,500 of the 10,000, whose own proceeds have not settled.
    bench.order(account, "sell", "50")
    assert free() == 3_499


def test_sma_never_falls_with_the_market_and_counts_todays_trades() -> None:
    bench, account = opened()
    bench.order(account, "buy", "100")
    book = bench.book(account)

    def memo() -> int:
        return sma(book, figures(book, bench.engine.world)) // DOLLAR

    bench.go("2026-08-03 20:00")
    assert memo() == 4_999  # 10,000 less half of 10,000, less a fee
    bench.quote("AAA", 120)
    bench.go("2026-08-04 20:00")
    assert memo() == 5_999
    bench.quote("AAA", 90)
    bench.go("2026-08-05 20:00")
    assert memo() == 5_999


def test_a_short_position_takes_half_of_its_value_off_sma_once() -> None:
    bench, account = opened()
    bench.order(account, "sell", "40")
    assert bench.book(account).money.sma_change == -2_000 * DOLLAR
    bench.order(account, "buy", "40")
    assert bench.book(account).money.sma_change == -2_000 * DOLLAR


def test_too_much_carried_overnight_is_a_call_of_regulation_t() -> None:
    bench, account = opened()
    bench.order(account, "buy", "300")
    bench.go("2026-08-03 20:00")
    last = bench.events(account, e.MarginChanged)[-1]
    assert (last.state, last.reason) == ("call", "regulation_t")
    bench.do(account, Deposit(amount="5100"))
    bench.go("2026-08-04 21:00")
    assert bench.book(account).money.call.state == "ok"


def test_a_call_of_regulation_t_that_is_not_met_is_sold_out() -> None:
    bench, account = opened()
    bench.order(account, "buy", "300")
    bench.go("2026-08-06 09:29")
    bench.quote("AAA", 100)
    assert bench.book(account).positions["AAA"].qty == 300 * 10**9
    bench.go("2026-08-06 09:31")
    # 5,000 dollars too much was borrowed: twice that is sold, and a share for the fees.
    assert bench.book(account).positions["AAA"].qty in (200 * 10**9, 199 * 10**9)
    assert standings(bench, account) == ["call", "liquidating", "ok"]


# ── day trades of the rule of 2001 ────────────────────────────────────────────────────────────────────────


def day_trade(bench: Bench, account: int) -> object:
    bench.order(account, "buy", "1")
    return bench.order(account, "sell", "1")


def test_the_fourth_day_trade_in_five_days_is_refused_below_25000() -> None:
    bench, account = opened("10000", "2025-11-03 10:00")
    bench.do(account, ConfigureAccount(pdt_check="exit"))
    for day in ("2025-11-03", "2025-11-04", "2025-11-05"):
        bench.go(f"{day} 10:30")
        assert reason(day_trade(bench, account)) == ""
    bench.go("2025-11-06 10:00")
    assert reason(day_trade(bench, account)) == "pdt_protection"
    assert not bench.book(account).money.day_trading.flagged
    bench.go("2025-11-07 10:00")
    assert reason(bench.order(account, "sell", "1")) == ""  # held overnight


def test_a_flagged_account_gets_day_trading_buying_power() -> None:
    bench, account = opened("30000", "2025-11-03 10:00")
    for day in ("2025-11-03", "2025-11-04", "2025-11-05", "2025-11-06"):
        bench.go(f"{day} 10:30")
        assert reason(day_trade(bench, account)) == ""
    assert bench.book(account).money.day_trading.flagged
    bench.go("2025-11-07 10:00")
    start = power(bench, account)
    assert start >= 119_000
    bench.order(account, "buy", "500")
    assert power(bench, account) == start - 50_000
    bench.order(account, "sell", "500")
    assert power(bench, account) == pytest.approx(start, abs=2)


def flagged_account(cash: str = "30000") -> tuple[Bench, int]:
    bench, account = opened(cash, "2025-11-03 10:00")
    for day in ("2025-11-03", "2025-11-04", "2025-11-05", "2025-11-06"):
        bench.go(f"{day} 10:30")
        day_trade(bench, account)
    assert bench.book(account).money.day_trading.flagged
    return bench, account


def test_a_pattern_day_trader_below_25000_may_not_day_trade() -> None:
    bench, account = flagged_account()
    bench.do(account, Withdraw(amount="6000"))
    bench.do(account, ConfigureAccount(pdt_check="exit"))
    bench.go("2025-11-07 10:00")
    assert reason(day_trade(bench, account)) == "pdt_restricted"


def test_day_trading_buying_power_is_checked_unless_the_user_says_otherwise() -> None:
    bench, account = flagged_account()
    bench.order(account, "buy", "590")
    bench.go("2025-11-07 10:00")
    bench.order(account, "sell", "590")
    # Overnight 59,000 were carried: 4 x (30,000 - 17,700) is left for the day, 60,000 for the night.
    refused = bench.order(account, "buy", "550", "BBB")
    assert reason(refused) == "day_trading_buying_power"
    assert refused.numbers["buying_power"].startswith("491")
    bench.do(account, ConfigureAccount(dtbp_check="exit"))
    assert reason(bench.order(account, "buy", "550", "BBB")) == ""


def test_rules_can_be_switched_off() -> None:
    bench, account = opened("10000", "2025-11-03 10:00")
    bench.do(account, ConfigureAccount(day_trade_rules="off"))
    for _ in range(6):
        assert reason(day_trade(bench, account)) == ""
    assert bench.book(account).money.day_trading is None


# ── borrow ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hard_to_borrow_stock_needs_a_locate_which_is_used_once() -> None:
    bench, account = opened()
    assert reason(bench.order(account, "sell", "10", "HARD")) == "asset_not_shortable"
    assert reason(bench.do(account, LocateShares(symbol="HARD", qty="50"))) == "invalid_qty"
    assert reason(bench.do(account, LocateShares(symbol="HARD", qty="100"))) == ""
    fee = bench.events(account, e.ActivityBooked)[-1]
    assert (fee.activity_type, fee.activity_sub_type, fee.net_money) == ("FEE", "LOCATE", -1 * DOLLAR)
    assert reason(bench.order(account, "sell", "60", "HARD")) == ""
    assert reason(bench.order(account, "sell", "50", "HARD")) == "locate_required"
    bench.order(account, "buy", "60", "HARD")
    assert reason(bench.order(account, "sell", "50", "HARD")) == "locate_required"
    bench.go("2026-08-03 20:01")
    borrow = [a for a in bench.events(account, e.ActivityBooked) if a.activity_sub_type == "BORROW"]
    assert [(a.symbol, a.net_money) for a in borrow] == [("HARD", -2_780_000)]  # a round lot at 10 % for a day
    bench.go("2026-08-04 10:00")
    assert reason(bench.order(account, "sell", "40", "HARD")) == "asset_not_shortable"  # it expired


def test_recalled_shares_are_bought_in_at_the_next_settlement_days_open() -> None:
    bench, account = opened()
    bench.order(account, "sell", "30")
    bench.order(account, "sell", "5", type="limit", limit_price="150.00")
    assert reason(bench.do(account, RecallBorrow(symbol="AAA", qty="20"))) == ""
    assert [o.reason for o in bench.events(account, e.OrderCanceled)] == ["borrow_recalled"]
    assert reason(bench.order(account, "sell", "1")) == "borrow_recalled"
    bench.go("2026-08-04 09:29")
    assert bench.book(account).positions["AAA"].qty == -30 * 10**9
    bench.go("2026-08-04 09:31")
    bench.quote("AAA", 101)
    assert bench.book(account).positions["AAA"].qty == -10 * 10**9
    assert not bench.book(account).money.recalls
    assert any(o.client_order_id.startswith("buy-in-") for o in bench.events(account, e.OrderAccepted))


def test_a_short_that_is_covered_in_time_is_not_bought_in() -> None:
    bench, account = opened()
    bench.order(account, "sell", "30")
    bench.do(account, RecallBorrow(symbol="AAA"))
    bench.order(account, "buy", "30")
    bench.go("2026-08-04 10:00")
    assert not any(o.client_order_id.startswith("buy-in-") for o in bench.events(account, e.OrderAccepted))


# ── account life ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_reset_begins_a_new_epoch_and_keeps_the_history() -> None:
    bench, account = opened()
    bench.order(account, "buy", "10", client_order_id="mine")
    bench.order(account, "buy", "5", "BBB", type="limit", limit_price="50.00")
    before = bench.book(account).n
    assert reason(bench.do(account, ResetAccount(cash="777"))) == ""
    book: Book = bench.book(account)
    assert (book.epoch, book.cash, book.positions, book.orders, book.money) == (1, 777 * DOLLAR, {}, {}, None)
    assert book.reserved_money == 0
    assert not book.held
    assert book.n > before
    assert reason(bench.order(account, "buy", "1", client_order_id="mine")) == ""
    assert len({o.order_id for o in bench.events(account, e.OrderAccepted)}) == 3


def test_only_what_nothing_needs_can_be_withdrawn() -> None:
    bench, account = opened()
    bench.order(account, "buy", "50")
    assert reason(bench.do(account, Withdraw(amount="5000.01"))) == "insufficient_cash"
    assert reason(bench.do(account, Withdraw(amount="4999"))) == ""
    assert figures(bench.book(account), bench.engine.world).available_money >= 0


def test_settings_are_all_or_nothing_and_kept() -> None:
    bench, account = opened()
    assert reason(bench.do(account, ConfigureAccount(pdt_check="both", margin_profile="none"))) == "invalid_setting"
    assert bench.book(account).settings is None
    bench.do(account, ConfigureAccount(pdt_check="both", disable_overnight_trading=True))
    assert bench.book(account).rules().pdt_check == "both"
    bench.go("2026-08-03 21:00")
    refused = bench.order(account, "buy", "1", type="limit", limit_price="99.00", extended_hours=True)
    assert reason(refused) == "overnight_disabled"


def test_an_account_with_less_than_nothing_stays_in_the_call_without_selling_for_ever() -> None:
    bench, account = opened()
    bench.order(account, "buy", "180")
    bench.quote("AAA", 30)
    bench.go("2026-08-03 10:05")
    while bench.book(account).positions:
        bench.quote("AAA", 30)
        bench.go("2026-08-03 10:30") if not bench.book(account).orders else bench.quote("AAA", 29.99)
    bench.go("2026-08-10 12:00")
    states = standings(bench, account)
    assert states[:2] == ["liquidating", "call"]
    assert len(states) <= 3
    assert reason(bench.order(account, "buy", "1")) == "margin_call"
    bench.do(account, Deposit(amount="9000"))
    assert standings(bench, account)[-1] == "ok"
    assert reason(bench.order(account, "buy", "1")) == ""
