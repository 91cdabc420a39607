"""Margin work alone, without an engine: cold accounts, moved prices, and one more condor.

``cold_ms`` is an account of 30 option legs (condors, verticals, strangles and a covered call over three
underlyings and expiries) whose pairings nobody has found yet, ``tick_ms`` the same account when only prices
moved, as a turn looks at it: by bounds, under the account's own profile and the legal one. ``cold_random_ms`` is the hardest shape: 30 random legs on one underlying; ``unproved_ppm`` of those reached
the bound and are upper bounds. ``condor_us`` is the effect of an order for one four-leg condor, worked out anew, in
an account that holds up to three others. ``large_turn_ms`` is the processor time of a whole turn of the engine in which
an account of 30 random legs on one underlying opens a condor and has it filled, ``large_turn_short_of_money_ms`` the same
where bounds are not enough: the margin is searched, outside of turns as in the daemon.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from actors.book.instruments import Instrument
from actors.book.rules.margin.legs import OptionPosition, Underlying
from actors.book.rules.margin.orders import Change, apply
from actors.book.rules.margin.outside import Found, SearchNeeded
from actors.book.rules.margin.pairing import BOUNDS
from actors.book.rules.margin.profiles import FINRA, HOUSE
from actors.book.rules.margin.requirement import Holdings, Requirements, search
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import MONEY_PER_DOLLAR, NS_PER_SECOND, QTY_PER_SHARE, format_money
from actors.book.view import withdrawable
from actors.commands import Action, CreateAccount, LookAtMargin, OrderLeg, PlaceOrder, Withdraw
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import FeedState, Quote
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar, TradeDays
from tests.bench.contracts import SPOT as STOCK_PRICE
from tests.bench.contracts import condor_legs, contract_quotes, contracts
from tests.bench.feed import symbol_of

EXPIRIES: Final = (20261218, 20270115, 20270219)
AS_OF: Final = 20261120
CASH: Final = 1_000_000 * MONEY_PER_DOLLAR
SPOT: Final = 100


def option(symbol: str, call: bool, strike: int, month: int, qty: int) -> OptionPosition:
    """A series with a price that fits its distance from the money."""
    inside = max(0, SPOT - strike if call else strike - SPOT)
    price = inside * 10_000 + max(500, 20_000 - 800 * abs(strike - SPOT)) + 3_000 * month
    right = "call" if call else "put"
    name = f"{symbol}{EXPIRIES[month]}{'C' if call else 'P'}{strike}"
    return OptionPosition(name, symbol, right, strike * 10_000, EXPIRIES[month], qty, price)


def condor(random: Random, symbol: str, month: int) -> tuple[OptionPosition, ...]:
    """A short iron condor of one to three units."""
    put, call, qty = SPOT - random.randint(5, 12), SPOT + random.randint(5, 12), random.randint(1, 3)
    wing = random.choice((2, 5, 10))
    return (
        option(symbol, False, put - wing, month, qty),
        option(symbol, False, put, month, -qty),
        option(symbol, True, call, month, -qty),
        option(symbol, True, call + wing, month, qty),
    )


def account(random: Random) -> Holdings:
    """Thirty legs as people hold them."""
    options: list[OptionPosition] = []
    for number in range(5):
        options.extend(condor(random, "ABC"[number % 3], number % 3))
    for symbol in "ABC":
        strike = SPOT - random.randint(13, 20)
        options.append(option(symbol, False, strike, 1, -2))
        options.append(option(symbol, False, strike - 5, 2, 2))
    options.append(option("A", True, SPOT + 14, 2, -1))
    options.append(option("A", False, SPOT - 22, 2, -1))
    options.append(option("B", True, SPOT + 3, 0, -2))
    options.append(option("C", False, SPOT - 3, 0, 1))
    stock = {"B": 250 * QTY_PER_SHARE, "C": 100 * QTY_PER_SHARE}
    return Holdings(CASH, {s: Underlying(s, SPOT * 10_000) for s in "ABC"}, stock, tuple(options), AS_OF)


def random_account(random: Random) -> Holdings:
    """Thirty random legs on one underlying."""
    legs: dict[tuple[bool, int, int], OptionPosition] = {}
    while len(legs) < 30:
        call, strike, month = random.random() < 0.5, random.randrange(70, 131), random.randrange(3)
        qty = random.choice((-1, 1)) * random.randint(1, 5)
        legs[call, strike, month] = option("A", call, strike, month, qty)
    return Holdings(CASH, {"A": Underlying("A", SPOT * 10_000)}, {}, tuple(legs.values()), AS_OF)


def condor_account(random: Random, others: int) -> tuple[Holdings, Change]:
    """An account with so many condors, and an order for one more."""
    held: list[OptionPosition] = []
    for number in range(others):
        held.extend(condor(random, "A" if random.random() < 0.5 else "BC"[number % 2], random.randrange(3)))
    before = Holdings(CASH, {s: Underlying(s, SPOT * 10_000) for s in "ABC"}, {}, (), AS_OF)
    book = apply(before, Change(0, tuple(held)))
    return book, Change(100 * MONEY_PER_DOLLAR, condor(random, "A", random.randrange(3)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--books", type=int, default=20)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure; returns one object per figure."""
    random = Random(1)
    books = [account(random) for _ in range(options.books)]
    cold = [timed(options.reps, lambda book=book: Requirements().account(HOUSE, book)) for book in books]
    ticks = []
    for book in books:
        cache = Requirements()
        ticks.extend(tick(cache, moved(book, turn)) for turn in range(options.reps))
    hard = [random_account(random) for _ in range(options.books)]
    hardest = [timed(1, lambda book=book: Requirements().account(HOUSE, book)) for book in hard]
    unproved = sum(not Requirements().account(HOUSE, book).exact for book in hard)
    orders = [condor_account(random, number % 4) for number in range(options.books * 5)]
    condors = [one_condor(options.reps, *order) for order in orders]
    return [
        figure("cold_ms", statistics.median(cold) * 1e3, "ms"),
        figure("cold_worst_ms", max(cold) * 1e3, "ms"),
        figure("cold_random_ms", statistics.median(hardest) * 1e3, "ms", worst=round(max(hardest) * 1e3, 1)),
        figure("unproved_ppm", unproved * 1_000_000 // len(hard), "ppm"),
        figure("tick_ms", statistics.median(ticks) * 1e3, "ms", worst=round(max(ticks) * 1e3, 2)),
        figure("condor_us", statistics.median(condors) * 1e6, "us", p90=round(percentile(condors, 90) * 1e6, 1)),
        figure("condor_worst_us", max(condors) * 1e6, "us"),
        *_turns(options.reps),
    ]


def _turns(reps: int) -> list[dict[str, Any]]:
    """Turns of large accounts, one with money to spare and one whose margin has to be known exactly."""
    found = []
    for name, left in (("large_turn_ms", 0), ("large_turn_short_of_money_ms", 1_000 * MONEY_PER_DOLLAR)):
        pairs = [large_account_turns(seed, reps, left) for seed in range(3)]
        times = [t for turns, _ in pairs for t in turns]
        longest = max((t for _, searches in pairs for t in searches), default=0.0)
        more = {"worst": round(max(times) * 1e3, 1), "turns": len(times), "searches": sum(len(s) for _, s in pairs)}
        found.append(
            figure(name, statistics.median(times) * 1e3, "ms", **more, longest_search_ms=round(longest * 1e3, 1))
        )
    return found


def large_account(seed: int, left_money: int) -> tuple[Engine, list[Instrument], int]:
    """An engine in which account 1 holds thirty random legs of one underlying and has so much to withdraw (0: all).

    Also its contracts, and the time.
    """
    calendar = Calendar(always_open=True)
    at = 1_795_000_000 * NS_PER_SECOND
    chain = contracts([symbol_of(0)], datetime.fromtimestamp(at // NS_PER_SECOND, UTC).date())
    stock = Instrument(asset_id(symbol_of(0)), symbol_of(0))
    engine = Engine(b"m" * 32, Profiles(), instruments=[stock, *chain], days=TradeDays(calendar))
    for message in (calendar.session_at(at), FeedState("up", at, "bench")):
        engine.tape(message)
    action = CreateAccount(name="large", cash="900000000", profile="alpaca-parity", options_level=4)
    engine.command(0, action, at, Envelope(), Issued(b"l" * 32))
    engine.tape(Quote(stock.symbol, STOCK_PRICE, 100, STOCK_PRICE + 200, 100, at))
    for quote in contract_quotes(chain, at):
        engine.tape(quote)
    dice = Random(seed)
    for contract in dice.sample(chain, 30):
        at += NS_PER_SECOND
        side = dice.choice(("buy", "sell"))
        order = PlaceOrder(symbol=contract.symbol, side=side, qty=str(dice.randint(1, 5)), type="market")
        engine.command(1, order, at, Envelope())
    assert len(engine.books[1].positions) == 30
    if left_money:
        free = withdrawable(engine.books[1], engine.world) - left_money
        engine.command(1, Withdraw(amount=format_money(free)), at, Envelope())
    engine.take_steps()
    return engine, chain, at


def one_more_condor(engine: Engine, chain: list[Instrument], turn: int, at: int) -> PlaceOrder:
    """The stock moves, so that all figures are cold, and another condor is wanted."""
    price = STOCK_PRICE + 100 * turn
    engine.tape(Quote(symbol_of(0), price, 100, price + 200, 100, at))
    expiry = chain[-1].expiry_date if turn % 2 else chain[0].expiry_date
    legs = condor_legs(symbol_of(0), expiry, (178, 174 - turn % 4, 196, 199 + turn % 4))
    return PlaceOrder(qty="1", type="market", order_class="mleg", legs=tuple(OrderLeg(**leg) for leg in legs))


def large_account_turns(seed: int, reps: int, left_money: int) -> tuple[list[float], list[float]]:
    """Seconds of whole turns in which an account of thirty random legs opens one more condor, all figures cold.

    Turns that ask for a search and what follows it count each; the searches, made outside of turns, come second.
    """
    engine, chain, at = large_account(seed, left_money)
    turns: list[float] = []
    searches: list[float] = []
    engine.world.looks = {}
    for turn in range(reps):
        at += NS_PER_SECOND
        wanted: list[Action] = [one_more_condor(engine, chain, turn, at)]
        while wanted:
            found: dict[bytes, Found] = {}
            action = wanted.pop()
            while not _one_turn(engine, action, at, found, turns, searches):
                pass
            wanted.extend(LookAtMargin(reduced=reduced) for reduced in engine.world.looks.values())
            engine.world.looks.clear()
        engine.take_steps()
    return turns, searches


def _one_turn(
    engine: Engine, action: Action, at: int, found: dict[bytes, Found], turns: list[float], searches: list[float]
) -> bool:
    """Whether the turn came to its end; otherwise what it needs is found."""
    engine.outside = found
    begin = time.process_time()
    try:
        engine.command(1, action, at, Envelope())
    except SearchNeeded as needed:
        turns.append(time.process_time() - begin)
        begin = time.process_time()
        found[needed.search.name] = search(needed.search)
        searches.append(time.process_time() - begin)
        return False
    turns.append(time.process_time() - begin)
    return True


def one_condor(reps: int, book: Holdings, change: Change) -> float:
    """Seconds of margin work for an order: the account is known, the account with the order is not."""
    best = float("inf")
    for _ in range(reps):
        cache = Requirements()
        cache.account(HOUSE, book)
        begin = time.perf_counter()
        cache.account(HOUSE, apply(book, change))
        best = min(best, time.perf_counter() - begin)
    return best


def tick(cache: Requirements, book: Holdings) -> float:
    """Seconds of one look at an account of which only prices are new."""
    begin = time.perf_counter()
    for profile in (HOUSE, FINRA):
        cache.account(profile, book, BOUNDS)
    return time.perf_counter() - begin


def moved(book: Holdings, turn: int) -> Holdings:
    """The same positions at other prices."""
    prices = {s: Underlying(s, SPOT * 10_000 + 100 * turn) for s in book.underlyings}
    return Holdings(book.cash_money, prices, book.stock, book.options, book.as_of_date)


def timed(reps: int, action: Callable[[], object]) -> float:
    """Best of so many runs, seconds."""
    best = float("inf")
    for _ in range(reps):
        begin = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begin)
    return best


def percentile(values: list[float], part: int) -> float:
    """The value that so many percent stay below."""
    return sorted(values)[len(values) * part // 100]


def figure(name: str, value: float, unit: str, **more: object) -> dict[str, Any]:
    """One line of the bench."""
    return {"name": name, "value": round(value, 3), "unit": unit, **more}
