"""Plays recordings as a live feed, with tape time as the market's clock (``mbtd serve --feed replay``).

Invariants: the order of messages depends on the recordings and the calendar only, never on the speed or the
wall clock; a session change comes before the messages of its instant (architecture.md §3, time rule); the
last trade date is played through 20:00 New York. After a restart it goes on at the instant that the daemon had come
to, with the last quote of every symbol from before, so that time never steps back.

Known limits: the whole tape is sent; a subscription changes nothing. Messages between the last thing that the daemon
put on disk and its end are sent again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import time
from itertools import chain
from typing import Final

import anyio

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_MS, NS_PER_SECOND
from actors.market.messages import DataClass, FeedState, Quote, TapeMessage
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


def _from(messages: Iterator[TapeMessage], after: int) -> tuple[list[TapeMessage], Iterator[TapeMessage]]:
    """The last quote of each symbol up to ``after``, and the tape behind it."""
    quotes: dict[str, TapeMessage] = {}
    for message in messages:
        if message.at > after:
            return list(quotes.values()), chain((message,), messages)
        if isinstance(message, Quote):
            quotes.pop(message.symbol, None)
            quotes[message.symbol] = message
    return list(quotes.values()), iter(())


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
        self._now = self._begin = recording.first_at
        self._tape_anchor = recording.first_at
        self._wall_anchor: float | None = None
        self._status = FeedStatus("connecting", since=recording.first_at, reason="the replay has not begun")

    def go_on(self, at: int) -> None:
        """Begin at ``at``, up to which an earlier run has played; before :meth:`run` only."""
        if at > self._begin:
            self._now = self._begin = self._tape_anchor = at

    def reference(self) -> list[Instrument]:
        """The instruments of the recording."""
        return self._recording.instruments(self.calendar)

    def attributes(self, symbol: str) -> tuple[str, ...]:
        """A recording marks nothing."""
        return ()

    def with_figures(self, contracts: Sequence[Instrument]) -> list[Instrument]:
        """As they are."""
        return list(contracts)

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
        begin, until = self._begin, last_roll(recording.last_at, self.calendar)
        before, messages = _from(recording.messages(), begin if begin > recording.first_at else begin - 1)
        self._wall_anchor = anyio.current_time()
        self._status = FeedStatus("live", since=begin)
        first: TapeMessage = FeedState("up", begin, self.name)
        tape = with_sessions(messages, self.calendar, begin, until)
        batch = [next(tape), first, *before]
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
            self._now = max(self._now, batch[-1].at)
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
