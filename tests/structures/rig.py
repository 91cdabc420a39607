"""One account on the real calendar around an expiry, with contracts of two expiries and units in short words."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import structs

from actors.book import events as e
from actors.book.instruments import Instrument
from actors.book.osi import Right, format_osi, is_option_symbol
from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.book.state.structures import Structure
from actors.book.structures.follow import signed_change
from actors.book.units import QTY_PER_SHARE, value_money
from actors.commands import ConfigureAccount, OrderLeg, PlaceOrder
from mbtd.market.assets import instrument_of
from tests.options.rig import CALENDAR
from tests.options.stage import STOCK, Stage

NEAR, FAR = 20261218, 20270115
STRIKES = (90, 95, 100, 105, 110)
SECOND = 1_000_000_000


def contract(strike: int, right: Right, day: int) -> Instrument:
    found = instrument_of(format_osi("XYZ", day, right, strike * 10_000), CALENDAR)
    return structs.replace(found, tick_price=100, tick_price_from_3=0)


BY_WORD: dict[str, Instrument] = {
    f"{right[0].upper()}{strike}{mark}": contract(strike, right, day)
    for day, mark in ((NEAR, ""), (FAR, "'"))
    for right in ("call", "put")
    for strike in STRIKES
}
"""``C105`` expires first, ``C105'`` four weeks later."""
WORDS = {instrument.symbol: word for word, instrument in BY_WORD.items()}
CONDOR = "+P90 -P95 -C105 +C110"


