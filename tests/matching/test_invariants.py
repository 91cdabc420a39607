"""Invariants of fill model §20 that no other room states: 4 (taking, the near side, latency), 10 (prints), 12 (a constant
quote)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.book import events as e
from actors.book.units import QTY_PER_SHARE
from actors.market.messages import FeedState
from tests.matching.stage import CALL, Stage
from tests.oracle.rig import MS, feed, open_engine
from tests.oracle.scripts import ACCOUNTS, profile, script_of, scripts

EQUAL_LATENCY = {"latency_base_ms": 0, "latency_jitter_ms": 0}
RULES = ("realistic", "conservative", "alpaca-parity")
WALK = st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4), st.integers(1, 900)), min_size=1, max_size=12)


# ── 10: one print ────────────────────────────────────────────────────────────────────────────────────────────


def taken_from_prints(script: list[Any], bars: bool) -> int:
    """Prints of which something was taken; none gave an account more than it may have of it."""
    engine = open_engine(ACCOUNTS)
    if bars:
        engine.world.feed = "replay"
    for item in script:
        feed(engine, replace(item, feed="replay") if bars and isinstance(item, FeedState) else item)
    taken: dict[tuple[int, int], int] = {}
    for step in engine.steps:
        for section in step.sections:
            for event in section.events:
                if not isinstance(event, e.OrderFilled) or event.reason not in ("queue", "print_through"):
                    continue
                proof = event.evidence
                key = (section.account_no, proof.tape_seq)
                taken[key] = taken.get(key, 0) + event.qty
                rules = engine.profiles.get(proof.profile)
                assert rules is not None
                part = rules.bar_print_ppm if bars else 1_000_000
                assert taken[key] <= proof.print_size * part // 1_000_000 * QTY_PER_SHARE
    return len(taken)


@profile(120)
@given(scripts(30, 100), st.booleans())
def test_one_print_gives_an_account_no_more_than_its_size_or_its_part_of_a_bar(script: list[Any], bars: bool) -> None:
    taken_from_prints(script, bars)


def test_such_sessions_do_take_from_prints() -> None:
    for bars in (False, True):
        assert sum(taken_from_prints(script_of(seed, 90), bars) for seed in range(40)) > 5


# ── 4: monotone ──────────────────────────────────────────────────────────────────────────────────────────────


@profile(120)
@given(
    st.sampled_from(RULES), st.sampled_from(("buy", "sell")), WALK, st.integers(0, 5), st.integers(2, 40),
    st.sampled_from(("AAA", CALL.symbol)),
)  # fmt: skip
def test_an_order_that_can_trade_on_arrival_never_pays_more_than_taking(
    rules: str, side: str, walk: list[tuple[int, int, int]], beyond: int, size: int, symbol: str
) -> None:
    def first(limited: bool) -> tuple[int, int]:
        stage = Stage(rules, **EQUAL_LATENCY, partial_ppm=0)
        step = 1 if symbol == "AAA" else 5
        middle = 1_000
        for shift, width, pause in walk:
            middle += shift * step
            bid, ask = middle - width * step, middle + width * step
            stage.quote(990, 1010, sizes=(500, 500)) if symbol != "AAA" else None
            stage.quote(bid, ask, pause * MS, (size, size), symbol)
        limit = ask + beyond * step if side == "buy" else bid - beyond * step
        stage.plant(side, 1, limit if limited else 0, symbol)
        stage.wait(10_000 * MS)
        (fill, *_) = stage.events(e.OrderFilled)
        return fill.evidence.tape_seq, fill.price if side == "buy" else -fill.price

    when, cost = first(True)
    taken_when, taken_cost = first(False)
    assert when <= taken_when
    assert cost <= taken_cost


@profile(120)
@given(
    st.sampled_from(("realistic", "conservative")),
    st.lists(
        st.tuples(st.sampled_from(("quote", "print", "through")), st.integers(1, 300), st.integers(1, 900)),
        min_size=1, max_size=15,
    ),
    st.integers(1, 300),
    st.integers(1, 200),
)  # fmt: skip
def test_a_larger_near_side_never_fills_a_joined_order_sooner(
    name: str, walk: list[tuple[str, int, int]], near: int, more: int
) -> None:
    def first_fill(extra: int) -> int:
        stage = Stage(name, **EQUAL_LATENCY)
        stage.quote(998, 1002, sizes=(near + extra, 50))
        stage.plant(limit=998, qty=5)
        for index, (kind, size, pause) in enumerate(walk):
            stage.wait(pause * MS)
            if kind == "quote":
                stage.quote(998, 1002, MS, (size + extra, 50))
            else:
                stage.trade(998 if kind == "print" else 997, size)
            if stage.fills():
                return index
        return len(walk)

    assert first_fill(more) >= first_fill(0)


@profile(120)
@given(st.sampled_from(RULES), st.sampled_from(("buy", "sell")), WALK, st.integers(0, 2_000), st.integers(0, 2_000))
def test_lower_latency_never_sees_later_quotes(
    rules: str, side: str, walk: list[tuple[int, int, int]], latency_ms: int, more_ms: int
) -> None:
    """Of market orders, which trade when they arrive: a resting one may be passed over by what came in between."""

    def seen(wait_ms: int) -> int:
        stage = Stage(rules, **EQUAL_LATENCY, partial_ppm=0)
        stage.quote(999, 1001, sizes=(500, 500))
        stage.plant(side, 1, live_after=wait_ms * MS)
        middle = 1_000
        for shift, width, pause in walk:
            middle += shift
            stage.quote(middle - width, middle + width, pause * MS, (500, 500))
        stage.wait(5_000 * MS)
        (fill,) = stage.events(e.OrderFilled)
        return int(fill.evidence.quote_seq)

    assert seen(latency_ms) <= seen(latency_ms + more_ms)


# ── 12: a constant quote ─────────────────────────────────────────────────────────────────────────────────────


@profile(120)
@given(
    st.sampled_from(("buy", "sell")), st.integers(1, 6), st.integers(1, 60), st.integers(1, 200), st.integers(-8, 8),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_on_a_constant_quote_a_careful_profile_never_fills_earlier_or_cheaper(
    side: str, width: int, size: int, qty: int, away: int, market: bool, option: bool
) -> None:
    def fills(name: str) -> list[tuple[int, int]]:
        stage = Stage(name, **EQUAL_LATENCY)
        step, symbol = (5, CALL.symbol) if option else (1, "AAA")
        stage.quote(990, 1010, sizes=(500, 500)) if option else None
        for index in range(6):
            stage.quote(1_000, 1_000 + width * step, 3_000 * MS, (size, size), symbol)
            if index == 0:
                stage.plant(side, qty, 0 if market else 1_000 + away * step, symbol)
        stage.wait(10_000 * MS)
        sign = 1 if side == "buy" else -1
        return [
            (step.at, sign * event.price)
            for step in stage.engine.steps
            for section in step.sections
            for event in section.events
            if isinstance(event, e.OrderFilled)
        ]

    careful, realistic = fills("conservative"), fills("realistic")
    if careful:
        assert realistic
        assert careful[0][0] >= realistic[0][0]
        assert careful[0][1] >= realistic[0][1]
