"""The board: what stands in the market now, one slot a symbol, with the watches of every live order beside it.

Invariants: a slot is written only by :class:`actors.market.lane.Lane`. A live order has at most one watch.

*FAR* watches cost two comparisons a quote or print however many there are: each side of a slot keeps a heap of
prices and the best of them in plain sight. A FAR order is one behind the near side of its market: before anything
can fill it, the near side must come to its price (the far side lies beyond), or a print must. *NEAR* watches are
looked at on every quote and print of their symbol. A watch that fires is taken off; whoever is woken puts it back
as FAR or NEAR. Removal from a heap is lazy, so a stale best price can only cost a look, never hide an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from actors.book.instruments import Instrument, Instruments
from actors.market.messages import Quote, Status, Trade

if TYPE_CHECKING:
    from actors.market.bands import Bands

Key = tuple[int, int]
"""``(account_no, order_no)``: the only order among simultaneous wakes (architecture §3.6)."""

NO_BOTTOM = 1 << 62
"""A price that no quote reaches."""

BID_DOWN, ASK_UP, LAST_UP, LAST_DOWN = range(4)
"""What a FAR watch waits for: bid at or below (or missing), ask at or above (or missing), an eligible print at or
above, at or below its price."""

_DESCENDING = (True, False, False, True)
_NEVER = (-1, NO_BOTTOM, NO_BOTTOM, -1)
_NEAR, _AUCTION = -1, -2
_COMPACT_AT = 64


class Side:
    """One heap of FAR watches with lazy removal."""

    __slots__ = ("heap", "stale")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int, int]] = []
        """``(sort price, account_no, order_no, ticket)``"""
        self.stale = 0


class Slot:
    """One symbol: its newest quote, print and status, and its watches."""

    __slots__ = (
        "ask_up",
        "auction",
        "bands",
        "bands_told",
        "bid_down",
        "busy",
        "consumers",
        "dead",
        "feed",
        "instrument",
        "last",
        "last_down",
        "last_seq",
        "last_up",
        "near",
        "option",
        "print",
        "print_seq",
        "quote",
        "quote_epoch",
        "quote_seq",
        "rejoins",
        "sides",
        "status",
        "symbol",
        "underlying",
        "underlying_quote",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.instrument: Instrument | None = None
        self.option = False
        self.underlying: Slot | None = None
        """Options: the slot of the stock under the contract."""
        self.underlying_quote: Quote | None = None
        """The quote of the stock under it when this quote came."""
        self.quote: Quote | None = None
        self.quote_seq = 0
        self.quote_epoch = -1
        """The feed epoch in which the quote came; an older one is not live."""
        self.last: Trade | None = None
        self.last_seq = 0
        self.print: Trade | None = None
        """The last print that is evidence (fill model §3)."""
        self.print_seq = 0
        self.status: Status | None = None
        self.bands: Bands | None = None
        """Computed price bands, where the feed tells none."""
        self.bands_told = False
        self.rejoins = 0
        """How often places in this symbol's queues were lost: halts, new subscriptions, lost messages."""
        self.dead = False
        """The feed that serves this symbol is down."""
        self.feed = ""
        """The feed that serves this symbol, where several feed one tape; else empty."""
        self.bid_down, self.ask_up, self.last_up, self.last_down = _NEVER
        self.auction: dict[Key, None] = {}
        """Orders that wait for an auction's print."""
        self.near: dict[Key, None] = {}
        self.consumers: dict[int, None] = {}
        """Accounts that have taken displayed size of the standing quote."""
        self.busy = False
        """Whether ``near`` or ``consumers`` has anything: then every message is looked at."""
        self.sides: list[Side | None] = [None, None, None, None]

    def mark(self) -> int:
        """The latest price: last print, else the middle of the quote, else 0; of contracts the middle goes first.

        A contract's last print may be hours old while its quote follows the stock (margin-and-options §3.2).
        """
        quote = self.quote
        if self.option and quote is not None and quote.bid and quote.ask:
            return (quote.bid + quote.ask) // 2
        if self.last is not None:
            return self.last.price
        if quote is None:
            return 0
        if quote.bid and quote.ask:
            return (quote.bid + quote.ask) // 2
        return quote.bid or quote.ask


