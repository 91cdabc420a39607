"""What a decision may see besides its own book: the market and the clock as of one sequenced input.

Invariants: every field was set by a sequenced input; ``now`` never steps back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from msgspec import Struct

from actors.book.instruments import Instrument, Instruments
from actors.book.rules.actions.arithmetic import half_up
from actors.book.rules.margin.requirement import Requirements
from actors.book.rules.money.interest import Rates
from actors.market.actions import Actions
from actors.market.board import Board, Key, Slot
from actors.market.days import Days, TradeDay
from actors.market.messages import Session

TRACE_LENGTH = 32
BAR_FEEDS = ("replay",)
"""Feeds whose prints are whole bars (fill model §3.1)."""


def official_key(symbol: str, trade_date: int, kind: str) -> str:
    """The name of one official value; names sort by date."""
    return f"{trade_date}/{kind}/{symbol}"


Past = tuple[Any, list[tuple[int, Any]]]
"""A book, and instants and events after it."""


class Trace(Struct, frozen=True, gc=False):
    """One evaluation that did not fill."""

    at: int
    reason: str
    quote_class: str
    far: int
    """Far side as a cost; 0 without a usable quote."""
    distance: int
    """Price units between the far side and the limit; negative once the market is through it."""
    theta_ppm: int
    """Where in the spread the limit stood."""


class World:
    """The engine's view of everything outside the accounts. One an engine; rules only read it."""

    __slots__ = (
        "_day",
        "actions",
        "any_sign",
        "before",
        "board",
        "closeouts",
        "data_class",
        "days",
        "describe",
        "feed",
        "feed_down",
        "instruments",
        "looks",
        "now",
        "officials",
        "past",
        "phase",
        "profile_hashes",
        "rates",
        "requirements",
        "session",
        "switches",
        "tape_seq",
        "traces",
        "turn",
        "valued",
        "without_fees",
    )

    def __init__(
        self,
        instruments: Instruments,
        profile_hashes: dict[str, str],
        days: Days | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.profile_hashes = profile_hashes
        self.board = Board(instruments)
        self.instruments = instruments
        self.traces: dict[Key, deque[Trace]] = {}
        """The last evaluations of each live order that did not fill: for explanations, not kept over a restart."""
        self.now = 0
        self.tape_seq = 0
        self.session: Session | None = None
        self.phase: str = "closed"
        """The market's phase; closed before the first session message."""
        self.feed = ""
        self.feed_down = False
        self.data_class = "real_time"
        self.any_sign: frozenset[str] = frozenset()
        """Fill profiles that take a net limit of the wrong sign."""
        self.closeouts: frozenset[str] = frozenset()
        """Fill profiles whose accounts close out what expires instead of settling it."""
        self.without_fees: frozenset[str] = frozenset()
        """Fill profiles whose fills are charged nothing."""
        self.switches: frozenset[str] = frozenset()
        """Kill switches that are thrown (architecture §11)."""
        self.days = days
        """Null: no trade dates are known, so nothing settles, accrues or falls due by itself."""
        self.rates = rates or Rates()
        self.officials: dict[str, int] = {}
        """The house's table of official values, by :func:`official_key`."""
        self.actions = Actions()
        """The house's corporate actions."""
        self.before: Mapping[str, Fraction] = {}
        """While an account's day of before a split is valued: old units for each new one, by symbol."""
        self.past: Callable[[int, int, int], Past | None] | None = None
        """An account as it was before an instant, with its events since up to so many in all; null where no history
        is kept, and for an account of which it was forgotten."""
        self._day: TradeDay | None = None
        self.describe: Callable[[str], Instrument | None] | None = None
        """A pure function that describes a standard contract by its symbol alone; null for none."""
        self.turn = 0
        """Number of the account's turn that is under way: until it ends no price moves. 0 outside of turns."""
        self.requirements = Requirements()
        """The rules of margin for books with contracts, with their caches."""
        self.looks: dict[int, bool] | None = None
        """Accounts whose margin must be looked at with searches that are made outside of turns, and whether a
        transaction reduced their level; null where such a look is made at once."""
        self.valued: dict[int, Any] = {}
        """What the margin rules last made of an account's positions: a cache of their own, never a fact."""

    def know(self, symbols: Iterable[str]) -> None:
        """Have the records of what is held, also of contracts that no reference data lists any more."""
        if self.describe is None:
            return
        known = self.instruments.by_symbol
        missing = [symbol for symbol in symbols if symbol not in known]
        self.instruments.keep(found for symbol in missing if (found := self.describe(symbol)) is not None)

    @property
    def day(self) -> TradeDay | None:
        """The trade date of ``now``; null when none is known."""
        day = self._day
        if day is not None and day.begins_at <= self.now < day.ends_at:
            return day
        if self.days is None or not self.now:
            return None
        day = self._day = self.days.at(self.now)
        return day

    def begin(self, session: Session) -> None:
        """Take in a session message: its phase is the market's."""
        self.session = session
        self.phase = session.phase

    def is_bar_tape(self, slot: Slot) -> bool:
        """Whether the prints of a symbol are whole bars, of which an account may have only a part."""
        return (slot.feed or self.feed) in BAR_FEEDS

    def trace(self, key: Key, entry: Trace) -> None:
        """Remember an evaluation."""
        kept = self.traces.get(key)
        if kept is None:
            kept = self.traces[key] = deque(maxlen=TRACE_LENGTH)
        kept.append(entry)

    def mark(self, symbol: str) -> int:
        """Latest price of a symbol for valuation, 0 when nothing is known (last, middle, previous close)."""
        slot = self.board.slots.get(symbol)
        price = slot.mark() if slot is not None else 0
        if not price:
            instrument = self.instruments.by_symbol.get(symbol)
            price = instrument.previous_close if instrument is not None else 0
        return price if symbol not in self.before else half_up(price * self.before[symbol])

    def official(self, symbol: str, trade_date: int, kind: str) -> int:
        """The official opening or closing value of a trade date, 0 while it is not known.

        Reference data that says what the close of that very date was stands for a close that nobody saw.
        """
        price = self.officials.get(official_key(symbol, trade_date, kind), 0)
        if not price and kind == "close":
            instrument = self.instruments.by_symbol.get(symbol)
            if instrument is not None and instrument.previous_close_date == trade_date:
                return instrument.previous_close
        return price
