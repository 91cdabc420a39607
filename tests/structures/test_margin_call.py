"""Liquidation closes what belongs together and never leaves a short without its cover."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.osi import is_option_symbol
from actors.book.rules.margin.pairing import BOUNDS
from actors.book.units import QTY_PER_SHARE
from actors.book.view import figures
from actors.commands import Deposit, Withdraw
from tests.structures.rig import BY_WORD, Floor, check, placed

FORCED = "liquidation-"


def forced(floor: Floor) -> list[e.OrderAccepted]:
    return [order for order in floor.facts(e.OrderAccepted) if order.client_order_id.startswith(FORCED)]


def uncovered(floor: Floor) -> list[str]:
    """Short contracts that neither a long one of their side nor shares stand behind."""
    book = floor.own
    found = []
    for right in ("call", "put"):
        net = 0
        for symbol, position in book.positions.items():
            if is_option_symbol(symbol):
                contract = floor.engine.world.instruments.by_symbol[symbol]
                net += position.qty // QTY_PER_SHARE if contract.right == right else 0
        stock = book.positions.get("XYZ")
        shares = stock.qty // QTY_PER_SHARE if stock is not None and right == "call" else 0
        if net + shares // 100 < 0:
            found.append(right)
    return found


def squeeze(floor: Floor) -> None:
    """Take out what is free, so that any fall is a call."""
    free = figures(floor.own, floor.engine.world)
    amount = min(free.available_money, floor.own.cash) // 1_000_000
    floor.command(Withdraw(amount=str(max(1, amount))))


def test_a_condor_is_closed_whole_or_left_whole() -> None:
    floor = Floor(cash=10_500, level=4)
    floor.single("XYZ", "buy", "150")
    placed(floor.unit("+P90 -P95 -C105 +C110", qty="4"))
    squeeze(floor)
    floor.price(40.0)
    floor.quote_all()
    floor.wait(60)
    orders = forced(floor)
    assert orders, floor.own.ledger().call
    for order in orders:
        if order.legs:
            assert order.structure_no
        else:
            assert order.symbol == "XYZ"
    assert not uncovered(floor)
    assert all(not structure.broken for structure in floor.own.structures.values())
    check(floor)


def test_shares_behind_a_call_are_sold_after_it() -> None:
    floor = Floor(cash=11_000)
    floor.single("XYZ", "buy", "200")
    floor.single("C105", "sell")
    floor.single("C110", "sell")
    squeeze(floor)
    floor.price(48.0)
    floor.quote_all()
    sold_before_cover = False
    for _ in range(20):
        floor.wait(31)
        sold_before_cover = sold_before_cover or bool(uncovered(floor))
        floor.price(48.0)
        floor.quote_all()
    assert not sold_before_cover
    symbols = [order.symbol for order in forced(floor)]
    assert symbols[0] in (BY_WORD["C105"].symbol, BY_WORD["C110"].symbol)
    assert "XYZ" in symbols
    check(floor)


def test_a_small_book_whose_bound_is_not_enough_is_searched_within_the_look() -> None:
    """A collar asks less than its bound: it is not called, and no turn of its own is asked for."""
    floor = Floor(cash=28_000)
    floor.single("XYZ", "buy", "500")
    floor.single("P100'", "buy", "5")
    floor.single("C105'", "sell", "5")
    floor.engine.world.looks = {}
    for price in range(95, 59, -5):
        floor.price(float(price))
        floor.quote_all()
        floor.wait(31)
        book, world = floor.own, floor.engine.world
        if figures(book, world, BOUNDS).excess_money < 0 < figures(book, world).excess_money:
            break
    else:
        pytest.fail("the bound was always enough")
    assert floor.own.ledger().call.state in ("ok", "warning")
    assert not floor.engine.world.looks
    floor.engine.world.looks = None
    check(floor)


def test_a_change_of_standing_is_told_with_exact_figures() -> None:
    """From a warning back to all is well: a bound says so, too, but with a requirement that nobody asks."""
    floor = Floor(cash=28_000)
    for word, side, qty in (("XYZ", "buy", "500"), ("P100'", "buy", "5"), ("C105'", "sell", "5")):
        floor.single(word, side, qty)
    for price in range(70, 40, -1):
        floor.price(float(price))
        floor.quote_all()
        floor.wait(31)
        if floor.own.ledger().call.state == "warning":
            break
    else:
        pytest.fail("no warning came")
    floor.command(Deposit(amount="30000"))
    assert floor.own.ledger().call.state == "ok"
    told = floor.facts(e.MarginChanged)[-1]
    assert told.excess_money == figures(floor.own, floor.engine.world).excess_money
    assert told.excess_money != figures(floor.own, floor.engine.world, BOUNDS).excess_money


def test_a_short_strangle_is_bought_back_as_one() -> None:
    floor = Floor(cash=20_000, level=4)
    placed(floor.unit("-P95 -C105", qty="5"))
    squeeze(floor)
    floor.price(120.0)
    floor.quote_all()
    floor.wait(60)
    orders = forced(floor)
    assert orders
    assert {leg.symbol for leg in orders[0].legs} == {BY_WORD["P95"].symbol, BY_WORD["C105"].symbol}
    assert orders[0].structure_no == 1
    check(floor)


def test_a_wing_that_nobody_bids_for_stays_behind() -> None:
    floor = Floor(cash=20_000, level=4)
    placed(floor.unit("-P95 +P90 -C100", qty="4"))
    squeeze(floor)
    floor.price(130.0)
    floor.quote_all()
    floor.quote(BY_WORD["P90"].symbol, 0.0, 0.01)
    floor.wait(60)
    orders = forced(floor)
    assert orders
    assert BY_WORD["P90"].symbol not in {leg.symbol for leg in orders[0].legs}
    assert not floor.own.positions or floor.own.positions[BY_WORD["P90"].symbol].qty > 0
    check(floor)


@pytest.mark.parametrize("price", [60.0, 140.0])
def test_it_ends_with_enough_or_with_nothing(price: float) -> None:
    floor = Floor(cash=30_000, level=4)
    placed(floor.unit("-P95 -C105", qty="2"))
    placed(floor.unit("-P100 +P90", qty="2"))
    floor.single("XYZ", "buy", "50")
    squeeze(floor)
    floor.price(price)
    floor.quote_all()
    for _ in range(40):
        floor.wait(31)
        floor.price(price)
        floor.quote_all()
    state = floor.own.ledger().call.state
    f = figures(floor.own, floor.engine.world)
    assert not any(is_option_symbol(s) and p.qty < 0 for s, p in floor.own.positions.items()) or (
        state != "liquidating" and f.excess_money >= 0
    )
    check(floor)


_UNITS = ("-P95 +P90", "-C105 +C110", "+P90 -P95 -C105 +C110", "-P95 -C105", "-C105 +C105'", "+C100")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_UNITS), st.integers(1, 4)), min_size=1, max_size=4),
    st.sampled_from((50.0, 80.0, 125.0, 160.0)),
)
def test_no_step_of_a_liquidation_leaves_a_structure_broken(units: list[tuple[str, int]], price: float) -> None:
    floor = Floor(cash=25_000, level=4)
    for words, qty in units:
        floor.unit(words, qty=str(qty))
    squeeze(floor)
    floor.price(price)
    floor.quote_all()
    for _ in range(10):
        floor.wait(31)
        assert all(not structure.broken for structure in floor.own.structures.values())
        floor.price(price)
        floor.quote_all()
    assert "leg_alone" not in floor.changes()
    check(floor)
