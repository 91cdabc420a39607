"""The money side of an account beyond its cash: what settles when, what accrues, which rules it has come under.

Invariants: one frozen record an account, replaced whole; an account for which none of it applies has no record
at all (``Book.money`` is null), so an idle account costs nothing.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.events.parts import Call, DayTradeCall, DayTrading, Fee, HeldDeposit, Intraday, Locate, Recall


class Money(Struct, frozen=True, array_like=True):
    """All of it."""

    open_date: int = 0
    """Trade date whose end is still to be booked; 0 for none."""
    balance_asof: int = 0
    """Trade date of the newest end of day."""
    last_equity: int = 0
    last_maintenance: int = 0
    settling: tuple[tuple[int, int], ...] = ()
    """Settlement date and money. Cash accounts: proceeds not spent yet. Margin accounts: net change of cash."""
    unpaid: tuple[tuple[int, int, int], ...] = ()
    """Cash accounts: lots bought with unsettled money, as (lot, date that money settles, the lot's own date)."""
    violations: tuple[tuple[int, str, int], ...] = ()
    settled_only_until: int = 0
    """Last date of a restriction to settled cash."""
    fees: tuple[Fee, ...] = ()
    margin_interest: int = 0
    """Accrued and not posted, positive when owed."""
    cash_interest: int = 0
    """Accrued and not posted, positive when earned."""
    sma: int = 0
    sma_change: int = 0
    """Today's credits less charges (§2.6)."""
    deposits_today: int = 0
    shorted: tuple[tuple[str, int], ...] = ()
    """Most shares short today, by symbol."""
    call: Call = Call()
    day_trading: DayTrading | None = None
    intraday: Intraday | None = None
    locates: tuple[Locate, ...] = ()
    recalls: tuple[Recall, ...] = ()
    day_trade_calls: tuple[DayTradeCall, ...] = ()
    """Oldest first."""
    held_deposits: tuple[HeldDeposit, ...] = ()


NOTHING = Money()
"""What an account without a record has."""
