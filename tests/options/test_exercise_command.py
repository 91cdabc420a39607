"""``position.exercise`` and ``position.do_not_exercise`` through the engine, on a book that holds contracts."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from actors.book import events as e
from actors.book.events import Lot
from actors.book.instruments import Instrument
from actors.book.outcome import Done, Placed
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book, Instructed, Position
from actors.book.units import MONEY_PER_DOLLAR, QTY_PER_SHARE, parse_time
from actors.commands import DoNotExercisePosition, ExercisePosition, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.days import Days
from actors.market.messages import Quote, Session
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import TradeDays
from mbtd.records.lines import Lines
from tests.options.rig import CALENDAR, contract

DOLLAR, SHARE = MONEY_PER_DOLLAR, QTY_PER_SHARE
CALL, PUT, IN_PUT = contract(100), contract(100, "put"), contract(110, "put")
STOCK = instrument_of("XYZ", CALENDAR)
NOON = parse_time("2026-12-18T17:00:00Z")


def session(at: int) -> Session:
    return structs.replace(CALENDAR.session_at(at), at=at)


def opened(
    cash: int,
    *holdings: tuple[Instrument, int],
    kind: str = "margin",
    profile: str = "realistic",
    days: Days | None = None,
) -> Engine:
    """An engine at noon of the expiry day, the stock at 106, with one account that holds contracts."""
    engine = Engine(b"p" * 32, instruments=[CALL, PUT, IN_PUT, STOCK], days=days)
    book = Book(1, "id", "user", b"s" * 32, type=kind, cash=cash * DOLLAR, profile=profile)
    for number, (instrument, count) in enumerate(holdings, 1):
        qty = count * SHARE
        basis = 2 * count * instrument.multiplier * DOLLAR
        lot = Lot(number, qty, basis, 0, 0)
        book.positions[instrument.symbol] = Position(instrument.symbol, instrument.asset_id, qty, basis, (lot,), 0)
        book.next_lot_no = number + 1
    engine.tape(session(NOON))
    engine.tape(Quote("XYZ", 1_059_900, 100, 1_060_100, 100, NOON))
    engine.admit(book)
    return engine


def do(engine: Engine, action: Any, at: int = NOON + 1) -> Any:
    return engine.command(1, action, at, Envelope(), Issued(b"s" * 32))


def test_an_exercise_takes_the_contracts_and_brings_the_shares_at_the_strike() -> None:
    engine = opened(25_000, (CALL, 3))
    engine.take_steps()
    assert do(engine, ExercisePosition(symbol=CALL.symbol, qty="2")) == Done()
    book = engine.books[1]
    assert book.cash == 5_000 * DOLLAR
    assert {s: (p.qty // SHARE, p.basis_money // DOLLAR) for s, p in book.positions.items()} == {
        CALL.symbol: (1, 200),
        "XYZ": (200, 20_000),
    }
    (step,) = engine.take_steps()
    (section,) = step.sections
    booked = [event for event in section.events if isinstance(event, e.ActivityBooked)]
    assert [(b.activity_type, b.qty // SHARE, b.net_money // DOLLAR) for b in booked] == [
        ("OPEXC", -2, 0),
        ("OPTRD", 200, -20_000),
    ]
    assert len({b.group_no for b in booked}) == 1
    moved = [event for event in section.events if isinstance(event, e.PositionChanged)]
    assert [(m.symbol, m.realized_money // DOLLAR, m.net_money) for m in moved] == [
        (CALL.symbol, -400, 0),
        ("XYZ", 0, 0),
    ]


@pytest.mark.parametrize(("short", "sma"), [(0, -10_000), (100, -5_000), (150, -2_500), (200, 0), (300, 0)])
def test_shares_that_cover_a_short_position_first_require_only_what_goes_beyond_it(short: int, sma: int) -> None:
    holdings = ((CALL, 3), (STOCK, -short)) if short else ((CALL, 3),)
    engine = opened(60_000, *holdings, days=TradeDays(CALENDAR))
    engine.take_steps()
    assert do(engine, ExercisePosition(symbol=CALL.symbol, qty="2")) == Done()
    booked = [event for step in engine.take_steps() for section in step.sections for event in section.events]
    (trade,) = [event for event in booked if isinstance(event, e.TradeBooked)]
    assert trade.sma_money == sma * DOLLAR
    position = engine.books[1].positions.get("XYZ")
    assert (position.qty // SHARE if position is not None else 0) == 200 - short


def test_streams_and_outputs_name_the_rows_of_an_exercise() -> None:
    engine = opened(25_000, (CALL, 3))
    engine.take_steps()
    do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="1"))
    do(engine, ExercisePosition(symbol=CALL.symbol, qty="2"), NOON + 2)
    lines = [line for step in engine.take_steps() for line in Lines().render(step)]
    shown = [(line["event"], line.get("activity_type"), line["symbol"], line["qty"]) for line in lines]
    assert shown == [
        ("option.instructed", None, CALL.symbol, "1"),
        ("activity.booked", "OPEXC", CALL.symbol, "-2"),
        ("position.changed", None, CALL.symbol, "1"),
        ("activity.booked", "OPTRD", "XYZ", "200"),
        ("position.changed", None, "XYZ", "200"),
    ]


@pytest.mark.parametrize(("bid", "given_away"), [(58_000, None), (75_000, "300")])
def test_time_value_that_is_given_away_is_told(bid: int, given_away: str | None) -> None:
    """The contract is 6.00 in the money: sold at a bid of 7.50 two would have brought 300 more."""
    engine = opened(40_000, (CALL, 3))
    engine.tape(Quote(CALL.symbol, bid, 10, bid + 1_000, 10, NOON))
    engine.take_steps()
    assert do(engine, ExercisePosition(symbol=CALL.symbol, qty="2")) == Done()
    (step,) = engine.take_steps()
    told = [event for section in step.sections for event in section.events if isinstance(event, e.OptionWarned)]
    assert [(w.kind, w.numbers["given_away"]) for w in told] == (
        [("time_value_given_away", given_away)] if given_away else []
    )
    assert not engine.books[1].expiring


def test_all_are_exercised_by_default() -> None:
    engine = opened(40_000, (CALL, 3))
    assert do(engine, ExercisePosition(symbol=CALL.symbol)) == Done()
    assert set(engine.books[1].positions) == {"XYZ"}


@pytest.mark.parametrize(
    ("cash", "kind", "holdings", "action", "reason"),
    [
        (100, "cash", [(CALL, 1)], ExercisePosition(symbol=CALL.symbol), "exercise_beyond_means"),
        (100, "margin", [(CALL, 1)], ExercisePosition(symbol=CALL.symbol), "exercise_beyond_means"),
        (99_999, "cash", [(PUT, 1)], ExercisePosition(symbol=PUT.symbol), "not_in_the_money"),
        (99_999, "cash", [(CALL, 1)], ExercisePosition(symbol=CALL.symbol, qty="1.5"), "invalid_contracts"),
        (99_999, "cash", [(CALL, 1)], ExercisePosition(symbol=CALL.symbol, qty="all"), "invalid_contracts"),
        (99_999, "cash", [(CALL, 1)], ExercisePosition(symbol=CALL.symbol, qty="2"), "exercise_more_than_held"),
        (99_999, "margin", [(CALL, -1)], ExercisePosition(symbol=CALL.symbol), "exercise_of_short"),
        (99_999, "cash", [], ExercisePosition(symbol=CALL.symbol), "contract_not_held"),
        (99_999, "cash", [(STOCK, 100)], ExercisePosition(symbol="XYZ"), "contract_not_held"),
        (99_999, "cash", [], DoNotExercisePosition(symbol="NOPE"), "contract_not_held"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    cash: int, kind: str, holdings: list[Any], action: Any, reason: str
) -> None:
    engine = opened(cash, *holdings, kind=kind)
    before = (engine.books[1].cash, dict(engine.books[1].positions))
    outcome = do(engine, action)
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason
    assert (engine.books[1].cash, engine.books[1].positions) == before
    assert not engine.books[1].quarantined


def taken(engine: Engine, contract: Instrument) -> bool:
    outcome = do(engine, ExercisePosition(symbol=contract.symbol))
    if isinstance(outcome, Refusal):
        assert outcome.reason == "exercise_beyond_means"
        return False
    assert outcome == Done()
    return True


@pytest.mark.parametrize(("cash", "allowed"), [(19_999, False), (20_000, True)])
def test_cash_that_secures_a_put_pays_for_no_exercise(cash: int, allowed: bool) -> None:
    assert taken(opened(cash, (CALL, 1), (PUT, -1), kind="cash"), CALL) == allowed


@pytest.mark.parametrize(("cash", "allowed"), [(18_799, False), (18_800, True)])
def test_a_margin_account_needs_half_of_what_it_gets(cash: int, allowed: bool) -> None:
    """Four calls: 40,000 for shares worth 42,400, of which 21,200 must be its own (§5.6)."""
    assert taken(opened(cash, (CALL, 4)), CALL) == allowed


@pytest.mark.parametrize(("cash", "allowed"), [(1_500, False), (50_000, True)])
def test_a_put_without_shares_needs_an_account_that_may_sell_short(cash: int, allowed: bool) -> None:
    assert taken(opened(cash, (IN_PUT, 1)), IN_PUT) == allowed


def test_shares_for_a_short_position_may_be_called_in_by_a_small_account() -> None:
    """Below 2,000 dollars nothing is lent, but this takes nothing: the requirement of the short shares goes."""
    assert taken(opened(11_000, (CALL, 1), (STOCK, -100)), CALL)


def test_an_exercise_that_frees_money_is_never_beyond_the_means() -> None:
    """Shares are there for the put, so it brings cash to an account that lacks it."""
    assert taken(opened(-8_000, (IN_PUT, 1), (STOCK, 100)), IN_PUT)


def test_an_instruction_is_kept_replaced_and_gone_with_its_contracts() -> None:
    engine = opened(99_999, (CALL, 3))
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="1")) == Done()
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol), NOON + 2) == Done()
    kept = engine.books[1].instructions
    assert kept == {CALL.symbol: Instructed("do_not_exercise", 3 * SHARE, 20261218)}
    assert do(engine, ExercisePosition(symbol=CALL.symbol), NOON + 3) == Done()
    assert engine.books[1].instructions == {}


def test_an_instruction_can_be_taken_back_while_a_sale_holds_the_contracts() -> None:
    engine = opened(99_999, (CALL, 3))
    engine.tape(Quote(CALL.symbol, 58_000, 10, 59_000, 10, NOON))
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol)) == Done()
    order = PlaceOrder(symbol=CALL.symbol, side="sell", qty="3", type="limit", limit_price="20")
    assert isinstance(do(engine, order, NOON + 2), Placed)
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="0"), NOON + 3) == Done()
    assert engine.books[1].instructions == {}


def test_an_instruction_can_be_taken_back() -> None:
    engine = opened(99_999, (CALL, 3))
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="2")) == Done()
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="0"), NOON + 2) == Done()
    assert engine.books[1].instructions == {}
    engine.take_steps()
    assert do(engine, DoNotExercisePosition(symbol=CALL.symbol, qty="0"), NOON + 3) == Done()
    assert not [v for step in engine.take_steps() for s in step.sections for v in s.events]


@pytest.mark.parametrize(
    ("profile", "time", "taken"),
    [
        ("realistic", "2026-12-18T22:29:59Z", True),
        ("realistic", "2026-12-18T22:30:00Z", False),
        ("alpaca-parity", "2026-12-18T21:29:59Z", True),
        ("alpaca-parity", "2026-12-18T21:30:00Z", False),
    ],
)
def test_the_cutoff_is_that_of_the_accounts_policy(profile: str, time: str, taken: bool) -> None:
    engine = opened(99_999, (CALL, 1), profile=profile)
    at = parse_time(time)
    engine.tape(session(at - 1))
    outcome = do(engine, DoNotExercisePosition(symbol=CALL.symbol), at)
    assert (outcome == Done()) == taken
