"""One account's book: what is true about it after its last event.

Invariants: values are frozen records, replaced whole; only :mod:`actors.book.state.fold` writes a book, and it
writes through the undo list when one is given. ``reserved_money`` is the sum over live orders, ``held`` the sum
of reserved quantities by symbol, in which a group counts once, with the largest of its members: its exits close
the same shares. ``orders`` holds live orders only: an order leaves it with its last event.
``watch`` and ``consumed`` move without events (they follow the tape) and are saved by value.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from actors.book.events import AppliedAction, Lot, LotUse, OrderAccepted, StructureExit
from actors.book.events.parts import Settings
from actors.book.instruments import Instrument
from actors.book.state.money import NOTHING, Money
from actors.book.state.structures import Structure

DAY_NS = 86_400 * 1_000_000_000
RECENT_DAYS = 30
"""How long a client order id is remembered after its order (contracts §3)."""


class Order(Struct, frozen=True, gc=False, array_like=True):
    """A live order: its terms and how far it has come."""

    terms: OrderAccepted
    status: str
    filled_qty: int
    filled_money: int
    fill_count: int
    slice_no: int
    """Taking slices since it became live or was triggered."""
    reserved_money: int
    reserved_qty: int
    live_at: int
    collar_price: int
    limit_price: int
    """The limit it acts on: of its terms, or what a trigger set."""
    triggered: bool
    updated_at: int
    last_fill_at: int
    cancel_at: int
    """When a pending cancel takes effect; 0 for none."""
    replace_at: int
    replacement: OrderAccepted | None
    resume_status: str
    """Status to go back to when a pending replace is refused."""
    leg_fills: tuple[tuple[int, int], ...] = ()
    """Of several legs: filled quantity of each, and the sum of price x quantity in their units."""

    @property
    def activated(self) -> bool:
        """Whether it has been live in the market (``new`` was shown) or is a held stop, which waits at the broker."""
        status = self.resume_status or self.status
        return status != "accepted" and (status != "held" or self.terms.stop_price > 0)

    @property
    def dormant(self) -> bool:
        """Held, with nothing to do yet: an exit without a filled entry, a close behind other orders."""
        return not self.reserved_qty and "held" in (self.status, self.resume_status)

    @property
    def leaves_qty(self) -> int:
        """What is still to be filled; 0 for an order by notional before its first fill."""
        return self.terms.qty - self.filled_qty if self.terms.qty else 0


class Position(Struct, frozen=True, gc=False, array_like=True):
    """A holding of one instrument, signed, with its lots in order of age."""

    symbol: str
    asset_id: str
    qty: int
    basis_money: int
    lots: tuple[Lot, ...]
    realized_money: int


class Place(Struct, frozen=True, array_like=True):
    """A resting order's place in the queue at its price (fill model §10)."""

    level: str
    """``joined`` the near side, ``inside`` the spread, or ``behind`` the near side."""
    price: int
    """The price at which it rests; another price is another place."""
    ahead_size: int
    """Shares or contracts before it; -1 while unknown."""
    shown_size: int
    """Displayed size at its price in the last quote."""
    traded_size: int
    """Printed at its price since that quote."""
    epoch: int = 0
    """Uninterrupted stretch of market in which it was taken; in another one the order joins again."""


class Watch(Struct, frozen=True, array_like=True):
    """What an order remembers of the tape between events."""

    cond_since: int = 0
    """Since when the far side has stood at its limit without a break; 0 when it does not."""
    reason: str = ""
    """Why the last evaluation did not fill."""
    due_at: int = 0
    """When it must be looked at again without a message; 0 for never."""
    near_misses: int = 0
    """Evaluations in which the fill condition held, or missed by a tick, and the order still waited."""
    evaluations: int = 0
    place: Place | None = None
    inside_since: int = 0
    """Since when its limit has been good enough for a fill inside the spread; 0 when it is not."""
    inside_from_start: bool = False
    """That has held ever since the order became live."""
    collar_price: int = 0
    """Worst price of a market order that found no quote when it became live; 0 for none."""
    newly_live: bool = False
    """A halt ended its stay in the market: the next usable quote finds it as a new arrival."""
    gap_at: int = 0
    """When messages of its symbol were lost last; 0 for never."""
    high_water_mark: int = 0
    """Trailing stops: the best price since the order's terms began; 0 while that is the mark of the terms."""


class Group(Struct, frozen=True, gc=False, array_like=True):
    """A bracket, OCO or OTO while any of its orders lives: what it entered, what it left, how these ended."""

    order_class: str
    members: tuple[int, ...]
    """``order_no`` of its live orders, oldest first."""
    entry_qty: int = 0
    """Filled by the entry; for an OCO the quantity that it closes."""
    exit_qty: int = 0
    """Filled by the exits together."""
    entry_end: str = ""
    """``filled`` or the reason of its end; empty while the entry lives."""
    exit_end: str = ""
    """``filled`` or the reason with which the first exit ended."""


