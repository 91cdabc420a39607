"""Invariants 4 and 12 of fill model §20: more generous never later, careful never more than realistic."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.book import events as e
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import QTY_PER_SHARE, format_price
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import FeedState, Quote, Status
from mbtd.market.calendar import Calendar
from mbtd.market.feeds.replay import with_sessions
from mbtd.market.recordings import open_recordings
from tests.bench.passive import RECORDINGS
from tests.matching.stage import Stage
from tests.oracle.rig import MS
from tests.oracle.scripts import profile

RECORDING = RECORDINGS / "20131007-equities.ndjson.gz"
EQUAL_LATENCY = {"latency_base_ms": 0, "latency_jitter_ms": 0}


class Compared(RuleBasedStateMachine):
    """The same resting order and the same tape under two profiles, looked at after every message.

    One order a run: orders of one account compete for what is shown, and then a careful profile can leave to the
    second what a realistic one has given to the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = {name: Stage(name, **EQUAL_LATENCY) for name in ("realistic", "conservative")}
        self.middle = 1000
        self.each("quote", 999, 1001)

    def each(self, what: str, *args: Any, **more: Any) -> None:
        for stage in self.stages.values():
            getattr(stage, what)(*args, **more)

    @precondition(lambda self: all(stage.book.next_order_no == 1 for stage in self.stages.values()))
    @rule(cents=st.integers(-3, 3), side=st.sampled_from(("buy", "sell")), qty=st.sampled_from((1, 5, 40, 300)))
    def rest(self, cents: int, side: str, qty: int) -> None:
        limit = self.middle + (-abs(cents) if side == "buy" else abs(cents))
        quote = self.stages["realistic"].engine.world.board.slots["AAA"].quote
        assert quote is not None
        if quote.ask <= limit * 100 if side == "buy" else quote.bid >= limit * 100:
            return
        self.each("plant", side, qty, limit)

    @rule(
        step=st.sampled_from((-2, -1, 0, 0, 1, 2)), width=st.integers(1, 2), sizes=st.tuples(*[st.integers(1, 400)] * 2),
        after=st.sampled_from((MS, 100 * MS, 300 * MS, 1_100 * MS, 3_000 * MS)),
    )  # fmt: skip
    def quote(self, step: int, width: int, sizes: tuple[int, int], after: int) -> None:
        self.middle += step
        self.each("quote", self.middle - width, self.middle + width, after, sizes)

    @rule(cents=st.integers(-2, 2), size=st.sampled_from((1, 100, 300, 900)), conditions=st.sampled_from(("@", "@I")))
    def trade(self, cents: int, size: int, conditions: str) -> None:
        self.each("trade", self.middle + cents, size, conditions)

    @rule(
        restricted=st.booleans(),
        band=st.sampled_from((0, 0, 0, 5)),
        state=st.sampled_from(("trading",) * 4 + ("halted",)),
    )
    def status(self, restricted: bool, band: int, state: Any) -> None:
        low, high = ((self.middle - band) * 100, (self.middle + band) * 100) if band else (0, 0)
        for stage in self.stages.values():
            stage.send(Status("AAA", state, stage.at, "", low, high, restricted))

    @rule(state=st.sampled_from(("gap", "lagging")))
    def feed(self, state: Any) -> None:
        for stage in self.stages.values():
            stage.send(FeedState(state, stage.at, "sip"))

    @rule(ns=st.sampled_from((100 * MS, 500 * MS, 1_000 * MS)))
    def wait(self, ns: int) -> None:
        self.each("wait", ns)

    @invariant()
    def careful_never_has_more(self) -> None:
        filled = {name: self.filled(stage) for name, stage in self.stages.items()}
        for order_no, qty in filled["conservative"].items():
            assert qty <= filled["realistic"].get(order_no, 0), order_no

    def filled(self, stage: Stage) -> dict[int, int]:
        found: dict[int, int] = {}
        for event in stage.events(e.OrderFilled):
            found[event.order_no] = found.get(event.order_no, 0) + event.qty
        return found


