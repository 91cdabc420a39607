"""The sample recordings as they are: readable in full, in order, with contracts that end on trading days."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mbtd.market.calendar import Calendar
from mbtd.market.recordings import open_recordings

DIRECTORY = Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
NAMES = (
    "20131007-equities",
    "20140605-twx-options",
    "20140606-aapl",
    "20140609-aapl",
    "20151224-goog-options",
    "20230803-spy-options",
)
CALENDAR = Calendar()


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_day_reads_whole(name: str) -> None:
    path = DIRECTORY / f"{name}.ndjson.gz"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    recording = open_recordings([path])
    last = count = 0
    for message in recording.messages():
        assert message.at >= last
        last = message.at
        count += 1
    assert (count, last) == (recording.count, recording.last_at)
    for instrument in recording.instruments(CALENDAR):
        if instrument.asset_class == "us_option":
            assert CALENDAR.is_exchange_day(instrument.expiry_date)
    assert list(recording.messages(count - 3)) == list(recording.messages())[-3:]
