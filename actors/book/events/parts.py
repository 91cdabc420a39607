"""What facts about money are made of: day trades, deficits, accrued fees, locates, recalls.

Invariants: frozen, carried by value in facts and kept by value in the book. Accrued fees are in pico-dollars
(1e-12), since they are rounded once a day (corporate-actions-and-market-rules §14); all else is in money units.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class DayMark(Struct, frozen=True, gc=False, array_like=True):
    """What one security's trades of the day mean for day trades (§8.1)."""

    symbol: str
    opened: bool
    armed: bool
    seen: tuple[int, ...]
    """Orders that opened: ``order_no * 2``, plus 1 for a purchase."""


class DayCount(Struct, frozen=True, gc=False, array_like=True):
    """Day trades and trades of one past trade date."""

    trade_date: int
    day_trades: int
    trades: int


class DayTrading(Struct, frozen=True, array_like=True):
    """The pattern-day-trader record (§8.1); kept only while that rule set is in force for the account."""

    trade_date: int = 0
    day_trades: int = 0
    orders: tuple[int, ...] = ()
    """Orders with an execution on ``trade_date``."""
    marks: tuple[DayMark, ...] = ()
    units: tuple[tuple[str, ...], ...] = ()
    """Sets of legs that one order opened on ``trade_date``."""
    past: tuple[DayCount, ...] = ()
    flagged: bool = False
    used_money: int = 0
    """Day-trading buying power used on ``trade_date``."""
    exceeded_money: int = 0
    """The most by which it was exceeded on ``trade_date``."""
    closes_only_until: int = 0
    """Last date on which an account that day-traded below the minimum equity may only close."""


class DayTradeCall(Struct, frozen=True, gc=False, array_like=True):
    """Day-trading buying power was exceeded, and money is asked for (§8.1)."""

    state: str
    """``call`` until its deadline, ``cash_only`` after it."""
    trade_date: int
    """On which it was exceeded; an account has one call of a date at most."""
    money: int
    """What has to come in."""
    until: int
    """Last date of this state."""
    due_at: int
    """End of that date."""
    deposits: int = 0
    """Net deposits since."""


class HeldDeposit(Struct, frozen=True, gc=False, array_like=True):
    """A deposit that may not leave again up to a date (§8.1)."""

    until: int
    money: int


class Deficit(Struct, frozen=True, gc=False, array_like=True):
    """An intraday margin deficit (§8.2)."""

    trade_date: int
    money: int
    minor: bool
    call_due: int
    freezes_after: int
    """The fifth business day."""
    ends_on: int
    """The fifteenth business day."""
    iml_at_end: int
    """Intraday margin level at the end of its day."""
    deposits: int = 0
    """Net deposits since."""
    satisfied_on: int = 0


class Intraday(Struct, frozen=True, array_like=True):
    """Intraday margin of the 2026 rules (§8.2)."""

    lowest: int = 0
    """Worst level right after a transaction that reduced it today; never above zero."""
    deficits: tuple[Deficit, ...] = ()


class Fee(Struct, frozen=True, gc=False, array_like=True):
    """A fee of one kind, accrued."""

    kind: str
    pico: int
    extrapolated: bool = False
    """The day lies before the fee's first dated rate."""
    order_no: int = 0
    """The order that it is rounded for; 0: the day's fees of a kind are rounded together."""


class Locate(Struct, frozen=True, gc=False, array_like=True):
    """Shares found to borrow (§12)."""

    symbol: str
    qty: int
    expires_at: int


class Recall(Struct, frozen=True, gc=False, array_like=True):
    """Borrowed shares that were called back (§12)."""

    symbol: str
    qty: int
    due_at: int


REGULATION_T: Final = "regulation_t"
"""Why an account is in a call that is judged by SMA."""


class Call(Struct, frozen=True, gc=False, array_like=True):
    """Where the account stands with its maintenance (margin-and-options §2.8)."""

    state: str = "ok"
    """``ok``, ``warning``, ``call`` or ``liquidating``."""
    opened_on: int = 0
    due_at: int = 0
    """When positions are sold if the call is not met; 0 for none."""
    reason: str = ""
    """``maintenance``, ``large_deficit``, ``regulation_t``, or ``overdrawn`` of a cash account."""
    displaced_due_at: int = 0
    """When the call of Regulation T falls due that this one took the place of; 0 for none."""


class Settings(Struct, frozen=True, gc=False, array_like=True):
    """Settings beside the book's own (alpaca-api §4.6); an account without a record has these."""

    day_trade_rules: str = "auto"
    """``auto``, ``finra_pdt_2001``, ``intraday_margin_2026`` or ``off`` (§8)."""
    pdt_check: str = "entry"
    dtbp_check: str = "both"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    intraday_mode: str = "real_time_block"
    """``real_time_block`` or ``eod_only`` (§8.2)."""
    unsettled_sales: str = "record"
    """``record`` or ``refuse``: what happens to a sale that would be a violation in a cash account."""
    lot_method: str = "fifo"
    """Which tax lots a closing takes: ``fifo``, ``lifo``, ``highest_cost`` or ``lowest_cost``."""
    fee_mode: str = "daily_aggregate"
    """``daily_aggregate`` or ``per_order``: what fees are rounded up to the cent for (§14)."""
    fraction_long: str = "keep"
    """What becomes of a fraction of a share in a corporate action: ``keep`` or ``cil`` (cash in lieu, §3)."""
    action_orders: str = "finra_5330"
    """What becomes of resting orders in one: ``finra_5330`` or ``cancel_all`` (§5)."""
    order_size_rounding: str = "whole"
    """Down to ``whole`` shares or to a ``round_lot``."""
    drip: str = "off"
    """``on``: cash dividends buy shares of their payer (§4.1)."""
    nra_ppm: int = 0
    """Withheld from dividends of a non-resident, as a share."""
    max_options_trading_level: int | None = None
    """The owner's own cap on the level of option trading; null for none."""
    options_approved_level: int = -1
    """The level without that cap; -1: the account's."""
