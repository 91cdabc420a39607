"""A start after days of standstill: what fell due happens as if it had run on, without looking where nothing moved."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book import margin_call
from actors.commands import PlaceOrder
from actors.inputs import encode
from tests.money.rig import CALENDAR, SECOND, Bench, when

WAKES = "2026-08-06 10:00"
STEP_NS = 29 * SECOND
"""Less than two looks are apart: nothing can be passed over."""


def _begun(fall: float) -> Bench:
    """Two leveraged accounts and one that is not, and a price that fell at the last moment."""
    bench = Bench("2026-08-03 09:31")
    for symbol in ("AAA", "BBB"):
        bench.quote(symbol, 100, 100.01)
    long, short, calm = (bench.account() for _ in range(3))
    bench.order(long, "buy", "1800")
    bench.order(short, "sell", "900", "BBB")
    bench.order(calm, "buy", "10")
    limit = {"type": "limit", "limit_price": "1.00", "time_in_force": "day"}
    bench.do(long, PlaceOrder(symbol="AAA", side="buy", qty="1", **limit))  # type: ignore[arg-type]
    bench.quote("AAA", 100 - fall, 100.01 - fall)
    bench.quote("BBB", 100 + fall, 100.01 + fall)
    assert not bench.engine.failures
    return bench


def _wake(bench: Bench, step_ns: int) -> None:
    """Let the time pass in steps, with every change of the session."""
    until = when(WAKES)
    changes = list(CALENDAR.changes(bench.now + 1, until))
    for session in changes:
        while step_ns and bench.now + step_ns < session.at:
            bench.now += step_ns
            bench.engine.run_timers_through(bench.now)
        bench.engine.tape(session)
        bench.now = session.at
    while step_ns and bench.now + step_ns < until:
        bench.now += step_ns
        bench.engine.run_timers_through(bench.now)
    bench.engine.run_timers_through(until)


@pytest.mark.parametrize("fall", [0.0, 20.0, 35.0])
def test_one_leap_is_the_same_as_every_half_minute(fall: float, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [0]
    real = margin_call.look

    def counted(*args: Any) -> None:
        looks[0] += 1
        real(*args)

    monkeypatch.setattr(margin_call, "look", counted)
    slow, fast = _begun(fall), _begun(fall)
    looks[0] = 0
    _wake(slow, STEP_NS)
    every, looks[0] = looks[0], 0
    _wake(fast, 0)
    assert encode(fast.engine.steps) == encode(slow.engine.steps)
    assert encode(fast.engine.books) == encode(slow.engine.books)
    assert not fast.engine.failures
    assert looks[0] <= every < 200
