"""An engine on the real calendar around 2026-12-18, with accounts whose books come from events alone."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.instruments import Instrument
from actors.book.rules.booking import book_value
from actors.book.rules.matching.profiles import Profiles
from actors.book.units import QTY_PER_SHARE
from actors.commands import CloseAccount, CreateAccount
from actors.engine import Engine
from actors.inputs import CommandInput, Envelope, Issued
from actors.market.messages import Auction, Quote, Trade
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import TradeDays
from tests.money.rig import QUICK, when
from tests.options.rig import CALENDAR, contract

CALL, PUT, HIGH = contract(100), contract(100, "put"), contract(110)
STOCK = instrument_of("XYZ", CALENDAR)
DOLLAR = 1_000_000


class Stage:
    """One engine and its clock."""

    def __init__(self, start: str = "2026-12-17 10:00", instruments: tuple[Instrument, ...] = ()) -> None:
        self.instruments = instruments or (CALL, PUT, HIGH, STOCK)
        self.engine = Engine(b"x" * 32, Profiles(QUICK), instruments=self.instruments, days=TradeDays(CALENDAR))
        self.now = when(start)
        self.tape: list[Any] = []
        self.send(CALENDAR.session_at(self.now))

    def send(self, message: Any) -> None:
        self.tape.append(message)
        self.engine.tape(message)

    def account(self, cash: int, *held: tuple[Instrument, int], kind: str = "margin", profile: str = "quick") -> int:
        """An account that bought or sold contracts (or shares) at two dollars each."""
        number = len(self.engine.books) + 1
        action = CreateAccount(name=f"n{number}", type=kind, cash=str(cash), profile=profile)  # type: ignore[arg-type]
        seed = blake2b(b"%d" % number, digest_size=32).digest()
        self.engine.command(0, action, self.now, Envelope(), Issued(seed))
        self.give(number, *held)
        return number

    def give(self, number: int, *held: tuple[Instrument, int]) -> None:
        """Contracts or shares that an account buys or sells now, at two dollars each."""
        book = self.engine.books[number]

        def hold(draft: Draft) -> None:
            for instrument, count in held:
                value = 2 * abs(count) * instrument.multiplier * DOLLAR
                draft.emit(book_value(book, instrument, count > 0, abs(count) * QTY_PER_SHARE, value, 0, self.now, 0))

        assert self.engine.turn(book, hold)
        self.engine.close_step(CommandInput(number, CloseAccount(), Envelope()))

    def go(self, text: str) -> None:
        until = when(text)
        for session in CALENDAR.changes(self.now + 1, until):
            self.send(session)
        self.engine.run_timers_through(until)
        self.now = until

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        self.now += 1
        self.send(Quote(symbol, round(bid * 10_000), 100, round(ask * 10_000), 100, self.now))

    def trade(self, symbol: str, price: float) -> None:
        self.now += 1
        self.send(Trade(symbol, round(price * 10_000), 100, self.now))

    def auction(self, symbol: str, price: float, kind: Any = "close", at: str = "") -> None:
        self.now += 1
        self.send(Auction(symbol, kind, round(price * 10_000), 100, when(at) if at else self.now))

    def do(self, account_no: int, action: Any) -> Any:
        self.now += 1
        return self.engine.command(account_no, action, self.now, Envelope())

    def book(self, account_no: int) -> Any:
        return self.engine.books[account_no]

    def held(self, account_no: int) -> dict[str, int]:
        return {s: p.qty // QTY_PER_SHARE for s, p in self.book(account_no).positions.items()}

    def cash(self, account_no: int) -> float:
        return float(self.book(account_no).cash) / DOLLAR

    def events(self, account_no: int, kind: Any) -> list[Any]:
        return [
            event
            for step in self.engine.steps
            for section in step.sections
            if section.account_no == account_no
            for event in section.events
            if isinstance(event, kind)
        ]

    def booked(self, account_no: int) -> list[tuple[str, str, int, float]]:
        """Rows of contracts, as type, symbol, shares or contracts, dollars."""
        return [
            (b.activity_type, b.symbol, b.qty // QTY_PER_SHARE, b.net_money / DOLLAR)
            for b in self.events(account_no, e.ActivityBooked)
            if b.activity_type.startswith("OP")
        ]


def of_recording(recording: Any) -> Stage:
    """A stage on which a recording's instruments are known."""
    start = "2015-12-24 04:00"
    return Stage(start, tuple(recording.instruments(CALENDAR)))
