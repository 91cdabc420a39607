"""The synthetic market as a whole: asks for time, gives messages.

Invariants: the sequence of messages is a function of (seed, start, settings) alone. It does not depend on the
wall clock, on the hash seed, or on how often and how far :meth:`SyntheticMarket.advance` is called. Session
changes come before all other messages of their instant. Prices on both sides of a restart belong together,
because the slow part of every price is a function of seed and time.

Known limits: identical sequences need the same numpy; another release may draw other numbers.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_MS, NS_PER_SECOND
from actors.market.messages import Auction, Session, TapeMessage, Trade
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar
from mbtd.market.feed import SessionSource
from mbtd.market.synthetic.levels import Floats
from mbtd.market.synthetic.listing import Listing
from mbtd.market.synthetic.options import OptionTape, contract_instrument
from mbtd.market.synthetic.prices import NO_UNITS, PriceLevels, Units, index_levels, to_cents
from mbtd.market.synthetic.stocks import StockTape
from mbtd.market.synthetic.universe import INDEXES, STOCKS

_PIECES_NS: Final = tuple(ms * NS_PER_MS for ms in (250, 125, 50, 25, 10, 5))
_PIECE_MESSAGES: Final = 100
"""A piece is made in one go, on the loop of whoever reads: so many messages take about a millisecond."""
_OPTION_SHARE: Final = 0.5
_OPENING_QUOTES: Final = 400
"""Contracts a quarter second that get their first quote, beside the asked rate: a chain opens within seconds."""
_MESSAGES_PER_EVENT: Final = 1.19
_PHASE_ACTIVITY: Final = {"pre": 0.15, "core": 1.0, "post": 0.1, "overnight": 0.03, "closed": 0.0}
_PHASE_SPREAD: Final = {"pre": 3.0, "core": 1.0, "post": 3.0, "overnight": 6.0, "closed": 1.0}


def _piece_ns(quotes_per_second: int) -> int:
    """The longest piece that is made without holding anybody up; whole seconds hold a whole number of each."""
    fitting = (ns for ns in _PIECES_NS if quotes_per_second * ns <= _PIECE_MESSAGES * NS_PER_SECOND)
    return next(fitting, _PIECES_NS[-1])


class SyntheticSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How the synthetic market behaves."""

    quotes_per_second: int = 200
    """Messages in all, on average over a core session; half of them options."""
    sessions: Literal["always", "xnys"] = "always"
    """A market that never closes, or the exchange's hours; either with auctions at the exchange's hours."""
    options: bool = True


