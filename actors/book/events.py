"""Facts: what happened to one account. The only thing that changes a book is folding one of these.

Invariants: a fact carries every outcome of a rule in it (reservations, lots, cash, effective times, the
profile's hash), so folding calls no rule and a later change of rules never rewrites an old book.
Formats are append-only: a field is added at the end with a default, never moved, renamed or retyped; a tag
is never used twice. Units are those of :mod:`actors.book.units`. Statuses and types are Alpaca's words.
"""

from __future__ import annotations

from msgspec import Struct


class Fact(Struct, frozen=True, gc=False, array_like=True, tag_field="fact"):
    """Base of all events."""


class Evidence(Struct, frozen=True, gc=False, array_like=True):
    """The market that made a fill (fill model §17): enough to compute the fill again from this record alone."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int
    quote_at: int
    tape_seq: int
    """Place of the deciding message on the tape."""
    quote_seq: int
    """Place of the quote on the tape."""
    bid_exchange: str
    ask_exchange: str
    condition: str
    received_at: int
    last_price: int
    last_at: int
    session: str
    data_class: str
    feed: str
    near: int
    far: int
    theta_ppm: int
    theta_take_ppm: int
    available_qty: int
    consumed_before: int
    consumed_after: int
    leaves_before: int
    slice_no: int
    dwell_since: int
    tick: int
    limit_price: int
    draw: int
    """The random number used, 0 for none."""
    profile: str
    profile_hash: str
    model: str
    collar_price: int = 0
    """Worst price of a market order, 0 for none."""
    model_qty: int = 0
    """What the model gave; the fill is smaller only when the account could not pay for all of it."""


class Lot(Struct, frozen=True, gc=False, array_like=True):
    """A tax lot: one opening fill, or what is left of it."""

    lot_no: int
    qty: int
    """Signed: negative for a short lot."""
    basis_money: int
    """Signed like ``qty``: what was paid, or minus what was received."""
    opened_at: int
    order_no: int


class LotUse(Struct, frozen=True, gc=False, array_like=True):
    """Part of a lot taken off by a closing fill."""

    lot_no: int
    qty: int
    basis_money: int
    proceeds_money: int


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
    numbers: dict[str, str] = {}


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


class OrderRejected(Fact, frozen=True, gc=False, array_like=True, tag="or"):
    """Refused at admission: there is no order, and the client id stays free."""

    client_order_id: str
    symbol: str
    side: str
    type: str
    qty: str
    """As the client wrote it, shortened."""
    reason: str
    numbers: dict[str, str] = {}


class OrderAccepted(Fact, frozen=True, gc=False, array_like=True, tag="oa"):
    """An order exists. This record is also the order's terms for the whole of its life."""

    order_no: int
    order_id: str
    client_order_id: str
    client_key: int
    fingerprint: int
    """25 bits of the hash of the normalised parameters, for repeats."""
    symbol: str
    asset_id: str
    side: str
    type: str
    time_in_force: str
    qty: int
    """0 for an order by notional."""
    notional: int
    limit_price: int
    stop_price: int
    extended_hours: bool
    position_intent: str
    order_class: str
    submitted_at: int
    live_at: int
    expires_at: int
    """When its time in force ends; 0 when that is not a moment (IOC, FOK)."""
    reserved_money: int
    reserved_qty: int
    check_price: int
    """Price at which the order was checked and reserved."""
    collar_price: int
    """Buy stops: the limit at which money is reserved; market orders: set when live."""
    profile: str
    replaces: int = 0
    """``order_no`` of the order that this one replaces."""
    filled_qty: int = 0
    """Carried over from the replaced order."""
    filled_money: int = 0
    fill_count: int = 0


class OrderActivated(Fact, frozen=True, gc=False, array_like=True, tag="on"):
    """The order is live in the market (``new``)."""

    order_no: int
    collar_price: int = 0
    """Worst price of a market order from here on; 0 for none."""


class OrderTriggered(Fact, frozen=True, gc=False, array_like=True, tag="ot"):
    """A stop was elected; it acts as market or limit order from ``live_at``."""

    order_no: int
    trigger_price: int
    tape_seq: int
    live_at: int
    limit_price: int = 0
    """Of a buy stop that its profile turns into a stop-limit."""


