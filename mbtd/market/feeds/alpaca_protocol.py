"""One connection to an Alpaca stream, without I/O: frames in, tape messages, events and frames out.

Phases: ``greeting`` (waiting for ``connected``), ``authenticating``, ``ready``, ``failed`` (an error ended
the connection; the owner closes it and does what the error's action says). The machine outlives connections:
:meth:`StreamProtocol.open` starts the next one with the same interest.

Invariants: at most one subscription request is under way; a request is built when the owner takes the frames
to send, from the difference between what is wanted and what the server confirmed, so changes in between are
sent as one. The server's echo is the truth about what is subscribed. No input raises; a symbol that was
refused is named with its error and asked for again only when there is new room, or on a new connection.

A symbol limit (405) refuses a whole request. The machine then halves its requests until one symbol alone is
refused: what fits is subscribed, the rest is named. Known limit: which symbols fit is decided by the order in
which they were wanted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

import msgspec
from msgspec import Struct

from actors.market.messages import TapeMessage
from mbtd.market.alpaca_credentials import AlpacaCredentials
from mbtd.market.feeds.alpaca_decode import Control, StreamDecoder
from mbtd.market.feeds.alpaca_errors import LOCAL, AlpacaStreamError, stream_error
from mbtd.market.feeds.alpaca_wire import WireError, WireSubscription, WireSuccess

Kind = Literal["stocks", "options"]
Phase = Literal["greeting", "authenticating", "ready", "failed"]

REQUEST_SYMBOLS_MAX: Final = 2_000
"""Symbols in one request: every request is answered with the whole set in force."""
_DATA_CHANNELS: Final = ("trades", "quotes")
_STOCK_CHANNELS: Final = (*_DATA_CHANNELS, "statuses", "lulds")


class Ready(Struct, frozen=True):
    """The server accepted the key pair."""


class SubscriptionChanged(Struct, frozen=True):
    """The server confirmed a change."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


class Refused(Struct, frozen=True):
    """Symbols that the server will not deliver."""

    symbols: tuple[str, ...]
    error: AlpacaStreamError


class Failed(Struct, frozen=True):
    """The connection is of no more use."""

    error: AlpacaStreamError


class Noticed(Struct, frozen=True):
    """An error that costs nothing, or that the machine answers by itself."""

    error: AlpacaStreamError


Event = Ready | SubscriptionChanged | Refused | Failed | Noticed


class _Request(Struct, frozen=True):
    action: Literal["subscribe", "unsubscribe"]
    symbols: tuple[str, ...]


