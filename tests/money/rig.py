"""An engine on the real calendar: sessions, quotes and commands at New York times."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import Rates
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import Quote
from mbtd.market.calendar import Calendar, TradeDays

CALENDAR = Calendar()
DOLLAR = 1_000_000
SECOND = 1_000_000_000
INSTRUMENTS = (
    Instrument("00000000-0000-8000-a000-00000000000a", "AAA", previous_close=1_000_000),
    Instrument("00000000-0000-8000-a000-00000000000b", "BBB", previous_close=1_000_000),
    Instrument("00000000-0000-8000-a000-00000000000c", "CHEAP", previous_close=20_000),
    Instrument("00000000-0000-8000-a000-00000000000d", "HARD", easy_to_borrow=False, previous_close=1_000_000),
    Instrument("00000000-0000-8000-a000-00000000000e", "TRIPLE", leverage=3, previous_close=1_000_000),
    Instrument("00000000-0000-8000-a000-00000000000f", "NOLOAN", marginable=False, previous_close=1_000_000),
)
QUICK: dict[str, dict[str, Any]] = {
    "quick": {
        "latency_base_ms": 0, "latency_jitter_ms": 0, "theta_take_ppm": 1_000_000, "depth_ppm": 0, "dwell_ms": 0,
        "consume_half_life_ms": 0, "collar_ppm": 0,
    }
}  # fmt: skip


def when(text: str) -> int:
    """``2026-11-23 10:00`` New York as nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()) * SECOND


class Bench:
    """One engine, its clock and its accounts."""

    calendar = CALENDAR

    def __init__(self, start: str, rates: Rates | None = None) -> None:
        self.engine = Engine(
            b"r" * 32, Profiles(QUICK), instruments=INSTRUMENTS, days=TradeDays(self.calendar), rates=rates
        )
        self.now = when(start)
        self.engine.tape(self.calendar.session_at(self.now))

    def go(self, text: str) -> None:
        """Let time pass, with every change of the session."""
        until = when(text)
        for session in self.calendar.changes(self.now + 1, until):
            self.engine.tape(session)
        self.engine.run_timers_through(until)
        self.now = until

    def quote(self, symbol: str, dollars: float, ask: float = 0) -> None:
        """A wide market at a price."""
        self.now += 1
        bid = round(dollars * 10_000)
        self.engine.tape(Quote(symbol, bid, 10_000, round(ask * 10_000) or bid, 10_000, self.now))

    def account(self, cash: str = "100000", kind: str = "margin", profile: str = "quick") -> int:
        """A new account's number."""
        number = len(self.engine.books) + 1
        action = CreateAccount(name=f"n{number}", type=kind, cash=cash, profile=profile)  # type: ignore[arg-type]
        seed = blake2b(b"%d" % number, digest_size=32).digest()
        self.engine.command(0, action, self.now, Envelope(), Issued(seed))
        return number

    def do(self, account_no: int, action: Any) -> Any:
        """One command now."""
        self.now += 1
        return self.engine.command(account_no, action, self.now, Envelope())

    def order(self, account_no: int, side: str, qty: str, symbol: str = "AAA", **more: Any) -> Any:
        """A market order."""
        terms = {"type": "market", "time_in_force": "day", **more}
        outcome = self.do(account_no, PlaceOrder(symbol=symbol, side=side, qty=qty, **terms))
        self.engine.run_timers_through(self.now)
        return outcome

    def book(self, account_no: int) -> Any:
        return self.engine.books[account_no]

    def events(self, account_no: int, kind: type | None = None) -> list[Any]:
        """All events of an account so far."""
        return [
            event
            for step in self.engine.steps
            for section in step.sections
            if section.account_no == account_no
            for event in section.events
            if kind is None or isinstance(event, kind)
        ]
