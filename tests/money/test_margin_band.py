"""Looks at margin that are left out are looks that would have changed nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import actor
from actors.book import events as e
from actors.book.margin_band import band_of
from actors.book.margin_call import is_leveraged, standing
from actors.book.view import figures
from actors.commands import ConfigureAccount, Deposit, PlaceOrder, Withdraw
from actors.inputs import encode
from actors.market.messages import Quote, Trade
from tests.money.rig import SECOND, Bench

SYMBOLS = ("AAA", "BBB", "CHEAP", "HARD", "TRIPLE", "NOLOAN")
LOOK = 30 * SECOND


def at_price(bench: Bench, symbol: str, price: int) -> None:
    bench.now += 1
    bench.engine.tape(Quote(symbol, price, 100_000, price, 100_000, bench.now))


def through_a_look(bench: Bench) -> None:
    bench.now = (bench.now // LOOK + 1) * LOOK
    bench.engine.run_timers_through(bench.now)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_marks_inside_a_band_change_the_standing(data: st.DataObject) -> None:
    bench = Bench("2026-08-04 10:00")
    no = bench.account(str(data.draw(st.sampled_from((3_000, 20_000, 500_000)))), "margin")
    profile = data.draw(st.sampled_from(("house", "finra", "alpaca")))
    bench.do(no, ConfigureAccount(margin_profile=profile))
    prices = {}
    for symbol in SYMBOLS:
        low, high = (5_000, 30_000) if symbol == "CHEAP" else (20_000, 2_000_000)
        prices[symbol] = data.draw(st.integers(low, high))
        at_price(bench, symbol, prices[symbol])
    for _ in range(data.draw(st.integers(1, 4))):
        symbol, side = data.draw(st.sampled_from(SYMBOLS)), data.draw(st.sampled_from(("buy", "sell")))
        worth = figures(bench.book(no), bench.engine.world).buying_power_money
        part = data.draw(st.floats(0.2, 0.97))
        bench.order(no, side, str(max(1, int(worth * part / 100 / prices[symbol]))), symbol)
    for symbol in data.draw(st.lists(st.sampled_from(SYMBOLS), max_size=3)):
        at_price(bench, symbol, prices[symbol] * data.draw(st.integers(70, 130)) // 100)
    through_a_look(bench)
    book, world = bench.book(no), bench.engine.world
    if not is_leveraged(book) or no not in bench.engine.waits.margin_sweep:
        return
    band = band_of(book, world)
    assert band is not None
    assert set(band) == set(book.positions)
    for _ in range(4):
        for symbol, (low, high) in band.items():
            inside = st.integers(low, min(high, 50_000_000))
            at_price(bench, symbol, data.draw(st.one_of(st.sampled_from((low, min(high, 50_000_000))), inside)))
        call = book.ledger().call
        assert standing(book, figures(book, world), call.state, call.reason) == call.state


def test_a_band_is_wide_enough_to_be_of_use() -> None:
    bench = Bench("2026-08-04 10:00")
    no = bench.account("100000", "margin")
    at_price(bench, "AAA", 1_000_000)
    at_price(bench, "BBB", 1_000_000)
    bench.order(no, "buy", "1000")
    bench.order(no, "sell", "400", "BBB")
    through_a_look(bench)
    band = band_of(bench.book(no), bench.engine.world)
    assert band is not None
    # Equity 100,000 against 42,000: the tightest warning is where both prices have moved about a third.
    assert band["AAA"][0] < 750_000
    assert band["BBB"][1] > 1_250_000


def session(seed: int) -> tuple[bytes, int]:
    """A random day of leveraged accounts under violent prices: journal bytes, and how often a standing changed."""
    random = Random(seed)
    bench = Bench("2026-08-04 09:31")
    for number in range(8):
        bench.account(random.choice(("3000", "30000", "400000")), "margin", "quick" if number % 2 else "realistic")
    prices = dict.fromkeys(SYMBOLS, 1_000_000) | {"CHEAP": 20_000}
    for symbol in SYMBOLS:
        at_price(bench, symbol, prices[symbol])
    for turn in range(500):
        bench.now += random.randrange(20 * SECOND)
        bench.engine.run_timers_through(bench.now)
        if turn == 400:
            bench.go("2026-08-05 09:31")
        symbol = random.choice(SYMBOLS)
        prices[symbol] = max(100, prices[symbol] * random.randrange(955, 1045) // 1000)
        pick = random.random()
        if pick < 0.6:
            at_price(bench, symbol, prices[symbol])
        elif pick < 0.7:
            bench.engine.tape(Trade(symbol, prices[symbol], 100, bench.now))
        elif pick < 0.73:
            instrument = bench.engine.world.instruments.by_symbol[symbol]
            bench.engine.reference((instrument,), bench.now)
        else:
            bench.do(random.randrange(1, 9), some_action(random, symbol, prices[symbol]))
    changes = sum(len(bench.events(number, e.MarginChanged)) for number in range(1, 9))
    return encode(bench.engine.take_steps()), changes


def some_action(random: Random, symbol: str, price: int) -> Any:
    pick = random.random()
    if pick < 0.1:
        return Deposit(amount="500")
    if pick < 0.2:
        return Withdraw(amount="500")
    if pick < 0.25:
        return ConfigureAccount(margin_profile=random.choice(("house", "finra")))
    dollars = random.choice((2_000, 20_000, 100_000))
    terms: dict[str, Any] = {
        "symbol": symbol,
        "side": random.choice(("buy", "sell")),
        "type": "market",
        "time_in_force": "day",
    }
    return PlaceOrder(qty=str(max(1, dollars * 10_000 // price)), **terms)


def test_a_day_has_the_same_journal_as_one_with_every_look_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(5)
    banded = [session(seed) for seed in seeds]
    monkeypatch.setattr(actor, "band_of", lambda book, world: None)
    every = [session(seed) for seed in seeds]
    assert banded == every
    assert sum(changes for _, changes in every) > 20


def test_an_account_inside_its_band_has_no_timer_of_its_own() -> None:
    bench = Bench("2026-08-04 10:00")
    numbers = [bench.account("100000", "margin") for _ in range(20)]
    at_price(bench, "AAA", 1_000_000)
    for no in numbers:
        bench.order(no, "buy", "1500")
    waits = bench.engine.waits
    before = len(waits.timers)
    through_a_look(bench)
    assert len(waits.timers) == before - len(numbers) + 1
    at_price(bench, "AAA", 450_000)
    through_a_look(bench)
    assert [bool(bench.events(no, e.MarginChanged)) for no in numbers] == [True] * 20
