"""Mark-outs: where the market stood 1, 10, 60 and 300 seconds after each fill (fill model §17, §19).

A pure function of fills and tape, made beside the engine: nothing about them is decided, journaled or waited for,
and the same tape gives the same mark-outs (ADR 10). Invariants: the mark-out of an instant is the middle of the last
two-sided quote at or before it, that of the fill included; where the tape was not seen for a while before the
instant and no quote has come since, there is none. Prices and drifts are in half price units (5e-5 dollar) so that a
middle is exact. What settles is handed on as rows. Known limit: the newest :data:`KEPT` fills are kept in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Final

import msgspec
from msgspec import Struct

from actors.book.events import OrderFilled, OrderLegFilled, PositionChanged, UserErased
from actors.book.units import NS_PER_SECOND, format_scaled
from actors.inputs import Step
from actors.market.messages import Quote, TapeMessage
from actors.timers import NEVER
from storage.mark_outs import MarkRow

HORIZONS_S: Final = (1, 10, 60, 300)
KEPT: Final = 10_000
_NO_POSITION: Final = 1 << 62

FillKey = tuple[int, int, int]
"""``(account_no, order_no, fill_no)``"""


class Marked(Struct, array_like=True):
    """A fill and what became of the market after it."""

    symbol: str
    sign: int
    """1 for a buy, -1 for a sale."""
    price: int
    at: int
    doubled: int
    """Bid plus ask at the fill; 0 when it had no two-sided quote."""
    after: dict[int, int]
    """Seconds after the fill to bid plus ask then; 0 when nobody quoted both sides since the fill."""

    @property
    def complete(self) -> bool:
        """Whether no instant is to come any more."""
        return len(self.after) == len(HORIZONS_S)

    def result(self, seconds: int) -> int | None:
        """Gain of one share at the middle then over the fill's price, in half price units."""
        doubled = self.after.get(seconds)
        return self.sign * (doubled - 2 * self.price) if doubled else None

    def drift(self, seconds: int) -> int | None:
        """How far the middle went the trader's way since the fill, in half price units."""
        doubled = self.after.get(seconds)
        return self.sign * (doubled - self.doubled) if doubled and self.doubled else None


_READ: Final = frozenset({OrderFilled, OrderLegFilled, PositionChanged, UserErased})


