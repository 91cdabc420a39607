"""The call for exceeded day-trading buying power of the 2001 rules, day by day (rules §8.1)."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import events as e
from actors.book.events.parts import DayTradeCall
from actors.book.rules.money import day_trade_calls as rule
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.book.view import withdrawable
from actors.commands import (
    ClearPatternDayTrader,
    ConfigureAccount,
    Deposit,
    ResetAccount,
    StopLoss,
    TakeProfit,
    Withdraw,
)
from actors.inputs import encode
from mbtd.market.calendar import Calendar, TradeDays
from mbtd.records.accounts import render_account
from mbtd.records.lines import Lines
from tests.money.rig import DOLLAR, Bench

DAYS = TradeDays(Calendar())


def reason(outcome: object) -> str:
    return outcome.reason if isinstance(outcome, Refusal) else ""


def shown(bench: Bench, account: int) -> dict[str, Any]:
    return render_account(bench.book(account), "n", "pro", bench.engine.world)


def flagged(cash: str = "30000") -> tuple[Bench, int]:
    """Four day trades in four days; the last of them on Thursday, 2025-11-06."""
    bench = Bench("2025-11-03 10:00")
    for symbol in ("AAA", "BBB", "CHEAP"):
        bench.quote(symbol, 2 if symbol == "CHEAP" else 100)
    account = bench.account(cash)
    for day in ("2025-11-03", "2025-11-04", "2025-11-05", "2025-11-06"):
        bench.go(f"{day} 10:30")
        bench.order(account, "buy", "1")
        bench.order(account, "sell", "1")
    assert bench.book(account).money.day_trading.flagged
    return bench, account


def exceeded(until: str = "") -> tuple[Bench, int]:
    """On Friday 49,200 of buying power and 55,000 opened, for somebody who has switched the check off."""
    bench, account = flagged()
    bench.do(account, ConfigureAccount(dtbp_check="exit"))
    bench.order(account, "buy", "590")
    bench.go("2025-11-07 10:00")
    bench.order(account, "sell", "590")
    assert reason(bench.order(account, "buy", "550", "BBB")) == ""
    assert reason(bench.order(account, "sell", "550", "BBB")) == ""
    if until:
        bench.go(until)
    return bench, account


def changes(bench: Bench, account: int) -> list[str]:
    return [event.state for event in bench.events(account, e.DayTradeCallChanged)]


def test_what_was_opened_beyond_the_buying_power_is_called_for_at_the_end_of_the_date() -> None:
    bench, account = exceeded()
    before = shown(bench, account)
    assert before["day_trade_calls"] == []
    bench.go("2025-11-07 20:01")
    (call,) = shown(bench, account)["day_trade_calls"]
    # 4 x (30,000 - 17,700) less fees; a quarter of what 55,000 goes beyond it, to the next cent.
    power = float(before["bod_dtbp"])
    assert power == pytest.approx(49_200, abs=10)
    assert float(call["amount"]) == pytest.approx((55_000 - power) / 4, abs=0.011)
    assert (call["date"], call["until"], call["status"], call["deposited"]) == (
        "2025-11-07",
        "2025-11-14",
        "call",
        "0",
    )


def test_closing_again_gives_no_more_back_than_was_used_and_meets_no_call() -> None:
    bench, account = exceeded("2025-11-10 10:00")
    assert len(shown(bench, account)["day_trade_calls"]) == 1


def test_who_stays_within_the_buying_power_hears_of_no_call() -> None:
    bench, account = flagged()
    bench.go("2025-11-07 10:00")
    for _ in range(3):  # one after the other; closing restores what opening used
        assert reason(bench.order(account, "buy", "1000")) == ""
        assert reason(bench.order(account, "sell", "1000")) == ""
    bench.go("2025-11-10 10:00")
    assert changes(bench, account) == []


def test_until_it_is_met_the_account_has_twice_its_excess_and_no_check_to_switch_off() -> None:
    bench, account = exceeded("2025-11-07 19:00")
    assert shown(bench, account)["day_trade_restriction"] is None
    bench.go("2025-11-10 10:00")
    view = shown(bench, account)
    assert (view["multiplier"], view["day_trade_restriction"], view["day_trade_restriction_until"]) == (
        "2", "two_times", "2025-11-14",
    )  # fmt: skip
    assert float(view["buying_power"]) == float(view["daytrading_buying_power"]) == float(view["bod_dtbp"])
    assert float(view["bod_dtbp"]) == pytest.approx(2 * float(view["last_equity"]), abs=0.01)
    assert reason(bench.order(account, "buy", "600")) == "day_trading_buying_power"
    assert reason(bench.order(account, "buy", "595")) == ""
    assert reason(bench.order(account, "sell", "595")) == ""
    assert reason(bench.order(account, "buy", "595")) == ""


def test_deposits_meet_the_call_and_stay_for_two_trade_dates() -> None:
    bench, account = exceeded("2025-11-11 10:00")
    bench.do(account, Deposit(amount="1000"))
    (call,) = shown(bench, account)["day_trade_calls"]
    assert (call["deposited"], call["status"]) == ("1000", "call")
    assert shown(bench, account)["multiplier"] == "2"
    bench.go("2025-11-12 10:00")
    bench.do(account, Deposit(amount="2000"))
    view = shown(bench, account)
    assert (view["day_trade_calls"], view["day_trade_restriction"], view["multiplier"]) == ([], None, "4")
    assert changes(bench, account) == ["opened", "paid", "paid", "met"]
    asked = bench.events(account, e.DayTradeCallChanged)[0].money
    # Of the second deposit only what the call still asked for has to stay.
    assert [entry["until"] for entry in view["held_deposits"]] == ["2025-11-13", "2025-11-14"]
    held = [round(float(entry["amount"]) * DOLLAR) for entry in view["held_deposits"]]
    assert held == [1_000 * DOLLAR, asked - 1_000 * DOLLAR]
    free = withdrawable(bench.book(account), bench.engine.world)
    assert free == pytest.approx(bench.book(account).cash - asked, abs=20 * DOLLAR)  # fees have accrued
    assert reason(bench.do(account, Withdraw(amount=str((free + DOLLAR) // DOLLAR)))) == "insufficient_cash"
    bench.go("2025-11-14 10:00")
    assert withdrawable(bench.book(account), bench.engine.world) - free == pytest.approx(1_000 * DOLLAR, abs=DOLLAR)
    bench.go("2025-11-14 20:01")
    assert shown(bench, account)["held_deposits"] == []
    assert withdrawable(bench.book(account), bench.engine.world) - free == pytest.approx(asked, abs=DOLLAR)


def test_money_that_leaves_again_meets_no_call() -> None:
    bench, account = exceeded("2025-11-10 10:00")
    bench.do(account, Withdraw(amount="2000"))
    bench.do(account, Deposit(amount="2000"))
    (call,) = shown(bench, account)["day_trade_calls"]
    assert call["deposited"] == "0"


def test_after_the_deadline_only_cash_buys_for_ninety_days() -> None:
    bench, account = exceeded("2025-11-14 19:59")
    assert shown(bench, account)["day_trade_restriction"] == "two_times"
    bench.go("2025-11-17 10:00")
    view = shown(bench, account)
    assert (view["day_trade_restriction"], view["day_trade_restriction_until"]) == ("cash_only", "2026-02-12")
    assert (view["multiplier"], view["daytrading_buying_power"]) == ("1", "0")
    refused = bench.order(account, "buy", "301")
    assert (reason(refused), refused.numbers["until"]) == ("day_trade_call", "2026-02-12")
    assert reason(bench.order(account, "buy", "400", type="limit", limit_price="99.00")) == "day_trade_call"
    assert reason(bench.order(account, "sell", "1", "BBB")) == "day_trade_call"
    assert reason(bench.order(account, "buy", "290")) == ""
    bench.go("2025-11-18 10:00")
    assert reason(bench.order(account, "sell", "290")) == ""
    bench.go("2026-02-12 19:59")
    assert shown(bench, account)["day_trade_restriction"] == "cash_only"
    bench.go("2026-02-13 10:00")
    assert changes(bench, account) == ["opened", "missed", "ended"]
    assert (shown(bench, account)["multiplier"], shown(bench, account)["day_trade_calls"]) == ("4", [])


def test_a_late_deposit_ends_the_restriction() -> None:
    bench, account = exceeded("2025-12-01 10:00")
    assert reason(bench.order(account, "buy", "301")) == "day_trade_call"
    bench.do(account, Deposit(amount="1500"))
    assert changes(bench, account) == ["opened", "missed", "paid", "met"]
    assert reason(bench.order(account, "buy", "301")) == ""


def test_nothing_of_it_holds_once_the_rules_are_others() -> None:
    bench, account = exceeded("2025-11-17 10:00")
    bench.do(account, ConfigureAccount(day_trade_rules="intraday_margin_2026"))
    view = shown(bench, account)
    assert (view["multiplier"], view["day_trade_restriction"]) == ("4", None)
    assert reason(bench.order(account, "buy", "301")) == ""


def test_a_reset_forgets_the_call() -> None:
    bench, account = exceeded("2025-11-10 10:00")
    bench.do(account, ResetAccount(cash="30000"))
    assert shown(bench, account)["day_trade_calls"] == []
    bench.go("2025-11-17 10:00")
    assert changes(bench, account) == ["opened"]


def test_a_pattern_day_trader_below_the_minimum_who_day_trades_may_only_close() -> None:
    bench, account = flagged()
    bench.do(account, Withdraw(amount="6000"))
    bench.do(account, ConfigureAccount(pdt_check="exit"))
    bench.go("2025-11-07 10:00")
    bench.order(account, "buy", "5", "BBB")
    exits = {"take_profit": TakeProfit(limit_price="101.00"), "stop_loss": StopLoss(stop_price="95.00")}
    assert reason(bench.order(account, "buy", "10", order_class="bracket", **exits)) == ""
    bench.quote("AAA", 102)
    bench.go("2025-11-07 10:01")
    assert "AAA" not in bench.book(account).positions
    view = shown(bench, account)
    assert (view["day_trade_restriction"], view["day_trade_restriction_until"]) == ("closes_only", "2026-02-05")
    assert reason(bench.order(account, "buy", "1", "CHEAP")) == "pdt_closes_only"
    bench.go("2025-11-10 10:00")
    assert reason(bench.order(account, "buy", "1", "CHEAP")) == "pdt_closes_only"
    assert reason(bench.order(account, "sell", "5", "BBB")) == ""
    bench.do(account, Deposit(amount="2000"))
    assert reason(bench.order(account, "buy", "1", "CHEAP")) == "pdt_closes_only"  # a day has to end with it
    bench.go("2025-11-11 10:00")
    assert [event.reason for event in bench.events(account, e.DayTradingChanged)] == ["restriction_over"]
    assert reason(bench.order(account, "buy", "1", "CHEAP")) == ""


def test_the_flag_stays_until_an_operator_takes_it_off() -> None:
    bench, account = flagged()
    bench.go("2025-11-24 10:00")
    assert shown(bench, account)["pattern_day_trader"]
    bench.do(account, ClearPatternDayTrader())
    view = shown(bench, account)
    assert (view["pattern_day_trader"], view["multiplier"], view["bod_dtbp"]) == (False, "2", 0)
    count = len(bench.events(account, e.DayTradingChanged))
    bench.do(account, ClearPatternDayTrader())
    assert len(bench.events(account, e.DayTradingChanged)) == count == 1


def test_the_journal_holds_all_of_it() -> None:
    bench, account = exceeded("2025-12-01 10:00")
    bench.do(account, Deposit(amount="1500"))
    plain = Book(account)
    for step in bench.engine.steps:
        for section in step.sections:
            if section.account_no == account:
                for event in section.events:
                    fold(plain, event, step.at)
    book = bench.book(account)
    book.watch.clear()
    book.consumed.clear()
    assert encode(plain) == encode(book)


def test_the_lines_of_a_call_name_its_numbers() -> None:
    bench, account = exceeded("2025-12-01 10:00")
    bench.do(account, Deposit(amount="1500"))
    lines = Lines()
    told = [line for step in bench.engine.take_steps() for line in lines.render(step)]
    told = [line for line in told if line.get("reason") == "day_trading_buying_power"]
    assert [(line["event"], line["trade_date"]) for line in told] == [
        ("margin.call_opened", "2025-11-07"),
        ("margin.call_missed", "2025-11-14"),
        ("margin.call_paid", "2025-12-01"),
        ("margin.call_closed", "2025-12-01"),
    ]
    assert [line.get("until") for line in told] == ["2025-11-14", "2026-02-12", "2025-12-03", None]


# ── the rule alone ────────────────────────────────────────────────────────────────────────────────────────

OLD = DayTradeCall("call", 20251107, 1_000, 20251114, 0)
NEW = DayTradeCall("call", 20251110, 500, 20251117, 0)
MISSED = DayTradeCall("cash_only", 20251030, 100, 20260204, 0)


@pytest.mark.parametrize(
    ("calls", "trade_date", "equity", "expected"),
    [
        ((), 20251110, 25_000, 4),
        ((OLD,), 20251107, 25_000, 4),  # the date itself goes on as it began
        ((OLD,), 20251110, 25_000, 2),
        ((OLD,), 20251110, 24_999, 0),
        ((MISSED, OLD), 20251107, 25_000, 1),
        ((MISSED,), 20251107, 24_999, 1),
    ],
)
def test_how_often_the_excess_may_be_used(calls: Any, trade_date: int, equity: int, expected: int) -> None:
    assert rule.times(True, equity * DOLLAR, calls, trade_date) == expected


def test_money_goes_to_the_oldest_call_first() -> None:
    assert [call.deposits for call in rule.with_flow((OLD, NEW), 1_200)] == [1_000, 200]
    assert [call.deposits for call in rule.with_flow((OLD, NEW), 2_000)] == [1_000, 1_000]
    assert [call.deposits for call in rule.with_flow((OLD, NEW), -300)] == [-300, 0]


def test_a_restriction_lasts_ninety_calendar_days() -> None:
    after = rule.missed(OLD, DAYS)
    assert (after.state, after.until) == ("cash_only", 20260212)
    assert after.due_at == DAYS.day(20260212).ends_at
    # 2026-02-15 is a Sunday: the restriction ends with the Friday before.
    sunday = rule.missed(DayTradeCall("call", 20251110, 1, 20251117, 0), DAYS)
    assert (sunday.until, sunday.due_at) == (20260215, DAYS.day(20260213).ends_at)