class SyntheticMarket:
    """One run of the market from ``start`` on, in nanoseconds UTC; prices and strikes are in ``units``."""

    def __init__(
        self, seed: int, start: int, settings: SyntheticSettings | None = None, units: Units = NO_UNITS
    ) -> None:
        self.settings = settings or SyntheticSettings()
        if not 1 <= self.settings.quotes_per_second <= 1_000_000:
            raise ValueError("quotes_per_second must be between 1 and 1000000")
        self.piece_ns = _piece_ns(self.settings.quotes_per_second)
        """Messages are made for so much time at once; sessions begin and end between pieces."""
        self.calendar = Calendar(always_open=self.settings.sessions == "always")
        self._levels = PriceLevels(seed, units)
        self._listing = Listing(self._levels, self.calendar)
        self._start = self._piece_start = start
        self._session = self.calendar.session_at(start)
        self._sessions = SessionSource(self.calendar, start)
        stocks, options = np.random.default_rng(_entropy(seed, start)).spawn(2)
        self._random = stocks
        self._stocks = StockTape(stocks, start)
        self._options = OptionTape(options, self.calendar)
        self._ready: deque[TapeMessage] = deque()
        self._option_budget = 0.0
        self._index_at = 0
        self._opened: list[Instrument] = []
        self._reference: dict[str, Instrument] = {}
        self._begin_trade_date()
        self._opened.clear()

    def reference(self) -> list[Instrument]:
        """Everything that is listed now."""
        return list(self._reference.values())

    def take_listings(self) -> list[Instrument]:
        """Instruments new or changed by the last advances; to be made known before their messages."""
        opened, self._opened = self._opened, []
        return opened

    def advance(self, until: int) -> list[TapeMessage]:
        """All messages stamped before ``until`` that were not given yet."""
        while self._piece_start < until:
            self._piece()
        ready, found = self._ready, []
        while ready and ready[0].at < until:
            found.append(ready.popleft())
        return found

    def _piece(self) -> None:
        """Make the messages up to the end of a piece."""
        start = self._piece_start
        end = self._piece_start = start // self.piece_ns * self.piece_ns + self.piece_ns
        opening = start == self._start
        before = self._session
        while self._sessions.next_at <= start:
            self._session = self._sessions.take()
            self._ready.append(self._session)
            if self._session.trade_date != before.trade_date:
                self._begin_trade_date()
        phase = self._session.phase
        if phase == "closed":
            return
        activity, heat = self._shape(start)
        if phase != "core":
            activity = _PHASE_ACTIVITY[phase]
        seconds = (end - start) / NS_PER_SECOND
        noise = self._stocks.market_noise(seconds, heat)
        levels = self._levels.at(start, noise)
        dollars = levels.tolist()
        calm = _PHASE_SPREAD[phase]
        self._begin_phase(before, opening, start, dollars, calm)
        if self._session.never_closes and start == self._session.opening_auctions[0] and not opening:
            self._ready.extend(self._auctions("open", start, dollars))
        count = self._count(activity, seconds)
        found = self._stocks.events(start, end, count, dollars, heat, calm) if count else []
        if phase == "core":
            found += self._derived(start, end, levels, opening or before.phase != "core", activity)
            found.sort(key=_by_time)
        self._ready.extend(found)
        if self._session.never_closes and end == self._session.core_closes_at:
            # The last thing of its date: at the instant itself the next one has begun.
            self._ready.extend(self._auctions("close", end - 1, dollars))

    def _begin_phase(self, before: Session, opening: bool, at: int, levels: list[float], calm: float) -> None:
        """Quotes and auctions with which a phase starts."""
        phase = self._session.phase
        if not opening and before.phase == phase:
            return
        if before.phase == "core" and not opening:
            self._ready.extend(self._auctions("close", at, levels))
        self._ready.extend(self._stocks.opening_quotes(at, levels, calm))
        if phase == "core" and not opening:
            self._ready.extend(self._auctions("open", at, levels))

    def _auctions(self, kind: Literal["open", "close"], at: int, levels: list[float]) -> list[TapeMessage]:
        """Official prints of the stocks, and of the indexes the values that settle their options."""
        values = index_levels(levels[self._levels.index_place], self._levels.fear(at))
        return self._stocks.auctions(kind, at) + [
            Auction(spec.symbol, kind, to_cents(level), 0, at, "", at)
            for spec, level in zip(INDEXES, values, strict=True)
        ]

    def _derived(self, start: int, end: int, levels: Floats, everything: bool, activity: float) -> list[TapeMessage]:
        """Indexes and options, stamped in the middle of the piece (at its start when they open)."""
        place = self._levels.index_place
        at = start if everything else (start + end) // 2
        fear = self._levels.fear(at)
        indexes = index_levels(float(levels[place]), fear)
        spots = np.array([*(self._stocks.mid(n) for n in range(place)), *indexes])
        found: list[TapeMessage] = []
        if everything or at - self._index_at >= NS_PER_SECOND:
            self._index_at = at
            found += [
                Trade(spec.symbol, to_cents(level), 0, at, "", "", 0, at)
                for spec, level in zip(INDEXES, indexes, strict=True)
            ]
        if not self.settings.options:
            return found
        if start == self._start:
            return found + self._options.all_quotes(at, spots, fear)
        if everything:
            self._options.forget_prices()
        rate = self.settings.quotes_per_second * _OPTION_SHARE * activity
        self._option_budget = min(rate, self._option_budget + rate * (end - start) / NS_PER_SECOND)
        opening = max(1, _OPENING_QUOTES * self.piece_ns // _PIECES_NS[0])
        unpriced = self._options.unpriced_quotes(at, spots, fear, opening)
        quotes = unpriced or self._options.due_quotes(at, spots, fear, int(self._option_budget))
        self._option_budget = max(0.0, self._option_budget - len(quotes))
        return found + quotes

    def _count(self, activity: float, seconds: float) -> int:
        share = 1.0 - _OPTION_SHARE if self.settings.options else 1.0
        rate = self.settings.quotes_per_second * share / _MESSAGES_PER_EVENT
        return int(self._random.poisson(rate * activity * seconds))

    def _shape(self, at: int) -> tuple[float, float]:
        """Activity and volatility at an instant: busy after the open and before the close (a U)."""
        session = self._session
        length = session.core_closes_at - session.core_opens_at
        place = 2.0 * (at - session.core_opens_at) / length - 1.0
        if not -1.0 <= place <= 1.0:
            return 1.0, 0.6
        activity = 0.76 + 1.2 * place**4
        return activity, float(activity**0.5)

    def _begin_trade_date(self) -> None:
        """New previous closes, new option contracts, and expired ones gone."""
        changed = self._stock_reference()
        if self.settings.options:
            listed = self._listing.contracts(self._session.trade_date)
            changed += [contract_instrument(contract) for contract in self._options.list_contracts(listed)]
        self._opened += changed
        self._reference.update((instrument.symbol, instrument) for instrument in changed)
        expired = [
            instrument.symbol
            for instrument in self._reference.values()
            if 0 < instrument.settlement_date < self._session.trade_date
        ]
        for symbol in expired:
            del self._reference[symbol]

    def _stock_reference(self) -> list[Instrument]:
        previous = self.calendar.trading_day(self.calendar.previous_trading_day(self._session.trade_date))
        closes = self._levels.cents(previous.core_closes_at)
        stocks = [
            Instrument(
                asset_id=asset_id(spec.symbol),
                symbol=spec.symbol,
                exchange=spec.exchange,
                name=spec.name,
                leverage=spec.leverage,
                previous_close=close,
            )
            for spec, close in zip(STOCKS, closes, strict=False)
        ]
        indexes = [
            Instrument(
                asset_id=asset_id(spec.symbol),
                symbol=spec.symbol,
                asset_class="us_index",
                exchange="",
                name=spec.name,
                tradable=False,
                fractionable=False,
                marginable=False,
                shortable=False,
                easy_to_borrow=False,
                previous_close=close,
            )
            for spec, close in zip(INDEXES, closes[len(STOCKS) :], strict=True)
        ]
        return [*stocks, *indexes]


def _by_time(message: TapeMessage) -> int:
    return message.at


def _entropy(seed: int, start: int) -> int:
    text = f"{seed} {start}".encode()
    return int.from_bytes(blake2b(text, digest_size=16, person=b"mbtd synthetic").digest(), "big")
