"""Corporate actions at their instants: the market goes over to new units, and every account concerned is woken.

Invariants: what happens here follows from the house's facts and the calendar alone and leads to no event of its own,
so an engine that starts later comes to the same; prices of before an instant are read in new units after it, and none
of them is a live quote any more. Accounts are woken in ``account_no`` order, each for a turn of its own.

Known limits: contracts are listed by reference data alone, so until it comes new an adjusted one is known to holders
only; a spin-off or a dividend changes no shown price before the first one after it; when reference data says
nothing about the date of a previous close, it counts as of before the action.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from actors import timers as t
from actors.actor import Waits
from actors.book.actions.due import due_of
from actors.book.actions.effects import new_instruments
from actors.book.events.actions import CorporateAction, CorporateActionAnnounced
from actors.book.rules.actions.arithmetic import fraction, half_up
from actors.book.state.book import Book
from actors.book.units import NS_PER_SECOND
from actors.market.actions import roll_at, sequence_of
from actors.market.bands import forget
from actors.market.board import Slot
from actors.market.world import World

HOUSE_ENTRY: Final = (0, 0, t.ACTION)
REMEMBERED_NS: Final = 30 * 86_400 * NS_PER_SECOND
"""So long reference data may still be as of before an action; later a name may belong to somebody else."""
DOUBTED_NS: Final = 7 * 86_400 * NS_PER_SECOND
DOUBTED_RATIO: Final = Fraction(3, 2)
_SCALES: Final = ("forward_split", "reverse_split", "stock_dividend")


class Acting:
    """The instants of one engine's corporate actions."""

    __slots__ = ("_begun", "_books", "_waits", "_world")

    def __init__(self, world: World, waits: Waits, books: Callable[[], dict[int, Book]]) -> None:
        self._world, self._waits, self._books = world, waits, books
        self._begun: dict[str, int] = {}
        """Version of each action that the market has gone over to."""

    def know_all(self) -> None:
        """The house is another one: wait for everything that it knows."""
        self._begun.clear()
        for known in self._world.actions:
            self.know(known)

    def know(self, known: CorporateActionAnnounced) -> None:
        """Wait for an action's instant, which may have passed."""
        if self._world.days is None:
            return
        at = roll_at(self._world.days, known.action.effective_date)
        if known.announced_at > at or known.version > 1:
            self._world.actions.note_late(known)
        self._waits.timers.add(at, HOUSE_ENTRY)

    def announce(self, known: CorporateActionAnnounced) -> None:
        """One became known just now: whoever it concerns waits for it, or looks at once."""
        self.know(known)
        self.fall_due()
        self._wake_all(known)

    def fall_due(self) -> None:
        """Begin every action whose instant has come."""
        world = self._world
        due: list[tuple[int, CorporateActionAnnounced]] = []
        for known in world.actions:
            assert world.days is not None
            if known.action.withdrawn or self._begun.get(known.action.ca_id) == known.version:
                continue
            at = roll_at(world.days, known.action.effective_date)
            if at <= world.now:
                due.append((at, known))
        world.actions.begun_through = world.now
        for at, known in sorted(due, key=lambda entry: (entry[0], sequence_of(entry[1].action))):
            ca_id = known.action.ca_id
            if ca_id not in self._begun:
                self._begin(known.action, at)
            self._begun[ca_id] = known.version
            world.actions.begun_at[ca_id] = world.now
            self._wake_all(known)

    def _wake_all(self, known: CorporateActionAnnounced) -> None:
        books = self._books()
        for account_no in sorted(books):
            self._wake(books[account_no], known)

    def _wake(self, book: Book, known: CorporateActionAnnounced) -> None:
        if book.quarantined or self._world.days is None:
            return
        if (at := due_of(book, known, self._world)) and (book.money is not None or book.positions or book.orders):
            self._waits.timers.add(max(at, self._world.now), (book.account_no, 0, t.DUE))

    # ── the market ──────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, action: CorporateAction, at: int) -> None:
        world = self._world
        instruments = world.instruments
        leg = action.legs[0] if action.legs else None
        if world.now - at > REMEMBERED_NS:
            return
        if action.type in _SCALES and leg is not None and leg.symbol == action.symbol:
            self._rescale(action, fraction(leg.ratio), at)
        fresh = new_instruments([leg.symbol for leg in action.legs], action, world)
        source = instruments.by_symbol.get(action.symbol)
        if source is not None and not action.keeps_source and all(leg.symbol != source.symbol for leg in action.legs):
            instruments.update((replace(source, active=False, tradable=False),))
        instruments.update(fresh.values())
        for name in action.symbols:
            self._describe(name)
        self._waits.look_at_all_margins()

    def _describe(self, symbol: str) -> None:
        slot = self._world.board.slots.get(symbol)
        if slot is not None:
            self._world.board.describe(slot, self._world.instruments.by_symbol.get(symbol))

    def _rescale(self, action: CorporateAction, ratio: Fraction, at: int) -> None:
        self._world.actions.scaled[action.ca_id] = at, action.symbol, ratio
        instrument = self._world.instruments.by_symbol.get(action.symbol)
        date = instrument.previous_close_date if instrument is not None else 0
        price = 0
        if instrument is not None and instrument.previous_close and date < action.effective_date:
            price = half_up(instrument.previous_close / ratio)
            self._world.instruments.update((replace(instrument, previous_close=price),))
        slot = self._world.board.slots.get(action.symbol)
        if slot is not None:
            if slot.last is not None and slot.last.at < at:
                price = half_up(slot.last.price / ratio)
            _rescale_slot(slot, ratio, at)
        if price:
            self._world.actions.expected[action.symbol] = at, price, ratio


