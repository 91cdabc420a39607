"""What must hold of every fill (fill model §20), on random sessions and on a recorded day."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.explain import reproduces
from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import QTY_PER_SHARE
from actors.commands import CreateAccount, Deposit, PlaceOrder
from actors.engine import Done, Engine
from actors.inputs import Envelope, Issued, encode
from actors.market.messages import Quote, Session
from mbtd.market.recordings import open_recordings
from tests.oracle.rig import (
    CUSTOM,
    HOUR,
    RUN_SEED,
    SECOND,
    START,
    Do,
    Wait,
    events_of,
    feed,
    open_engine,
    quote,
    session,
)
from tests.oracle.scripts import ACCOUNTS, profile, scripts

OPEN = START + 6 * HOUR
RECORDING = (
    Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
    / "20131007-equities.ndjson.gz"
)


def check_fill(fill: e.OrderFilled, terms: e.OrderAccepted, limit: int) -> None:
    """Invariants 1 and 11 of one fill, from the order and the evidence alone."""
    sign = 1 if terms.side == "buy" else -1
    proof = fill.evidence
    near, far = (proof.bid, proof.ask) if sign > 0 else (-proof.ask, -proof.bid)
    size = proof.ask_size if sign > 0 else proof.bid_size
    cost = fill.price * sign
    assert fill.price > 0
    assert fill.qty > 0
    if limit:
        assert cost <= limit * sign
    band = proof.luld_upper if sign > 0 else proof.luld_lower
    assert not band or cost <= band * sign
    if proof.short_restricted and terms.position_intent == "sell_to_open":
        assert fill.price > proof.bid
    if fill.reason in ("queue", "print_through"):
        assert fill.price == limit or proof.acting_limit in (limit, fill.price)
        assert proof.print_price * sign <= cost
        assert fill.qty <= proof.print_size * QTY_PER_SHARE
        assert proof.print_exchange != "D"
        assert "I" not in proof.print_conditions
        return
    assert abs(far) > 0
    assert size > 0
    assert proof.bid <= proof.ask or proof.ask == 0
    if fill.reason == "take":
        assert cost <= far
    if abs(near):
        assert cost >= near
    if proof.profile == "realistic":
        assert fill.qty <= size * QTY_PER_SHARE - proof.consumed_before


def timed_events_of(engine: Engine, account_no: int) -> list[tuple[int, Any]]:
    return [
        (step.at, event)
        for step in engine.steps
        for section in step.sections
        if section.account_no == account_no
        for event in section.events
    ]


@profile(200)
@given(scripts(30, 100))
def test_every_fill_keeps_its_limit_its_quote_and_its_quantity(script: list[Any]) -> None:
    engine = open_engine(ACCOUNTS)
    for item in script:
        feed(engine, item)
    for account_no in engine.books:
        terms: dict[int, e.OrderAccepted] = {}
        limits: dict[int, int] = {}
        ended: set[int] = set()
        for at, event in timed_events_of(engine, account_no):
            order_no = getattr(event, "order_no", 0)
            if isinstance(event, e.OrderAccepted):
                terms[order_no], limits[order_no] = event, event.limit_price
                continue
            if isinstance(event, e.OrderCancelRejected | e.OrderReplaceRejected):
                continue
            assert order_no not in ended
            if isinstance(event, e.OrderReplaced):
                terms[event.terms.order_no], limits[event.terms.order_no] = event.terms, event.terms.limit_price
            if isinstance(event, e.OrderTriggered):
                limits[order_no] = event.limit_price or limits[order_no]
            if isinstance(event, e.OrderFilled):
                check_fill(event, terms[order_no], limits[order_no])
                same, verdict = reproduces(terms[order_no], event, at, engine.profiles)
                assert same, verdict
                assert not terms[order_no].qty or event.filled_qty <= terms[order_no].qty
            over = isinstance(event, e.OrderCanceled | e.OrderExpired | e.OrderReplaced)
            if over or (isinstance(event, e.OrderFilled) and event.status == "filled"):
                ended.add(order_no)


@profile(150)
@given(scripts(30, 100))
def test_one_quote_gives_an_account_no_more_than_it_shows(script: list[Any]) -> None:
    """Conservation: while a quote stands, and before anything decays, fills never exceed depth x displayed."""
    engine = open_engine(ACCOUNTS)
    for item in script:
        feed(engine, item)
    taken: dict[tuple[int, str, bool, int], int] = {}
    first_at: dict[tuple[int, str, bool, int], int] = {}
    for account_no in engine.books:
        sides: dict[int, tuple[str, bool]] = {}
        for step in engine.steps:
            for section in step.sections:
                for event in section.events if section.account_no == account_no else ():
                    if isinstance(event, e.OrderAccepted | e.OrderReplaced):
                        terms = event if isinstance(event, e.OrderAccepted) else event.terms
                        sides[terms.order_no] = (terms.symbol, terms.side == "buy")
                    if not isinstance(event, e.OrderFilled) or event.evidence.profile not in ("realistic", "frugal"):
                        continue
                    if event.reason in ("queue", "print_through"):
                        continue
                    symbol, buying = sides[event.order_no]
                    key = (account_no, symbol, buying, event.evidence.quote_seq)
                    if step.at - first_at.setdefault(key, step.at) >= SECOND:
                        continue
                    taken[key] = taken.get(key, 0) + event.qty
                    size = event.evidence.ask_size if buying else event.evidence.bid_size
                    assert taken[key] <= size * QTY_PER_SHARE


def test_a_fault_stops_its_account_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine([("margin", "brisk", "10000")] * 3)
    feed(engine, session("core", OPEN))
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    limit = PlaceOrder(symbol="AAA", qty="1", side="buy", type="limit", limit_price="9.00", time_in_force="day")
    for account_no in (1, 2, 3):
        feed(engine, Do(account_no, limit, OPEN + 2))
    good = encode(engine.books[2])
    from actors.book import meet as rules

    plain = rules.judge

    def planted(draft: Any, *args: Any, **more: Any) -> None:
        plain(draft, *args, **more)
        if draft.book.account_no == 2:
            raise ArithmeticError("planted")

    monkeypatch.setattr(rules, "judge", planted)
    feed(engine, quote("AAA", 899, 900, OPEN + SECOND))
    feed(engine, Wait(OPEN + 2 * SECOND))
    assert [bool(engine.books[no].positions) for no in (1, 2, 3)] == [True, False, True]
    assert engine.failures == [(2, "ArithmeticError: planted")]
    bad = engine.books[2]
    assert bad.quarantined == "ArithmeticError: planted"
    bad.quarantined, bad.n = "", bad.n - 1
    assert encode(bad) == good
    bad.quarantined = "planted"
    monkeypatch.undo()
    feed(engine, quote("AAA", 799, 800, OPEN + 3 * SECOND))
    feed(engine, Wait(OPEN + HOUR * 24))
    assert not bad.positions
    assert set(bad.orders) == {1}
    assert isinstance(feed(engine, Do(1, Deposit(amount="1"), OPEN + HOUR * 24)), Done)


def test_timers_run_at_their_own_time_before_what_comes_later_and_after_the_tape_of_their_instant() -> None:
    engine = open_engine([("margin", "realistic", "10000")])
    feed(engine, session("core", OPEN))
    feed(engine, quote("AAA", 1000, 1001, OPEN + 1))
    market = PlaceOrder(symbol="AAA", qty="1", side="buy", type="market", time_in_force="day")
    placed = feed(engine, Do(1, market, OPEN + 2))
    live_at = placed.terms.live_at
    feed(engine, quote("AAA", 1100, 1101, live_at))
    feed(engine, quote("AAA", 1200, 1201, live_at + 1))
    (fill,) = [event for event in events_of(engine, 1) if isinstance(event, e.OrderFilled)]
    assert fill.evidence.bid == 110_000
    assert [step.at for step in engine.steps if step.seq_last >= engine.seq] == [live_at]
    engine.tape(quote("AAA", 1300, 1301, OPEN))
    assert engine.world.now == live_at + 1
    placed = feed(engine, Do(1, market, OPEN + SECOND))
    feed(engine, Do(1, Deposit(amount="1"), placed.terms.live_at))
    kinds = [type(event).__name__ for event in events_of(engine, 1)]
    assert kinds[-2:] == ["PositionChanged", "ActivityBooked"]


@profile(150)
@given(
    st.lists(st.tuples(st.integers(990, 1005), st.integers(1, 3), st.integers(50, 900)), min_size=3, max_size=25),
    st.integers(990, 1004),
    st.integers(1, 5),
    st.sampled_from(("realistic", "alpaca-parity", "brisk")),
)
def test_a_more_generous_limit_is_never_filled_later(
    walk: list[tuple[int, int, int]], cents: int, more: int, rules: str
) -> None:
    def first_fill(limit: int) -> int:
        engine = open_engine([("margin", rules, "100000")])
        feed(engine, session("core", OPEN))
        feed(engine, quote("AAA", 1004, 1006, OPEN + 1))
        text = f"{limit / 100:.2f}"
        feed(engine, Do(1, PlaceOrder(symbol="AAA", qty="5", side="buy", type="limit", limit_price=text), OPEN + 2))
        at = OPEN + SECOND
        for bid, width, pause in walk:
            feed(engine, quote("AAA", bid, bid + width, at))
            at += pause * 1_000_000
        feed(engine, Wait(at))
        return next((step.at for step in engine.steps if has_fill(step)), at + 1)

    assert first_fill(cents + more) <= first_fill(cents)


def has_fill(step: Any) -> bool:
    return any(isinstance(event, e.OrderFilled) for section in step.sections for event in section.events)


def mirrored(message: Any, middle: int) -> Any:
    return Quote(
        message.symbol,
        2 * middle - message.ask,
        message.ask_size,
        2 * middle - message.bid,
        message.bid_size,
        message.at,
    )


@profile(150)
@given(
    st.lists(
        st.tuples(st.integers(-4, 4), st.integers(1, 3), st.integers(1, 9), st.integers(10, 700)),
        min_size=2,
        max_size=20,
    ),
    st.integers(-5, 5),
    st.integers(1, 20),
    st.booleans(),
)
def test_selling_mirrors_buying(walk: list[Any], away: int, shares: int, market: bool) -> None:
    """Prices turned round a middle give the same quantities at the turned prices (short sale against purchase)."""
    middle = 1_000_000

    def fills_of(buying: bool) -> list[tuple[int, int, int]]:
        engine = open_engine([("margin", "realistic", "10000000")])
        feed(engine, session("core", OPEN))
        limit = middle + 100 * away if buying else middle - 100 * away
        at = OPEN + 1
        for index, (shift, width, size, pause) in enumerate(walk):
            message = Quote("AAA", middle + 100 * shift, size, middle + 100 * (shift + width), size, at)
            feed(engine, message if buying else mirrored(message, middle))
            if index == 0:
                price = None if market else f"{limit / 10_000:.2f}"
                action = PlaceOrder(
                    symbol="AAA", qty=str(shares), side="buy" if buying else "sell",
                    type="market" if market else "limit", limit_price=price,
                )  # fmt: skip
                feed(engine, Do(1, action, at))
            at += pause * 1_000_000
        feed(engine, Wait(at))
        found = [event for event in events_of(engine, 1) if isinstance(event, e.OrderFilled)]
        return [(f.qty, f.price if buying else 2 * middle - f.price, f.fill_no) for f in found]

    assert fills_of(True) == fills_of(False)


@pytest.mark.skipif(not RECORDING.is_file(), reason=f"{RECORDING} is missing")
def test_on_a_recorded_day_generous_limits_fill_first_and_others_change_nothing() -> None:
    tape = list(itertools.islice(open_recordings([RECORDING]).messages(), 60_000))
    symbols = sorted({message.symbol for message in tape})
    busiest = max(symbols, key=lambda s: sum(1 for m in tape if m.symbol == s and isinstance(m, Quote)))
    mine = [message for message in tape if message.symbol == busiest]
    start = next(m for m in mine if isinstance(m, Quote) and m.bid and m.ask)
    middle = (start.bid + start.ask) // 200 * 100
    offsets = (-2_000, -1_000, -500, -200, 0, 200)

    def run(messages: list[Any], limits: tuple[int, ...], others: bool) -> dict[int, tuple[int, Any]]:
        instruments = [Instrument(f"00000000-0000-8000-a000-{n:012d}", s) for n, s in enumerate(symbols)]
        engine = Engine(RUN_SEED, Profiles(CUSTOM), instruments=instruments)
        begin = messages[0].at - SECOND
        for number in range(1, len(offsets) + 2):
            action = CreateAccount(name=f"n{number}", cash="1000000", profile="realistic")
            engine.command(0, action, begin, Envelope(), Issued(b"s" * 32))
        day = 24 * HOUR
        engine.tape(
            Session("core", begin, 20131007, begin, begin + day, begin + day, begin + day, begin + day, 20131008)
        )
        placed = False
        for message in messages:
            engine.tape(message)
            if message is start and not placed:
                placed = True
                for number, offset in enumerate(limits, 1):
                    text = f"{(middle + offset) / 10_000:.2f}"
                    order = PlaceOrder(symbol=busiest, qty="10", side="buy", type="limit", limit_price=text)
                    engine.command(number, order, message.at, Envelope())
                if others:
                    order = PlaceOrder(symbol=busiest, qty="500", side="buy", type="market")
                    engine.command(len(offsets) + 1, order, message.at, Envelope())
        found: dict[int, tuple[int, Any]] = {}
        for step in engine.steps:
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, e.OrderFilled) and section.account_no <= len(offsets):
                        found.setdefault(section.account_no, (step.at, (event.qty, event.price, event.reason)))
        assert not any(book.quarantined for book in engine.books.values())
        return found

    found = run(tape, offsets, others=True)
    assert found
    times = [found[number][0] if number in found else 1 << 62 for number in range(1, len(offsets) + 1)]
    assert times == sorted(times, reverse=True)
    assert run(mine, offsets, others=False) == found
