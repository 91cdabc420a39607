"""The board: what stands in the market now, one slot a symbol, with the watches of every live order beside it.

Invariants: a slot is written only by :class:`actors.market.lane.Lane`. A live order has at most one watch.

*FAR* watches cost two comparisons a quote or print however many there are: each side of a slot keeps a heap of
prices and the best of them in plain sight. *NEAR* watches are looked at on every quote and print of their
symbol. A watch that fires is taken off; whoever is woken puts it back as FAR or NEAR. Removal from a heap is
lazy, so a stale best price can only cost a look, never hide an order.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from actors.market.messages import Quote, Status, Trade

Key = tuple[int, int]
"""``(account_no, order_no)``: the only order among simultaneous wakes (architecture §3.6)."""

NO_BOTTOM = 1 << 62
"""A price that no quote reaches."""

ASK_DOWN, BID_UP, LAST_UP, LAST_DOWN = range(4)
"""What a FAR watch waits for: ask at or below, bid at or above, last at or above, last at or below its price."""

_DESCENDING = (True, False, False, True)
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
        "ask_down",
        "bid_up",
        "busy",
        "consumers",
        "dead",
        "feed",
        "last",
        "last_down",
        "last_seq",
        "last_up",
        "near",
        "quote",
        "quote_epoch",
        "quote_seq",
        "sides",
        "status",
        "symbol",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.quote: Quote | None = None
        self.quote_seq = 0
        self.quote_epoch = -1
        """The feed epoch in which the quote came; an older one is not live."""
        self.last: Trade | None = None
        self.last_seq = 0
        self.status: Status | None = None
        self.dead = False
        """The feed that serves this symbol is down."""
        self.feed = ""
        """The feed that serves this symbol, where several feed one tape; else empty."""
        self.ask_down = 0
        self.bid_up = NO_BOTTOM
        self.last_up = NO_BOTTOM
        self.last_down = 0
        self.near: dict[Key, None] = {}
        self.consumers: dict[int, None] = {}
        """Accounts that have taken displayed size of the standing quote."""
        self.busy = False
        """Whether ``near`` or ``consumers`` has anything: then every message is looked at."""
        self.sides: list[Side | None] = [None, None, None, None]

    def mark(self) -> int:
        """The latest price: last print, else the middle of the quote, else 0."""
        if self.last is not None:
            return self.last.price
        quote = self.quote
        if quote is None:
            return 0
        if quote.bid and quote.ask:
            return (quote.bid + quote.ask) // 2
        return quote.bid or quote.ask


class Board:
    """All slots and all watches of one lane."""

    __slots__ = ("_armed", "_ticket", "feed_epoch", "slots")

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self.feed_epoch = 0
        self._armed: dict[Key, tuple[Slot, int, int]] = {}
        """Slot, kind (-1 for NEAR) and ticket of each watch."""
        self._ticket = 0

    def slot(self, symbol: str) -> Slot:
        """The slot of a symbol, made if need be."""
        slot = self.slots.get(symbol)
        if slot is None:
            slot = self.slots[symbol] = Slot(symbol)
        return slot

    def __len__(self) -> int:
        return len(self._armed)

    def arm_far(self, symbol: str, kind: int, price: int, key: Key) -> None:
        """Wake ``key`` when the market reaches ``price``; replaces its watch."""
        armed = self._armed.get(key)
        if armed is not None:
            self._remove(key, armed)
        slot = self.slot(symbol)
        self._ticket += 1
        side = slot.sides[kind]
        if side is None:
            side = slot.sides[kind] = Side()
        sort_price = -price if _DESCENDING[kind] else price
        heappush(side.heap, (sort_price, key[0], key[1], self._ticket))
        self._armed[key] = (slot, kind, self._ticket)
        if side.heap[0][3] == self._ticket:
            _show_best(slot, kind, price)

    def arm_near(self, symbol: str, key: Key) -> None:
        """Wake ``key`` on every quote and print of the symbol; replaces its watch."""
        armed = self._armed.get(key)
        if armed is not None:
            if armed[1] < 0 and armed[0].symbol == symbol:
                return
            self._remove(key, armed)
        slot = self.slot(symbol)
        slot.near[key] = None
        slot.busy = True
        self._armed[key] = (slot, -1, 0)

    def disarm(self, key: Key) -> None:
        """Take an order's watch away, if it has one."""
        armed = self._armed.pop(key, None)
        if armed is not None:
            self._remove(key, armed)

    def _remove(self, key: Key, armed: tuple[Slot, int, int]) -> None:
        slot, kind, _ = armed
        if kind < 0:
            slot.near.pop(key, None)
            slot.busy = bool(slot.near or slot.consumers)
            return
        side = slot.sides[kind]
        assert side is not None
        side.stale += 1
        self._armed.pop(key, None)
        if side.stale > _COMPACT_AT and side.stale * 2 > len(side.heap):
            self._compact(slot, kind, side)

    def _compact(self, slot: Slot, kind: int, side: Side) -> None:
        side.heap = [entry for entry in side.heap if self._holds(entry)]
        heapify(side.heap)
        side.stale = 0
        self._refresh(slot, kind, side)

    def _holds(self, entry: tuple[int, int, int, int]) -> bool:
        armed = self._armed.get((entry[1], entry[2]))
        return armed is not None and armed[2] == entry[3]

    def _refresh(self, slot: Slot, kind: int, side: Side) -> None:
        heap = side.heap
        while heap and not self._holds(heap[0]):
            heappop(heap)
            side.stale -= 1
        if heap:
            _show_best(slot, kind, abs(heap[0][0]))
        else:
            _show_best(slot, kind, 0 if _DESCENDING[kind] else NO_BOTTOM)

    def _fire(self, slot: Slot, kind: int, price: int, woken: list[Key]) -> None:
        """Take off every watch of one side that ``price`` reaches."""
        side = slot.sides[kind]
        assert side is not None
        heap = side.heap
        limit = -price if _DESCENDING[kind] else price
        while heap and heap[0][0] <= limit:
            entry = heappop(heap)
            if self._holds(entry):
                key = (entry[1], entry[2])
                del self._armed[key]
                woken.append(key)
            else:
                side.stale -= 1
        self._refresh(slot, kind, side)

    def woken_by_quote(self, slot: Slot, bid: int, ask: int) -> list[Key]:
        """Orders that this quote concerns, in their order. FAR ones among them lose their watch."""
        woken: list[Key] = list(slot.near)
        if 0 < ask <= slot.ask_down:
            self._fire(slot, ASK_DOWN, ask, woken)
        if bid >= slot.bid_up:
            self._fire(slot, BID_UP, bid, woken)
        if len(woken) > 1:
            woken.sort()
        return woken

    def woken_by_trade(self, slot: Slot, price: int) -> list[Key]:
        """Orders that this print concerns, in their order. FAR ones among them lose their watch."""
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
    if kind == ASK_DOWN:
        slot.ask_down = price
    elif kind == BID_UP:
        slot.bid_up = price
    elif kind == LAST_UP:
        slot.last_up = price
    else:
        slot.last_down = price
