"""The tape as a stream for the gateway: ``tape.follow``, one lane and its symbols, in batches.

An event is ``{"topic": "tape:<lane>", "n", "m": [messages], "b": [[symbol, bar] …], "d": […]}`` with the messages in
the tape's own compact form, integers in the units of the book. Invariants: a quote is replaced by a newer one of its
symbol while it waits (at most ``FLUSH_S``, longer for a connection that does not keep up), prints never are; bars
of a minute come once, when it is over. Nothing is prepared while nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import anyio
import msgspec
from msgspec import Meta

from actors.market.messages import Quote, Status, TapeMessage, Trade
from mbtd.market.bars import MINUTE_NS, Bars
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.entitlement import LaneName
from mbtd.service.lanes import Lanes
from mbtd.service.reads import Params

_encode = msgspec.json.Encoder().encode
FLUSH_S: Final = 0.01
BEHIND_BYTES: Final = 512 * 1024
TRADES_WAITING_MAX: Final = 20_000
FOLLOWED_MAX: Final = 30_000
BATCH_MAX: Final = 2_000


class Follow(Params, frozen=True, kw_only=True):
    """From now on these symbols of a lane, instead of those before; unknown ones are passed over."""

    lane: LaneName
    symbols: Annotated[tuple[str, ...], Meta(max_length=FOLLOWED_MAX)] = ()
    everything: bool = False


class _Follower:
    """What waits for one connection in one lane."""

    __slots__ = ("everything", "n", "others", "quotes", "symbols")

    def __init__(self) -> None:
        self.symbols: frozenset[str] = frozenset()
        self.everything = False
        self.quotes: dict[str, Quote] = {}
        self.others: list[TapeMessage] = []
        self.n = 0

    def take(self, messages: Iterable[TapeMessage]) -> None:
        everything, symbols = self.everything, self.symbols
        for message in messages:
            kind = type(message)
            if kind is Quote:
                if everything or message.symbol in symbols:  # type: ignore[union-attr]
                    self.quotes[message.symbol] = message  # type: ignore[union-attr, assignment]
            elif (kind is Trade or kind is Status) and (everything or message.symbol in symbols):  # type: ignore[union-attr]
                self.others.append(message)


class TapeStream:
    """All followers of the tape."""

    def __init__(self, desk: Desk, lanes: Lanes) -> None:
        self._desk = desk
        self._core = desk.core
        self._lanes = lanes
        self._followers: dict[LaneName, dict[Session, _Follower]] = {"real_time": {}, "delayed": {}}
        self._minute: dict[LaneName, int] = {"real_time": 0, "delayed": 0}
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {"tape.follow": (Follow, self._follow)}

    @property
    def wanted(self) -> set[str]:
        """Symbols that somebody follows by name."""
        found: set[str] = set()
        for followers in self._followers.values():
            for follower in followers.values():
                found |= follower.symbols
        return found

    def _follow(self, session: Session, request_id: RequestId, params: Follow) -> None:
        followers = self._followers[params.lane]
        known = self._core.engine.world.instruments.by_symbol
        # Wishes of many strangers come in one list: one that nobody knows must not cost the others theirs.
        symbols = frozenset(params.symbols) & known.keys()
        for symbol in symbols:
            if self._core.interest is not None:
                self._core.interest.ask(symbol)
        if not symbols and not params.everything:
            followers.pop(session, None)
            self._desk.reply(session, request_id, {"n": 0})
            return
        follower = followers.setdefault(session, _Follower())
        fresh = symbols - follower.symbols if not follower.everything else frozenset[str]()
        follower.symbols, follower.everything = symbols, params.everything
        lane = self._lanes.of(params.lane)
        for symbol in fresh:
            shown = lane.look(symbol)
            if shown is not None and shown.quote is not None:
                follower.quotes[symbol] = shown.quote
        self._desk.reply(session, request_id, {"n": follower.n})

    def drop(self, session: Session) -> None:
        """Forget a session."""
        for followers in self._followers.values():
            followers.pop(session, None)

    def __call__(self, messages: Sequence[TapeMessage], first_seq: int) -> None:
        """The engine has applied these."""
        for follower in self._followers["real_time"].values():
            follower.take(messages)

    async def run(self) -> None:
        """Move the delayed lane and send what waits, until cancelled."""
        while True:
            await anyio.sleep(FLUSH_S)
            now = self._core.now()
            delayed = self._lanes.delayed
            fresh = delayed.advance(now)
            if fresh:
                for follower in self._followers["delayed"].values():
                    follower.take(fresh)
            self._flush("real_time", now, self._lanes.real_time.bars)
            self._flush("delayed", now - delayed.delay_ns, delayed.bars)

    def _flush(self, lane: LaneName, now: int, bars: Bars) -> None:
        followers = self._followers[lane]
        minute = now // MINUTE_NS
        ended = minute != self._minute[lane] and self._minute[lane] != 0
        self._minute[lane] = minute
        for session, follower in list(followers.items()):
            if session.waiting_bytes > BEHIND_BYTES and len(follower.others) < TRADES_WAITING_MAX:
                continue
            made, days = self._bars(follower, bars, (minute - 1) * MINUTE_NS) if ended else ([], [])
            if follower.quotes or follower.others or made:
                messages = [*follower.others, *follower.quotes.values()]
                follower.others, follower.quotes = [], {}
                for start in range(0, max(1, len(messages)), BATCH_MAX):
                    self._send(session, follower, lane, messages[start : start + BATCH_MAX], made, days)
                    made, days = [], []

    def _send(
        self,
        session: Session,
        follower: _Follower,
        lane: LaneName,
        messages: list[TapeMessage],
        made: list[Any],
        days: list[Any],
    ) -> None:
        follower.n += 1
        session.event(_encode({"topic": f"tape:{lane}", "n": follower.n, "m": messages, "b": made, "d": days}))

    def _bars(self, follower: _Follower, bars: Bars, at: int) -> tuple[list[Any], list[Any]]:
        """The bars of the minute at ``at``, and the days so far."""
        made, days = [], []
        for symbol in bars.symbols() if follower.everything else follower.symbols:
            found = [bar for bar in bars.minutes(symbol)[-2:] if bar.at == at]
            if found:
                made.append([symbol, found[0]])
                today = bars.days(symbol)
                if today:
                    days.append([symbol, today[-1]])
        return made, days