class StreamProtocol:
    """The machine of one stream. See the module's head."""

    def __init__(self, kind: Kind, credentials: AlpacaCredentials, decoder: StreamDecoder) -> None:
        self.decoder = decoder
        self.phase: Phase = "greeting"
        self.confirmed: set[str] = set()
        """What the server delivers on this connection."""
        self.has_news = False
        """Whether :meth:`events` or :meth:`frames` may have something; set by every change."""
        self.refused: dict[str, AlpacaStreamError] = {}
        self._credentials = credentials
        self._wanted: dict[str, None] = {}
        self._channels = _STOCK_CHANNELS if kind == "stocks" else _DATA_CHANNELS
        self._request: _Request | None = None
        self._request_symbols_max = REQUEST_SYMBOLS_MAX
        self._out: list[bytes] = []
        self._events: list[Event] = []

    @property
    def wanted(self) -> Collection[str]:
        """The interest, in the order in which it came."""
        return self._wanted.keys()

    @property
    def waiting(self) -> bool:
        """Whether the server owes an answer (to the connection, the key pair or a request)."""
        return self.phase in ("greeting", "authenticating") or self._request is not None

    @property
    def settled(self) -> bool:
        """Whether everything that is wanted is either confirmed or refused."""
        return self.phase == "ready" and self._request is None and self._next_request() is None

    def open(self) -> None:
        """A new connection stands; nothing is subscribed on it yet."""
        self.phase = "greeting"
        self.confirmed = set()
        self.refused.clear()
        self._request = None
        self._request_symbols_max = REQUEST_SYMBOLS_MAX
        self._out.clear()
        self._events.clear()

    def want(self, symbols: Collection[str]) -> None:
        """Add to the interest."""
        self._wanted.update(dict.fromkeys(symbols))
        self.has_news = True

    def forget(self, symbols: Collection[str]) -> None:
        """Take from the interest."""
        for symbol in symbols:
            self._wanted.pop(symbol, None)
            self.refused.pop(symbol, None)
        self.has_news = True

    def receive(self, frame: bytes | str, received_at: int) -> list[TapeMessage]:
        """Take one frame; the tape messages in it. Never raises, whatever the frame is."""
        if isinstance(frame, str):
            self.decoder.counters.text_frames += 1
            self.has_news = True
            if self.phase != "ready":
                self._fail(LOCAL["not_msgpack"])
            return []
        tape, controls = self.decoder.decode(frame, received_at)
        for control in controls:
            self.has_news = True
            self._control(control)
        return tape

    def events(self) -> list[Event]:
        """What happened since the last call."""
        self.has_news = False
        events, self._events = self._events, []
        return events

    def frames(self) -> list[bytes]:
        """What has to be sent now; at most one subscription request is added."""
        if self.phase == "ready" and self._request is None:
            request = self._next_request()
            if request is not None:
                self._request = request
                symbols = list(request.symbols)
                message = {"action": request.action, **dict.fromkeys(self._channels, symbols)}
                self._out.append(msgspec.msgpack.encode(message))
        out, self._out = self._out, []
        return out

    def _next_request(self) -> _Request | None:
        leaving = [symbol for symbol in self.confirmed if symbol not in self._wanted]
        if leaving:
            return _Request("unsubscribe", tuple(sorted(leaving)[:REQUEST_SYMBOLS_MAX]))
        missing = [s for s in self._wanted if s not in self.confirmed and s not in self.refused]
        if missing:
            return _Request("subscribe", tuple(missing[: self._request_symbols_max]))
        return None

    def _control(self, control: Control) -> None:
        if self.phase == "failed":
            return
        match control:
            case WireSuccess():
                self._success(control.msg)
            case WireSubscription():
                self._subscription(control)
            case WireError():
                text = self._credentials.scrub(control.msg)
                self._error(stream_error(control.code, text, subscribed=self.phase == "ready"))

    def _success(self, message: str) -> None:
        if message == "connected" and self.phase == "greeting":
            self.phase = "authenticating"
            key, secret = self._credentials.reveal()
            self._out.append(msgspec.msgpack.encode({"action": "auth", "key": key, "secret": secret}))
        elif message == "authenticated" and self.phase in ("greeting", "authenticating"):
            self._become_ready()
        elif self.phase != "ready":
            self._fail(LOCAL["unexpected_greeting"])

    def _become_ready(self) -> None:
        self.phase = "ready"
        self._events.append(Ready())

    def _subscription(self, echo: WireSubscription) -> None:
        if self.phase != "ready":
            return
        now = set(echo.quotes or ()) & set(echo.trades or ())
        added, removed = now - self.confirmed, self.confirmed - now
        self.confirmed = now
        for symbol in now.intersection(self.refused):
            del self.refused[symbol]
        request, self._request = self._request, None
        if request is not None and request.action == "subscribe":
            absent = tuple(symbol for symbol in request.symbols if symbol not in now)
            if absent:
                self._refuse(absent, LOCAL["not_confirmed"])
        if removed:
            self._retry_refused()
        if added or removed:
            self._events.append(SubscriptionChanged(tuple(sorted(added)), tuple(sorted(removed))))

    def _retry_refused(self) -> None:
        """There is room again for symbols that a limit refused."""
        self.refused = {s: e for s, e in self.refused.items() if e.action != "fewer_symbols"}

    def _error(self, error: AlpacaStreamError) -> None:
        match error.action:
            case "stop" | "retry" | "retry_later":
                self._fail(error)
            case "fewer_symbols":
                self._too_many(error)
            case "fewer_channels" if self._channels != _DATA_CHANNELS:
                self._channels = _DATA_CHANNELS
                self._request = None
                self._events.append(Noticed(error))
            case "fewer_channels" | "refuse_request":
                request = self._refused_request(error)
                if request is not None:
                    self._refuse(request.symbols, error)
            case "ignore":
                if self.phase == "authenticating":
                    self._become_ready()
                self._events.append(Noticed(error))

    def _refused_request(self, error: AlpacaStreamError) -> _Request | None:
        """The subscribe request that an error answers.

        Without one the error is only noted, except before the connection is ready and in answer to an
        unsubscribe request, which would be sent again for ever.
        """
        request, self._request = self._request, None
        if request is not None and request.action == "subscribe":
            return request
        if request is not None or self.phase != "ready":
            self._fail(error)
        else:
            self._events.append(Noticed(error))
        return None

    def _too_many(self, error: AlpacaStreamError) -> None:
        request = self._refused_request(error)
        if request is None:
            return
        if len(request.symbols) > 1:
            self._request_symbols_max = len(request.symbols) // 2
        else:
            rest = tuple(s for s in self._wanted if s not in self.confirmed and s not in self.refused)
            self._request_symbols_max = REQUEST_SYMBOLS_MAX
            self._refuse(rest, error)

    def _refuse(self, symbols: tuple[str, ...], error: AlpacaStreamError) -> None:
        self.refused.update(dict.fromkeys(symbols, error))
        self._events.append(Refused(symbols, error))

    def _fail(self, error: AlpacaStreamError) -> None:
        self.phase = "failed"
        self._request = None
        self._events.append(Failed(error))