class OrderFilled(Fact, frozen=True, gc=False, array_like=True, tag="of"):
    """One fill at one price. ``status`` says whether the order is complete."""

    order_no: int
    fill_no: int
    qty: int
    price: int
    reason: str
    liquidity: str
    status: str
    filled_qty: int
    filled_money: int
    """Sum of price x quantity over all fills, in money units."""
    reserved_money: int
    """Left reserved."""
    reserved_qty: int
    fee_money: int
    evidence: Evidence


class PositionChanged(Fact, frozen=True, gc=False, array_like=True, tag="pc"):
    """What a fill or a booking did to one position and to cash."""

    symbol: str
    asset_id: str
    qty: int
    """Signed quantity after."""
    basis_money: int
    """Signed cost basis after."""
    cash: int
    """Cash after."""
    net_money: int
    """Change of cash."""
    realized_money: int
    opened: Lot | None = None
    closed: tuple[LotUse, ...] = ()


class OrderCancelPending(Fact, frozen=True, gc=False, array_like=True, tag="op"):
    """A cancel was asked for; it takes effect at ``effective_at`` unless the order fills first."""

    order_no: int
    effective_at: int


class OrderCanceled(Fact, frozen=True, gc=False, array_like=True, tag="oc"):
    """Ended without more fills; what it reserved is free."""

    order_no: int
    reason: str


class OrderCancelRejected(Fact, frozen=True, gc=False, array_like=True, tag="oj"):
    """A cancel came too late or named no live order."""

    order_id: str
    reason: str
    order_no: int = 0


class OrderReplacePending(Fact, frozen=True, gc=False, array_like=True, tag="oq"):
    """A replace was asked for; ``terms`` become the order at ``effective_at`` unless it ends first."""

    order_no: int
    effective_at: int
    reserved_money: int
    """Reserved by the old order meanwhile: the larger of both."""
    reserved_qty: int
    terms: OrderAccepted


class OrderReplaced(Fact, frozen=True, gc=False, array_like=True, tag="os"):
    """The old order ended; ``terms`` are live in its place."""

    order_no: int
    terms: OrderAccepted


class OrderReplaceRejected(Fact, frozen=True, gc=False, array_like=True, tag="ok"):
    """The replace was refused; the old order stays as it was."""

    order_no: int
    order_id: str
    reason: str
    reserved_money: int = 0
    reserved_qty: int = 0


class OrderExpired(Fact, frozen=True, gc=False, array_like=True, tag="oe"):
    """Its time in force ended."""

    order_no: int
    reason: str = "expired"


class MarketGapped(Fact, frozen=True, gc=False, array_like=True, tag="mg"):
    """Market messages may have been lost: queue places and dwell of this account's live orders start again."""

    reason: str
    symbols: tuple[str, ...] = ()


class AccountRegistered(Fact, frozen=True, gc=False, array_like=True, tag="hr"):
    """House: a name and an owner for an account."""

    account_no: int
    account_id: str
    name: str
    user_id: str


class TierSet(Fact, frozen=True, gc=False, array_like=True, tag="ht"):
    """House: a user's tier from now on."""

    user_id: str
    tier: str


class ApiKeyIssued(Fact, frozen=True, gc=False, array_like=True, tag="hk"):
    """House: a key for one account. Only a salted hash of the secret is ever stored."""

    account_no: int
    key_id: str
    salt: bytes
    secret_hash: bytes


HouseEvent = AccountRegistered | TierSet | ApiKeyIssued
Event = (
    AccountCreated
    | AccountConfigured
    | AccountClosed
    | AccountQuarantined
    | CommandRefused
    | ActivityBooked
    | OrderRejected
    | OrderAccepted
    | OrderActivated
    | OrderTriggered
    | OrderFilled
    | PositionChanged
    | OrderCancelPending
    | OrderCanceled
    | OrderCancelRejected
    | OrderReplacePending
    | OrderReplaced
    | OrderReplaceRejected
    | OrderExpired
    | MarketGapped
    | AccountRegistered
    | TierSet
    | ApiKeyIssued
)
