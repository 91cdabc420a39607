"""Bookings as activity rows (alpaca-api §4.5)."""

from __future__ import annotations

import msgspec

from actors.book import events as e
from actors.commands import ExercisePosition
from mbtd.records.activities import activity_id_of, render_activity
from tests.options.test_exercise_command import CALL, NOON, do, opened


def test_shares_of_an_exercise_have_the_strike_as_their_price() -> None:
    engine = opened(25_000, (CALL, 3))
    engine.take_steps()
    do(engine, ExercisePosition(symbol=CALL.symbol, qty="2"))
    events = [event for step in engine.take_steps() for section in step.sections for event in section.events]
    booked = [event for event in events if isinstance(event, e.ActivityBooked)]
    removed, shares = (
        render_activity(
            (1, event.activity_no, activity_id_of(1, event.activity_no, NOON), event.activity_type, NOON, 0,
             msgspec.msgpack.encode(event)),
            "account",
        )
        for event in booked
    )  # fmt: skip
    assert (shares["activity_type"], shares["qty"], shares["price"], shares["net_amount"]) == (
        "OPTRD", "200", "100", "-20000",
    )  # fmt: skip
    assert removed["activity_type"] == "OPEXC"
    assert "price" not in removed
    assert removed["group_id"] == shares["group_id"]
