"""The recorded inputs run again: announcements, their instants and everything that came of them, to the byte."""

from __future__ import annotations

from typing import Any

from actors.commands import PlaceOrder
from mbtd.jobs.redecide import _Again
from tests.corporate.rig import Stage, past_of
from tests.corporate.test_lives import DIVIDEND, MERGER, SPLIT


def test_redecide_comes_to_the_same_bytes() -> None:
    stage = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    told: list[tuple[int, Any]] = [(1, stage.engine.world.session)]
    whole = stage.engine.tape

    def tape(message: Any) -> None:
        told.append((stage.engine.world.tape_seq + 1, message))
        whole(message)

    stage.engine.tape = tape  # type: ignore[method-assign]
    for symbol in ("AAA", "BBB"):
        stage.quote(symbol, 100)
    no = stage.account("50000")
    stage.order(no, "buy", "35")
    stage.announce(**SPLIT)
    stage.announce(**MERGER)
    stage.do(no, PlaceOrder(symbol="AAA", side="sell", qty="5", type="stop", stop_price="70.00", time_in_force="gtc"))
    stage.go("2026-08-06 10:00")
    stage.announce(**DIVIDEND)
    stage.quote("AAA", 34)
    stage.order(no, "sell", "12")
    stage.go("2026-08-10 10:00")
    stage.withdraw("s")
    stage.announce(**{**DIVIDEND, "rate": "0.5"})
    stage.go("2026-08-11 10:00")
    assert stage.engine.failures == []
    fresh = Stage("2026-08-03 10:00", ("AAA", "BBB"))
    fresh.engine.world.past = lambda *asked: past_of(stage.engine.steps, *asked)
    runner = _Again(fresh.engine, told[1:])
    for step in stage.engine.steps:
        runner.match(step)
    assert runner.compared == len(stage.engine.steps) > 15
