"""Mark-outs: where the market stood 1, 10, 60 and 300 seconds after each fill (fill model §17, §19).

A pure function of fills and tape, made beside the engine: nothing about them is decided, journaled or waited for,
and the same tape gives the same mark-outs (ADR 10). Invariant: the mark-out of an instant is the middle of the last
two-sided quote at or before it, that of the fill included. Prices and drifts are in half price units (5e-5 dollar) so
that a middle is exact. Known limits: fills from before a restart have none; the newest :data:`KEPT` fills are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from msgspec import Struct

from actors.book.events import OrderFilled, OrderLegFilled, PositionChanged
from actors.book.units import NS_PER_SECOND, format_scaled
from actors.inputs import Step
from actors.market.messages import Quote, TapeMessage

HORIZONS_S: Final = (1, 10, 60, 300)
KEPT: Final = 10_000
_NO_POSITION: Final = 1 << 62

FillKey = tuple[int, int, int]
"""``(account_no, order_no, fill_no)``"""


class Marked(Struct):
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

    def result(self, seconds: int) -> int | None:
        """Gain of one share at the middle then over the fill's price, in half price units."""
        doubled = self.after.get(seconds)
        return self.sign * (doubled - 2 * self.price) if doubled else None

    def drift(self, seconds: int) -> int | None:
        """How far the middle went the trader's way since the fill, in half price units."""
        doubled = self.after.get(seconds)
        return self.sign * (doubled - self.doubled) if doubled and self.doubled else None


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

    def note(self, steps: Sequence[Step]) -> None:
        """Take in what the engine did; steps that were seen already are passed over."""
        new: list[Step] = []
        for step in reversed(steps):
            if step.seq_first <= self._seen_seq:
                break
            new.append(step)
        for step in reversed(new):
            self._seen_seq = step.seq_first
            for section in step.sections:
                fill: OrderFilled | None = None
                for event in section.events:
                    kind = type(event)
                    if kind is OrderFilled:
                        fill = event  # type: ignore[assignment]
                    elif kind is OrderLegFilled:
                        fill = None
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
        if not self._fills and not self._due:
            return
        for seq, message in enumerate(messages, first_seq):
            stamp = message.received_at or message.at
            if self._fills and self._fills[0][0] < seq:
                self._start(seq)
            while self._due and self._due[0][0] < stamp:
                self._settle()
            if type(message) is Quote and message.symbol in self._waiting and message.bid and message.ask:
                self._doubled[message.symbol] = (seq, message.bid + message.ask)

    def _start(self, before_seq: int) -> None:
        """Begin to wait for the fills that happened before a message."""
        later = []
        for place, key, marked in self._fills:
            if place >= before_seq:
                later.append((place, key, marked))
                continue
            self.marked[key] = marked
            if len(self.marked) > KEPT:
                self.marked.popitem(last=False)
            symbol = marked.symbol
            self._waiting[symbol] = self._waiting.get(symbol, 0) + len(HORIZONS_S)
            for seconds in HORIZONS_S:
                heappush(self._due, (marked.at + seconds * NS_PER_SECOND, key, seconds))
            self._started[key] = (symbol, place)
        self._fills = later

    def _settle(self) -> None:
        _, key, seconds = heappop(self._due)
        symbol, place = self._started[key]
        marked = self.marked.get(key)
        if marked is not None:
            quoted_at, doubled = self._doubled.get(symbol, (0, 0))
            marked.after[seconds] = doubled if quoted_at > place else marked.doubled
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

    def render(self, key: FillKey) -> dict[str, dict[str, str | None]] | None:
        """A fill's mark-outs so far: dollars a share, positive for what went the trader's way."""
        marked = self.marked.get(key)
        if marked is None:
            return None
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
