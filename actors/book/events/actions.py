"""Facts about corporate actions: what was announced to the house, and what one made of an account.

Invariants: an announcement is a fact of the house, known by its id; a later version of the same id takes its place.
An account's fact carries the whole outcome (lots, contracts, entries, what is still to be paid), so folding calls no
rule. Rates and ratios are exact fractions; prices here are money units a share. Rule source: corporate-actions-and-
market-rules §2, §6.1, §7.
"""

from __future__ import annotations

from msgspec import Struct, field

from actors.book.events.base import Fact, Lot, LotUse
from actors.book.instruments import Deliverable, Instrument

Ratio = tuple[int, int]
"""Numerator and denominator, both not negative, the denominator positive."""
NONE: Ratio = (0, 1)


class ActionLeg(Struct, frozen=True, gc=False, array_like=True):
    """Shares of one security that come for the shares held."""

    symbol: str
    ratio: Ratio
    """New shares for each one held."""


class ActionPrice(Struct, frozen=True, gc=False, array_like=True):
    """What a security is worth in this action, money units a share; 0 when nobody said."""

    symbol: str
    cil: int = 0
    """At which fractions are settled in cash, in units after the action."""
    alloc: int = 0
    """By which the cost basis is split over several securities."""
    drip: int = 0
    """At which dividends are reinvested."""
    close: int = 0
    """Last regular close, in units before the action."""


class ContractTerms(Struct, frozen=True, array_like=True):
    """How one class of contracts is adjusted: the items of an OCC memo (§6.1)."""

    root: str
    new_root: str
    contracts: Ratio = (1, 1)
    """Contracts for each one."""
    strike_divisor: Ratio = (1, 1)
    strike_reduction: int = 0
    """Price units, after the division."""
    multiplier: int = 0
    """Of the premium; 0: as it was."""
    strike_multiplier: int = 0
    deliverables: tuple[Deliverable, ...] = ()
    """Null tuple: as they were."""


class CorporateAction(Struct, frozen=True, array_like=True):
    """One action in the engine's terms."""

    ca_id: str
    type: str
    """Alpaca's word in the singular, such as ``forward_split``."""
    symbol: str
    """The security that the holder has before it."""
    effective_date: int
    """Trade date at the roll into which it happens."""
    post_date: int = 0
    """Date at whose 04:00 New York cash and rights come; 0: at the roll."""
    legs: tuple[ActionLeg, ...] = ()
    keeps_source: bool = False
    """Whether the shares held stay what they were."""
    cash: Ratio = NONE
    """Dollars a share."""
    cash_more: Ratio = NONE
    """A second rate: short-term capital gains."""
    special: bool = False
    sub_type: str = ""
    new_asset: bool = False
    """The CUSIP changed: it is another security from now on."""
    expires_on: int = 0
    """Rights: the last date."""
    contracts: tuple[ContractTerms, ...] = ()
    roots: tuple[tuple[str, str], ...] = ()
    """New root of each root of contracts that was listed when it was announced."""
    roots_in_use: tuple[str, ...] = ()
    prices: tuple[ActionPrice, ...] = ()
    fraction: str = ""
    """``round_up`` or ``drop`` for everybody; empty: by the account's setting."""
    withdrawn: bool = False
    foreign: bool = False

    def price(self, symbol: str) -> ActionPrice:
        """What was said about a security's price."""
        return next((price for price in self.prices if price.symbol == symbol), ActionPrice(symbol))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Everything that it names."""
        return tuple(dict.fromkeys((self.symbol, *(leg.symbol for leg in self.legs))))


class CorporateActionAnnounced(Fact, frozen=True, array_like=True, tag="hca"):
    """House: an action is known, changed or withdrawn; ``version`` counts up from 1."""

    action: CorporateAction
    version: int
    announced_at: int
    told: dict[str, str] = field(default_factory=dict)
    """Its words as they were announced, for those who ask."""


class ActionEntry(Struct, frozen=True, gc=False, array_like=True):
    """A booking of an action, as far as its reversal needs it."""

    activity_no: int
    type: str
    sub_type: str
    symbol: str
    qty: int
    net_money: int
    price: int = 0
    rate: int = 0
    at: int = 0
    dated: int = 0
    """Date under which it is shown."""


class ActionPay(Struct, frozen=True, gc=False, array_like=True):
    """Something that an action still does to an account."""

    at: int
    kind: str
    """``cash``, ``dividend``, ``rights`` or ``expire``."""
    type: str
    sub_type: str
    symbol: str
    qty: int
    """What it was entitled with, or rights to come; signed."""
    money: int = 0
    rate: int = 0
    """Billionths of a dollar a share."""


class AppliedAction(Struct, frozen=True, array_like=True):
    """What an account knows of an action that concerned it."""

    ca_id: str
    version: int
    effective_at: int
    stage: str
    """``entitled`` while something is still to come, ``applied``, ``withdrawn``, or ``passed``: it held nothing."""
    symbol: str = ""
    entries: tuple[ActionEntry, ...] = ()
    pays: tuple[ActionPay, ...] = ()
    provisional: bool = False
    """The cost basis could not be split for want of prices."""
    reconcile: bool = False
    """A reversal or a late action could not be made exact; an operator looks at it."""
    prices: tuple[tuple[str, int], ...] = ()
    """Prices of the market by which it was worked out, where its terms named none; ``drip`` before a symbol: of the
    reinvestment. A revision takes the same."""


class CorporateActionApplied(Fact, frozen=True, array_like=True, tag="ca"):
    """What the account knows of an action from here on; the positions and bookings of it follow in the same step."""

    record: AppliedAction
    contracts: tuple[Instrument, ...] = ()
    """Instruments that came of it, by value: reference data may not list them."""
    groups: tuple[tuple[int, int, int], ...] = ()
    """Groups of orders in new units: number, entry and exit quantity."""


class PositionAdjusted(Fact, frozen=True, array_like=True, tag="pa"):
    """A position as an action left it. Cash is moved by bookings only."""

    ca_id: str
    symbol: str
    asset_id: str
    qty: int
    basis_money: int
    lots: tuple[Lot, ...]
    qty_change: int
    realized_money: int = 0
    """Profit that the change realised."""
    closed: tuple[LotUse, ...] = ()
    """Lots, or parts of them, that ended with a profit or loss."""