class Board:
    """All slots and all watches of one lane."""

    __slots__ = ("_armed", "_instruments", "_ticket", "_units", "feed_epoch", "rejoins", "slots")

    def __init__(self, instruments: Instruments | None = None) -> None:
        self.slots: dict[str, Slot] = {}
        self.feed_epoch = 0
        self.rejoins = 0
        """How often places in every queue were lost: phases, new subscriptions, lost messages."""
        self._instruments = instruments
        self._armed: dict[Key, tuple[Slot, int, int, int]] = {}
        """Slot, kind (:data:`_NEAR`, :data:`_AUCTION`), second kind or -1, and ticket of each watch."""
        self._units: dict[Key, tuple[Slot, ...]] = {}
        """Further slots of orders of several legs, all of them NEAR."""
        self._ticket = 0

    def slot(self, symbol: str) -> Slot:
        """The slot of a symbol, made if need be."""
        slot = self.slots.get(symbol)
        if slot is None:
            slot = self.slots[symbol] = Slot(symbol)
            if self._instruments is not None:
                self.describe(slot, self._instruments.by_symbol.get(symbol))
        return slot

    def describe(self, slot: Slot, instrument: Instrument | None) -> None:
        """Take in what is known of a symbol."""
        slot.instrument = instrument
        slot.option = instrument is not None and instrument.asset_class == "us_option"
        slot.underlying = self.slot(instrument.underlying) if slot.option and instrument is not None else None

    def __len__(self) -> int:
        return len(self._armed)

    def arm_far(self, symbol: str, kind: int, price: int, key: Key, also: int = -1) -> None:
        """Wake ``key`` when the market reaches ``price``, by ``kind`` or by ``also``; replaces its watch."""
        armed = self._armed.get(key)
        if armed is not None:
            self._remove(key, armed)
        slot = self.slot(symbol)
        self._ticket += 1
        self._armed[key] = (slot, kind, also, self._ticket)
        self._push(slot, kind, price, key)
        if also >= 0:
            self._push(slot, also, price, key)

    def _push(self, slot: Slot, kind: int, price: int, key: Key) -> None:
        side = slot.sides[kind]
        if side is None:
            side = slot.sides[kind] = Side()
        heappush(side.heap, (-price if _DESCENDING[kind] else price, key[0], key[1], self._ticket))
        if side.heap[0][3] == self._ticket:
            _show_best(slot, kind, price)

    def arm_near(self, symbol: str, key: Key) -> None:
        """Wake ``key`` on every quote and print of the symbol; replaces its watch."""
        armed = self._armed.get(key)
        if armed is not None:
            if armed[1] == _NEAR and armed[0].symbol == symbol:
                return
            self._remove(key, armed)
        slot = self.slot(symbol)
        slot.near[key] = None
        slot.busy = True
        self._armed[key] = (slot, _NEAR, -1, 0)

    def arm_unit(self, symbols: Sequence[str], key: Key) -> None:
        """Wake ``key`` on every quote and print of any of these symbols; replaces its watch."""
        self.arm_near(symbols[0], key)
        if key in self._units:
            return
        others = self._units[key] = tuple(self.slot(symbol) for symbol in symbols[1:])
        for slot in others:
            slot.near[key] = None
            slot.busy = True

    def arm_auction(self, symbol: str, key: Key) -> None:
        """Wake ``key`` on the symbol's auction prints only; replaces its watch."""
        armed = self._armed.get(key)
        if armed is not None:
            self._remove(key, armed)
        slot = self.slot(symbol)
        slot.auction[key] = None
        self._armed[key] = (slot, _AUCTION, -1, 0)

    def disarm(self, key: Key) -> None:
        """Take an order's watch away, if it has one."""
        armed = self._armed.pop(key, None)
        if armed is not None:
            self._remove(key, armed)

    def all_on(self, slot: Slot) -> list[Key]:
        """Every order with a watch on the slot, in their order."""
        keys = {*slot.near, *slot.auction}
        for side in slot.sides:
            if side is not None:
                keys.update((entry[1], entry[2]) for entry in side.heap if self._holds(entry))
        return sorted(keys)

    def _remove(self, key: Key, armed: tuple[Slot, int, int, int]) -> None:
        slot, kind, also, _ = armed
        self._armed.pop(key, None)
        if kind == _NEAR:
            slot.near.pop(key, None)
            slot.busy = bool(slot.near or slot.consumers)
            for other in self._units.pop(key, ()) if self._units else ():
                other.near.pop(key, None)
                other.busy = bool(other.near or other.consumers)
        elif kind == _AUCTION:
            slot.auction.pop(key, None)
        else:
            self._leave(slot, kind)
            if also >= 0:
                self._leave(slot, also)

    def _leave(self, slot: Slot, kind: int) -> None:
        """One entry of a heap holds no longer."""
        side = slot.sides[kind]
        assert side is not None
        side.stale += 1
        if side.stale > _COMPACT_AT and side.stale * 2 > len(side.heap):
            self._compact(slot, kind, side)

    def _compact(self, slot: Slot, kind: int, side: Side) -> None:
        side.heap = [entry for entry in side.heap if self._holds(entry)]
        heapify(side.heap)
        side.stale = 0
        self._refresh(slot, kind, side)

    def _holds(self, entry: tuple[int, int, int, int]) -> bool:
        armed = self._armed.get((entry[1], entry[2]))
        return armed is not None and armed[3] == entry[3]

    def _refresh(self, slot: Slot, kind: int, side: Side) -> None:
        heap = side.heap
        while heap and not self._holds(heap[0]):
            heappop(heap)
            side.stale -= 1
        if heap:
            _show_best(slot, kind, abs(heap[0][0]))
        else:
            _show_best(slot, kind, _NEVER[kind])

    def _fire(self, slot: Slot, kind: int, price: int, woken: list[Key]) -> None:
        """Take off every watch of one side that ``price`` reaches."""
        side = slot.sides[kind]
        if side is None:
            return
        heap = side.heap
        limit = -price if _DESCENDING[kind] else price
        while heap and heap[0][0] <= limit:
            entry = heappop(heap)
            if self._holds(entry):
                key = (entry[1], entry[2])
                _, first, also, _ = self._armed.pop(key)
                if also >= 0:
                    self._leave(slot, also if first == kind else first)
                woken.append(key)
            else:
                side.stale -= 1
        self._refresh(slot, kind, side)

    def woken_by_quote(self, slot: Slot, bid: int, ask: int) -> list[Key]:
        """Orders that this quote concerns, in their order. FAR ones among them lose their watch."""
        woken: list[Key] = list(slot.near)
        if bid <= slot.bid_down:
            self._fire(slot, BID_DOWN, bid, woken)
        if not 0 < ask < slot.ask_up:
            self._fire(slot, ASK_UP, ask or NO_BOTTOM - 1, woken)
        if len(woken) > 1:
            woken.sort()
        return woken

    def woken_by_trade(self, slot: Slot, price: int) -> list[Key]:
        """Orders that this eligible print concerns, in their order. FAR ones among them lose their watch."""
        woken: list[Key] = list(slot.near)
        if price >= slot.last_up:
            self._fire(slot, LAST_UP, price, woken)
        if price <= slot.last_down:
            self._fire(slot, LAST_DOWN, price, woken)
        if len(woken) > 1:
            woken.sort()
        return woken

    def add_consumer(self, symbol: str, account_no: int) -> None:
        """Have the account's ledger follow the quotes of a symbol."""
        slot = self.slot(symbol)
        slot.consumers[account_no] = None
        slot.busy = True

    def drop_consumer(self, slot: Slot, account_no: int) -> None:
        """Stop that."""
        slot.consumers.pop(account_no, None)
        slot.busy = bool(slot.near or slot.consumers)


def _show_best(slot: Slot, kind: int, price: int) -> None:
    if kind == BID_DOWN:
        slot.bid_down = price
    elif kind == ASK_UP:
        slot.ask_up = price
    elif kind == LAST_UP:
        slot.last_up = price
    else:
        slot.last_down = price
