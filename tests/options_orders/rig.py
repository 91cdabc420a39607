"""An account in an open market of one stock and its contracts, and short words for what is sent to it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec import structs

from actors.book.instruments import Instrument
from actors.book.osi import Right, format_osi
from actors.book.rules.matching.profiles import Profiles
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE
from actors.commands import CreateAccount, OrderLeg, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar
from tests.oracle.rig import CUSTOM, HOUR, RUN_SEED, SECOND, START, Do, Wait, events_of, feed, quote, session

OPEN = START + 6 * HOUR
EXPIRY = 20231215
CALENDAR = Calendar()
STOCK = Instrument("00000000-0000-8000-a000-000000000001", "XYZ", previous_close=1_000_000)


def contract(strike: int, right: Right = "call", day: int = EXPIRY, root: str = "XYZ", **more: Any) -> Instrument:
    """A contract with steps of a cent; strikes in dollars."""
    found = instrument_of(format_osi(root, day, right, strike * 10_000), CALENDAR)
    return structs.replace(found, tick_price=100, tick_price_from_3=0, active=True, tradable=True, **more)


CALLS = {strike: contract(strike) for strike in (90, 95, 100, 105, 110)}
PUTS = {strike: contract(strike, "put") for strike in (90, 95, 100, 105, 110)}
TODAY = contract(100, day=20231114)
PAST = contract(100, day=20231110)
OTHER = contract(100, root="ABC")


class Desk:
    """One account; each call comes a second after the one before."""

    def __init__(self, kind: str = "margin", profile: str = "brisk", cash: str = "100000", level: int = 3) -> None:
        every = (STOCK, *CALLS.values(), *PUTS.values(), TODAY, PAST, OTHER)
        self.engine = Engine(RUN_SEED, Profiles(CUSTOM), instruments=every)
        action = CreateAccount(name="one", type=kind, profile=profile, cash=cash, options_level=level)  # type: ignore[arg-type]
        self.engine.command(0, action, START, Envelope(), Issued(blake2b(b"1", digest_size=32).digest()))
        self.at = OPEN
        feed(self.engine, session("core", OPEN))
        self.quote(STOCK, 9_999, 10_001, 1_000)

    @property
    def book(self) -> Book:
        return self.engine.books[1]

    def do(self, action: Any) -> Any:
        self.at += SECOND
        return feed(self.engine, Do(1, action, self.at))

    def place(self, instrument: Instrument, side: str, limit: str | None = None, qty: str = "1", **more: Any) -> Any:
        kind = "market" if limit is None else "limit"
        given = {"symbol": instrument.symbol, "side": side, "qty": qty, "type": kind, "limit_price": limit, **more}
        return self.do(PlaceOrder(**given))

    def unit(self, words: str, limit: str | None = None, qty: str = "1", **more: Any) -> Any:
        """A unit written as ``+C100 -C105 +2P95``; ``+S`` and ``-S`` are a hundred shares."""
        parts = []
        for word in words.split():
            if word[1:] == "S":
                side = "buy" if word[0] == "+" else "sell"
                parts.append(OrderLeg(symbol=STOCK.symbol, ratio_qty="100", side=side))
                continue
            letter = next(c for c in word if c in "CP")
            ratio, strike = word[1 : word.index(letter)], word[word.index(letter) + 1 :]
            instrument = (CALLS if letter == "C" else PUTS)[int(strike)]
            side = "buy" if word[0] == "+" else "sell"
            parts.append(OrderLeg(symbol=instrument.symbol, ratio_qty=ratio or "1", side=side))
        kind = "market" if limit is None else "limit"
        given = {"qty": qty, "type": kind, "limit_price": limit, "order_class": "mleg", "legs": tuple(parts), **more}
        return self.do(PlaceOrder(**given))

    def quote(self, instrument: Instrument, bid: int, ask: int, size: int = 50) -> None:
        """A quote in cents that stays for a second."""
        self.at += SECOND
        feed(self.engine, quote(instrument.symbol, bid, ask, self.at, size, size))
        self.wait()

    def wait(self, seconds: int = 1) -> None:
        self.at += seconds * SECOND
        feed(self.engine, Wait(self.at))

    def held(self, instrument: Instrument) -> int:
        """Signed shares or contracts."""
        position = self.book.positions.get(instrument.symbol)
        return position.qty // QTY_PER_SHARE if position is not None else 0

    def events(self, kind: type | None = None) -> list[Any]:
        found = events_of(self.engine, 1)
        return found if kind is None else [event for event in found if isinstance(event, kind)]
