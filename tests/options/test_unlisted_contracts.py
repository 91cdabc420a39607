"""Contracts that no reference data lists any more and whose last day nobody saw are settled all the same; a ledger
judges whatever mixture of contracts ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.instruments import Instrument
from mbtd.market.assets import contracts_by_symbol
from tests.money.rig import when
from tests.options.rig import CALENDAR
from tests.options.stage import CALL, HIGH, PUT, STOCK, Stage
from tests.oracle.ledger import Ledger, check_ledger, replay_events, same_books


def slept_over(listed: tuple[Instrument, ...], held: Instrument) -> Stage:
    """A start on the Monday after the expiry, of an account whose last snapshot is from the day before it."""
    before = Stage("2026-12-17 10:00")
    before.account(50_000, (held, 1))
    book = before.book(1)
    after = Stage("2026-12-18 16:00", listed)
    after.engine.world.describe = contracts_by_symbol(CALENDAR)
    after.engine.steps.clear()
    after.now = when("2026-12-18 16:00")
    after.auction("XYZ", 106)
    after.go("2026-12-21 10:00")
    after.engine.admit(book)
    after.go("2026-12-21 10:01")
    return after


def test_a_contract_that_nobody_lists_is_described_by_its_symbol_and_settled() -> None:
    stage = slept_over((STOCK, HIGH), CALL)
    assert stage.held(1) == {"XYZ": 100}
    assert [row[0] for row in stage.booked(1)] == ["OPEXC", "OPTRD"]


def test_what_is_described_is_the_record_that_was_listed() -> None:
    describe = contracts_by_symbol(CALENDAR)
    assert [describe(contract.symbol) for contract in (CALL, PUT, HIGH)] == [CALL, PUT, HIGH]


@pytest.mark.parametrize("symbol", ["XYZ", "XYZ1261218C00100000", "XYZ261299C00100000", "XYZ991218C00100000", ""])
def test_what_a_symbol_does_not_say_is_not_guessed(symbol: str) -> None:
    assert contracts_by_symbol(CALENDAR)(symbol) is None


def test_reference_data_counts_before_what_the_symbol_says() -> None:
    stage = Stage("2026-12-17 10:00")
    stage.engine.world.describe = lambda symbol: pytest.fail(f"{symbol} is listed")
    stage.account(50_000, (CALL, 1))
    stage.engine.waits.arm_all(stage.book(1))
    assert stage.engine.world.instruments.by_symbol[CALL.symbol] is CALL


@given(
    held=st.lists(st.tuples(st.sampled_from([CALL, PUT, HIGH]), st.integers(-3, 3)), max_size=4),
    official=st.integers(80, 130),
    cash=st.sampled_from([10_000, 90_000]),
)
@settings(max_examples=30, deadline=None)
def test_a_ledger_agrees_with_whatever_ends(held: list[tuple[Instrument, int]], official: int, cash: int) -> None:
    holds = {instrument.symbol: (instrument, count) for instrument, count in held if count}
    stage = Stage("2026-12-18 10:00")
    stage.account(cash, *holds.values())
    stage.go("2026-12-18 16:00")
    stage.auction("XYZ", official)
    stage.go("2026-12-18 17:31")
    ledger, granted = Ledger(), len(holds)
    for event in [x for step in stage.engine.steps for part in step.sections if part.account_no for x in part.events]:
        assert not isinstance(event, e.AccountQuarantined)
        if granted and isinstance(event, e.PositionChanged):
            granted -= 1
            assert event.opened is not None
            ledger.grant(event.symbol, event.opened.qty, abs(event.net_money))
        else:
            ledger.take(event)
    book = stage.book(1)
    assert set(book.positions) <= {"XYZ"}
    check_ledger(ledger, book)
    same_books(replay_events(stage.engine.steps), stage.engine.books)
