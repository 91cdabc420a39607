"""What a decision may see besides its own book: the market and the clock as of one sequenced input.

Invariants: every field was set by a sequenced input; ``now`` never steps back.
"""

from __future__ import annotations

from actors.book.instruments import Instruments
from actors.market.board import Board
from actors.market.messages import Session


class World:
    """The engine's view of everything outside the accounts. One an engine; rules only read it."""

    __slots__ = (
        "board",
        "data_class",
        "feed",
        "feed_down",
        "instruments",
        "now",
        "profile_hashes",
        "session",
        "switches",
        "tape_seq",
    )

    def __init__(self, instruments: Instruments, profile_hashes: dict[str, str]) -> None:
        self.profile_hashes = profile_hashes
        self.board = Board()
        self.instruments = instruments
        self.now = 0
        self.tape_seq = 0
        self.session: Session | None = None
        self.feed = ""
        self.feed_down = False
        self.data_class = "real_time"
        self.switches: frozenset[str] = frozenset()
        """Kill switches that are thrown (architecture §11)."""

    @property
    def phase(self) -> str:
        """The market's phase; closed before the first session message."""
        return self.session.phase if self.session is not None else "closed"

    def mark(self, symbol: str) -> int:
        """Latest price of a symbol for valuation, 0 when nothing is known (last, middle, previous close)."""
        slot = self.board.slots.get(symbol)
        price = slot.mark() if slot is not None else 0
        if price:
            return price
        instrument = self.instruments.by_symbol.get(symbol)
        return instrument.previous_close if instrument is not None else 0
