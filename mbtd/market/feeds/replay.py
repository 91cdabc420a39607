"""Plays recordings as a live feed, with tape time as the market's clock (``mbtd serve --feed replay``).

Invariants: the order of messages depends on the recordings and the calendar only, never on the speed or the
wall clock; a session change comes before the messages of its instant (architecture.md §3, time rule); the
last trade date is played through 20:00 New York.

Known limits: the whole tape is sent; a subscription changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import time
from typing import Final

import anyio

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_MS, NS_PER_SECOND
from actors.market.messages import DataClass, FeedState, TapeMessage
from mbtd.market.calendar import Calendar, new_york_date, new_york_ns, to_date
from mbtd.market.feed import FeedSink, FeedStatus, SessionSource
from mbtd.market.recordings import Recording

_BATCH: Final = 512
_BACKLOG_LIMIT: Final = 8_192
_LOOK_AHEAD_NS: Final = 5 * NS_PER_MS
"""Messages closer together than this, in wall time, are sent in one go."""


def with_sessions(
    messages: Iterable[TapeMessage], calendar: Calendar, start: int, until: int
) -> Iterator[TapeMessage]:
    """Put session changes into a tape: the session in force at ``start`` first, then each in its place.

    After the last message, the changes up to and including ``until`` follow.
    """
    sessions = SessionSource(calendar, start)
    for message in messages:
        while sessions.next_at <= message.at:
            yield sessions.take()
        yield message
    while sessions.next_at <= until:
        yield sessions.take()


def last_roll(last_at: int, calendar: Calendar) -> int:
    """20:00 New York of the trade date in force at ``last_at``: where a replay ends."""
    roll = time(20)
    session = calendar.session_at(last_at)
    if session.phase == "closed":
        return max(last_at, new_york_ns(new_york_date(last_at), roll))
    return max(last_at, new_york_ns(to_date(session.trade_date), roll))


class ReplayFeed:
    """A recording as a feed. ``speed`` is tape seconds a wall second; 0 is as fast as the reader takes it."""

    name: Final = "replay"
    data_class: Final[DataClass] = "real_time"

    def __init__(self, recording: Recording, calendar: Calendar, *, speed: float = 1.0) -> None:
        if not 0 <= speed < float("inf"):
            raise ValueError("speed must be 0 or more")
        self.calendar = calendar
        self._recording = recording
        self._speed = speed
        self._now = recording.first_at
        self._tape_anchor = recording.first_at
        self._wall_anchor: float | None = None
        self._status = FeedStatus("connecting", since=recording.first_at, reason="the replay has not begun")

    def reference(self) -> list[Instrument]:
        """The instruments of the recording."""
        return self._recording.instruments(self.calendar)

    def subscribe(self, symbols: Collection[str]) -> None:
        """Ignored: the whole tape is sent."""

    def unsubscribe(self, symbols: Collection[str]) -> None:
        """Ignored: the whole tape is sent."""

    def status(self) -> FeedStatus:
        """How far the replay has come."""
        return self._status

    def now(self) -> int:
        """Tape time: moves with the wall clock at the replay's speed; at speed 0, the newest's."""
        if self._wall_anchor is None or not self._speed or self._status.state == "ended":
            return self._now
        return max(self._now, self._tape_time())

    async def run(self, sink: FeedSink) -> None:
        """Play the recording once, then return."""
        recording = self._recording
        until = last_roll(recording.last_at, self.calendar)
        self._wall_anchor = anyio.current_time()
        self._status = FeedStatus("live", since=recording.first_at)
        first: TapeMessage = FeedState("up", recording.first_at, self.name)
        tape = with_sessions(recording.messages(), self.calendar, recording.first_at, until)
        batch = [next(tape), first]
        for message in tape:
            if len(batch) >= _BATCH or (self._speed and self._wait_for(message.at) > 0):
                await self._deliver(sink, batch)
                batch = []
                await self._pace(sink, message.at)
            batch.append(message)
        await self._deliver(sink, batch)
        self._now = max(self._now, until)
        old = self._status
        reason = "the recording has been played to its end"
        self._status = FeedStatus("ended", self._now, old.last_message_at, old.messages, reason)

    async def _deliver(self, sink: FeedSink, batch: list[TapeMessage]) -> None:
        if batch:
            sink.push(batch)
            self._now = batch[-1].at
            old = self._status
            self._status = FeedStatus("live", old.since, self._now, old.messages + len(batch))

    async def _pace(self, sink: FeedSink, at: int) -> None:
        """Wait until ``at`` is due and the reader keeps up; always lets others run."""
        await anyio.sleep(max(0.0, self._wait_for(at)) if self._speed else 0)
        while sink.backlog() > _BACKLOG_LIMIT:  # noqa: ASYNC110 (the sink has no event to wait for)
            await anyio.sleep(0.001)

    def _wait_for(self, at: int) -> float:
        """Wall seconds until tape time ``at``, less the look-ahead; only at a speed above 0."""
        wait = (at - self._tape_time()) / NS_PER_SECOND / self._speed
        return wait if wait * NS_PER_SECOND > _LOOK_AHEAD_NS else 0.0

    def _tape_time(self) -> int:
        assert self._wall_anchor is not None
        passed = anyio.current_time() - self._wall_anchor
        return self._tape_anchor + int(passed * self._speed * NS_PER_SECOND)
