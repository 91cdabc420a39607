"""Settled and unsettled cash, and what a cash account may do with it (margin-and-options §1, rules §8.3, §9)."""

from __future__ import annotations

from actors.book import events as e
from actors.book.rules.money.settlement import consequence, settled_cash, violation_of
from actors.book.rules.reasons import Refusal
from actors.book.state.money import Money
from actors.book.view import buying_power, withdrawable
from actors.commands import ConfigureAccount, Deposit, Withdraw
from tests.money.rig import DOLLAR, Bench

PARITY = "alpaca-parity"


def sold_out(start: str = "2026-08-03 10:00") -> tuple[Bench, int]:
    """A cash account of 10,000 dollars, all of it unsettled proceeds."""
    bench = Bench(start)
    bench.quote("AAA", 100)
    bench.quote("BBB", 100)
    account = bench.account("10000", "cash")
    bench.engine.books[account].profile = PARITY
    return bench, account


def full(bench: Bench, account: int, side: str, symbol: str = "AAA", qty: str = "100") -> None:
    """An order, and quotes until all of it is filled."""
    bench.order(account, side, qty, symbol)
    while bench.book(account).orders:
        bench.quote(symbol, 100 + bench.now % 2 / 100)
        bench.quote(symbol, 100)


def test_proceeds_settle_on_the_next_settlement_day() -> None:
    bench, account = sold_out("2026-11-10 10:00")
    full(bench, account, "buy")
    full(bench, account, "sell")
    book = bench.book(account)
    # Veterans Day: the market trades and nothing settles.
    assert [day for day, _ in book.money.settling] == [20261112]
    unsettled = book.money.settling[0][1]
    assert settled_cash(book.cash, book.money, 20261110) == book.cash - unsettled
    assert withdrawable(book, bench.engine.world) == book.cash - unsettled
    assert isinstance(bench.do(account, Withdraw(amount="5000")), Refusal)
    bench.go("2026-11-11 10:00")
    assert isinstance(bench.do(account, Withdraw(amount="5000")), Refusal)
    bench.go("2026-11-12 10:00")
    assert not isinstance(bench.do(account, Withdraw(amount="5000")), Refusal)


def test_buying_with_unsettled_money_and_holding_is_no_violation() -> None:
    bench, account = sold_out()
    full(bench, account, "buy")
    full(bench, account, "sell")
    full(bench, account, "buy", "BBB", "90")
    bench.go("2026-08-04 10:00")
    full(bench, account, "sell", "BBB", "90")
    assert not bench.events(account, e.CashViolated)


def violate(bench: Bench, account: int) -> None:
    full(bench, account, "buy", "AAA", "90")
    full(bench, account, "sell", "AAA", "90")
    full(bench, account, "buy", "BBB", "90")
    full(bench, account, "sell", "BBB", "90")


def test_three_good_faith_violations_restrict_to_settled_cash() -> None:
    bench, account = sold_out()
    for day in ("2026-08-03", "2026-08-04", "2026-08-05"):
        if day != "2026-08-03":
            bench.go(f"{day} 10:00")
        violate(bench, account)
    found = bench.events(account, e.CashViolated)
    assert [(v.kind, v.count) for v in found] == [("good_faith", 1), ("good_faith", 2), ("good_faith", 3)]
    assert [v.settled_only_until for v in found] == [0, 0, 20261103]
    book = bench.book(account)
    assert buying_power(book, bench.engine.world) < 2_000 * DOLLAR
    outcome = bench.order(account, "buy", "50")
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "insufficient_buying_power"
    bench.go("2026-11-04 10:00")
    assert buying_power(book, bench.engine.world) > 9_000 * DOLLAR


def test_a_setting_refuses_what_would_be_a_violation() -> None:
    bench, account = sold_out()
    bench.do(account, ConfigureAccount(unsettled_sales="refuse"))
    full(bench, account, "buy", "AAA", "90")
    full(bench, account, "sell", "AAA", "90")
    full(bench, account, "buy", "BBB", "90")
    outcome = bench.order(account, "sell", "90", "BBB")
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.numbers["settles_on"]) == ("unsettled_sale", "2026-08-04")


def test_settled_money_is_spent_first() -> None:
    bench, account = sold_out()
    full(bench, account, "buy", "AAA", "40")
    full(bench, account, "sell", "AAA", "40")
    full(bench, account, "buy", "BBB", "50")
    assert not bench.book(account).money.unpaid
    bench.do(account, Deposit(amount="1000"))
    full(bench, account, "buy", "BBB", "40")
    assert bench.book(account).money.unpaid


def test_a_cash_account_never_sells_short_and_never_spends_what_it_has_not() -> None:
    bench, account = sold_out()
    assert bench.order(account, "sell", "1").reason == "insufficient_qty"
    assert bench.order(account, "buy", "101").reason == "insufficient_buying_power"


def test_price_plus_fees_must_be_there_to_the_cent() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    for cash, passes in (("10000.00", False), ("10000.01", True)):
        account = bench.account(cash, "cash")
        outcome = bench.order(account, "buy", "100", type="limit", limit_price="100.00")
        assert isinstance(outcome, Refusal) is not passes
        if passes:
            bench.go("2026-08-03 20:00")
            assert bench.book(account).cash == 0
            assert not bench.book(account).quarantined


def test_money_that_comes_after_the_purchase_settles_is_free_riding() -> None:
    money = Money(unpaid=((7, 20150108, 20150106), (8, 20150108, 20150108)))
    assert violation_of(money, (8,), 20150106) == "good_faith"
    assert violation_of(money, (8, 7), 20150106) == "free_riding"
    assert violation_of(money, (8, 7), 20150108) == ""
    assert consequence(money, "free_riding", 20150106) == (1, 20150406)
    old = Money(violations=((20140105, "good_faith", 1), (20140301, "good_faith", 2)))
    assert consequence(old, "good_faith", 20150106) == (2, 0)
