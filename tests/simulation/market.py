"""The simulated market: one stock with options, others without, on the real calendar; everything drawn from a seed.

Prices walk in cents. Contracts expire on the simulated dates themselves, so every evening some end; quotes can be
crossed, empty, stale or far off, as feeds send them.
"""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec import structs

from actors.book.instruments import Instrument
from actors.book.osi import Right, format_osi
from actors.engine import Engine
from actors.market.messages import Auction, FeedState, Quote, Status, Trade
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from tests.oracle.rig import MS, SECOND

CALENDAR = Calendar()
FIRST_DATE = 20261214
"""A Monday; the week's Friday is a monthly expiry."""
OPTIONED = "XYZ"
STRIKES = (95, 98, 100, 102, 105)
STOCKS = (
    Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=100_000),
    Instrument("00000000-0000-8000-a000-00000000000b", "BBB", easy_to_borrow=False, previous_close=250_000),
    Instrument("00000000-0000-8000-a000-00000000000c", "CCC", fractionable=False, marginable=False),
    Instrument("00000000-0000-8000-a000-00000000000d", OPTIONED, previous_close=1_000_000),
)
SYMBOLS = tuple(stock.symbol for stock in STOCKS)
FIRST_CENTS = {"AAA": 1_000, "BBB": 2_500, "CCC": 400, OPTIONED: 10_000}


def dates(count: int) -> list[int]:
    """So many trading dates from the first on."""
    found = [FIRST_DATE]
    while len(found) < count:
        found.append(CALENDAR.next_trading_day(found[-1]))
    return found


def contract(strike: int, right: Right, date: int) -> Instrument:
    """A contract of the optioned stock with steps of a cent."""
    found = instrument_of(format_osi(OPTIONED, date, right, strike * 10_000), CALENDAR)
    return structs.replace(found, tick_price=100, tick_price_from_3=0, active=True, tradable=True)


