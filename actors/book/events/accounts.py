"""Facts about an account: its life, its settings, its money."""

from __future__ import annotations

from msgspec import field

from actors.book.events.base import Fact


class AccountCreated(Fact, frozen=True, gc=False, array_like=True, tag="ac"):
    """First event of every account."""

    account_no: int
    account_id: str
    seed: bytes
    type: str
    cash: int
    options_level: int
    profile: str
    margin_profile: str
    user_id: str


class AccountConfigured(Fact, frozen=True, gc=False, array_like=True, tag="ag"):
    """Settings as they are from now on."""

    profile: str
    margin_profile: str
    options_level: int
    fractional_trading: bool
    no_shorting: bool
    suspend_trade: bool
    max_margin_multiplier: int


class AccountClosed(Fact, frozen=True, gc=False, array_like=True, tag="ax"):
    """The account takes no more commands; its history stays."""


class AccountQuarantined(Fact, frozen=True, gc=False, array_like=True, tag="aq"):
    """A turn of this account failed; its last good state is kept and it only answers reads."""

    reason: str


class CommandRefused(Fact, frozen=True, gc=False, array_like=True, tag="cr"):
    """A command other than an order was refused."""

    method: str
    reason: str
    numbers: dict[str, str] = field(default_factory=dict)


class ActivityBooked(Fact, frozen=True, gc=False, array_like=True, tag="ab"):
    """Cash or a position moved other than by a fill (alpaca-api §4.5)."""

    activity_no: int
    activity_type: str
    net_money: int
    cash: int
    """Cash after."""
    description: str = ""
    symbol: str = ""
    qty: int = 0
    group_no: int = 0
    activity_sub_type: str = ""
    trade_date: int = 0
    """Trade date that it belongs to; 0 when the engine keeps no calendar."""
    booked_for_at: int = 0
    """The instant that it belongs to when it was caught up later; 0 for the step's own."""
    price: int = 0
    """Price units, where a booking has one."""
    settles_on: int = 0
    """Settlement date, where it is not the same day."""
    status: str = "executed"
    """``correct`` or ``canceled`` on a revision of a corporate action."""
    ca_id: str = ""
    """The corporate action that it is of."""
    previous_no: int = 0
    """``activity_no`` of the entry that it takes back, and"""
    previous_at: int = 0
    """when that was booked."""
    rate: int = 0
    """Billionths of a dollar a share, of a dividend."""
    dated: int = 0
    """Date under which it is shown: a corporate action's ex, effective or payment date. 0: that of its time."""


class MarketGapped(Fact, frozen=True, gc=False, array_like=True, tag="mg"):
    """Market messages may have been lost: queue places and dwell of this account's live orders start again."""

    reason: str
    symbols: tuple[str, ...] = ()
