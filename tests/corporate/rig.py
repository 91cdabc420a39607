"""An account with history on the real calendar, to which corporate actions happen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.ids import client_key, derive_order_ids
from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.interest import Rates
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.engine import Engine
from actors.house.commands import AnnounceAction, WithdrawAction
from actors.inputs import Envelope, Step, TimerInput
from actors.market.messages import Quote
from actors.market.world import Past
from mbtd.market.assets import instrument_of
from mbtd.market.calendar import Calendar, TradeDays
from tests.money.rig import QUICK, Bench, when

CALENDAR = Calendar()
FREE = {"quick": QUICK["quick"] | {"fees": "none"}}


def past_of(steps: Iterable[Step], account_no: int, since: int, n: int) -> Past:
    """An account before an instant and what happened to it since, up to so many events in all."""
    book, later = Book(account_no), []
    for step in steps:
        for section in step.sections:
            for event in section.events if section.account_no == account_no else ():
                if step.at < since and not later:
                    fold(book, event, step.at)
                else:
                    later.append((step.at, event))
    assert book.n + len(later) >= n
    return book, later[: n - book.n]


class Stage(Bench):
    """One engine with instruments named by symbols."""

    def __init__(self, start: str, symbols: Iterable[str] = (), instruments: Iterable[Instrument] = ()) -> None:
        known = {symbol: instrument_of(symbol, CALENDAR) for symbol in symbols}
        known |= {instrument.symbol: instrument for instrument in instruments}
        self.engine = Engine(b"r" * 32, Profiles(FREE), instruments=known.values(), days=TradeDays(self.calendar),
                             rates=Rates(margin_interest_ppm=0))  # fmt: skip
        self.engine.world.past = lambda *asked: past_of(self.engine.steps, *asked)
        self.now = when(start)
        self.fed: list[Quote] = []
        """The quotes as they came."""
        self.engine.tape(self.calendar.session_at(self.now))

    def quote(self, symbol: str, dollars: float, ask: float = 0) -> None:
        """A wide market at a price."""
        super().quote(symbol, dollars, ask)
        quote = self.engine.world.board.slots[symbol].quote
        assert quote is not None
        self.fed.append(quote)

    def announce(self, **words: Any) -> Refusal | None:
        """The operator announces an action."""
        self.now += 1
        command = msgspec.convert(words, AnnounceAction)
        return self.engine.house_command(command, self.now, Envelope("admin"))

    def withdraw(self, ca_id: str) -> Refusal | None:
        """The operator withdraws one."""
        self.now += 1
        return self.engine.house_command(WithdrawAction(id=ca_id), self.now, Envelope("admin"))

    def told(self, account_no: int, *events: Any) -> None:
        """Facts of the account's earlier life."""

        def run(draft: Draft) -> None:
            for event in events:
                draft.emit(event)

        self.now += 1
        self.engine.run_timers_through(self.now)
        self.engine.input_seq += 1
        failures = len(self.engine.failures)
        self.engine.turn(self.book(account_no), run)
        assert self.engine.failures[failures:] == []
        self.engine.close_step(TimerInput(account_no, 0, 0))

    def hold(self, account_no: int, symbol: str, qty: int, basis: int) -> None:
        """A position bought before."""
        book: Book = self.book(account_no)
        instrument = self.engine.world.instruments.by_symbol[symbol]
        lot = e.Lot(book.next_lot_no, qty, basis, self.now, 0)
        self.told(account_no, e.PositionChanged(symbol, instrument.asset_id, qty, basis, book.cash, 0, 0, lot))

    def plant(self, account_no: int, symbol: str, side: str, kind: str, qty: int, **more: Any) -> int:
        """An order accepted before, live at the broker; its number."""
        book: Book = self.book(account_no)
        no = book.next_order_no
        order_id, client_id = derive_order_ids(book.seed, book.epoch, no)
        instrument = self.engine.world.instruments.by_symbol[symbol]
        terms = e.OrderAccepted(
            order_no=no, order_id=order_id, client_order_id=client_id, client_key=client_key(client_id),
            fingerprint=0, symbol=symbol, asset_id=instrument.asset_id, side=side, type=kind, time_in_force="gtc",
            qty=qty, notional=0, limit_price=0, stop_price=0, extended_hours=False,
            position_intent="sell_to_close" if side == "sell" else "buy_to_open", order_class="",
            submitted_at=self.now, live_at=self.now, expires_at=0, reserved_money=0, reserved_qty=0, check_price=0,
            collar_price=0, profile="quick",
        )  # fmt: skip
        terms = replace(terms, **more)
        facts: list[Any] = [terms]
        if not terms.held_at_first:
            facts.append(e.OrderActivated(no))
        self.told(account_no, *facts)
        return no
