"""The one interface of all feeds, and the state in which a feed can be.

Invariants: a feed pushes messages in tape order and never waits inside a push; what the book may know of a
feed's health it learns from :class:`FeedState` messages on the tape, while :class:`FeedStatus` is for people.
A feed that can outrun its reader looks at :meth:`FeedSink.backlog` and holds back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.market.messages import DataClass, Session, TapeMessage
from mbtd.market.calendar import Calendar

FeedStateName = Literal[
    "connecting", "live", "limited", "stale", "down", "auth_failed", "refused", "stopped", "ended"
]
"""What each means stands in :data:`STATE_SENTENCES`; only ``live`` is healthy."""

STATE_SENTENCES: Final[dict[FeedStateName, str]] = {
    "connecting": "The feed is connecting; orders wait for their first live quote.",
    "live": "Quotes arrive.",
    "limited": "Quotes arrive, but the server refused some symbols; their orders wait.",
    "stale": "The connection stands, but nothing comes; nothing fills until it does.",
    "down": "The connection is lost and is being tried again; nothing fills meanwhile.",
    "auth_failed": "The server refuses the key pair; nothing fills until it is corrected and the daemon restarted.",
    "refused": "The server refuses the stream for good; nothing fills until its cause is removed.",
    "stopped": "The feed is not running; nothing fills.",
    "ended": "The recording has ended; nothing fills any more.",
}


class FeedStatus(Struct, frozen=True):
    """How a feed is, for ``health.get``, ``mbtd status`` and the console."""

    state: FeedStateName
    since: int
    """Nanoseconds UTC of the change into this state, on the feed's own clock."""
    last_message_at: int = 0
    """Nanoseconds UTC of the newest message, on the feed's own clock; 0 before the first."""
    messages: int = 0
    """Pushed since the feed was started."""
    reason: str = ""
    """One sentence, when the state is not ``live``."""

    def message_age_ns(self, now: int) -> int | None:
        """Age of the newest message; ``None`` before the first."""
        return now - self.last_message_at if self.last_message_at else None


class FeedSink(Protocol):
    """Where a feed delivers: the writer's end of the tape."""

    def push(self, messages: Sequence[TapeMessage]) -> None:
        """Append to the tape, in order. Never waits."""

    def push_reference(self, instruments: Sequence[Instrument]) -> None:
        """Add or replace reference data, ahead of the messages that follow. Never waits."""

    def backlog(self) -> int:
        """Messages pushed that the engine has not taken yet."""


class Feed(Protocol):
    """A source of market data."""

    @property
    def name(self) -> str:
        """Short and stable: ``synthetic``, ``replay``, ``alpaca``."""

    @property
    def data_class(self) -> DataClass:
        """What a deployment may do with the data (entitlement)."""

    @property
    def calendar(self) -> Calendar:
        """The calendar that the feed's market keeps."""

    def reference(self) -> list[Instrument]:
        """The instruments known now."""

    def attributes(self, symbol: str) -> tuple[str, ...]:
        """How the source marks an asset, in Alpaca's words; what follows from listed contracts need not be there."""

    def with_figures(self, contracts: Sequence[Instrument]) -> list[Instrument]:
        """Contracts with their open interest and last close, where the market makes these when they are asked for.

        A feed whose source tells them, or nobody, gives the records back as they are. May compute for a while: to be
        called in a thread.
        """

    def subscribe(self, symbols: Collection[str]) -> None:
        """Ask for symbols; a feed that always sends everything ignores it."""

    def unsubscribe(self, symbols: Collection[str]) -> None:
        """Take a request back."""

    def status(self) -> FeedStatus:
        """The present state; cheap."""

    def now(self) -> int:
        """The market's time in nanoseconds UTC: the wall clock for live feeds, tape time in a replay."""

    async def run(self, sink: FeedSink) -> None:
        """Deliver, session changes included, until cancelled or until the source ends for good."""


class SessionSource:
    """Hands out each session change of a calendar once, for feeds that put them before their messages."""

    __slots__ = ("_calendar", "_next")

    def __init__(self, calendar: Calendar, start: int) -> None:
        """The first message handed out is the session in force at ``start``."""
        self._calendar = calendar
        self._next = calendar.session_at(start)

    @property
    def next_at(self) -> int:
        """Instant of the next change."""
        return self._next.at

    def take(self) -> Session:
        """The next change."""
        session = self._next
        self._next = self._calendar.next_change(session.at)
        return session
