"""Keeps one Alpaca stream alive: connects, subscribes, watches for silence, comes back with a backoff.

Invariants: the book hears of trouble only by :class:`FeedState` messages. ``down`` is told once, when the
socket drops, the server refuses, or nothing comes for ``feed_dead_ms`` while the market speaks; ``up`` is
told before the first data after it, and of symbols whose subscription comes or goes meanwhile, so that no
quote outlives its subscription; a reconnection adds ``gap`` with the symbols that were subscribed when the
connection dropped. A refusal that connecting again cannot cure ends in a state with its name and stays there
until the feed is run anew. Every wait goes through the injected clock, every jitter through the draw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Literal, Protocol

import anyio
from msgspec import Struct, structs

from actors.market.messages import FeedState, TapeMessage
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.feeds.alpaca_decode import DecodeCounters
from mbtd.market.feeds.alpaca_errors import AlpacaStreamError
from mbtd.market.feeds.alpaca_protocol import (
    Event,
    Failed,
    Noticed,
    Ready,
    Refused,
    StreamProtocol,
    SubscriptionChanged,
)
from mbtd.market.feeds.alpaca_socket import Connector, Draw, FeedClock, Socket, SocketEnded

LinkState = Literal["connecting", "live", "limited", "stale", "down", "auth_failed", "refused", "stopped"]
"""``limited``: live, but some symbols were refused; ``stale``: connected but silent; ``down``: trying again;
``auth_failed`` and ``refused``: a person must act; ``stopped``: not running."""

_AUTH_FAILED: Final = 402


class LinkSettings(Struct, frozen=True):
    """Times of one stream, in milliseconds."""

    feed_dead_ms: int = 3_000
    """Silence that makes the feed dead while the market speaks (fill model §14)."""
    silence_reconnect_ms: int = 30_000
    """Silence after which the connection is given up."""
    answer_timeout_ms: int = 10_000
    """The longest the server may owe an answer."""
    reconnect_least_ms: int = 500
    reconnect_most_ms: int = 30_000
    patience_ms: int = 30_000
    """Least wait after ``connection_limit`` and the like: the server frees a dead connection slowly."""


class LinkCounters(Struct):
    """Only grow."""

    connections: int = 0
    drops: int = 0
    messages: int = 0
    stale_periods: int = 0
    errors: dict[str, int] = {}
    """By name of the error."""


class LinkStatus(Struct, frozen=True):
    """How one stream is."""

    name: str
    state: LinkState
    since: int
    """Nanoseconds UTC."""
    reason: str
    error: AlpacaStreamError | None
    subscribed: int
    refused: tuple[str, ...]
    """Symbols that the server will not deliver, sorted."""
    last_message_at: int
    counters: LinkCounters
    decoded: DecodeCounters


class TapeSink(Protocol):
    """Where the feed delivers."""

    def push(self, messages: Sequence[TapeMessage]) -> None:
        """Append to the tape, in order. Never waits."""


class Trouble(Struct, frozen=True):
    """Why a connection ended."""

    reason: str
    stop: bool = False
    patience: bool = False
    error: AlpacaStreamError | None = None


class StreamLink:
    """One stream under supervision. ``alone`` says that no other stream feeds the same tape."""

    def __init__(
        self,
        name: str,
        url: str,
        protocol: StreamProtocol,
        settings: LinkSettings,
        credentials: AlpacaCredentials,
        *,
        alone: bool,
        connect: Connector,
        clock: FeedClock,
        draw: Draw,
        speaks: Callable[[int], bool],
    ) -> None:
        self.name = name
        self._url = url
        self._protocol = protocol
        self._settings = settings
        self._credentials = credentials
        self._alone = alone
        self._connect = connect
        self._clock = clock
        self._draw = draw
        self._speaks = speaks
        self._sink: TapeSink | None = None
        self._wake_event: anyio.Event | None = None
        self._state: LinkState = "stopped"
        self._since = clock.now()
        self._reason = ""
        self._error: AlpacaStreamError | None = None
        self._counters = LinkCounters()
        self._told: Literal["", "up", "down"] = ""
        self._told_symbols: set[str] = set()
        self._ever_confirmed: set[str] = set()
        self._gap: set[str] = set()
        self._attempts = 0
        self._heard_at = 0.0
        self._quiet_until = 0.0
        self._silence_matters = False
        self._asked_at = 0.0
        self._last_message_at = 0

    def want(self, symbols: Collection[str]) -> None:
        """Add symbols; sent with the next request."""
        self._protocol.want(symbols)
        self._wake_sender()

    def forget(self, symbols: Collection[str]) -> None:
        """Take symbols away; sent with the next request."""
        self._protocol.forget(symbols)
        self._wake_sender()

    def status(self) -> LinkStatus:
        """The present state; a copy."""
        return LinkStatus(
            name=self.name,
            state=self._state,
            since=self._since,
            reason=self._reason,
            error=self._error,
            subscribed=len(self._protocol.confirmed),
            refused=tuple(sorted(self._protocol.refused)),
            last_message_at=self._last_message_at,
            counters=structs.replace(self._counters, errors=dict(self._counters.errors)),
            decoded=structs.replace(self._protocol.decoder.counters),
        )

    async def run(self, sink: TapeSink) -> None:
        """Until cancelled."""
        self._sink = sink
        self._attempts = 0
        self._become("connecting")
        try:
            while True:
                trouble = await self._one_connection()
                self._dropped(trouble)
                if trouble.stop:
                    await anyio.sleep_forever()
                self._attempts += 1
                await self._clock.sleep(self._delay(trouble) / 1000)
        finally:
            self._tell_down("stopped")
            self._become("stopped")

    async def _one_connection(self) -> Trouble:
        self._protocol.open()
        self._asked_at = self._clock.elapsed()
        trouble = Trouble("the connection broke")
        try:
            async with self._connect(self._url) as socket:
                self._counters.connections += 1
                self._asked_at = self._heard_at = self._clock.elapsed()
                async with anyio.create_task_group() as tasks:

                    async def end_with(part: Callable[[Socket], Awaitable[Trouble]]) -> None:
                        nonlocal trouble
                        trouble = await part(socket)
                        tasks.cancel_scope.cancel()

                    tasks.start_soon(end_with, self._receive)
                    tasks.start_soon(end_with, self._send)
                    tasks.start_soon(end_with, self._watch)
        except SocketEnded as ended:
            return self._ended(ended)
        return trouble

    def _ended(self, ended: SocketEnded) -> Trouble:
        return Trouble(self._credentials.scrub(str(ended)), patience=ended.busy)

    async def _receive(self, socket: Socket) -> Trouble:
        protocol, clock = self._protocol, self._clock
        sink = self._sink
        assert sink is not None
        while True:
            try:
                frame = await socket.receive()
            except SocketEnded as ended:
                return self._ended(ended)
            received_at = clock.now()
            self._heard(received_at)
            tape = protocol.receive(frame, received_at)
            if protocol.has_news:
                trouble = self._act(protocol.events())
                if trouble is not None:
                    return trouble
                self._wake_sender()
            if tape:
                self._attempts = 0
                self._counters.messages += len(tape)
                self._last_message_at = received_at
                sink.push(tape)

    async def _send(self, socket: Socket) -> Trouble:
        while True:
            self._wake_event = anyio.Event()
            for message in self._protocol.frames():
                self._asked_at = self._clock.elapsed()
                try:
                    await socket.send(message)
                except SocketEnded as ended:
                    return self._ended(ended)
            await self._wake_event.wait()

    def _wake_sender(self) -> None:
        if self._wake_event is not None:
            self._wake_event.set()

    async def _watch(self, _socket: Socket) -> Trouble:
        settings = self._settings
        step = min(settings.feed_dead_ms, settings.answer_timeout_ms, 4_000) / 4 / 1000
        while True:
            await self._clock.sleep(step)
            now = self._clock.elapsed()
            if self._protocol.waiting and (now - self._asked_at) * 1000 >= settings.answer_timeout_ms:
                return Trouble(f"no answer for {settings.answer_timeout_ms} ms")
            silent_ms = self._silence(now) * 1000
            if silent_ms >= settings.silence_reconnect_ms:
                return Trouble(f"silent for {settings.silence_reconnect_ms} ms")
            if silent_ms >= settings.feed_dead_ms and self._state in ("live", "limited"):
                reason = f"silent for {settings.feed_dead_ms} ms"
                self._counters.stale_periods += 1
                self._tell_down(reason)
                self._become("stale", reason)

    def _silence(self, now: float) -> float:
        """Seconds of silence that mean something: the market speaks and something is subscribed.

        They count from the first look at which that holds.
        """
        matters = bool(self._protocol.confirmed) and self._speaks(self._clock.now())
        if not (matters and self._silence_matters):
            self._quiet_until = now
        self._silence_matters = matters
        return now - max(self._heard_at, self._quiet_until)

    def _heard(self, at: int) -> None:
        self._heard_at = self._clock.elapsed()
        if self._state == "stale":
            self._tell_up(at)

    def _act(self, events: list[Event]) -> Trouble | None:
        for event in events:
            match event:
                case Ready():
                    pass
                case SubscriptionChanged(added=added, removed=removed):
                    self._forget_quotes(removed, "no longer subscribed")
                    again = self._ever_confirmed.intersection(added)
                    self._forget_quotes(again if self._alone else added, "subscribed")
                    self._ever_confirmed.update(added)
                case Refused(error=error) | Noticed(error=error):
                    self._count(error)
                case Failed(error=error):
                    self._count(error)
                    return Trouble(
                        str(error),
                        stop=error.action == "stop",
                        patience=error.action == "retry_later",
                        error=error,
                    )
        protocol = self._protocol
        if protocol.confirmed or protocol.settled:
            if self._told != "up":
                self._tell_up(self._clock.now())
            elif self._state in ("live", "limited"):
                self._become_live()
        return None

    def _forget_quotes(self, symbols: Collection[str], reason: str) -> None:
        """What the board remembers of these is or grows old, although the connection never dropped.

        While the feed is down nothing fills anyway, and ``up`` will name them.
        """
        if symbols and self._told == "up":
            self._push("up", self._clock.now(), tuple(sorted(symbols)), reason)

    def _count(self, error: AlpacaStreamError) -> None:
        self._counters.errors[error.name] = self._counters.errors.get(error.name, 0) + 1
        self._error = error

    def _dropped(self, trouble: Trouble) -> None:
        self._counters.drops += 1
        self._gap |= self._protocol.confirmed
        self._protocol.decoder.note_gap()
        self._error = trouble.error
        self._tell_down(trouble.reason)
        if not trouble.stop:
            self._become("down", trouble.reason)
        elif trouble.error is not None and trouble.error.code == _AUTH_FAILED:
            self._become("auth_failed", trouble.reason)
        else:
            self._become("refused", trouble.reason)

    def _delay(self, trouble: Trouble) -> int:
        """Milliseconds: half certain, half drawn, so that many hosts do not come back together."""
        settings = self._settings
        longest = min(settings.reconnect_most_ms, settings.reconnect_least_ms << min(self._attempts - 1, 20))
        if trouble.patience:
            longest = 2 * settings.patience_ms
        return longest // 2 + self._draw(0, longest - longest // 2)

    def _tell_up(self, at: int) -> None:
        again, self._told = self._told == "down", "up"
        symbols = tuple(sorted(self._told_symbols.union(self._protocol.wanted)))
        self._told_symbols = set()
        if self._alone or symbols:
            self._push("up", at, () if self._alone else symbols, "")
        if again and self._gap:
            self._push("gap", at, tuple(sorted(self._gap)), "reconnected")
        self._gap.clear()
        self._become_live()

    def _tell_down(self, reason: str) -> None:
        if self._told == "down":
            return
        self._told = "down"
        self._told_symbols = self._protocol.confirmed.union(self._protocol.wanted)
        if self._alone or self._told_symbols:
            symbols = () if self._alone else tuple(sorted(self._told_symbols))
            self._push("down", self._clock.now(), symbols, reason)

    def _push(self, state: Literal["up", "down", "gap"], at: int, symbols: tuple[str, ...], reason: str) -> None:
        assert self._sink is not None
        self._sink.push([FeedState(state, at, self.name, symbols, reason, at)])

    def _become_live(self) -> None:
        refused = self._protocol.refused
        if refused:
            errors = sorted({str(error) for error in refused.values()})
            self._become("limited", f"{len(refused)} symbols refused: " + "; ".join(errors))
        else:
            self._error = None
            self._become("live")

    def _become(self, state: LinkState, reason: str = "") -> None:
        if state != self._state:
            self._state = state
            self._since = self._clock.now()
        self._reason = reason