def units_at(world: World, at: int) -> dict[str, Fraction]:
    """How many shares one share of each symbol has become by an instant, by splits and stock dividends."""
    found: dict[str, Fraction] = {}
    for known in world.actions:
        action = known.action
        if action.type not in _SCALES or action.withdrawn or action.legs[0].symbol != action.symbol:
            continue
        if world.days is not None and roll_at(world.days, action.effective_date) <= at:
            found[action.symbol] = found.get(action.symbol, Fraction(1)) * fraction(action.legs[0].ratio)
    return found


def in_old_units(world: World) -> list[str]:
    """Symbols whose quotes since a split are nearer to prices in old units than in new ones.

    Then the feed goes on as if nothing had happened, or the announcement is wrong: positions are worth a multiple, or
    a fraction, of what they are, and orders fill by it. Small ratios are told by nobody from an ordinary move.
    """
    found = []
    for symbol, (at, price, ratio) in world.actions.expected.items():
        slot = world.board.slots.get(symbol)
        quote = slot.quote if slot is not None else None
        if quote is None or quote.at < at or not quote.bid or not quote.ask:
            continue
        if world.now - at > DOUBTED_NS or max(ratio, 1 / ratio) < DOUBTED_RATIO:
            continue
        square, middle = Fraction(quote.bid + quote.ask, 2) ** 2, price**2 * ratio
        if square > middle if ratio > 1 else square < middle:
            found.append(symbol)
    return sorted(found)


def _rescale_slot(slot: Slot, ratio: Fraction, at: int) -> None:
    """Prices and sizes of before an instant, in new units."""

    def price(value: int) -> int:
        return half_up(value / ratio)

    quote, last, seen = slot.quote, slot.last, slot.print
    if quote is not None and quote.at < at:
        slot.quote = replace(
            quote, bid=price(quote.bid), ask=price(quote.ask), bid_size=int(quote.bid_size * ratio),
            ask_size=int(quote.ask_size * ratio),
        )  # fmt: skip
        slot.quote_epoch = -1
    if last is not None and last.at < at:
        slot.last = replace(last, price=price(last.price), size=int(last.size * ratio))
    if seen is not None and seen.at < at:
        slot.print = replace(seen, price=price(seen.price), size=int(seen.size * ratio))
    slot.rejoins += 1
    forget(slot)