class MarkOuts:
    """Follows fills along the tape."""

    def __init__(self) -> None:
        self.marked: OrderedDict[FillKey, Marked] = OrderedDict()
        self._fills: list[tuple[int, FillKey, Marked]] = []
        """Fills that the tape has not passed yet, with their place on it."""
        self._due: list[tuple[int, FillKey, int]] = []
        self._doubled: dict[str, tuple[int, int]] = {}
        """Place on the tape and bid plus ask of the last two-sided quote, for symbols that something waits for."""
        self._waiting: dict[str, int] = {}
        self._started: dict[FillKey, tuple[str, int]] = {}
        """Symbol and place on the tape of fills with an instant to come."""
        self._seen_seq = 0
        self._changed: dict[FillKey, None] = {}
        self._blind_until: dict[FillKey, int] = {}
        """Fills from before a time in which the tape was not seen: the place on it where that ended."""

    def note(self, steps: Sequence[Step]) -> None:
        """Take in what the engine did; steps that were seen already are passed over."""
        new: list[Step] = []
        for step in reversed(steps):
            if step.seq_first <= self._seen_seq:
                break
            if step.sections:
                new.append(step)
        for step in reversed(new):
            self._seen_seq = step.seq_first
            for section in step.sections:
                fill: OrderFilled | None = None
                for event in section.events:
                    kind = type(event)
                    if kind not in _READ:
                        continue
                    if kind is OrderFilled:
                        fill = event  # type: ignore[assignment]
                    elif kind is OrderLegFilled:
                        fill = None
                    elif kind is UserErased:
                        self.forget(event.account_nos)  # type: ignore[union-attr]
                    elif fill is not None and kind is PositionChanged:
                        self._note_fill(section.account_no, fill, event, step)  # type: ignore[arg-type]
                        fill = None

    def _note_fill(self, account_no: int, fill: OrderFilled, change: PositionChanged, step: Step) -> None:
        v = fill.evidence
        doubled = v.bid + v.ask if v.bid and v.ask else 0
        marked = Marked(change.symbol, 1 if change.net_money < 0 else -1, fill.price, step.at, doubled, {})
        self._fills.append((step.tape_pos, (account_no, fill.order_no, fill.fill_no), marked))

    def apply(self, messages: Sequence[TapeMessage], first_seq: int, steps: Sequence[Step] = ()) -> None:
        """The engine has applied these messages, numbered from ``first_seq``, which led to these steps."""
        if steps:
            self.note(steps)
        fills, due, waiting = self._fills, self._due, self._waiting
        if not fills and not due:
            return
        next_due = due[0][0] if due else NEVER
        for seq, message in enumerate(messages, first_seq):
            if fills and fills[0][0] < seq:
                self._start(seq)
                fills = self._fills
                next_due = due[0][0] if due else NEVER
            while next_due < (message.received_at or message.at):
                self._settle()
                next_due = due[0][0] if due else NEVER
            if type(message) is Quote and message.symbol in waiting and message.bid and message.ask:
                self._doubled[message.symbol] = (seq, message.bid + message.ask)

    def _start(self, before_seq: int) -> None:
        """Begin to wait for the fills that happened before a message."""
        later = []
        for place, key, marked in self._fills:
            if place >= before_seq:
                later.append((place, key, marked))
                continue
            self._wait(key, marked, place)
        self._fills = later

    def _wait(self, key: FillKey, marked: Marked, place: int) -> None:
        self.marked[key] = marked
        self._changed[key] = None
        if len(self.marked) > KEPT:
            self._drop(next(iter(self.marked)))
        symbol = marked.symbol
        wanted = [seconds for seconds in HORIZONS_S if seconds not in marked.after]
        self._waiting[symbol] = self._waiting.get(symbol, 0) + len(wanted)
        for seconds in wanted:
            heappush(self._due, (marked.at + seconds * NS_PER_SECOND, key, seconds))
        self._started[key] = (symbol, place)

    def _drop(self, key: FillKey) -> None:
        del self.marked[key]
        self._changed.pop(key, None)
        self._blind_until.pop(key, None)

    def _settle(self) -> None:
        _, key, seconds = heappop(self._due)
        symbol, place = self._started[key]
        marked = self.marked.get(key)
        if marked is not None:
            quoted_at, doubled = self._doubled.get(symbol, (0, 0))
            blind_until = self._blind_until.get(key)
            if quoted_at > (place if blind_until is None else blind_until):
                marked.after[seconds] = doubled
            else:
                marked.after[seconds] = marked.doubled if blind_until is None else 0
            self._changed[key] = None
        self._waiting[symbol] -= 1
        if seconds == HORIZONS_S[-1]:
            del self._started[key]
        if not self._waiting[symbol]:
            del self._waiting[symbol]
            self._doubled.pop(symbol, None)

    def finish(self) -> None:
        """The tape has ended: what is still waited for has no mark-out."""
        self._start(_NO_POSITION)
        self._due.clear()
        for key in self._started:
            if key in self.marked:
                for seconds in HORIZONS_S:
                    self.marked[key].after.setdefault(seconds, 0)
                self._changed[key] = None

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────

    def take_rows(self, most: int = KEPT) -> list[MarkRow]:
        """Rows of fills that are new or have something new, oldest first; the rest comes with the next call."""
        keys = list(self._changed)[:most]
        for key in keys:
            del self._changed[key]
        return [row_of(key, self.marked[key]) for key in keys]

    def again(self, rows: Iterable[MarkRow]) -> None:
        """These rows could not be written."""
        for account_no, order_no, fill_no, *_ in rows:
            key = (account_no, order_no, fill_no)
            if key in self.marked:
                self._changed[key] = None

    def resume(self, rows: Iterable[MarkRow], steps: Sequence[Step], place: int) -> None:
        """Go on after a restart: with the rows that were written, and steps that may be newer than they.

        The tape is seen again from ``place`` on.
        """
        known: dict[FillKey, Marked] = {}
        for account_no, order_no, fill_no, _, _, body in rows:
            known[account_no, order_no, fill_no] = decode_marked(body)
        self.note(steps)
        found, self._fills = self._fills, []
        for _, key, marked in found:
            known.setdefault(key, marked)
        for key, marked in sorted(known.items(), key=lambda item: (item[1].at, item[0])):
            if not marked.complete:
                self._blind_until[key] = place
                self._wait(key, marked, place)

    def forget(self, account_nos: Iterable[int]) -> None:
        """Nothing of these accounts is kept."""
        gone = set(account_nos)
        self._fills = [entry for entry in self._fills if entry[1][0] not in gone]
        for key in [key for key in self.marked if key[0] in gone]:
            self._drop(key)

    def render(self, key: FillKey) -> dict[str, dict[str, str | None]] | None:
        """A fill's mark-outs so far: dollars a share, positive for what went the trader's way."""
        marked = self.marked.get(key)
        return render_marked(marked) if marked is not None else None


def row_of(key: FillKey, marked: Marked) -> MarkRow:
    """A fill's row."""
    return (*key, marked.at, int(marked.complete), msgspec.msgpack.encode(marked))


def decode_marked(body: bytes) -> Marked:
    """A row's body."""
    return msgspec.msgpack.decode(body, type=Marked)


def render_marked(marked: Marked) -> dict[str, dict[str, str | None]]:
    """Mark-outs so far: dollars a share, positive for what went the trader's way."""
    return {
        f"{seconds}s": {
            "middle": format_scaled(marked.after[seconds] * 5, 5) if marked.after[seconds] else None,
            "against_price": _dollars(marked.result(seconds)),
            "against_middle": _dollars(marked.drift(seconds)),
        }
        for seconds in HORIZONS_S
        if seconds in marked.after
    }


def _dollars(half_units: int | None) -> str | None:
    return format_scaled(half_units * 5, 5) if half_units is not None else None
