"""Facts about an account's money beyond its cash: settlement, fees, day trades, margin calls, ends of day.

Invariants: each carries what follows from the rules as they were, so folding calls none.
"""

from __future__ import annotations

from actors.book.events.base import Closing, Fact
from actors.book.events.parts import DayTradeCall, DayTrading, Deficit, Fee, HeldDeposit, Settings


class TradeBooked(Fact, frozen=True, gc=False, array_like=True, tag="tb"):
    """What the position change before it means for settlement, fees, SMA and day trades."""

    trade_date: int
    symbol: str
    settles_on: int
    settling_money: int
    """Added to what settles on that date."""
    draws: tuple[tuple[int, int], ...] = ()
    """Cash accounts: unsettled proceeds spent, as (date, money)."""
    unpaid_lot: int = 0
    """The lot that they paid for, and until when it is not paid with settled money."""
    unpaid_until: int = 0
    fees: tuple[Fee, ...] = ()
    sma_money: int = 0
    short_qty: int = 0
    """Most shares that were short of this symbol, before or after; 0 unless a borrow fee may be due."""
    located_qty: int = 0
    """Located shares used up."""
    day_trading: DayTrading | None = None
    """The day-trade record as it is from here on; null when it is not kept."""
    net_money: int = 0
    """Change of cash by the position change before it."""
    opening_money: int | None = None
    """Cash before the account's first trade; null for later ones."""
    closing: Closing | None = None
    """When it closed something of which other lots may be chosen until it settles."""


class CashViolated(Fact, frozen=True, gc=False, array_like=True, tag="av"):
    """A cash account sold what it had bought with unsettled money (margin-and-options §1.3)."""

    kind: str
    """``good_faith`` or ``free_riding``."""
    trade_date: int
    symbol: str
    count: int
    """Violations of this kind within twelve months."""
    settled_only_until: int = 0
    order_no: int = 0
    """The sale, which is one violation however many fills it has."""


class DayEnded(Fact, frozen=True, gc=False, array_like=True, tag="ad"):
    """The end of a trade date: what the account was worth, and what accrued on it.

    An account gets one for each date on which it held something, traded or was booked something; between two
    of them nothing changed.
    """

    trade_date: int
    at: int
    """The instant that it belongs to, also when it was caught up later."""
    equity_money: int
    cash: int
    long_money: int
    short_money: int
    profit_money: int
    """Change of equity since the end of day before, less net deposits."""
    deposits_money: int
    """Net deposits of the date."""
    initial_money: int
    maintenance_money: int
    settled_money: int
    sma: int
    margin_interest: int
    """Accrued and not posted so far."""
    cash_interest: int
    next_date: int
    """Trade date whose end is due next; 0 when nothing is left to be looked at."""
    deficits: tuple[Deficit, ...] = ()


class MarginChanged(Fact, frozen=True, gc=False, array_like=True, tag="mc"):
    """The account's standing with its maintenance changed (margin-and-options §2.8)."""

    state: str
    before: str
    trade_date: int
    equity_money: int
    maintenance_money: int
    excess_money: int
    due_at: int = 0
    reason: str = ""


class IntradayLow(Fact, frozen=True, gc=False, array_like=True, tag="mi"):
    """The day's lowest intraday margin level so far, below zero, right after a transaction that reduced it."""

    trade_date: int
    level_money: int


class DayTradeCallChanged(Fact, frozen=True, gc=False, array_like=True, tag="dc"):
    """A call for exceeded day-trading buying power was opened, paid into, missed, met or ended (rules §8.1)."""

    state: str
    """``opened``, ``paid``, ``missed``, ``met`` or ``ended``."""
    trade_date: int
    calls: tuple[DayTradeCall, ...]
    """Those that stand from here on, oldest first."""
    money: int = 0
    """What the call in question asks for; of ``paid`` the deposit, negative for a withdrawal."""
    until: int = 0
    """Last date to meet it, or of the restriction."""
    held: HeldDeposit | None = None
    """What has to stay of the deposit."""


class DayTradingChanged(Fact, frozen=True, gc=False, array_like=True, tag="dt"):
    """The record of day trades was changed by no trade: a restriction ended, or an operator cleared the flag."""

    day_trading: DayTrading
    reason: str
    """``restriction_over`` or ``flag_cleared``."""


class SharesLocated(Fact, frozen=True, gc=False, array_like=True, tag="bl"):
    """Shares of a hard-to-borrow stock were found to borrow; the fee is an activity beside it."""

    symbol: str
    qty: int
    expires_at: int
    fee_money: int


class BorrowRecalled(Fact, frozen=True, gc=False, array_like=True, tag="br"):
    """Borrowed shares were called back; what is not bought by ``due_at`` is bought in. ``qty`` 0: settled."""

    symbol: str
    qty: int
    due_at: int


class AccountReset(Fact, frozen=True, gc=False, array_like=True, tag="ar"):
    """A new epoch begins: orders and positions are gone, the cash is as said, the history stays."""

    epoch: int
    cash: int


class SettingsChanged(Fact, frozen=True, gc=False, array_like=True, tag="as"):
    """Settings beside those of ``AccountConfigured``, all of them as they are from now on."""

    settings: Settings
