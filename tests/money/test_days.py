"""Ends of trade dates, interest, and catching up on them (architecture §7, rules §13)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.dues import NEVER, next_due
from actors.book.rules.money.interest import Rates, borrow_fee, credit_interest, debit_interest, margin_rate
from actors.book.state.book import Book
from actors.book.view import figures
from actors.commands import Deposit, Withdraw
from actors.inputs import encode
from tests.money.rig import DOLLAR, Bench, when


def ends(bench: Bench, account: int) -> list[e.DayEnded]:
    return bench.events(account, e.DayEnded)


def test_an_account_that_does_nothing_costs_nothing() -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    bench.go("2026-08-10 10:00")
    book = bench.book(account)
    assert book.money is None
    assert next_due(book, bench.engine.world) == NEVER
    assert len(bench.engine.waits.timers) == 0
    assert not ends(bench, account)


def test_each_date_on_which_something_was_held_ends_once_at_its_own_instant() -> None:
    bench = Bench("2026-07-02 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "10")
    bench.go("2026-07-08 10:00")
    # Independence Day is observed on Friday, July 3; the weekend follows.
    assert [(end.trade_date, end.at) for end in ends(bench, account)] == [
        (20260702, when("2026-07-02 20:00")),
        (20260706, when("2026-07-06 20:00")),
        (20260707, when("2026-07-07 20:00")),
    ]


def test_a_flat_account_goes_to_sleep_once_all_has_settled() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "10")
    bench.quote("AAA", 101)
    bench.order(account, "sell", "10")
    bench.go("2026-08-10 10:00")
    assert [end.trade_date for end in ends(bench, account)] == [20260803, 20260804]
    assert next_due(bench.book(account), bench.engine.world) == NEVER


def test_profit_of_a_date_leaves_deposits_out_and_adds_up() -> None:
    bench = Bench("2026-08-03 10:00")
    bench.quote("AAA", 100)
    account = bench.account()
    bench.order(account, "buy", "100")
    bench.do(account, Deposit(amount="5000"))
    bench.quote("AAA", 103)
    bench.go("2026-08-04 10:00")
    bench.do(account, Withdraw(amount="1000"))
    bench.quote("AAA", 101)
    bench.go("2026-08-04 20:00")
    first, second = ends(bench, account)
    assert first.deposits_money == 5_000 * DOLLAR
    assert first.profit_money == 300 * DOLLAR - 10_000
    assert second.deposits_money == -1_000 * DOLLAR
    assert second.profit_money == -200 * DOLLAR
    assert second.equity_money == 104_100 * DOLLAR - 10_000
    assert bench.book(account).money.last_equity == second.equity_money


def test_the_trade_date_rolls_with_the_last_session() -> None:
    bench = Bench("2026-08-03 10:00")
    account = bench.account()
    bench.do(account, Deposit(amount="1"))
    bench.go("2026-08-03 20:30")
    bench.do(account, Deposit(amount="2"))
    bench.go("2026-08-05 10:00")
    assert [(end.trade_date, end.deposits_money) for end in ends(bench, account)] == [
        (20260803, DOLLAR), (20260804, 2 * DOLLAR)
    ]  # fmt: skip


def test_interest_of_the_worked_example() -> None:
    assert debit_interest(-5_000 * DOLLAR, 0, 65_000, 1) == 902_778
    assert margin_rate(Rates(), 20260916) == 65_000
    assert margin_rate(Rates(), 20260917) == 62_500
    assert debit_interest(5_000 * DOLLAR, 4_000 * DOLLAR, 65_000, 1) == 0
    assert debit_interest(3_000 * DOLLAR, 4_000 * DOLLAR, 65_000, 1) > 0
    assert credit_interest(10_000 * DOLLAR, 40_000, 1) == 1_095_900
    assert borrow_fee(150 * 10**9, 500_000, 360_000, 3) == 30 * DOLLAR  # two round lots, 50.00, three days


def test_margin_interest_runs_on_the_settled_debit_over_weekends_and_is_posted_monthly() -> None:
    bench = Bench("2026-08-06 10:00", Rates(margin_interest_ppm=72_000))
    bench.quote("AAA", 100)
    account = bench.account("10000", profile="alpaca-parity")
    bench.order(account, "buy", "150")
    while bench.book(account).orders:
        bench.quote("AAA", 100.01)
        bench.quote("AAA", 100)
    debit = -bench.book(account).cash
    assert debit > 4_999 * DOLLAR
    bench.go("2026-08-06 20:00")
    assert ends(bench, account)[-1].margin_interest == 0  # not settled yet
    bench.go("2026-08-07 20:00")
    a_day = debit * 72 // 1000 // 360
    assert abs(ends(bench, account)[-1].margin_interest - 3 * a_day) <= 2  # Friday counts three days
    bench.go("2026-08-31 20:00")
    posted = [a for a in bench.events(account, e.ActivityBooked) if a.activity_type == "INT"]
    assert [(a.activity_sub_type, a.trade_date) for a in posted] == [("MGN", 20260831)]
    assert abs(-posted[0].net_money - 25 * a_day) <= 10_000
    assert posted[0].net_money % 10_000 == 0
    assert ends(bench, account)[-1].margin_interest == 0


def test_interest_on_cash_when_it_is_switched_on() -> None:
    bench = Bench("2026-08-27 10:00", Rates(cash_interest_ppm=36_500))
    account = bench.account("10000", "cash")
    bench.do(account, Deposit(amount="90000"))
    bench.go("2026-09-01 10:00")
    posted = [a for a in bench.events(account, e.ActivityBooked) if a.activity_type == "INT"]
    # Thursday 1, Friday 3, Monday 1 nights at ten dollars.
    assert [(a.activity_sub_type, a.net_money) for a in posted] == [("SWP", 50 * DOLLAR)]


def traded() -> tuple[Bench, int]:
    bench = Bench("2026-08-05 10:00")
    bench.quote("AAA", 100)
    account = bench.account("10000")
    bench.order(account, "buy", "150")
    return bench, account


def test_a_sleeper_catches_up_with_the_original_instants_before_anything_else() -> None:
    awake, account = traded()
    asleep, same = traded()
    image = msgspec.msgpack.decode(encode(asleep.book(same)), type=Book)
    asleep.engine.release(same)
    for bench in (awake, asleep):
        bench.go("2026-08-12 10:00")
    asleep.engine.admit(image)
    awake.do(account, Deposit(amount="1"))
    asleep.do(same, Deposit(amount="1"))
    assert len(ends(awake, account)) == 5
    assert ends(asleep, same) == ends(awake, account)
    assert encode(asleep.book(same)) == encode(awake.book(account))
    kinds = [type(event) for event in asleep.events(same)]
    assert kinds[-1] is e.ActivityBooked


def test_timers_follow_from_the_book_alone() -> None:
    bench, account = traded()
    bench.do(account, Deposit(amount="1"))
    waits = deepcopy(bench.engine.waits._account)
    book = msgspec.msgpack.decode(encode(bench.book(account)), type=Book)
    bench.engine.release(account)
    assert len(bench.engine.waits.timers) == 0
    bench.engine.admit(book)
    assert bench.engine.waits._account == waits


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["buy", "sell", "wait", "price", "deposit", "withdraw"]),
            st.sampled_from(["AAA", "CHEAP", "TRIPLE", "NOLOAN"]),
            st.integers(1, 300),
        ),
        max_size=25,
    ),
    st.sampled_from([("margin", "30000"), ("cash", "30000"), ("margin", "1500")]),
)
def test_cash_marked_positions_and_accruals_are_equity(script: list[Any], kind: tuple[str, str]) -> None:
    bench = Bench("2026-08-03 10:00", Rates(cash_interest_ppm=40_000))
    for symbol in ("AAA", "NOLOAN", "TRIPLE"):
        bench.quote(symbol, 100)
    bench.quote("CHEAP", 2)
    account = bench.account(kind[1], kind[0])
    book = bench.book(account)
    days = iter(["2026-08-04", "2026-08-05", "2026-08-06", "2026-08-07", "2026-08-10", "2026-08-31", "2026-09-01"])
    for what, symbol, number in script:
        if what in ("buy", "sell"):
            bench.order(account, what, str(number), symbol)
        elif what == "price":
            bench.quote(symbol, number if symbol != "CHEAP" else number / 50)
        elif what == "wait":
            bench.go(f"{next(days, '2026-09-02')} 10:00") if bench.now < when("2026-09-02 00:00") else None
        elif what == "deposit":
            bench.do(account, Deposit(amount=str(number)))
        else:
            bench.do(account, Withdraw(amount=str(number)))
        assert not book.quarantined
        check_identities(bench, book)


def check_identities(bench: Bench, book: Book) -> None:
    world = bench.engine.world
    f = figures(book, world)
    marked = sum(
        round(world.mark(symbol) * position.qty / 10_000_000) if world.mark(symbol) else position.basis_money
        for symbol, position in book.positions.items()
    )
    assert abs(f.equity_money - (book.cash + marked - f.accrued_money)) <= len(book.positions)
    # The two forms of margin-and-options §0.1 agree.
    assert f.excess_money == book.cash + f.long_money - f.accrued_money - f.maintenance_money
    assert f.excess_money == f.equity_money - f.net_maintenance_money
    assert f.initial_money >= f.maintenance_money or book.type == "cash"
    if book.type == "cash":
        assert book.cash >= -1_000_000
        assert not any(position.qty < 0 for position in book.positions.values())
        today = world.day.trade_date if world.day is not None else 0
        spent = sum(amount for day, amount in book.ledger().settling if day > today)
        assert 0 <= spent <= max(0, book.cash) + 1_000_000
