"""Which tax lots a closing takes: the account's method, an order's own, and very lots by number."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.rules.reasons import Refusal
from actors.commands import ClosePosition, ConfigureAccount, LotPick
from actors.market.messages import Quote
from mbtd.records.lots import closed_lots, render_lot
from tests.money.rig import Bench

SHARE = 10**9


def stand(bench: Bench, price: int) -> None:
    bench.now += 1
    bench.engine.tape(Quote("AAA", price, 100_000, price, 100_000, bench.now))


def bought(prices: tuple[int, ...], side: str = "buy", qty: str = "10") -> tuple[Bench, int]:
    bench = Bench("2026-08-03 10:00")
    stand(bench, prices[0] * 10_000)
    no = bench.account("1000000")
    for price in prices:
        stand(bench, price * 10_000)
        bench.order(no, side, qty)
    return bench, no


def uses(bench: Bench, no: int) -> list[tuple[int, int]]:
    """Lots and shares of the newest closing."""
    change = [event for event in bench.events(no, e.PositionChanged) if event.closed][-1]
    return [(use.lot_no, abs(use.qty) // SHARE) for use in change.closed]


@pytest.mark.parametrize(
    ("method", "side", "expected"),
    [
        ("fifo", "buy", [(1, 10), (2, 5)]),
        ("lifo", "buy", [(4, 10), (3, 5)]),
        ("highest_cost", "buy", [(2, 10), (4, 5)]),
        ("lowest_cost", "buy", [(3, 10), (1, 5)]),
        # Of a short position the lot sold for least costs most to have closed.
        ("highest_cost", "sell", [(3, 10), (1, 5)]),
        ("lowest_cost", "sell", [(2, 10), (4, 5)]),
    ],
)
def test_each_method(method: str, side: str, expected: list[tuple[int, int]]) -> None:
    for by_order in (False, True):
        bench, no = bought((100, 120, 90, 110), side)
        terms: dict[str, Any] = {"lot_method": method} if by_order else {}
        if not by_order:
            bench.do(no, ConfigureAccount(lot_method=method))  # type: ignore[arg-type]
        bench.order(no, "sell" if side == "buy" else "buy", "15", **terms)
        assert uses(bench, no) == expected
        change = bench.events(no, e.PositionChanged)[-1]
        assert change.lot_method == ("" if method == "fifo" else method)


def test_very_lots_in_their_order_and_what_is_gone_by_then() -> None:
    bench, no = bought((100, 120, 90, 110))
    picks = (LotPick(lot_no=3, qty="4"), LotPick(lot_no=2))
    order = bench.order(no, "sell", "14", type="limit", limit_price="115.00", lots=picks)
    assert not isinstance(order, Refusal)
    # Another order takes most of lot 2 before this one fills.
    bench.order(no, "sell", "8", lots=(LotPick(lot_no=2),))
    assert uses(bench, no) == [(2, 8)]
    stand(bench, 1_160_000)
    assert uses(bench, no) == [(3, 4), (2, 2), (1, 8)]
    assert bench.events(no, e.PositionChanged)[-1].lot_method == "specific"


def test_closing_a_position_may_name_lots_too() -> None:
    for cancelled in (False, True):
        bench, no = bought((100, 120, 90))
        if cancelled:
            bench.order(no, "sell", "5", type="limit", limit_price="300.00")
        bench.do(no, ClosePosition(symbol="AAA", qty="12", lot_method="lifo", cancel_orders=cancelled))
        bench.engine.run_timers_through(bench.now)
        assert uses(bench, no) == [(3, 10), (2, 2)]


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"side": "buy", "lot_method": "lifo"}, "lots_not_accepted"),
        ({"lot_method": "cheapest"}, "invalid_lots"),
        ({"lot_method": "lifo", "lots": (LotPick(lot_no=1),)}, "invalid_lots"),
        ({"lots": (LotPick(lot_no=9),)}, "invalid_lots"),
        ({"lots": (LotPick(lot_no=1), LotPick(lot_no=1))}, "invalid_lots"),
        ({"lots": (LotPick(lot_no=1, qty="11"),)}, "invalid_lots"),
        ({"lots": (LotPick(lot_no=1, qty="x"),)}, "invalid_lots"),
        ({"lots": (LotPick(lot_no=1, qty="4"),)}, "invalid_lots"),
        ({"lots": ()}, "invalid_lots"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(terms: dict[str, Any], reason: str) -> None:
    bench, no = bought((100, 120))
    before = bench.book(no).positions["AAA"], bench.book(no).cash
    outcome = bench.order(no, terms.get("side", "sell"), "5", **{k: v for k, v in terms.items() if k != "side"})
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason
    assert (bench.book(no).positions["AAA"], bench.book(no).cash) == before


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("fifo", "lifo", "highest_cost", "lowest_cost")),
    st.lists(st.tuples(st.integers(-30, 30), st.integers(1, 300)), min_size=1, max_size=15),
)
def test_profit_and_lots_as_a_plain_reckoning_has_them(method: str, trades: list[tuple[int, int]]) -> None:
    bench = Bench("2026-08-03 10:00")
    stand(bench, 1_000_000)
    no = bench.account("100000000")
    bench.do(no, ConfigureAccount(lot_method=method))  # type: ignore[arg-type]
    lots: list[list[Any]] = []
    profit = Fraction(0)
    for qty, price in trades:
        stand(bench, price * 10_000)
        held = sum(lot[0] for lot in lots)
        if not qty or (held * qty < 0 and abs(qty) > abs(held)):
            continue
        bench.order(no, "buy" if qty > 0 else "sell", str(abs(qty)))
        if held * qty >= 0:
            lots.append([qty, price])
            continue
        for _ in range(abs(qty)):  # a share at a time
            lot = plain_choice(method, lots)
            profit += (price - lot[1]) * (1 if qty < 0 else -1)
            lot[0] += 1 if qty > 0 else -1
            lots = [each for each in lots if each[0]]
    position = bench.book(no).positions.get("AAA")
    assert sum(event.realized_money for event in bench.events(no, e.PositionChanged)) == profit * 1_000_000
    left = [[lot.qty // SHARE, lot.basis_money / lot.qty * 1_000] for lot in position.lots] if position else []
    assert left == [[qty, pytest.approx(price)] for qty, price in lots]


def plain_choice(method: str, lots: list[list[Any]]) -> list[Any]:
    if method == "lifo":
        return lots[-1]
    if method == "fifo":
        return lots[0]
    dear = (method == "highest_cost") == (lots[0][0] > 0)
    best = (max if dear else min)(lot[1] for lot in lots)
    return next(lot for lot in lots if lot[1] == best)


def test_the_record_says_how_a_lot_was_chosen() -> None:
    bench, no = bought((100, 120))
    bench.order(no, "sell", "5", lot_method="highest_cost")
    change = bench.events(no, e.PositionChanged)[-1]
    (row,) = closed_lots(change, 3, 9, 9, bench.now)
    shown = render_lot(row)
    assert (shown["lot_no"], shown["lot_method"], shown["realized_pl"]) == (2, "highest_cost", "0")
