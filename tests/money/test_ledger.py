"""Whole months of random trading on the real calendar against the double-entry ledger, and restarts in between."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book.rules.money.interest import Rates
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import (
    CancelAll,
    ClosePosition,
    ConfigureAccount,
    Deposit,
    LocateShares,
    RecallBorrow,
    ResetAccount,
    Withdraw,
)
from actors.inputs import encode
from tests.money.rig import CALENDAR, Bench
from tests.oracle.ledger import Ledger, check_ledger

SYMBOLS = ("AAA", "CHEAP", "TRIPLE", "NOLOAN", "HARD")
ACCOUNTS = (("margin", "30000"), ("cash", "30000"), ("margin", "3000"), ("cash", "500"))
ACTIONS = st.one_of(
    st.tuples(
        st.sampled_from(["buy", "sell", "limit buy", "limit sell"]), st.sampled_from(SYMBOLS), st.integers(1, 400)
    ),
    st.tuples(st.just("price"), st.sampled_from(SYMBOLS), st.integers(20, 250)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("hours"), st.just(""), st.integers(1, 9)),
    st.tuples(
        st.sampled_from(["deposit", "withdraw", "locate", "recall", "close", "cancel", "reset", "settings"]),
        st.sampled_from(SYMBOLS),
        st.integers(1, 300),
    ),
)


def act(bench: Bench, account: int, what: str, symbol: str, number: int, day: int) -> int:
    """One thing; returns the trade date that it now is."""
    price = number / 50 if symbol == "CHEAP" else number
    if what == "price":
        bench.quote(symbol, price)
    elif what == "wait":
        for _ in range(number):
            day = CALENDAR.next_trading_day(day)
        bench.go(f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d} 10:00")
    elif what == "hours":
        text = f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d} {10 + number}:00"
        bench.go(text) if when_text(text) > bench.now else None
    elif what in ("buy", "sell"):
        bench.order(account, what, str(number), symbol)
    elif what in ("limit buy", "limit sell"):
        limit = f"{price:.2f}"
        bench.order(account, what[6:], str(number), symbol, type="limit", limit_price=limit, time_in_force="gtc")
    else:
        other: Any = {
            "deposit": Deposit(amount=str(number)),
            "withdraw": Withdraw(amount=str(number)),
            "locate": LocateShares(symbol=symbol, qty="100"),
            "recall": RecallBorrow(symbol=symbol),
            "close": ClosePosition(symbol=symbol),
            "cancel": CancelAll(),
            "reset": ResetAccount(cash=str(number * 100)),
            "settings": ConfigureAccount(
                intraday_mode="eod_only" if number % 2 else "real_time_block",
                day_trade_rules=("auto", "off", "finra_pdt_2001")[number % 3],
            ),
        }[what]
        bench.do(account, other)
    return day


def when_text(text: str) -> int:
    from tests.money.rig import when

    return when(text)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(ACCOUNTS), st.sampled_from([20260803, 20251103]), st.lists(ACTIONS, max_size=30))
def test_the_ledger_equals_the_book_after_every_input(kind: Any, start: int, script: list[Any]) -> None:
    day = start
    bench = Bench(f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d} 10:00", Rates(cash_interest_ppm=40_000))
    for symbol in SYMBOLS:
        bench.quote(symbol, 2 if symbol == "CHEAP" else 100)
    account = bench.account(kind[1], kind[0])
    ledger, plain = Ledger(), Book(account)
    for what, symbol, number in [("deposit", "", 1), *script, ("wait", "", 3)]:
        for step in bench.engine.take_steps():
            for section in step.sections:
                if section.account_no == account:
                    for event in section.events:
                        ledger.take(event)
                        fold(plain, event, step.at)
                    check_ledger(ledger, plain)
        book = bench.book(account)
        assert not book.quarantined, book.quarantined
        assert msgspec.structs.replace(book, watch={}, consumed={}) == plain
        assert encode(msgspec.msgpack.decode(encode(book), type=Book)) == encode(book)
        if book.type == "cash":
            assert book.cash >= -1_000_000
        day = act(bench, account, what, symbol, number, day)
