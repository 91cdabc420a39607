"""Tax lots chosen after the fill, until it settles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.assign_lots import fill_id_of
from actors.book.rules.reasons import Refusal
from actors.book.state import fold_money
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.commands import AssignLots, LotPick, ResetAccount
from actors.inputs import encode
from mbtd.records.lots import ClosedLot, assigned_lots, closed_lots, render_closing
from mbtd.records.performance import tally
from tests.money.rig import DOLLAR, Bench
from tests.money.test_lots import bought, stand

SHARE = 10**9


def newest(bench: Bench, no: int) -> str:
    book = bench.book(no)
    return fill_id_of(book, max(book.closings))


def assign(bench: Bench, no: int, *lots: tuple[int, str | None], fill_id: str = "") -> Any:
    picks = tuple(LotPick(lot_no=lot_no, qty=qty) for lot_no, qty in lots)
    return bench.do(no, AssignLots(fill_id=fill_id or newest(bench, no), lots=picks))


def held(bench: Bench, no: int) -> list[tuple[int, int, int]]:
    position = bench.book(no).positions.get("AAA")
    lots = position.lots if position is not None else ()
    return [(lot.lot_no, lot.qty // SHARE, lot.basis_money // DOLLAR) for lot in lots]


def test_the_chosen_lots_take_the_place_of_those_that_were_taken() -> None:
    bench, no = bought((100, 120, 90))
    bench.order(no, "sell", "15")
    assert held(bench, no) == [(2, 5, 600), (3, 10, 900)]
    cash, before = bench.book(no).cash, bench.book(no).positions["AAA"].realized_money
    assert not isinstance(assign(bench, no, (2, "10"), (3, "5")), Refusal)
    assert held(bench, no) == [(1, 10, 1_000), (3, 5, 450)]
    position = bench.book(no).positions["AAA"]
    # Sold at 90: 1,350 for lots that cost 1,600, and now for some that cost 1,650.
    assert (before, position.realized_money) == (-250 * DOLLAR, -300 * DOLLAR)
    assert (position.basis_money, bench.book(no).cash) == (1_450 * DOLLAR, cash)
    shown = render_closing(bench.book(no), newest(bench, no))
    assert (shown["realized_pl"], shown["settles_on"]) == ("-300", "2026-08-04")
    assert [(row["lot_no"], row["qty"], row["cost_basis"], row["proceeds"]) for row in shown["lots"]] == [
        (2, "10", "1200", "900"), (3, "5", "450", "450"),
    ]  # fmt: skip
    # As often as wanted, and back again.
    assert not isinstance(assign(bench, no, (1, None), (2, "5")), Refusal)
    assert held(bench, no) == [(2, 5, 600), (3, 10, 900)]


def test_a_cover_chooses_among_short_lots() -> None:
    bench, no = bought((100, 120, 90), "sell")
    bench.order(no, "buy", "10")
    assert held(bench, no) == [(2, -10, -1_200), (3, -10, -900)]
    assert not isinstance(assign(bench, no, (2, None)), Refusal)
    assert held(bench, no) == [(1, -10, -1_000), (3, -10, -900)]
    assert bench.book(no).positions["AAA"].realized_money == 300 * DOLLAR


def test_it_is_possible_to_the_end_of_the_settlement_date_and_then_refused() -> None:
    bench, no = bought((100, 120))
    bench.order(no, "sell", "5")
    fill_id = newest(bench, no)
    bench.go("2026-08-04 19:59")
    assert not isinstance(assign(bench, no, (2, "5"), fill_id=fill_id), Refusal)
    bench.go("2026-08-04 20:01")
    refused = assign(bench, no, (1, "5"), fill_id=fill_id)
    assert (refused.reason, refused.field) == ("fill_settled", "fill_id")
    assert bench.book(no).closings == {}
    assert held(bench, no) == [(1, 10, 1_000), (2, 5, 600)]


def test_an_account_that_is_flat_forgets_its_closings_too() -> None:
    bench, no = bought((100,))
    bench.order(no, "sell", "10")
    assert len(bench.book(no).closings) == 1
    bench.go("2026-08-06 10:00")
    assert bench.book(no).closings == {}


@pytest.mark.parametrize(
    ("lots", "says"),
    [
        (((1, "4"),), "the lots have 4, the fill closed 5"),
        (((1, "6"),), "the lots have 6, the fill closed 5"),
        (((2, "11"),), "lot 2 has 10"),
        (((2, "x"),), "qty x of lot 2 is no plain decimal number"),
        (((2, "1e1"),), "qty 1e1 of lot 2 is no plain"),
        (((2, "-1"),), "lot 2 has 10"),
        (((1, "3"), (1, "2")), "lot 1 was not open"),
        (((9, None),), "lot 9 was not open"),
        (((3, "5"),), "lot 3 was not open"),  # bought after the sale
        ((), "the lots have 0"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(lots: Any, says: str) -> None:
    bench, no = bought((100, 120))
    bench.order(no, "sell", "5")
    fill_id = newest(bench, no)
    bench.order(no, "buy", "10")
    before = held(bench, no)
    refused = assign(bench, no, *lots, fill_id=fill_id)
    assert refused.reason == "invalid_lots"
    assert says in refused.numbers["problem"]
    assert held(bench, no) == before


def test_what_another_closing_has_taken_is_its_own() -> None:
    bench, no = bought((100, 120))
    bench.order(no, "sell", "10")
    first = newest(bench, no)
    bench.order(no, "sell", "10")
    assert assign(bench, no, (2, "10"), fill_id=first).reason == "invalid_lots"
    assert not isinstance(assign(bench, no, (1, "10"), fill_id=first), Refusal)


def test_other_fills_are_refused() -> None:
    bench, no = bought((100, 120))
    assert assign(bench, no, (1, "1"), fill_id="nothing").reason == "fill_settled"
    bench.order(no, "sell", "5")
    fill_id = newest(bench, no)
    bench.do(no, ResetAccount(cash="5"))
    assert assign(bench, no, (1, "5"), fill_id=fill_id).reason == "fill_settled"


def rows(bench: Bench, no: int) -> list[ClosedLot]:
    """The rows of closed lots as the projection leaves them."""
    table: dict[tuple[int, int], ClosedLot] = {}
    for step in bench.engine.steps:
        for section in step.sections:
            for n, event in enumerate(section.events, section.n_first):
                if section.account_no != no:
                    continue
                found = ()
                if isinstance(event, e.PositionChanged):
                    found = tuple(closed_lots(event, 0, n, 0, step.at))
                elif isinstance(event, e.LotsAssigned):
                    found = tuple(assigned_lots(event, 0))
                table |= {(lot.n, lot.lot_no): lot for lot in found}
    return [lot for lot in table.values() if lot.qty]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("buy", "sell")),
    st.lists(st.tuples(st.booleans(), st.integers(1, 12), st.integers(50, 150)), min_size=2, max_size=10),
    st.lists(st.tuples(st.integers(0, 9), st.permutations(range(10))), max_size=6),
)
def test_rows_lots_and_profit_agree_whatever_is_chosen(
    side: str, trades: list[tuple[bool, int, int]], choices: list[tuple[int, list[int]]]
) -> None:
    bench, no = bought((100, 107, 93), side, "7")
    bench.now += 1
    for closing, qty, price in trades:
        stand(bench, price * 10_000)
        have = abs(sum(lot[1] for lot in held(bench, no)))
        other = "sell" if side == "buy" else "buy"
        bench.order(no, other if closing else side, str(min(qty, have) if closing and have else qty))
        if closing and not have:
            return
    cash, qty = bench.book(no).cash, sum(lot[1] for lot in held(bench, no))
    for index, wishes in choices:
        book: Book = bench.book(no)
        if not book.closings:
            return
        n = sorted(book.closings)[index % len(book.closings)]
        closing = book.closings[n]
        wanted = abs(sum(use.qty for use in closing.closed)) // SHARE
        position = book.positions.get("AAA")
        lots = position.lots if position else ()
        pool = {lot.lot_no: abs(lot.qty) // SHARE for lot in lots if lot.opened_at <= closing.at}
        for use in closing.closed:
            pool[use.lot_no] = pool.get(use.lot_no, 0) + abs(use.qty) // SHARE
        picks = []
        for lot_no in sorted(pool, key=lambda lot_no: wishes.index(lot_no % 10)):
            part = min(wanted, pool[lot_no])
            if part:
                picks.append((lot_no, str(part)))
            wanted -= part
        assert not isinstance(assign(bench, no, *picks, fill_id=fill_id_of(book, n)), Refusal)
    book = bench.book(no)
    assert (book.cash, sum(lot[1] for lot in held(bench, no))) == (cash, qty)
    closed = rows(bench, no)
    opened = [event.opened for event in bench.events(no, e.PositionChanged) if event.opened is not None]
    basis = sum(lot.basis_money for lot in opened)
    position = book.positions.get("AAA")
    assert sum(lot.basis_money for lot in closed) + (position.basis_money if position else 0) == basis
    for lot in opened:  # every lot is closed and open in parts that make it up
        still = sum(each.qty for each in (position.lots if position else ()) if each.lot_no == lot.lot_no)
        assert still + sum(row.qty for row in closed if row.lot_no == lot.lot_no) == lot.qty
    total, _ = tally(closed)
    assert total.gross_profit - total.gross_loss == sum(lot.realized_money for lot in closed)
    plain = Book(no)
    for step in bench.engine.steps:
        for section in step.sections:
            for event in section.events if section.account_no == no else ():
                fold(plain, event, step.at)
    book.watch.clear()
    book.consumed.clear()
    assert encode(plain) == encode(book)


def test_only_the_newest_closings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_money, "CLOSINGS_MAX", 3)
    bench, no = bought((100, 120))
    first = ""
    for _ in range(4):
        bench.order(no, "sell", "1")
        first = first or newest(bench, no)
    assert len(bench.book(no).closings) == 3
    assert assign(bench, no, (2, "1"), fill_id=first).reason == "fill_settled"
    assert not isinstance(
        assign(bench, no, (2, "1"), fill_id=fill_id_of(bench.book(no), min(bench.book(no).closings))), Refusal
    )


def test_lots_that_a_reset_takes_keep_the_day_on_which_they_were_bought() -> None:
    bench, no = bought((100,))
    opened_at = bench.book(no).positions["AAA"].lots[0].opened_at
    bench.do(no, ResetAccount(cash="1000"))
    change = bench.events(no, e.PositionChanged)[-1]
    (row,) = closed_lots(change, 0, 1, 1, bench.now)
    assert (row.opened_at, row.open_order_no, row.term, row.realized_money) == (opened_at, 1, "short", 0)
