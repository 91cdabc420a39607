"""Margin work alone, without an engine: cold accounts, moved prices, and one more condor.

``cold_ms`` is an account of 30 option legs (condors, verticals, strangles and a covered call over three
underlyings and expiries) whose pairings nobody has found yet, ``tick_ms`` the same account when only prices
moved. ``cold_random_ms`` is the hardest shape: 30 random legs on one underlying; ``unproved_ppm`` of those reached
the bound and are upper bounds. ``condor_us`` is the effect of an order for one four-leg condor, worked out anew, in
an account that holds up to three others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

from actors.book.rules.margin.legs import OptionPosition, Underlying
from actors.book.rules.margin.orders import Change, apply
from actors.book.rules.margin.profiles import HOUSE
from actors.book.rules.margin.requirement import Holdings, Requirements
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE

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
        cache.account(HOUSE, book)
        turns = iter(range(1, options.reps + 1))
        ticks.append(timed(options.reps, lambda: cache.account(HOUSE, moved(book, next(turns)), fresh=False)))  # noqa: B023
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
        figure("tick_ms", statistics.median(ticks) * 1e3, "ms"),
        figure("condor_us", statistics.median(condors) * 1e6, "us", p90=round(percentile(condors, 90) * 1e6, 1)),
        figure("condor_worst_us", max(condors) * 1e6, "us"),
    ]


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
