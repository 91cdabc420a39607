"""The lanes of market data that are shown: the present one, and the same fifteen minutes late (architecture §6).

A lane is what the readers of the tape see of it: the newest quote, print and status of each symbol, and the bars. The
delayed lane is the tape once more, by a cursor that stays behind: messages wait in a line until they are old enough.

Invariants: nothing is shown in a lane before its time, in any form; the line is bounded by thinning quotes to the
last one of each symbol and second, so its length is that of the market's symbols and not of its quotes. Prints are
all kept, up to ``WAITING_MAX``. After a start the delayed lane is filled from the end of the tape that is kept;
where none is, or not enough, it says that it is warming until it knows its whole past. Known limit: of the time
in which the daemon was not running there is nothing.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread
import msgspec

from actors.market.board import Board
from actors.market.messages import Quote, Status, TapeMessage, Trade
from mbtd.logs import get_logger
from mbtd.market.bars import Bars
from mbtd.service.entitlement import LaneName
from storage.tape import read_tape

log = get_logger(subsystem="market")
SECOND_NS: Final = 1_000_000_000
FILL_MAX: Final = 250_000
"""Records at the tape's end from which the delayed lane is filled at a start."""
_CHUNK: Final = 1_000
_BREATH_S: Final = 0.001
_decode = msgspec.msgpack.Decoder(TapeMessage).decode
WAITING_MAX: Final = 4_000_000
SHOW_SHARE: Final = 50
"""A second is shown in so many parts at most: all of it at once would hold the loop up for ten milliseconds."""
SHOW_MIN: Final = 100


class Shown:
    """One symbol in a lane."""

    __slots__ = ("quote", "status", "trade")

    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.trade: Trade | None = None
        self.status: Status | None = None


def price_of(shown: Shown | None) -> int:
    """The latest price that is shown: last print, else the middle of the quote, else 0 (as the board's mark)."""
    if shown is None:
        return 0
    if shown.trade is not None:
        return shown.trade.price
    quote = shown.quote
    if quote is None:
        return 0
    return (quote.bid + quote.ask) // 2 if quote.bid and quote.ask else quote.bid or quote.ask


class Lane(Protocol):
    """What one lane shows."""

    name: LaneName
    bars: Bars

    def look(self, symbol: str) -> Shown | None:
        """What stands in the lane of one symbol; ``None`` when nothing was ever shown."""


class _Second:
    """What happened in one second of the tape."""

    __slots__ = ("at", "due", "others", "quotes")

    def __init__(self, at: int) -> None:
        self.at = at
        self.quotes: dict[str, Quote] = {}
        self.others: list[TapeMessage] = []
        self.due: list[TapeMessage] | None = None
        """What is still to be shown, the next one last, once its time has come."""

    def take(self, share: int) -> list[TapeMessage]:
        """The next messages to show: one part in ``share``, and never very few."""
        if self.due is None:
            self.due = [*self.others, *self.quotes.values()][::-1]
        count = max(SHOW_MIN, (len(self.others) + len(self.quotes)) // share + 1)
        found = self.due[: -count - 1 : -1]
        del self.due[-count:]
        return found


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
        self.begins_at: int | None = None
        """The first instant that it knows of."""

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

    def warming(self, now: int) -> bool:
        """Whether the lane's present lies before all that it knows: what it has nothing of may have been quoted."""
        return self.begins_at is None or now - self.delay_ns < self.begins_at

    def follow_on(self, earlier: DelayedLane) -> None:
        """Take over what was before: a lane filled from the tape. Too late once something is shown."""
        if self.board or earlier.begins_at is None:
            return
        self.board, self.bars, self.begins_at = earlier.board, earlier.bars, earlier.begins_at
        line, self._line = self._line, earlier._line
        self.waiting += earlier.waiting
        last = self._line[-1] if self._line else None
        for second in line:
            if last is not None and second.at <= last.at and last.due is None:
                last.others += second.others
                last.quotes |= second.quotes
            else:
                self._line.append(second)

    def put(self, messages: Iterable[TapeMessage]) -> None:
        """Have messages wait for their time."""
        line = self._line
        for message in messages:
            at = (message.received_at or message.at) // SECOND_NS
            if self.begins_at is None:
                self.begins_at = at * SECOND_NS
            second = line[-1] if line else None
            if second is None or second.at < at or second.due is not None:
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
            size = len(gone.quotes) + len(gone.others) if gone.due is None else len(gone.due)
            self.waiting -= size
            self.dropped += size

    def advance(self, now: int) -> list[TapeMessage]:
        """Show some of what has become old enough at ``now``, or all when it is late; returns it, oldest first."""
        until = (now - self.delay_ns) // SECOND_NS
        line = self._line
        out: list[TapeMessage] = []
        # A second is shown when it is over, so nothing in it is early.
        while line and line[0].at < until:
            second = line[0]
            out += second.take(1 if second.at < until - 1 else SHOW_SHARE)
            if second.due:
                break
            line.popleft()
        self.waiting -= len(out)
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

    async def fill(self, records: Iterator[tuple[int, bytes]], now: int) -> None:
        """Fill the delayed lane from the end of the tape, see :func:`end_of_tape`."""
        lane = DelayedLane(self.delayed.delay_ns)
        try:
            await anyio.to_thread.run_sync(_read_into, lane, records, now)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("lane.not_filled", error=str(error))
            return
        self.delayed.follow_on(lane)
        log.info("lane.filled", warming=self.delayed.warming(now))

    def of(self, name: LaneName) -> Lane:
        """A lane by its name."""
        return self.delayed if name == "delayed" else self.real_time


def end_of_tape(directory: Path, last_seq: int) -> Iterator[tuple[int, bytes]]:
    """The end of the tape in ``directory`` up to which the engine has come back, with record ``last_seq``.

    Ask before the feed starts: what follows ``last_seq`` was seen, and the numbers of it are given out again.
    """
    return read_tape(directory, max(0, last_seq - FILL_MAX + 1))


def _read_into(lane: DelayedLane, records: Iterator[tuple[int, bytes]], now: int) -> None:
    """Play the tape's end into a lane; works beside the engine and lets it run."""
    while chunk := [_decode(record) for _, record in itertools.islice(records, _CHUNK)]:
        lane.put(chunk)
        lane.advance(now)
        time.sleep(_BREATH_S)
