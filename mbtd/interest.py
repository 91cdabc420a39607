"""Which symbols matter: what live orders, positions and listeners need is subscribed, the rest is let go.

Invariants: a symbol is subscribed as soon as an order, a quote stream or a question names it (an order refused for
want of a price is one), and at a start for everything recovered; only symbols of known instruments are; never
more than the configured numbers of stocks and of option contracts. Where the room ends, what nobody needs any
more gives way to what is needed, and what finds no room is counted (``interest_full`` in the health) and tried
again at every sweep. A symbol that nothing needs is let go after :data:`RELEASE_AFTER_NS`. An order whose symbol
is not subscribed waits with ``no_live_quote``: the feed sees to it that no quote outlives its subscription.

Known limit: positions of accounts that are not in memory are followed once their account wakes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import anyio
import anyio.lowlevel

from actors.book.events import OrderAccepted, OrderRejected, OrderReplaced, PositionAdjusted, PositionChanged
from actors.book.state.book import Book
from actors.engine import Engine
from actors.inputs import Step
from mbtd.market.feed import Feed

SWEEP_EVERY_S: Final = 5.0
RELEASE_AFTER_NS: Final = 60_000_000_000
_ACCOUNTS_PER_SLICE: Final = 500
_NAMES_A_SYMBOL: Final = frozenset({OrderAccepted, PositionAdjusted, PositionChanged})
_READ: Final = _NAMES_A_SYMBOL | {OrderReplaced, OrderRejected}


class Interest:
    """Follows one engine and steers one feed; a feed that sends everything ignores it."""

    def __init__(
        self,
        engine: Engine,
        feed: Feed,
        listened: Callable[[], Collection[str]],
        monotonic: Callable[[], int],
        *,
        max_symbols: int,
        max_contracts: int,
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._listened = listened
        self._monotonic = monotonic
        self._most = {False: max_symbols, True: max_contracts}
        self._held = {False: 0, True: 0}
        self._needed: set[str] = set()
        self._idle: dict[str, int] = {}
        """Subscribed without need, since when; the longest first."""
        self._since_sweep: set[str] = set()
        self._left_out: set[str] = set()
        self._unknown: set[str] = set()

    # ── what comes up ────────────────────────────────────────────────────────────────────────────────────

    def note(self, steps: Iterable[Step]) -> None:
        """Events happened: orders and positions name symbols."""
        fresh: set[str] = set()
        for step in steps:
            for section in step.sections:
                events: tuple[Any, ...] = section.events
                for event in events:
                    kind = type(event)
                    if kind not in _READ:
                        continue
                    if kind is OrderAccepted and event.legs:
                        fresh.update(leg.symbol for leg in event.legs)
                    elif kind is OrderReplaced:
                        fresh.update(leg.symbol for leg in event.terms.legs or (event.terms,))
                    elif kind in _NAMES_A_SYMBOL:
                        fresh.add(event.symbol)
                    elif kind is OrderRejected and event.reason == "no_market_price":
                        self.ask(event.symbol or event.numbers.get("symbol", ""))
        if fresh:
            self._since_sweep |= fresh
            fresh -= self._needed
            if fresh:
                self._need(self._with_underlyings(fresh))

    def ask(self, symbol: str) -> None:
        """Somebody looks at a symbol: follow it for a while."""
        if symbol in self._needed:
            return
        now = self._monotonic()
        if self._idle.pop(symbol, None) is not None:
            self._idle[symbol] = now
        elif self._admit(symbol, evict=False):
            self._idle[symbol] = now
            self._feed.subscribe([symbol])

    def begin(self) -> None:
        """After recovery: everything that the accounts in memory need."""
        self._need(self._with_underlyings(set().union(*map(_symbols_of, self._engine.books.values()))))

    # ── upkeep ───────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await anyio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Look at what is needed now, a slice of accounts at a time; let go what was not for long."""
        self._since_sweep.clear()
        books = self._engine.books
        needed: set[str] = set()
        account_nos = list(books)
        for start in range(0, len(account_nos), _ACCOUNTS_PER_SLICE):
            for account_no in account_nos[start : start + _ACCOUNTS_PER_SLICE]:
                book = books.get(account_no)
                if book is not None:
                    needed.update(_symbols_of(book))
            await anyio.lowlevel.checkpoint()
        needed.update(self._listened(), self._since_sweep)
        self.settle(self._with_underlyings(needed))

    def settle(self, needed: set[str]) -> None:
        """Make the interest follow from what is needed."""
        now = self._monotonic()
        for symbol in self._needed - needed:
            self._idle[symbol] = now
        self._needed &= needed
        overdue = [symbol for symbol, since in self._idle.items() if now - since >= RELEASE_AFTER_NS]
        self._release([symbol for symbol in overdue if symbol not in needed])
        self._left_out.clear()
        self._unknown.clear()
        self._need(needed - self._needed)

    # ── for people ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def symbols(self) -> int:
        """Stocks subscribed."""
        return self._held[False]

    @property
    def contracts(self) -> int:
        """Option contracts subscribed."""
        return self._held[True]

    @property
    def left_out(self) -> int:
        """Symbols that are needed but found no room."""
        return len(self._left_out)

    @property
    def unknown(self) -> int:
        """Symbols that are needed but that the reference data does not know."""
        return len(self._unknown)

    # ── the inside ───────────────────────────────────────────────────────────────────────────────────────

    def _need(self, symbols: Iterable[str]) -> None:
        fresh = []
        for symbol in sorted(symbols):
            if self._idle.pop(symbol, None) is not None:
                self._needed.add(symbol)
            elif symbol not in self._needed:
                fresh.append(symbol)
        subscribe = [symbol for symbol in fresh if self._admit(symbol, evict=True)]
        self._needed.update(subscribe)
        if subscribe:
            self._feed.subscribe(subscribe)

    def _admit(self, symbol: str, *, evict: bool) -> bool:
        """Take a place for a symbol, if there is one."""
        instrument = self._engine.world.instruments.by_symbol.get(symbol)
        if instrument is None:
            if evict:
                self._unknown.add(symbol)
            return False
        option = instrument.asset_class == "us_option"
        if self._held[option] >= self._most[option]:
            place = next((idle for idle in self._idle if self._is_option(idle) == option), None)
            if place is None or not evict:
                if evict:
                    self._left_out.add(symbol)
                return False
            self._release([place])
        self._held[option] += 1
        return True

    def _release(self, symbols: Collection[str]) -> None:
        for symbol in symbols:
            del self._idle[symbol]
            self._held[self._is_option(symbol)] -= 1
        if symbols:
            self._feed.unsubscribe(symbols)

    def _is_option(self, symbol: str) -> bool:
        return self._engine.world.instruments.by_symbol[symbol].asset_class == "us_option"

    def _with_underlyings(self, symbols: set[str]) -> set[str]:
        table = self._engine.world.instruments.by_symbol
        underlyings = {table[symbol].underlying for symbol in symbols if symbol in table}
        return symbols | (underlyings - {""})


def _symbols_of(book: Book) -> Iterator[str]:
    for order in book.orders.values():
        if order.terms.legs:
            yield from (leg.symbol for leg in order.terms.legs)
        else:
            yield order.terms.symbol
    yield from book.positions
