"""The last day of contracts through the engine: what the clock alone does to accounts that hold them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from actors.book import events as e
from actors.book.expiries import standing_warnings
from actors.book.instruments import Instrument
from actors.book.outcome import Done
from actors.book.view import withdrawable
from actors.commands import Deposit, DoNotExercisePosition, PlaceOrder
from actors.engine import Engine
from actors.house.state import HOUSE_NO, House
from actors.inputs import encode
from mbtd.groups import GroupCutter
from mbtd.market.calendar import TradeDays
from mbtd.records.lines import Lines
from mbtd.residency import FETCH_AHEAD_NS, Residency, book_of, snapshot_of
from storage.reader import SnapshotReader
from storage.sqlite import SqliteStore
from tests.money.rig import DOLLAR, when
from tests.options.rig import CALENDAR, contract
from tests.options.stage import CALL, HIGH, PUT, STOCK, Stage
from tests.oracle.ledger import Ledger, check_ledger, replay_events, same_books

CLOSE, SETTLED = "2026-12-18 16:00", "2026-12-18 17:30"


def ended(price: float, *held: tuple[Instrument, int], cash: int = 100_000, kind: str = "margin") -> Stage:
    """Account 1 after its contracts ended at an official close."""
    stage = Stage()
    stage.account(cash, *held, kind=kind)
    stage.go("2026-12-18 15:59")
    stage.trade("XYZ", price - 1)
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", price)
    stage.go("2026-12-18 17:31")
    return stage


@pytest.mark.parametrize(
    ("price", "holding", "rows", "left"),
    [
        (106, (CALL, 2), [("OPEXC", CALL.symbol, -2, 0), ("OPTRD", "XYZ", 200, -20_000)], {"XYZ": 200}),
        (106, (PUT, 2), [("OPEXP", PUT.symbol, -2, 0)], {}),
        (106, (CALL, -1), [("OPASN", CALL.symbol, 1, 0), ("OPTRD", "XYZ", -100, 10_000)], {"XYZ": -100}),
        (94, (PUT, -1), [("OPASN", PUT.symbol, 1, 0), ("OPTRD", "XYZ", 100, -10_000)], {"XYZ": 100}),
        (100, (CALL, 1), [("OPEXP", CALL.symbol, -1, 0)], {}),
        (100.01, (CALL, 1), [("OPEXC", CALL.symbol, -1, 0), ("OPTRD", "XYZ", 100, -10_000)], {"XYZ": 100}),
    ],
)
def test_contracts_end_at_the_official_close(
    price: float, holding: tuple[Instrument, int], rows: list[object], left: dict[str, int]
) -> None:
    stage = ended(price, holding)
    assert stage.booked(1) == rows
    assert stage.held(1) == left
    groups = {b.group_no for b in stage.events(1, e.ActivityBooked) if b.activity_type.startswith("OP")}
    assert len(groups) == 1
    assert not stage.book(1).quarantined


def test_a_spread_ends_in_one_transaction_and_leaves_only_cash() -> None:
    stage = ended(115, (CALL, 1), (HIGH, -1))
    assert stage.held(1) == {}
    assert stage.cash(1) == 100_000 + 1_000
    assert [row[0] for row in stage.booked(1)] == ["OPEXC", "OPTRD", "OPASN", "OPTRD"]
    assert [step.at for step in stage.engine.steps if "OPEXC" in repr(step)] == [when(SETTLED)]


def test_nothing_ends_before_the_holders_have_decided() -> None:
    stage = Stage()
    account = stage.account(100_000, (CALL, 3))
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go("2026-12-18 17:00")
    assert stage.held(account) == {CALL.symbol: 3}
    assert stage.do(account, DoNotExercisePosition(symbol=CALL.symbol, qty="2")) == Done()
    stage.go(SETTLED)
    assert stage.booked(account) == [
        ("OPEXP", CALL.symbol, -2, 0),
        ("OPEXC", CALL.symbol, -1, 0),
        ("OPTRD", "XYZ", 100, -10_000),
    ]
    assert not stage.book(account).instructions
    assert not stage.book(account).expiring


def test_the_last_print_of_the_session_stands_for_a_missing_auction() -> None:
    stage = Stage()
    account = stage.account(100_000, (CALL, 1))
    stage.go("2026-12-18 15:59")
    stage.trade("XYZ", 101)
    stage.go("2026-12-18 16:05")
    stage.trade("XYZ", 99)
    stage.go(SETTLED)
    assert stage.held(account) == {"XYZ": 100}


def test_a_missing_price_is_waited_for_and_then_settles() -> None:
    stage = Stage()
    account = stage.account(100_000, (CALL, 1), (PUT, -1))
    stage.go("2026-12-18 17:40")
    (waiting,) = stage.events(account, e.OptionAwaiting)
    assert (waiting.reason, waiting.missing, waiting.retry_at) == (
        "no_settlement_price", "XYZ", when("2026-12-18 17:45")
    )  # fmt: skip
    assert stage.held(account) == {CALL.symbol: 1, PUT.symbol: -1}
    stage.go("2026-12-21 12:01")
    assert stage.held(account) == {CALL.symbol: 1, PUT.symbol: -1}
    assert len(stage.events(account, e.OptionAwaiting)) > 20
    stage.auction("XYZ", 106, at=CLOSE)
    stage.go("2026-12-21 14:00")
    assert stage.held(account) == {"XYZ": 100}
    lines = [line for step in stage.engine.steps for line in Lines().render(step)]
    first = next(line for line in lines if line["event"] == "option.awaiting")
    assert (first["symbol"], first["missing"], first["settles_on"]) == ("XYZ", "XYZ", "2026-12-18")


def test_reference_data_can_bring_the_close_that_nobody_saw() -> None:
    stage = Stage()
    account = stage.account(100_000, (CALL, 1))
    stage.go("2026-12-21 09:00")
    stage.engine.reference(
        [structs.replace(STOCK, previous_close=1_060_000, previous_close_date=20261218)], stage.now
    )
    stage.go("2026-12-21 10:30")
    assert stage.held(account) == {"XYZ": 100}


INDEX = Instrument("00000000-0000-8000-a000-0000000000aa", "SPX", "us_index", tradable=False)


@pytest.mark.parametrize(("kind", "settles", "at"), [("open", "am", "2026-12-18 09:50"), ("close", "pm", SETTLED)])
def test_an_index_settles_in_cash_by_its_own_value(kind: str, settles: str, at: str) -> None:
    option = contract(
        5_000, root="SPX", settlement="cash", style="european", settles=settles, deliverables=(), underlying="SPX",
        multiplier=100, expiry_date=20261217 if settles == "am" else 20261218, settles_on=20261218,
    )  # fmt: skip
    stage = Stage(instruments=(option, INDEX))
    account = stage.account(100_000, (option, 2))
    short = stage.account(100_000, (option, -2))
    stage.go("2026-12-18 09:31")
    stage.auction("SPX", 5_012.34, "open")
    stage.go("2026-12-18 16:00")
    stage.auction("SPX", 5_020.00, "close")
    stage.go(at)
    points = 12.34 if kind == "open" else 20
    if settles == "pm":
        assert [row.trade_date for row in stage.events(HOUSE_NO, e.OfficialPriced)] == [20261218, 20261218]
    stage.go("2026-12-18 17:30")
    assert stage.held(account) == stage.held(short) == {}
    assert stage.booked(account)[1] == ("OPCSH", option.symbol, 0, points * 200)
    assert stage.booked(short)[1] == ("OPCSH", option.symbol, 0, -points * 200)


def test_a_cash_account_without_the_means_is_settled_and_told() -> None:
    stage = ended(106, (CALL, 1), cash=1_000, kind="cash")
    assert stage.held(1) == {"XYZ": 100}
    assert stage.cash(1) == 1_000 - 200 - 10_000
    assert not stage.book(1).quarantined
    assert [w.kind for w in stage.events(1, e.OptionWarned)][-1] == "settled_with_deficit"
    stage.go("2026-12-21 10:00")
    stage.quote("XYZ", 106, 106)
    order = PlaceOrder(symbol="XYZ", qty="100", side="sell", type="market", time_in_force="day")
    stage.do(1, order)
    stage.engine.run_timers_through(stage.now)
    assert not stage.book(1).quarantined


def test_a_cash_account_may_cover_what_a_settlement_made_short_whatever_it_costs() -> None:
    stage = ended(94, (PUT, 1), cash=1_000, kind="cash")
    assert stage.held(1) == {"XYZ": -100}
    assert stage.cash(1) == 1_000 - 200 + 10_000
    stage.go("2026-12-21 10:00")
    stage.quote("XYZ", 200, 200)
    stage.do(1, PlaceOrder(symbol="XYZ", qty="100", side="buy", type="market", time_in_force="day"))
    stage.engine.run_timers_through(stage.now)
    assert stage.held(1) == {}
    assert stage.cash(1) < 1_000 - 200 + 10_000 - 19_999
    assert not stage.book(1).quarantined


def test_shares_that_are_called_away_take_their_orders_with_them() -> None:
    stage = Stage()
    account = stage.account(100_000, (STOCK, 100), kind="cash")
    order = PlaceOrder(symbol="XYZ", qty="100", side="sell", type="limit", time_in_force="gtc", limit_price="150")
    stage.do(account, order)
    stage.give(account, (CALL, -1))
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go(SETTLED)
    assert stage.held(account) == {}
    assert [event.reason for event in stage.events(account, e.OrderCanceled)] == ["option_settled"]
    assert not stage.book(account).held


def test_warnings_come_at_the_open_and_an_hour_before_the_close_once_each() -> None:
    stage = Stage()
    account = stage.account(1_000, (CALL, -1))
    stage.go("2026-12-18 09:29")
    stage.quote("XYZ", 105, 105)
    stage.go("2026-12-18 14:59")
    first = stage.events(account, e.OptionWarned)
    assert "short_in_the_money" in {w.kind for w in first}
    assert "pin_risk" not in {w.kind for w in first}
    stage.quote("XYZ", 100, 100)
    stage.go("2026-12-18 15:01")
    later = stage.events(account, e.OptionWarned)[len(first) :]
    assert "pin_risk" in {w.kind for w in later}
    assert not {w.kind for w in first} & {w.kind for w in later}
    reviews = [step.at for step in stage.engine.steps if "ExpiryReviewed" in repr(step)]
    assert reviews == [when("2026-12-18 09:30"), when("2026-12-18 15:00")]


def test_a_warning_stands_as_long_as_the_price_says_so() -> None:
    stage = Stage()
    account = stage.account(1_000, (CALL, -1))

    def standing() -> dict[str, tuple[str, ...]]:
        return dict(standing_warnings(stage.book(account), [CALL.symbol], stage.engine.world))

    stage.go("2026-12-18 09:29")
    stage.quote("XYZ", 105, 105)
    assert standing() == {}
    stage.go("2026-12-18 11:00")
    assert standing()["short_in_the_money"] == (CALL.symbol,)
    stage.quote("XYZ", 90, 90)
    assert standing() == {}
    stage.quote("XYZ", 106, 106)
    assert standing()["short_in_the_money"] == (CALL.symbol,)


def test_the_same_warning_is_not_given_again() -> None:
    stage = Stage()
    account = stage.account(1_000, (CALL, -1))
    stage.go("2026-12-18 09:29")
    stage.quote("XYZ", 105, 105)
    stage.go("2026-12-18 15:01")
    kinds = [warning.kind for warning in stage.events(account, e.OptionWarned)]
    assert kinds.count("short_in_the_money") == 1
    assert len(stage.events(account, e.ExpiryReviewed)) == 2


def test_contracts_that_come_on_the_last_day_are_waited_for_at_once() -> None:
    stage = Stage("2026-12-18 11:00")
    account = stage.account(100_000)
    stage.do(account, Deposit(amount="100"))
    stage.give(account, (CALL, 1))
    stage.go("2026-12-18 15:59")
    stage.trade("XYZ", 106)
    stage.go(SETTLED)
    assert stage.held(account) == {"XYZ": 100}


def test_closeout_sells_before_the_close_what_could_not_be_paid() -> None:
    stage = Stage()
    account = stage.account(500, (CALL, 2), kind="cash", profile="alpaca-parity")
    stage.go("2026-12-18 15:29")
    stage.quote("XYZ", 106, 106)
    stage.quote(CALL.symbol, 6, 6.1)
    stage.go("2026-12-18 15:30")
    (order,) = stage.events(account, e.OrderAccepted)
    assert (order.symbol, order.side, order.type, order.qty) == (CALL.symbol, "sell", "market", 2 * 1_000_000_000)


def test_an_early_close_settles_early() -> None:
    option = structs.replace(contract(100), expiry_date=20261224, settles_on=20261224)
    stage = Stage("2026-12-23 10:00", (option, STOCK))
    account = stage.account(100_000, (option, 1))
    stage.go("2026-12-24 12:59")
    stage.trade("XYZ", 106)
    stage.go("2026-12-24 14:29")
    assert stage.held(account) == {option.symbol: 1}
    stage.go("2026-12-24 14:30")
    assert stage.held(account) == {"XYZ": 100}


# ── early assignment ────────────────────────────────────────────────────────────────────────────────────────


def deep(contracts: int = -40, profile: str = "quick") -> Stage:
    """Short puts so deep that holders gain by exercising them, on an evening two weeks before they end."""
    option = contract(200, "put")
    stage = Stage("2026-12-03 10:00", (option, STOCK))
    stage.account(10_000_000, (option, contracts), profile=profile)
    stage.quote("XYZ", 100, 100)
    stage.quote(option.symbol, 99.9, 100.1)
    stage.go("2026-12-03 17:30")
    return stage


def test_early_assignment_is_drawn_once_an_evening_and_says_why() -> None:
    stage = deep()
    (why,) = stage.events(1, e.OptionAssigned)
    assert why.rule == "carry"
    taken = sum(draw < why.probability_ppm for draw in why.draws_ppm)
    assert len(why.draws_ppm) == 40
    assert 0 < taken < 40
    assert stage.held(1)["XYZ"] == 100 * taken
    assert stage.booked(1)[0][:3] == ("OPASN", contract(200, "put").symbol, taken)
    stage.go("2026-12-07 12:00")
    assert [d.trade_date for d in stage.events(1, e.AssignmentDrawn)] == [20261203, 20261204]
    assert deep().events(1, e.OptionAssigned) == [why]


def test_no_long_is_assigned() -> None:
    assert not deep(40).events(1, e.AssignmentDrawn)


# ── restarts and sleepers ───────────────────────────────────────────────────────────────────────────────────

INSTANTS = (
    "2026-12-18 09:00", "2026-12-18 12:00", "2026-12-18 15:30", "2026-12-18 16:30", "2026-12-18 17:35",
    "2026-12-18 21:00", "2026-12-21 09:00",
)  # fmt: skip
OTHER = contract(50, root="ABC")
ABC = Instrument("00000000-0000-8000-a000-0000000000bb", "ABC")


def begun() -> Stage:
    stage = Stage(instruments=(CALL, PUT, HIGH, STOCK, OTHER, ABC))
    stage.account(5_000, (CALL, 1), (HIGH, -1), (OTHER, 2))
    stage.account(50_000, (PUT, -2), (STOCK, 10), kind="cash")
    return stage


def live(stage: Stage, after: str, until: str) -> None:
    """The same market, whoever looks: XYZ closes by its last print, ABC is told on Monday."""
    script: tuple[tuple[str, Callable[[], None]], ...] = (
        ("2026-12-18 10:00", lambda: stage.quote("XYZ", 99, 99.1)),
        ("2026-12-18 15:50", lambda: stage.trade("XYZ", 98.5)),
        ("2026-12-18 16:10", lambda: stage.trade("XYZ", 120)),
        ("2026-12-21 11:00", lambda: stage.auction("ABC", 60, at=CLOSE)),
    )
    for text, act in script:
        if when(after) < when(text) <= when(until):
            stage.go(text)
            act()
    stage.go(until)


def restarted(old: Stage, steps: list[object], *, refeed: bool) -> Stage:
    """A new engine from the journal: with the tape read again as in replay, or without as on a live tape."""
    new = Stage(instruments=old.instruments)
    new.engine = Engine(
        b"x" * 32, old.engine.profiles, days=TradeDays(CALENDAR),
        instruments=[i for i in old.instruments if not i.is_option or when("2026-12-18 20:00") > old.now],
    )  # fmt: skip
    engine, new.now = new.engine, old.now
    for step in steps:
        engine.restore_step(step)  # type: ignore[arg-type]
    engine.house = House.decode(engine.house.encode())
    engine.books = {no: book_of(snapshot_of(book, 1, engine.world)) for no, book in engine.books.items()}
    engine.input_seq, engine.seq = old.engine.input_seq, old.engine.seq
    if refeed:
        for message in old.tape:
            engine.refeed(message)
    else:
        engine.refeed(CALENDAR.session_at(old.now))
    engine.world.tape_seq, engine.world.now = old.engine.world.tape_seq, old.engine.world.now
    for number in sorted(engine.books):
        engine.waits.arm_all(engine.books[number])
    return new


@pytest.mark.parametrize("cut", INSTANTS)
def test_a_restart_in_replay_changes_no_byte_of_what_follows(cut: str) -> None:
    whole, first = begun(), begun()
    for stage in (whole, first):
        live(stage, "2026-12-17 10:00", cut)
    steps = first.engine.take_steps()
    assert encode(steps) == encode(whole.engine.take_steps())
    second = restarted(first, list(steps), refeed=True)
    for stage in (whole, second):
        live(stage, cut, "2026-12-21 13:00")
    ours = [(s.at, s.sections) for s in second.engine.take_steps()]
    theirs = [(s.at, s.sections) for s in whole.engine.take_steps()]
    assert encode(ours) == encode(theirs)
    for number in (1, 2):
        assert encode(second.book(number)) == encode(whole.book(number))
    assert second.held(1) == {"ABC": 200}
    assert second.held(2) == {"XYZ": 210}


@pytest.mark.parametrize("cut", ["2026-12-18 16:30", "2026-12-18 17:35", "2026-12-18 21:00"])
def test_a_live_restart_after_the_close_still_knows_the_close_and_the_contracts(cut: str) -> None:
    stage = begun()
    live(stage, "2026-12-17 10:00", cut)
    second = restarted(stage, list(stage.engine.take_steps()), refeed=False)
    live(second, cut, "2026-12-21 13:00")
    assert second.held(1) == {"ABC": 200}
    assert second.held(2) == {"XYZ": 210}


def test_a_sleeper_with_contracts_is_fetched_before_each_instant(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    stage = Stage()
    account = stage.account(100_000, (CALL, 1))
    store.append(GroupCutter(stage.engine, store.head()).cut())
    store.put_snapshots([snapshot_of(stage.book(account), stage.engine.seq, stage.engine.world)])
    residency = Residency(stage.engine, SnapshotReader(tmp_path), chunk=10, keep=0)
    stage.engine.release(account)
    opening = when("2026-12-18 09:30")
    assert residency.fetch_due(opening - FETCH_AHEAD_NS - 1) == 0
    assert residency.fetch_due(opening - FETCH_AHEAD_NS + 1) == 1
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go(SETTLED)
    assert stage.held(account) == {"XYZ": 100}
    store.close()


def test_the_ledger_and_the_plain_books_come_to_the_same() -> None:
    stage = begun()
    live(stage, "2026-12-17 10:00", "2026-12-21 13:00")
    ledgers = {1: Ledger(), 2: Ledger()}
    for step in stage.engine.steps:
        for section in step.sections:
            for event in section.events if section.account_no else ():
                if isinstance(event, e.PositionChanged) and step.at == when("2026-12-17 10:00"):
                    assert event.opened is not None
                    ledgers[section.account_no].grant(event.symbol, event.opened.qty, abs(event.net_money))
                else:
                    ledgers[section.account_no].take(event)
    for number, ledger in ledgers.items():
        check_ledger(ledger, stage.book(number))
    same_books(replay_events(stage.engine.steps), stage.engine.books)


@pytest.mark.parametrize("kind", ["margin", "cash"])
def test_shares_of_an_assignment_settle_with_the_trades_of_their_date(kind: str) -> None:
    stage = Stage()
    account = stage.account(10_000, (STOCK, 100), (CALL, -1), kind=kind)
    cash = stage.book(account).cash
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.go(SETTLED)
    book = stage.book(account)
    assert book.cash == cash + 10_000 * DOLLAR
    assert book.money.settling == ((20261221, 10_000 * DOLLAR),)
    assert withdrawable(book, stage.engine.world) == cash
    stage.go("2026-12-21 10:00")
    assert withdrawable(book, stage.engine.world) == book.cash


def test_an_exercise_lowers_sma_by_half_and_owes_interest_from_its_settlement_on() -> None:
    stage = Stage()
    account = stage.account(6_000, (CALL, 1))
    stage.go("2026-12-18 16:01")
    stage.auction("XYZ", 106)
    stage.quote("XYZ", 106, 106)
    stage.go(SETTLED)
    book = stage.book(account)
    # 5,800 are left after the premium; the shares cost 10,000.
    assert book.cash == -4_200 * DOLLAR
    assert book.money.sma + book.money.sma_change == 800 * DOLLAR
    stage.go("2026-12-20 12:00")
    assert book.money.margin_interest == 0
    stage.go("2026-12-21 20:01")
    assert book.money.margin_interest == 729_167  # 4,200 x 6.25 % / 360
