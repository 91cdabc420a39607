"""From frames of Alpaca's stream to tape messages: integers, nanoseconds, nothing invented.

Invariants: no frame raises; what cannot be read is counted under a name and left out, and the good messages
around it in the same frame are kept, in their order. A price is the wire's dollar float rounded to 1e-4
dollar; a time keeps its nanoseconds. A side with price 0 has size 0. A status message always carries the
whole of what is known of a symbol: state, bands and short-sale restriction.

Auctions are derived from prints of a symbol's primary exchange (fill model §3): the first print of a day with
an opening (O, Q) or closing (6, M) condition, and every reopening print (5). A symbol whose primary exchange
is unknown has none. The print itself is delivered as well, before its auction.

Known limits: a short-sale restriction is never announced as over, so it stays until the decoder is made anew;
statuses that were sent while the connection was down are never sent again, so a symbol that was not trading
when it dropped counts as trading again from its first ordinary print after it.

The quote loop is written for speed: prices, joined conditions and their texts come from tables that are
emptied when they grow, so equal ones share one object on the tape.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Raw, Struct, structs

from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR
from actors.market.messages import Auction, Quote, Status, TapeMessage, Trade
from mbtd.market.feeds.alpaca_wire import (
    DECODE_ERRORS,
    FRAME,
    KNOWN_TAGS,
    PIECE,
    PIECES,
    TAG,
    Codes,
    WireBands,
    WireCancel,
    WireCorrection,
    WireError,
    WireMessage,
    WireQuote,
    WireQuoteAnySize,
    WireStatus,
    WireSubscription,
    WireSuccess,
    WireTrade,
)

Control = WireSuccess | WireSubscription | WireError
TradingState = Literal["trading", "halted", "paused", "closed"]

_TABLE_MAX: Final = 1 << 16
_RECENT_TRADES_MAX: Final = 1 << 12
_NS_PER_DAY: Final = 86_400 * NS_PER_SECOND
_TIMESTAMP_64: Final = 0xD7FF
_NANOSECOND_WORDS: Final = NS_PER_SECOND << 2
_unpack_64: Final = struct.Struct(">HII").unpack
_unpack_32: Final = struct.Struct(">HI").unpack
_unpack_96: Final = struct.Struct(">HBIq").unpack

_OPENING: Final = frozenset("OQ")
_CLOSING: Final = frozenset("6M")
_REOPENING: Final = "5"
_ORDINARY: Final = frozenset("@ FI")
_STATES: Final[dict[str, TradingState]] = {
    "2": "halted",
    "3": "trading",
    "F": "paused",
    "H": "halted",
    "P": "paused",
    "T": "trading",
}
"""CTA digits and F, UTP letters. Codes that only inform (5-9, A, C, D), and Q, which reopens quoting but not
trading, change no state."""
_RESTRICTED: Final = "E"
_PAUSE_REASONS: Final = frozenset(("M", "LUDP", "LUDS"))
AFTER_GAP: Final = "print_after_gap"


class DecodeCounters(Struct):
    """What was seen since the start, for metrics; only grows."""

    frames: int = 0
    messages: int = 0
    """Tape messages, mostly quotes."""
    trades: int = 0
    statuses: int = 0
    bands: int = 0
    auctions: int = 0
    corrections: int = 0
    cancels: int = 0
    ignored: int = 0
    """Bars and imbalances."""
    text_frames: int = 0
    unreadable_frames: int = 0
    malformed: int = 0
    """Messages of a known type that are not as documented."""
    unknown_types: int = 0
    bad_times: int = 0
    duplicate_trades: int = 0
    fractional_trades: int = 0
    """Prints below one share, left out: the tape counts whole shares."""
    frames_back_in_time: int = 0
    """Frames that start before the end of the one before them; delivered all the same."""
    last_problem: str = ""
    """Name and place of the newest problem; never a content."""


def instant(raw: Raw) -> int:
    """Nanoseconds of a MessagePack timestamp of any of its three lengths.

    Raises ``ValueError`` for anything else, for times before 1970 and for more than 999,999,999 nanoseconds.
    """
    data = bytes(raw)
    try:
        if len(data) == 10:
            head, high, low = _unpack_64(data)
            nanoseconds, seconds = high >> 2, (high & 3) << 32 | low
            good = head == _TIMESTAMP_64
        elif len(data) == 6:
            head, seconds = _unpack_32(data)
            nanoseconds, good = 0, head == 0xD6FF
        else:
            head, kind, nanoseconds, seconds = _unpack_96(data)
            good = head == 0xC70C and kind == 0xFF
    except struct.error:
        raise ValueError("not a timestamp") from None
    if not good or nanoseconds >= NS_PER_SECOND or not 0 < seconds < 1 << 33:
        raise ValueError("not a timestamp of this era")
    return int(seconds * NS_PER_SECOND + nanoseconds)


class StreamDecoder:
    """The decoder of one stream; lives longer than a connection.

    ``primary_exchange`` gives the exchange code of a symbol's primary exchange, or an empty text;
    ``size_multiplier`` turns the sizes of stock quotes into shares (1 since 2025-11, 100 before).
    """

    def __init__(
        self,
        kind: Literal["stocks", "options"],
        *,
        primary_exchange: Callable[[str], str] = lambda _symbol: "",
        size_multiplier: int = 1,
    ) -> None:
        self.counters = DecodeCounters()
        self._stocks = kind == "stocks"
        self._lot = size_multiplier if self._stocks else 1
        self._primary_exchange = primary_exchange
        self._prices: dict[float, int] = {}
        self._codes: dict[Codes, str] = {}
        self._statuses: dict[str, Status] = {}
        self._not_trading_at_gap: set[str] = set()
        self._auctions: dict[tuple[str, str], int] = {}
        self._recent_trades: dict[tuple[str, str, int, int], None] = {}
        self._newest_at = 0

    def note_gap(self) -> None:
        """The connection dropped: statuses may have been missed."""
        self._not_trading_at_gap = {symbol for symbol, status in self._statuses.items() if status.state != "trading"}

    def decode(self, frame: bytes, received_at: int) -> tuple[list[TapeMessage], list[Control]]:
        """The tape messages and the control messages of one frame. Never raises."""
        tape, controls = self._decode(frame, received_at)
        counters = self.counters
        counters.frames += 1
        if tape:
            if tape[0].at < self._newest_at:
                counters.frames_back_in_time += 1
            self._newest_at = tape[-1].at
            if self._lot != 1:
                tape = [self._in_shares(message) for message in tape]
        counters.messages += len(tape)
        return tape, controls

    def _in_shares(self, message: TapeMessage) -> TapeMessage:
        if type(message) is not Quote:
            return message
        lot = self._lot
        return structs.replace(message, bid_size=message.bid_size * lot, ask_size=message.ask_size * lot)

    def _decode(self, frame: bytes, received_at: int) -> tuple[list[TapeMessage], list[Control]]:
        tape: list[TapeMessage] = []
        controls: list[Control] = []
        try:
            messages = FRAME.decode(frame)
        except DECODE_ERRORS:
            self._salvage(frame, received_at, tape, controls)
            return tape, controls
        append = tape.append
        prices = self._prices
        codes = self._codes
        for message in messages:
            if type(message) is WireQuote:
                try:
                    bid = prices[message.bp]
                    ask = prices[message.ap]
                    condition = codes[message.c]
                    head, high, low = _unpack_64(message.t)
                except (KeyError, struct.error):
                    self._other(message, received_at, tape, controls)
                    continue
                if not (bid and ask) or head != _TIMESTAMP_64 or high >= _NANOSECOND_WORDS or high & 3:
                    self._other(message, received_at, tape, controls)
                    continue
                append(
                    Quote(
                        message.S,
                        bid,
                        message.bs,
                        ask,
                        message.as_,
                        low * 1_000_000_000 + (high >> 2),
                        message.bx,
                        message.ax,
                        condition,
                        received_at,
                    )
                )
            else:
                self._other(message, received_at, tape, controls)
        return tape, controls

    def _salvage(self, frame: bytes, received_at: int, tape: list[TapeMessage], controls: list[Control]) -> None:
        """Read a frame message by message, because something in it is not as documented."""
        counters = self.counters
        try:
            pieces = PIECES.decode(frame)
        except DECODE_ERRORS as error:
            counters.unreadable_frames += 1
            counters.last_problem = f"unreadable_frame: {type(error).__name__}"
            return
        for piece in pieces:
            try:
                message = PIECE.decode(piece)
            except DECODE_ERRORS:
                self._name_problem(piece)
                continue
            self._other(message, received_at, tape, controls)

    def _name_problem(self, piece: Raw) -> None:
        counters = self.counters
        try:
            tag = TAG.decode(piece).T
        except DECODE_ERRORS:
            counters.malformed += 1
            counters.last_problem = "malformed: a message without a type"
            return
        if tag in KNOWN_TAGS:
            counters.malformed += 1
            counters.last_problem = f"malformed: {tag}"
        else:
            counters.unknown_types += 1
            counters.last_problem = "unknown_type: " + "".join(c for c in tag[:20] if c.isalnum())

    def _other(
        self,
        message: WireMessage | WireQuoteAnySize,
        received_at: int,
        tape: list[TapeMessage],
        controls: list[Control],
    ) -> None:
        """Every message but the ordinary quote."""
        counters = self.counters
        try:
            match message:
                case WireQuote() | WireQuoteAnySize():
                    tape.append(self._quote(message, received_at))
                case WireTrade():
                    self._trade(message, received_at, tape)
                case WireStatus():
                    self._status(message, received_at, tape)
                case WireBands():
                    self._bands(message, received_at, tape)
                case WireSuccess() | WireSubscription() | WireError():
                    controls.append(message)
                case WireCorrection():
                    counters.corrections += 1
                case WireCancel():
                    counters.cancels += 1
                case _:
                    counters.ignored += 1
        except ValueError:
            counters.bad_times += 1
            counters.last_problem = "bad_time"

    def _price(self, dollars: float) -> int:
        price = self._prices.get(dollars)
        if price is None:
            if len(self._prices) >= _TABLE_MAX:
                self._prices.clear()
            price = self._prices[dollars] = round(dollars * PRICE_PER_DOLLAR)
        return price

    def _joined(self, codes: Codes) -> str:
        joined = self._codes.get(codes)
        if joined is None:
            if len(self._codes) >= _TABLE_MAX:
                self._codes.clear()
            joined = self._codes[codes] = "".join(codes or ())
        return joined

    def _quote(self, wire: WireQuote | WireQuoteAnySize, received_at: int) -> Quote:
        bid, ask = self._price(wire.bp), self._price(wire.ap)
        return Quote(
            wire.S,
            bid,
            int(wire.bs) if bid else 0,
            ask,
            int(wire.as_) if ask else 0,
            instant(wire.t),
            wire.bx,
            wire.ax,
            self._joined(wire.c),
            received_at,
        )

    def _trade(self, wire: WireTrade, received_at: int, tape: list[TapeMessage]) -> None:
        counters = self.counters
        at = instant(wire.t)
        price, size = self._price(wire.p), int(wire.s)
        if not price or not wire.s:
            counters.malformed += 1
            counters.last_problem = "malformed: a print without price or size"
            return
        if not size:
            counters.fractional_trades += 1
            return
        if wire.i and self._seen_before((wire.S, wire.x, wire.i, at)):
            counters.duplicate_trades += 1
            return
        conditions = self._joined(wire.c)
        counters.trades += 1
        if wire.S in self._not_trading_at_gap and _ORDINARY.issuperset(conditions):
            self._not_trading_at_gap.discard(wire.S)
            self._announce(self._known(wire.S, at, received_at), tape, state="trading", reason=AFTER_GAP)
        tape.append(Trade(wire.S, price, size, at, wire.x, conditions, wire.i or 0, received_at))
        if self._stocks and conditions and wire.x:
            self._auction(wire, price, size, at, conditions, received_at, tape)

    def _seen_before(self, key: tuple[str, str, int, int]) -> bool:
        recent = self._recent_trades
        if key in recent:
            return True
        if len(recent) >= _RECENT_TRADES_MAX:
            del recent[next(iter(recent))]
        recent[key] = None
        return False

    def _auction(
        self,
        wire: WireTrade,
        price: int,
        size: int,
        at: int,
        conditions: str,
        received_at: int,
        tape: list[TapeMessage],
    ) -> None:
        kind: Literal["open", "close", "halt"]
        if not _OPENING.isdisjoint(conditions):
            kind = "open"
        elif not _CLOSING.isdisjoint(conditions):
            kind = "close"
        elif _REOPENING in conditions:
            kind = "halt"
        else:
            return
        if self._primary_exchange(wire.S) != wire.x:
            return
        day = at // _NS_PER_DAY
        if kind != "halt":
            if self._auctions.get((wire.S, kind)) == day:
                return
            self._auctions[wire.S, kind] = day
        self.counters.auctions += 1
        tape.append(Auction(wire.S, kind, price, size, at, wire.x, received_at))

    def _status(self, wire: WireStatus, received_at: int, tape: list[TapeMessage]) -> None:
        known = self._known(wire.S, instant(wire.t), received_at)
        self.counters.statuses += 1
        state = _STATES.get(wire.sc, known.state)
        if state == "halted" and wire.rc in _PAUSE_REASONS:
            state = "paused"
        restricted = known.short_restricted or wire.sc == _RESTRICTED or wire.rc == _RESTRICTED
        self._not_trading_at_gap.discard(wire.S)
        self._announce(known, tape, state=state, reason=wire.rc or wire.sc, restricted=restricted)

    def _bands(self, wire: WireBands, received_at: int, tape: list[TapeMessage]) -> None:
        known = self._known(wire.S, instant(wire.t), received_at)
        self.counters.bands += 1
        bands = self._price(wire.d), self._price(wire.u)
        self._announce(known, tape, state=known.state, reason=known.reason, bands=bands)

    def _known(self, symbol: str, at: int, received_at: int) -> Status:
        """The newest status of a symbol, restamped; trading when nothing was said."""
        last = self._statuses.get(symbol)
        if last is None:
            return Status(symbol, "trading", at, received_at=received_at)
        return Status(
            symbol,
            last.state,
            at,
            last.reason,
            last.luld_lower,
            last.luld_upper,
            last.short_restricted,
            received_at,
        )

    def _announce(
        self,
        known: Status,
        tape: list[TapeMessage],
        *,
        state: TradingState,
        reason: str,
        bands: tuple[int, int] | None = None,
        restricted: bool | None = None,
    ) -> None:
        lower, upper = bands or (known.luld_lower, known.luld_upper)
        status = Status(
            known.symbol,
            state,
            known.at,
            reason,
            lower,
            upper,
            known.short_restricted if restricted is None else restricted,
            known.received_at,
        )
        self._statuses[known.symbol] = status
        tape.append(status)
