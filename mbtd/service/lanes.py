"""The lanes of market data that are shown: the present one, and the same fifteen minutes late (architecture §6).

A lane is what the readers of the tape see of it: the newest quote, print and status of each symbol, and the bars. The
delayed lane is the tape once more, by a cursor that stays behind: messages wait in a line until they are old enough.

Invariants: nothing is shown in a lane before its time, in any form; the line is bounded by thinning quotes to the
last one of each symbol and second, so its length is that of the market's symbols and not of its quotes. Prints are
all kept, up to ``WAITING_MAX``. Known limit: after a start the delayed lane is filled from what the tape files still
hold of the last hour, where tapes are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from actors.market.board import Board
from actors.market.messages import Quote, Status, TapeMessage, Trade
from mbtd.market.bars import Bars
from mbtd.service.entitlement import LaneName

SECOND_NS: Final = 1_000_000_000
WAITING_MAX: Final = 4_000_000


class Shown:
    """One symbol in a lane."""

    __slots__ = ("quote", "status", "trade")

    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.trade: Trade | None = None
        self.status: Status | None = None


class Lane(Protocol):
    """What one lane shows."""

    name: LaneName
    bars: Bars

    def look(self, symbol: str) -> Shown | None:
        """What stands in the lane of one symbol; ``None`` when nothing was ever shown."""


class _Second:
    """What happened in one second of the tape."""

    __slots__ = ("at", "others", "quotes")

    def __init__(self, at: int) -> None:
        self.at = at
        self.quotes: dict[str, Quote] = {}
        self.others: list[TapeMessage] = []


class PresentLane:
    """The engine's own board."""

    name: LaneName = "real_time"

    def __init__(self, board: Board, bars: Bars) -> None:
        self._board = board
        self.bars = bars

    def look(self, symbol: str) -> Shown | None:
        """See :class:`Lane`."""
        slot = self._board.slots.get(symbol)
        if slot is None:
            return None
        shown = Shown()
        shown.quote, shown.trade, shown.status = slot.quote, slot.last, slot.status
        return shown


class DelayedLane:
    """The lane whose cursor stays behind."""

    name: LaneName = "delayed"

    def __init__(self, delay_ns: int) -> None:
        self.bars = Bars()
        self.board: dict[str, Shown] = {}
        self.delay_ns = delay_ns
        self._line: deque[_Second] = deque()
        self.waiting = 0
        self.dropped = 0

    def look(self, symbol: str) -> Shown | None:
        """See :class:`Lane`."""
        return self.board.get(symbol)

    def apply(self, messages: Sequence[TapeMessage]) -> None:
        """Take the next messages."""
        board = self.board
        for message in messages:
            kind = type(message)
            if kind is Quote or kind is Trade or kind is Status:
                symbol = message.symbol  # type: ignore[union-attr]
                shown = board.get(symbol)
                if shown is None:
                    shown = board[symbol] = Shown()
                if kind is Quote:
                    shown.quote = message  # type: ignore[assignment]
                elif kind is Trade:
                    shown.trade = message  # type: ignore[assignment]
                else:
                    shown.status = message  # type: ignore[assignment]
        self.bars.apply(messages)

    def put(self, messages: Iterable[TapeMessage]) -> None:
        """Have messages wait for their time."""
        line = self._line
        for message in messages:
            at = (message.received_at or message.at) // SECOND_NS
            second = line[-1] if line else None
            if second is None or second.at < at:
                second = _Second(at)
                line.append(second)
            if type(message) is Quote:
                if message.symbol not in second.quotes:
                    self.waiting += 1
                second.quotes[message.symbol] = message
            else:
                second.others.append(message)
                self.waiting += 1
        while self.waiting > WAITING_MAX:
            gone = line.popleft()
            size = len(gone.quotes) + len(gone.others)
            self.waiting -= size
            self.dropped += size

    def advance(self, now: int) -> list[TapeMessage]:
        """Show what has become old enough at ``now``; returns it, oldest first."""
        until = (now - self.delay_ns) // SECOND_NS
        line = self._line
        out: list[TapeMessage] = []
        # A second is shown when it is over, so nothing in it is early.
        while line and line[0].at < until:
            second = line.popleft()
            self.waiting -= len(second.quotes) + len(second.others)
            batch = [*second.others, *second.quotes.values()]
            out += batch
        if out:
            self.apply(out)
        return out


class Lanes:
    """Both lanes, fed with what the engine has applied."""

    def __init__(self, delay_ns: int, board: Board, bars: Bars) -> None:
        self.real_time = PresentLane(board, bars)
        self.delayed = DelayedLane(delay_ns)

    def __call__(self, messages: Sequence[TapeMessage], first_seq: int) -> None:
        """The engine has applied these."""
        self.delayed.put(messages)

    def of(self, name: LaneName) -> Lane:
        """A lane by its name."""
        return self.delayed if name == "delayed" else self.real_time