TestCompared = Compared.TestCase
TestCompared.settings = profile(60)


@pytest.mark.skipif(not RECORDING.is_file(), reason=f"{RECORDING} is missing")
@pytest.mark.parametrize("name", ["realistic", "conservative", "alpaca-parity"])
def test_on_a_recorded_day_a_better_limit_fills_no_later_and_careful_profiles_no_sooner(name: str) -> None:
    """Monotony in the limit, and isolation: every order has an account of its own, so the rest may not matter."""
    recording = open_recordings([RECORDING])
    calendar = Calendar()
    opens_at = calendar.session_at(recording.first_at).core_opens_at
    tape = list(with_sessions(recording.messages(), calendar, recording.first_at, recording.last_at))
    start = next(number for number, m in enumerate(tape) if m.at > opens_at + 600_000 * MS)
    part = tape[:start] + list(itertools.takewhile(lambda m: m.at < opens_at + 900_000 * MS, tape[start:]))
    random = Random(5)
    moments = sorted(random.sample(range(start, len(part) - 200), 40))
    rungs = (-2, -1, 0, 1, 2)

    def run(kept: range) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
        custom = {"even": {"base": name, **EQUAL_LATENCY, "partial_ppm": 0}}
        engine = Engine(b"m" * 32, Profiles(custom), instruments=recording.instruments(calendar))
        engine.world.feed = "replay"
        owners: dict[int, tuple[int, int]] = {}
        found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for number, message in enumerate(part):
            engine.tape(message)
            if number in moments and isinstance(message, Quote) and message.bid and message.ask:
                place = moments.index(number)
                for rung in rungs if place in kept else ():
                    action = CreateAccount(name=f"{place}/{rung}", cash="10000000", profile="even")
                    opened: Any = engine.command(0, action, message.at, Envelope(), Issued(b"%032d" % place))
                    owners[opened.account_no] = (place, rung)
                    limit = format_price(message.bid + rung * 100)
                    order = PlaceOrder(symbol=message.symbol, qty="300", side="buy", type="limit", limit_price=limit)
                    engine.command(opened.account_no, order, message.at, Envelope())
        for step in engine.steps:
            for section in step.sections:
                for event in section.events:
                    if isinstance(event, e.OrderFilled):
                        fills = found.setdefault(owners[section.account_no], [])
                        fills.append((step.at, event.qty, event.price))
        assert not any(book.quarantined for book in engine.books.values())
        return found

    found = run(range(len(moments)))
    assert found
    for place in range(len(moments)):
        firsts = [found[place, rung][0][0] if (place, rung) in found else 1 << 62 for rung in rungs]
        assert firsts == sorted(firsts, reverse=True), (place, firsts)
        for rung in rungs:
            assert sum(qty for _, qty, _ in found.get((place, rung), [])) <= 300 * QTY_PER_SHARE
    some = range(0, len(moments), 7)
    assert run(some) == {key: fills for key, fills in found.items() if key[0] in some}


@profile(150)
@given(
    st.sampled_from(("realistic", "conservative")),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 3), st.integers(50, 900), st.integers(0, 3)), max_size=15),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_a_larger_far_side_never_fills_less(
    name: str, walk: list[tuple[int, int, int, int]], size: int, more: int
) -> None:
    def filled(far: int) -> int:
        stage = Stage(name, **EQUAL_LATENCY, consume_half_life_ms=0)
        stage.quote(998, 1002, sizes=(50, far))
        stage.plant(limit=1001, qty=100)
        for shift, width, pause, print_ in walk:
            stage.quote(1000 + shift - width, 1000 + shift, pause * MS, (50, far))
            if print_:
                stage.trade(1000 + shift, 100 * print_)
        stage.wait(5_000 * MS)
        return sum(qty for qty, _, _ in stage.fills())

    assert filled(size + more) >= filled(size)