class Floor(Stage):
    """A stage with one account; all contracts are quoted at a cent around their own middle."""

    def __init__(
        self, start: str = "2026-12-17 10:00", cash: int = 100_000, kind: str = "margin", level: int = 3
    ) -> None:
        super().__init__(start, (*BY_WORD.values(), STOCK))
        self.no = self.account(cash, kind=kind)
        self.do(self.no, ConfigureAccount(options_level=level))
        self.price(100.0)
        self.quote_all()

    def price(self, dollars: float) -> None:
        self.quote("XYZ", dollars - 0.01, dollars + 0.01)
        self.stock_at = dollars

    def quote_all(self) -> None:
        """A smooth convex value of each contract, higher for the later expiry."""
        for word in BY_WORD:
            strike = float(word[1:].rstrip("'"))
            inside = self.stock_at - strike if word[0] == "C" else strike - self.stock_at
            width = 25.0 if word.endswith("'") else 16.0
            self.mid(word, round((inside + math.sqrt(inside * inside + width)) / 2, 2))

    def mid(self, word: str, dollars: float, half: float = 0.01) -> None:
        self.quote(BY_WORD[word].symbol, round(dollars - half, 2), round(dollars + half, 2))

    def wait(self, seconds: float = 3) -> None:
        self.now += int(seconds * SECOND)
        self.engine.run_timers_through(self.now)

    def legs(self, words: str) -> tuple[OrderLeg, ...]:
        found = []
        for word in words.split():
            digits = word[1:].lstrip("0123456789")
            ratio = word[1 : len(word) - len(digits)] or "1"
            found.append(
                OrderLeg(symbol=BY_WORD[digits].symbol, ratio_qty=ratio, side="buy" if word[0] == "+" else "sell")
            )
        return tuple(found)

    def unit(self, words: str, limit: str | None = None, qty: str = "1", **more: Any) -> Any:
        kind = "market" if limit is None else "limit"
        outcome = self.do(
            self.no,
            PlaceOrder(qty=qty, type=kind, limit_price=limit, order_class="mleg", legs=self.legs(words), **more),
        )
        self.wait(1)
        return outcome

    def single(self, word: str, side: str, qty: str = "1", limit: str | None = None) -> Any:
        symbol = "XYZ" if word == "XYZ" else BY_WORD[word].symbol
        kind = "market" if limit is None else "limit"
        outcome = self.do(self.no, PlaceOrder(symbol=symbol, side=side, qty=qty, type=kind, limit_price=limit))
        self.wait(1)
        return outcome

    def command(self, action: Any) -> Any:
        outcome = self.do(self.no, action)
        self.wait(1)
        return outcome

    @property
    def own(self) -> Book:
        book: Book = self.book(self.no)
        assert not book.quarantined, book.quarantined
        return book

    @property
    def only(self) -> Structure:
        (structure,) = self.own.structures.values()
        return structure

    def shape(self, structure: Structure | None = None) -> dict[str, int]:
        """Contracts (or shares) by word."""
        structure = structure or self.only
        return {WORDS.get(leg.symbol, leg.symbol): leg.qty // QTY_PER_SHARE for leg in structure.legs}

    def facts(self, kind: Any) -> list[Any]:
        return self.events(self.no, kind)

    def changes(self) -> list[str]:
        return [fact.change for fact in self.facts(e.StructureChanged)]

    def everything(self) -> list[tuple[int, Any]]:
        """All events of the account with their times."""
        return [
            (step.at, event)
            for step in self.engine.steps
            for section in step.sections
            if section.account_no == self.no
            for event in section.events
        ]


def placed(outcome: Any) -> Placed:
    assert isinstance(outcome, Placed), outcome
    return outcome


def refused(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def check(floor: Floor) -> None:
    """What always holds between structures, positions, cash and profit, and a replay that ends in the same book."""
    book = floor.own
    owned: dict[str, int] = {}
    for structure in book.structures.values():
        assert structure.legs
        for leg in structure.legs:
            owned[leg.symbol] = owned.get(leg.symbol, 0) + leg.qty
            position = book.positions[leg.symbol]
            assert leg.qty * position.qty > 0, "a structure stands against its position"
    for symbol, qty in owned.items():
        assert abs(qty) <= abs(book.positions[symbol].qty)
    for symbol, position in book.positions.items():
        if is_option_symbol(symbol):
            assert owned.get(symbol, 0) == position.qty, "every contract belongs to a structure"
    _check_money(floor, owned)
    _check_units(floor)
    _check_replay(floor)


def _check_units(floor: Floor) -> None:
    """Fill model §20.3: in every partial fill ratios are exact, legs add up to the net, each is inside its quote."""
    terms: dict[int, e.OrderAccepted] = {}
    fills: list[tuple[e.OrderFilled, list[e.OrderLegFilled]]] = []
    for _, event in floor.everything():
        if isinstance(event, e.OrderAccepted | e.OrderReplaced):
            told = event if isinstance(event, e.OrderAccepted) else event.terms
            terms[told.order_no] = told
        elif isinstance(event, e.OrderFilled) and terms[event.order_no].legs:
            fills.append((event, []))
        elif isinstance(event, e.OrderLegFilled):
            assert (event.order_no, event.fill_no) == (fills[-1][0].order_no, fills[-1][0].fill_no)
            fills[-1][1].append(event)
    for fill, lines in fills:
        legs = terms[fill.order_no].legs
        net = 0
        for index, leg in enumerate(legs):
            mine = [line for line in lines if line.leg == index]
            assert sum(line.qty for line in mine) == fill.qty * leg.ratio
            for line in mine:
                assert line.bid <= line.price <= line.ask
                net += line.price * line.qty * leg.multiplier * (1 if leg.side == "buy" else -1)
        assert net == fill.price * fill.qty * 100


def _check_money(floor: Floor, owned: dict[str, int]) -> None:
    """The profit of all structures, and of what is held loose, is what the account booked."""
    book, world = floor.own, floor.engine.world
    last: dict[int, e.StructureChanged] = {}
    for fact in floor.facts(e.StructureChanged):
        last[fact.structure_no] = fact
    open_cost = sum(leg.basis_money for s in book.structures.values() for leg in s.legs)
    net = sum(fact.total_net_money for fact in last.values())
    realized = sum(fact.total_realized_money for fact in last.values())
    assert realized == net + open_cost, "what came in is profit or stands in open legs"
    moved = sum(signed_change(change)[1] for change in floor.facts(e.PositionChanged))
    loose = {s: p.qty - owned.get(s, 0) for s, p in book.positions.items() if p.qty != owned.get(s, 0)}
    if not loose and not any(not is_option_symbol(c.symbol) for c in floor.facts(e.PositionChanged)):
        assert net == moved
        worth = sum(
            value_money(world.mark(s), p.qty, world.instruments.by_symbol[s].multiplier)
            for s, p in book.positions.items()
        )
        booked = sum(change.realized_money for change in floor.facts(e.PositionChanged))
        basis = sum(p.basis_money for p in book.positions.values())
        assert realized - open_cost == booked - basis
        if not book.positions:
            assert realized == booked
        assert worth - open_cost + realized == worth - basis + booked
        accrued = sum(fee.pico for booking in floor.facts(e.TradeBooked) for fee in booking.fees)
        assert sum(fact.total_fees_pico for fact in last.values()) == accrued


def _check_replay(floor: Floor) -> None:
    """Folding all facts anew, and a book that went over the disk, are the same book."""
    twin = Book(floor.no)
    for at, event in floor.everything():
        fold(twin, event, at)
    twin.watch, twin.consumed = dict(floor.own.watch), dict(floor.own.consumed)
    assert twin == floor.own
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(twin), type=Book) == twin