class Consumed(Struct, frozen=True, array_like=True):
    """How much of the displayed size of one side this account has taken (fill model §8)."""

    price: int
    used_qty: int
    updated_at: int
    half_life_ms: int = 0
    """Of the profile under which it was taken."""


class Instructed(Struct, frozen=True, gc=False, array_like=True):
    """What the holder wants done with a contract at its expiry."""

    kind: str
    qty: int
    settles_on: int


class Expiring(Struct, frozen=True, gc=False, array_like=True):
    """How far the last day of a contract has come."""

    stage: int = 0
    """Of the last review (:class:`actors.book.events.ExpiryReviewed`)."""
    retry_at: int = 0
    """When its settlement is tried again; 0 while it has not been tried."""
    warned: tuple[str, ...] = ()
    """Kinds of warnings that were given."""
    reason: str = ""
    """Why it waits."""
    missing: str = ""


class Unsettled(Struct, frozen=True, gc=False, array_like=True):
    """A closing fill of stock whose lots may still be chosen."""

    symbol: str
    settles_on: int
    at: int
    order_no: int
    fill_no: int
    closed: tuple[LotUse, ...]


class Book(Struct, array_like=True):
    """The whole account. ``n`` counts its events."""

    account_no: int
    account_id: str = ""
    user_id: str = ""
    seed: bytes = b""
    epoch: int = 0
    """Raised by an account reset."""
    n: int = 0
    status: str = "ACTIVE"
    type: str = "margin"
    created_at: int = 0
    profile: str = "realistic"
    margin_profile: str = "house"
    options_level: int = 3
    fractional_trading: bool = True
    no_shorting: bool = False
    suspend_trade: bool = False
    max_margin_multiplier: int = 4
    quarantined: str = ""
    """Why the account only answers reads; empty when it is well."""
    cash: int = 0
    reserved_money: int = 0
    next_order_no: int = 1
    next_activity_no: int = 1
    next_lot_no: int = 1
    orders: dict[int, Order] = field(default_factory=dict)
    by_client: dict[str, int] = field(default_factory=dict)
    """Client order id of each live order."""
    recent: dict[int, int] = field(default_factory=dict)
    """Client key of orders of the last 30 days: ``order_no << 25 | fingerprint``, oldest first."""
    first_of_day: dict[int, int] = field(default_factory=dict)
    """First ``order_no`` of each UTC day that ``recent`` covers."""
    positions: dict[str, Position] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    watch: dict[int, Watch] = field(default_factory=dict)
    consumed: dict[str, Consumed] = field(default_factory=dict)
    """Key: symbol + ``/b`` (bid side) or ``/a`` (ask side)."""
    groups: dict[int, Group] = field(default_factory=dict)
    """By ``group_no``."""
    closing: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Held closes: the orders whose end each still waits for."""
    open_sides: dict[str, int] = field(default_factory=dict)
    """Live orders by side and symbol: ``+SYM`` for buys, ``-SYM`` for sales."""
    money: Money | None = None
    """What settles, accrues and is counted; null when there is nothing (:meth:`ledger`)."""
    settings: Settings | None = None
    """Null while they are as they were given (:meth:`rules`)."""
    instructions: dict[str, Instructed] = field(default_factory=dict)
    """What holders said about contracts that expire, by symbol."""
    expiring: dict[str, Expiring] = field(default_factory=dict)
    """Held contracts whose last day has come, by symbol."""
    contracts: dict[str, Instrument] = field(default_factory=dict)
    """The same contracts by value: reference data may not list them any more."""
    assigned_on: int = 0
    """Trade date of the last draw for early assignment; 0 for none."""
    structures: dict[int, Structure] = field(default_factory=dict)
    """Open structures, by number."""
    exits: dict[int, StructureExit] = field(default_factory=dict)
    """Of structures that have any, by structure number; what they remember of the tape is in ``watch``, under minus
    that number."""
    actions: dict[str, AppliedAction] = field(default_factory=dict)
    """Corporate actions that concerned the account, by their ids."""
    actions_through: int = 0
    """The latest instant of one that was applied,"""
    action_last: str = ""
    """and the last of that instant."""
    action_due: int = 0
    """When the next of them pays, delivers or ends something; 0 for none."""
    closings: dict[int, Unsettled] = field(default_factory=dict)
    """Closings of stock that have not settled, by the number of their event."""

    def ledger(self) -> Money:
        """The money record; an empty one for an account that has none."""
        return self.money or NOTHING

    def rules(self) -> Settings:
        """The settings beside the book's own."""
        return self.settings or DEFAULT_SETTINGS


DEFAULT_SETTINGS = Settings()

MISSING: Any = object()
"""Marks a key that was absent, in an undo list."""

Undo = list[tuple[dict[Any, Any], Any, Any]]