class Market:
    """Quotes, prints, auctions and sessions into :attr:`engine`, at :attr:`now`."""

    engine: Engine
    now: int

    def __init__(self, days: int) -> None:
        self.cents = dict(FIRST_CENTS)
        self.dates = dates(days)
        expiries = [*self.dates, CALENDAR.next_trading_day(self.dates[-1])]
        self.contracts = {
            found.symbol: (found, strike, right)
            for date in expiries
            for strike in STRIKES
            for right in ("call", "put")
            if (found := contract(strike, right, date))  # type: ignore[arg-type]
        }
        self.instruments = {
            each.symbol: each for each in (*STOCKS, *(found for found, _, _ in self.contracts.values()))
        }
        self.told_at = 0
        """Changes of the session up to here have been told."""

    def contracts_now(self) -> list[str]:
        """Contracts that expire today or on the next date."""
        today = CALENDAR.session_at(self.now).trade_date
        near = (today, CALENDAR.next_trading_day(today))
        return [symbol for symbol, (found, _, _) in self.contracts.items() if found.expiry_date in near]

    def tell_sessions(self) -> None:
        """Every change of the session since the last one told, and official closes when the session closed."""
        for session in CALENDAR.changes(self.told_at + 1, self.now):
            self.engine.tape(session)
            if session.phase == "post":
                self.tell_closes(session.at + SECOND, session.at + SECOND)
        self.told_at = self.now

    def tell_closes(self, at: int, received_at: int) -> None:
        """The official closes; told again to whoever was not there."""
        for symbol, cents in self.cents.items():
            self.engine.tape(Auction(symbol, "close", cents * 100, 1_000, at, received_at=received_at))

    def tell_session(self) -> None:
        """The session as it is now: what a start tells first."""
        self.engine.tape(CALENDAR.session_at(self.now))
        self.told_at = self.now

    def quote(self, symbol: str, random: Random) -> None:
        """The price walks."""
        step = max(1, self.cents[symbol] // 1_000)
        self.cents[symbol] = max(50, self.cents[symbol] + step * random.choice((-3, -1, 0, 0, 1, 3)))
        size, wide = random.choice((1, 20, 300)), random.choice((1, 1, 2, 5))
        self._say(symbol, self.cents[symbol], self.cents[symbol] + wide, size)

    def _say(self, symbol: str, bid: int, ask: int, size: int) -> None:
        self.engine.tape(Quote(symbol, bid * 100, size, ask * 100, size, self.now, received_at=self.now))

    def quote_contract(self, symbol: str, random: Random) -> None:
        """A contract at what it is worth and a little more."""
        _, strike, right = self.contracts[symbol]
        away = self.cents[OPTIONED] - strike * 100
        worth = max(0, away if right == "call" else -away) + random.choice((2, 10, 60))
        self._say(symbol, worth, worth + random.choice((1, 2, 8)), random.choice((1, 10, 100)))

    def _quote(self, random: Random) -> None:
        self.quote(random.choice(SYMBOLS), random)

    def _option_quote(self, random: Random) -> None:
        self.quote_contract(random.choice(self.contracts_now()), random)

    def _odd_quote(self, random: Random) -> None:
        """What feeds send too: crossed, one-sided, empty, absurd, or of another time."""
        symbol = random.choice((*SYMBOLS, *self.contracts_now()))
        cents = self.cents.get(symbol, 100)
        at = self.now + random.choice((0, -5 * SECOND, -3_600 * SECOND, 500 * MS, 3_600 * SECOND))
        bid, ask = random.choice(((cents, cents - 2), (0, cents), (cents, 0), (0, 0), (1, 10**9), (cents, cents)))
        sizes = random.choice(((0, 0), (1, 0), (10**9, 10**9), (5, 5)))
        self.engine.tape(Quote(symbol, bid * 100, sizes[0], ask * 100, sizes[1], at, received_at=self.now))

    def _print(self, random: Random) -> None:
        symbol = random.choice(SYMBOLS)
        price = self.cents[symbol] + random.choice((-2, 0, 2))
        conditions = random.choice(("", "", "I", "W"))
        self.engine.tape(Trade(symbol, price * 100, random.choice((1, 100)), self.now, conditions=conditions))

    def _feed(self, random: Random) -> None:
        state: Any = random.choice(("down", "up", "up", "up", "gap", "lagging"))
        symbols = random.choice(((), (random.choice(SYMBOLS),)))
        self.engine.tape(FeedState(state, self.now, "fake", symbols, "chaos"))

    def _halt(self, random: Random) -> None:
        state: Any = random.choice(("halted", "paused", "trading", "trading", "trading"))
        self.engine.tape(Status(random.choice(SYMBOLS), state, self.now, short_restricted=random.random() < 0.3))

    def _reference(self, random: Random) -> None:
        """A listing goes or comes back: what a corporate deletion is to a broker."""
        symbol = random.choice((*SYMBOLS, *self.contracts_now()))
        there = self.instruments[symbol].active
        self.instruments[symbol] = structs.replace(self.instruments[symbol], active=not there, tradable=not there)
        self.engine.reference((self.instruments[symbol],), self.now)

    def calm_market(self) -> None:
        """Everything is listed, trades and is quoted."""
        gone = [each.symbol for each in self.instruments.values() if not each.active]
        for symbol in gone:
            self.instruments[symbol] = structs.replace(self.instruments[symbol], active=True, tradable=True)
        self.engine.reference(tuple(self.instruments[symbol] for symbol in gone), self.now)
        self.engine.tape(FeedState("up", self.now, "fake"))
        random = Random(self.now)
        for symbol in SYMBOLS:
            self.engine.tape(Status(symbol, "trading", self.now))
            self.quote(symbol, random)
        for symbol in self.contracts_now():
            self.quote_contract(symbol, random)
        session = CALENDAR.session_at(self.now)
        if session.phase == "post":
            self.tell_closes(CALENDAR.trading_day(session.trade_date).core_closes_at + SECOND, self.now)
