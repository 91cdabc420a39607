"""What the tape carries: one Struct for each kind of market message.

Invariants: prices are in units of 1e-4 dollar, sizes in whole shares or contracts (never lots), times in
nanoseconds UTC. A side that was never quoted has price 0 and size 0. Messages are immutable and shared by
every reader. A message has no number of its own: its ``tape_seq`` is its place on the tape, counted from 1.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from actors.book.units import NS_PER_SECOND

DataClass = Literal["real_time", "delayed", "indicative"]


class Quote(Struct, frozen=True, gc=False, array_like=True, tag="q"):
    """The best bid and offer of one symbol."""

    symbol: str
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    at: int
    """Exchange time."""
    bid_exchange: str = ""
    ask_exchange: str = ""
    condition: str = ""
    received_at: int = 0
    """When this host got it; 0 where the tape has no such time (recordings)."""


class Trade(Struct, frozen=True, gc=False, array_like=True, tag="t"):
    """One print. On recordings ``size`` is the volume of the whole bar (fill model §3.1)."""

    symbol: str
    price: int
    size: int
    at: int
    exchange: str = ""
    conditions: str = ""
    """Condition codes joined without a separator."""
    trade_id: int = 0
    received_at: int = 0


class Status(Struct, frozen=True, gc=False, array_like=True, tag="s"):
    """Trading state of one symbol, with its price bands and short-sale restriction where known."""

    symbol: str
    state: Literal["trading", "halted", "paused", "closed"]
    at: int
    reason: str = ""
    luld_lower: int = 0
    luld_upper: int = 0
    short_restricted: bool = False
    received_at: int = 0


class Auction(Struct, frozen=True, gc=False, array_like=True, tag="a"):
    """An official print of the primary exchange's opening, closing or reopening auction."""

    symbol: str
    kind: Literal["open", "close", "halt"]
    price: int
    size: int
    at: int
    exchange: str = ""
    received_at: int = 0


class FeedState(Struct, frozen=True, array_like=True, tag="f"):
    """The feed speaks about itself; the only way the book learns that data is missing (fill model §3)."""

    state: Literal["up", "down", "lagging", "gap"]
    at: int
    feed: str = ""
    symbols: tuple[str, ...] = ()
    """Empty means all symbols."""
    reason: str = ""
    received_at: int = 0


FULL_DAY_NS: Final = 13 * 1_800 * NS_PER_SECOND
"""From 09:30 to 16:00 New York; no clock is changed between them."""


class Session(Struct, frozen=True, gc=False, array_like=True, tag="x"):
    """A change of the market's phase. ``core_closes_at`` and the others belong to ``trade_date``.

    Rule source: corporate-actions-and-market-rules §10; the trade date rolls at 20:00 New York.
    """

    phase: Literal["pre", "core", "post", "overnight", "closed"]
    at: int
    trade_date: int
    """YYYYMMDD of the session's trade date; while closed, of the next session."""
    core_opens_at: int
    core_closes_at: int
    post_closes_at: int
    next_core_opens_at: int
    """Open of the first core session after this one's close."""
    next_core_closes_at: int
    next_trade_date: int
    received_at: int = 0
    gtc_expires_at: int = 0
    """16:15 New York 90 days after the trade date: the end of a GTC order placed now; 0 when unknown."""

    @property
    def never_closes(self) -> bool:
        """Whether one core session follows the other, from 16:00 to 16:00 New York."""
        return self.next_core_opens_at == self.core_closes_at

    @property
    def opening_auctions(self) -> tuple[int, int]:
        """When the opening auctions of this and of the next trade date are held.

        At the core session's open; in a market that never closes at the exchange's hour, 09:30 New York.
        """
        if self.never_closes:
            return self.core_closes_at - FULL_DAY_NS, self.next_core_closes_at - FULL_DAY_NS
        return self.core_opens_at, self.next_core_opens_at

    @property
    def closing_auctions(self) -> tuple[int, int]:
        """When the closing auctions of this and of the next trade date are held."""
        return self.core_closes_at, self.next_core_closes_at


TapeMessage = Quote | Trade | Status | Auction | FeedState | Session
