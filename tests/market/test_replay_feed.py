"""The replay feed on trio's virtual clock: same tape at any speed, paced, sessions in their places."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import trio

from actors.book.units import NS_PER_SECOND, format_time, parse_time
from actors.market.messages import FeedState, Session
from mbtd.market.calendar import Calendar
from mbtd.market.feed import Feed
from mbtd.market.feeds.replay import ReplayFeed, with_sessions
from mbtd.market.recordings import Recording, open_recordings

from .conftest import Sink

CALENDAR = Calendar()
OPEN = parse_time("2014-06-05T13:30:00Z")
END = parse_time("2014-06-06T00:00:00Z")


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "day.gz"
    lines = [
        {"T": "t", "S": "A", "p": 1.5, "s": n, "t": format_time(OPEN + (n - 60) * 10 * NS_PER_SECOND)}
        for n in range(120)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    return open_recordings([path])


@pytest.mark.trio
@pytest.mark.parametrize("speed", [0, 1, 60.0, 3600])
async def test_every_speed_plays_the_same_tape(
    recording: Recording, sink: Sink, autojump_clock: object, speed: float
) -> None:
    feed: Feed = ReplayFeed(recording, CALENDAR, speed=speed)
    began = trio.current_time()
    await feed.run(sink)
    up = FeedState("up", recording.first_at, "replay")
    expected = list(with_sessions(recording.messages(), CALENDAR, recording.first_at, END))
    assert sink.messages == [expected[0], up, *expected[1:]]
    phases = [(m.phase, m.at) for m in sink.messages if isinstance(m, Session)]
    assert phases[0] == ("pre", recording.first_at)
    assert phases[1] == ("core", OPEN)
    assert phases[-1] == ("overnight", END)
    assert (feed.status().state, feed.now()) == ("ended", END)
    assert feed.status().messages == len(sink.messages)
    took = (END - recording.first_at) / NS_PER_SECOND / speed if speed else 0
    assert trio.current_time() - began == pytest.approx(took, abs=0.01)


def test_session_comes_before_the_message_of_its_instant(recording: Recording) -> None:
    tape = list(with_sessions(recording.messages(), CALENDAR, recording.first_at, END))
    place = next(n for n, m in enumerate(tape) if isinstance(m, Session) and m.phase == "core")
    assert tape[place - 1].at < OPEN == tape[place + 1].at


@pytest.mark.trio
async def test_tape_time_moves_between_messages(recording: Recording, sink: Sink, autojump_clock: object) -> None:
    feed = ReplayFeed(recording, CALENDAR, speed=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(7)
        assert feed.now() == recording.first_at + 14 * NS_PER_SECOND
        assert sum(m.at > feed.now() for m in sink.messages) == 0
        assert feed.status().state == "live"
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_slow_reader_holds_the_fastest_replay_back(
    recording: Recording, sink: Sink, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mbtd.market.feeds.replay._BATCH", 10)
    sink.held = 10**6
    feed = ReplayFeed(recording, CALENDAR, speed=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run, sink)
        await trio.sleep(5)
        assert sink.pushes == 1
        sink.held = 0
    assert len(sink.messages) > recording.count


@pytest.mark.trio
@pytest.mark.parametrize("speed", [0, 60.0])
async def test_a_restart_goes_on_where_the_tape_had_come_to(
    tmp_path: Path, sink: Sink, autojump_clock: object, speed: float
) -> None:
    path = tmp_path / "day.gz"
    lines = [
        {
            "T": "q",
            "S": "AB"[n % 2],
            "bp": n,
            "bs": 1,
            "ap": n + 1,
            "as": 1,
            "t": format_time(OPEN + n * NS_PER_SECOND),
        }
        for n in range(1, 61)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    recording = open_recordings([path])
    at = OPEN + 30 * NS_PER_SECOND
    feed = ReplayFeed(recording, CALENDAR, speed=speed)
    feed.go_on(at)
    assert feed.now() == at
    began = trio.current_time()
    await feed.run(sink)
    session, up, *tape = sink.messages
    assert isinstance(session, Session)
    assert (session.phase, session.at, up) == ("core", at, FeedState("up", at, "replay"))
    seconds = [(m.at - OPEN) // NS_PER_SECOND for m in tape if not isinstance(m, Session)]
    # What stood in the market then, and everything behind it.
    assert seconds == [29, 30, *range(31, 61)]
    assert feed.now() == END
    assert trio.current_time() - began == pytest.approx((END - at) / NS_PER_SECOND / speed if speed else 0, abs=0.01)
