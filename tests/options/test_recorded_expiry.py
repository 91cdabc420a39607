"""The half day of 2015-12-24 as it was recorded: contracts on GOOG that end that day, held to the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.book import events as e
from actors.house.state import HOUSE_NO
from mbtd.market.feeds.replay import with_sessions
from mbtd.market.recordings import open_recordings
from tests.money.rig import when
from tests.options.rig import CALENDAR
from tests.options.stage import of_recording

DIRECTORY = Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
FILE = DIRECTORY / "20151224-goog-options.ndjson.gz"


@pytest.mark.skipif(not FILE.exists(), reason="recordings are not here")
def test_contracts_held_over_the_recorded_half_day_are_settled_at_its_close() -> None:
    recording = open_recordings([FILE])
    stage = of_recording(recording)
    ends = [i for i in stage.instruments if i.settlement_date == 20151224]
    by_terms = {(i.strike // 10_000, i.right): i for i in ends}
    low, high = by_terms[700, "call"], by_terms[800, "call"]
    put, short_put = by_terms[800, "put"], by_terms[700, "put"]
    account = stage.account(1_000_000, (low, 1), (high, -1), (put, 2), (short_put, -3))
    tape = list(with_sessions(recording.messages(), CALENDAR, stage.now + 1, when("2015-12-24 20:00")))
    prints = [m for m in tape if getattr(m, "symbol", "") == "GOOG" and hasattr(m, "price")]
    close = [m for m in prints if m.at <= when("2015-12-24 13:00")][-1].price
    for message in tape:
        stage.engine.tape(message)
    stage.engine.run_timers_through(when("2015-12-24 20:00"))
    assert [(o.symbol, o.price, o.source) for o in stage.events(HOUSE_NO, e.OfficialPriced)] == [
        ("GOOG", close, "print")
    ]
    assert 7_000_000 < close < 8_000_000
    assert stage.held(account) == {"GOOG": 100 - 200}
    settled = [step.at for step in stage.engine.steps if any("OPEXC" in repr(s) for s in step.sections)]
    assert settled == [when("2015-12-24 14:30")]
    assert stage.cash(account) == 1_000_000 - 200 + 200 - 400 + 600 - 70_000 + 160_000
    assert not stage.book(account).quarantined
