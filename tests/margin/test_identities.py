"""Identities of options in margin and in money: conversions, boxes and jelly rolls, and closing what was opened.

A conversion (stock, long put, short call of one strike) and a box (a call spread and a put spread of the same strikes)
pay the same wherever the stock ends; a jelly roll is a conversion in one month against one in another. The engine side
runs real orders through a market that stands still.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.book import events as e
from actors.book.outcome import Placed
from actors.book.rules.margin.legs import Underlying
from actors.book.rules.margin.profiles import ALPACA, FINRA, HOUSE
from actors.book.rules.margin.requirement import AccountRequirement, Requirements
from actors.book.rules.matching.multileg import intrinsic, payoff_bounds
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE
from actors.book.view import figures
from tests.margin.test_requirement import FAR, NEAR, held, option
from tests.options_orders.rig import CALLS, PUTS, STOCK, Desk

DOLLAR = MONEY_PER_DOLLAR


def asks(*options: object, stock: int = 0, spot: int = 100, profile: object = FINRA) -> AccountRequirement:
    """What a book of these asks; ``stock`` in shares."""
    book = held(*options, cash=0)  # type: ignore[arg-type]
    (symbol,) = book.underlyings
    shares = {symbol: stock * QTY_PER_SHARE} if stock else {}
    under = {symbol: Underlying(symbol, spot * 10_000)}
    return Requirements().account(profile, replace(book, underlyings=under, stock=shares))  # type: ignore[arg-type]


STRIKES = st.integers(80, 120)


@settings(max_examples=60, deadline=None)
@given(STRIKES, st.integers(1, 4), st.integers(85, 115))
def test_a_conversion_asks_a_tenth_of_its_strike_wherever_the_stock_is(strike: int, lots: int, spot: int) -> None:
    legs = (option("P", strike, lots, "3", NEAR), option("C", strike, -lots, "4", NEAR))
    found = asks(*legs, stock=100 * lots, spot=spot)
    assert found.maintenance_money == strike * 10 * lots * DOLLAR
    # The stock counts at most at the strike, and what the call is worth is owed.
    assert found.collateral_money == min(spot, strike) * 100 * lots * DOLLAR


@settings(max_examples=60, deadline=None)
@given(STRIKES, st.integers(1, 30), st.integers(1, 4), st.integers(60, 140))
def test_a_box_asks_its_width_when_sold_and_nothing_when_bought(low: int, width: int, lots: int, spot: int) -> None:
    high = low + width
    bought = (
        option("C", low, lots, "9", NEAR), option("C", high, -lots, "2", NEAR),
        option("P", high, lots, "9", NEAR), option("P", low, -lots, "2", NEAR),
    )  # fmt: skip
    sold = (
        option("C", low, -lots, "9", NEAR), option("C", high, lots, "2", NEAR),
        option("P", high, -lots, "9", NEAR), option("P", low, lots, "2", NEAR),
    )  # fmt: skip
    assert asks(*bought, spot=spot).maintenance_money == 0
    naked_or_width = asks(*sold, spot=spot).maintenance_money
    assert naked_or_width <= width * 100 * lots * DOLLAR
    assert asks(*sold, spot=spot, profile=ALPACA).maintenance_money == width * 100 * lots * DOLLAR
    payoff = [(True, low, 1), (True, high, -1), (False, high, 1), (False, low, -1)]
    assert payoff_bounds(payoff) == (width, width)
    assert {intrinsic(payoff, price) for price in range(0, 300, 7)} == {width}


def test_a_jelly_roll_asks_its_far_naked_short_and_its_mirror_nothing_of_the_near() -> None:
    """Long the near synthetic, short the far one: the far short call outlives its cover."""
    near = (option("C", 100, -1, "3", NEAR), option("P", 100, 1, "3", NEAR))
    far = (option("C", 100, 1, "5", FAR), option("P", 100, -1, "5", FAR))
    roll = asks(*near, *far)
    assert roll.maintenance_money == asks(option("P", 100, -1, "5", FAR)).maintenance_money
    mirror = (
        option("C", 100, 1, "3", NEAR), option("P", 100, -1, "3", NEAR),
        option("C", 100, -1, "5", FAR), option("P", 100, 1, "5", FAR),
    )  # fmt: skip
    assert asks(*mirror).maintenance_money == asks(option("C", 100, -1, "5", FAR)).maintenance_money


@pytest.mark.parametrize("profile", [FINRA, HOUSE])
def test_what_offsets_wholly_asks_nothing_together(profile: object) -> None:
    """Long and short of one contract are no position: the order in which they came does not matter."""
    random = Random(4)
    for _ in range(20):
        right, strike = random.choice("CP"), random.randrange(80, 120)
        legs = [option(right, strike, qty, "3", NEAR) for qty in (2, -3, 1)]
        random.shuffle(legs)
        book = held(*legs, cash=0)
        assert Requirements().account(profile, book).maintenance_money == 0  # type: ignore[arg-type]


# ── through the engine ───────────────────────────────────────────────────────────────────────────────────────


TIME_VALUE = {0: 300, 5: 150, 10: 60}
"""Cents by distance from the money."""


def quoted(cash: str = "100000", level: int = 4) -> Desk:
    """Every strike a cent wide, with put and call in parity at 100."""
    desk = Desk(cash=cash, level=level)
    for strike, call in CALLS.items():
        worth = TIME_VALUE[abs(strike - 100)] + max(0, 100 - strike) * 100
        desk.quote(call, worth, worth + 1)
    for strike, put in PUTS.items():
        worth = TIME_VALUE[abs(strike - 100)] + max(0, strike - 100) * 100
        desk.quote(put, worth, worth + 1)
    return desk


def mirrored(words: str) -> str:
    return words.translate(str.maketrans("+-", "-+"))


UNITS = [
    "+C95 -C100", "-P100 +P95", "+P95 +C105", "-P90 -C110", "+C95 -2C100 +C105", "+P90 -P95 -C105 +C110", "+C100 -2C105",
    "+S -C105", "+S +P95 -C105", "+S +P100 -C100", "-S +C100 -P100", "+C95 -C105 +P105 -P95", "-C95 +C105 -P105 +P95",
]  # fmt: skip


@pytest.mark.parametrize("words", UNITS)
def test_closing_at_the_same_quotes_costs_the_spread_and_the_fees(words: str) -> None:
    desk = quoted()
    for side in (words, mirrored(words)):
        placed = desk.unit(side, qty="2")
        assert isinstance(placed, Placed), placed
        desk.wait()
        for instrument in (*CALLS.values(), *PUTS.values()):
            slot = desk.engine.world.board.slots[instrument.symbol]
            assert slot.quote is not None
            desk.quote(instrument, slot.quote.bid // 100, slot.quote.ask // 100)
        desk.quote(STOCK, 9_999, 10_001, 1_000)
    assert not desk.book.positions
    assert not desk.book.orders
    opened, closed = desk.events(e.OrderFilled)
    lost = desk.book.cash - 100_000 * DOLLAR
    assert lost == -(opened.price + closed.price) * 2 * 100 * 100
    lines = desk.events(e.OrderLegFilled)
    spread = sum((x.ask - x.bid) * x.qty * (1 if x.symbol == "XYZ" else 100) for x in lines) // 2
    assert 0 <= -lost * QTY_PER_SHARE // 100 <= spread
    assert sum(x.realized_money for x in desk.events(e.PositionChanged)) == lost
    assert (desk.book.reserved_money, desk.book.held, desk.book.open_sides) == (0, {}, {})


@pytest.mark.parametrize("end", [80, 97, 100, 104, 130])
def test_a_conversion_and_a_box_are_worth_the_same_wherever_the_stock_ends(end: int) -> None:
    conversion = [(True, 0, 1), (False, 100, 1), (True, 100, -1)]
    assert intrinsic(conversion, end) == 100
    box = [(True, 95, 1), (True, 105, -1), (False, 105, 1), (False, 95, -1)]
    assert intrinsic(box, end) == 10


def test_a_conversion_as_one_order_asks_a_tenth_of_its_strike() -> None:
    desk = quoted(cash="20000", level=3)
    placed = desk.unit("+S +P100 -C100", "100.10")
    assert isinstance(placed, Placed), placed
    desk.wait()
    assert (desk.held(STOCK), desk.held(PUTS[100]), desk.held(CALLS[100])) == (100, 1, -1)
    f = figures(desk.book, desk.engine.world)
    # Everything is left but a tenth of the strike and what the spreads cost.
    assert f.excess_money == f.equity_money - f.short_money - f.maintenance_money
    assert 18_000 * DOLLAR < f.excess_money < 19_500 * DOLLAR


def test_a_covered_call_is_one_order_in_whole_lots() -> None:
    desk = Desk("cash", cash="30000", level=1)
    desk.quote(CALLS[105], 200, 210)
    placed = desk.unit("+S -C105", "98.10", qty="2")
    assert isinstance(placed, Placed), placed
    desk.wait()
    assert (desk.held(STOCK), desk.held(CALLS[105])) == (200, -2)
    assert desk.unit("+S -2C105", "96.00").reason == "uncovered_short"
    closed = desk.unit("-S +C105", "-97.50", qty="2")
    assert isinstance(closed, Placed), closed
    assert {leg.position_intent for leg in closed.terms.legs} == {"sell_to_close", "buy_to_close"}  # type: ignore[union-attr]
    assert desk.book.held == {"XYZ": 200 * QTY_PER_SHARE, CALLS[105].symbol: 2 * QTY_PER_SHARE}
    assert desk.place(STOCK, "sell", "100.00", qty="1").reason in (
        "insufficient_qty",
        "wash_trade",
        "shares_cover_calls",
    )
    desk.wait()
    assert not desk.book.positions
