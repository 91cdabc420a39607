"""SMA where contracts are traded: what they require, never what they cost to buy back (margin-and-options §2.6)."""

from __future__ import annotations

from actors.book.view import figures, sma
from tests.money.rig import DOLLAR, SECOND, Bench
from tests.options_orders.test_standing import FAR, day, refresh, spread


def trade(bench: Bench, account: int, side: str, symbol: str) -> None:
    bench.order(account, side, "1", symbol)
    bench.now += SECOND
    bench.engine.run_timers_through(bench.now)
    refresh(bench)


def memo(bench: Bench, account: int) -> float:
    book = bench.book(account)
    return float(sma(book, figures(book, bench.engine.world))) / DOLLAR


def ledger(bench: Bench, account: int) -> float:
    money = bench.book(account).money
    return float(money.sma + money.sma_change) / DOLLAR


def test_buying_a_short_contract_back_at_a_loss_lifts_nothing() -> None:
    bench, account = day("10000", "auto")
    bench.engine.books[account].options_level = 4
    trade(bench, account, "sell", FAR[2])
    # 20 % of 10,000 less the 500 that it is out of the money, and half a spread of 2.50 dollars to the mark.
    assert bench.book(account).positions[FAR[2]].qty < 0
    assert ledger(bench, account) == 10_000 - 1_500 - 2.5
    trade(bench, account, "buy", FAR[2])
    assert bench.book(account).positions == {}
    worth = figures(bench.book(account), bench.engine.world).equity_money / DOLLAR
    assert worth < 10_000
    assert memo(bench, account) == worth


def test_what_a_long_contract_costs_comes_back_with_its_sale() -> None:
    bench, account = day("10000", "auto")
    trade(bench, account, "buy", FAR[2])
    assert ledger(bench, account) == 10_000 - 205
    trade(bench, account, "sell", FAR[2])
    assert ledger(bench, account) == 10_000 - 5


def test_a_spread_takes_what_it_can_lose() -> None:
    bench, account = day("10000", "auto")
    assert spread(bench, account, False)
    # Sold at 2.01 and bought at 1.04: five dollars of width less 97 cents, on a hundred shares.
    assert bench.book(account).money.last_equity == 10_000 * DOLLAR
    assert ledger(bench, account) == 10_000 - 403
    assert spread(bench, account, True)
    assert bench.book(account).positions == {}
    assert memo(bench, account) == figures(bench.book(account), bench.engine.world).equity_money / DOLLAR < 10_000


def test_a_call_on_shares_that_are_there_brings_its_premium() -> None:
    bench, account = day("20000", "auto")
    bench.order(account, "buy", "100", "AAA")
    bench.now += SECOND
    bench.engine.run_timers_through(bench.now)
    refresh(bench)
    before = ledger(bench, account)
    trade(bench, account, "sell", FAR[2])
    assert ledger(bench, account) == before + 200
