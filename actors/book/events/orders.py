"""Facts about orders, their fills and what those do to positions."""

from __future__ import annotations

from msgspec import Struct, field

from actors.book.events.base import Fact, Lot, LotChoice, LotUse
from actors.book.events.evidence import Evidence


class OrderRejected(Fact, frozen=True, gc=False, array_like=True, tag="or"):
    """Refused at admission: there is no order, and the client id stays free."""

    client_order_id: str
    symbol: str
    side: str
    type: str
    qty: str
    """As the client wrote it, shortened."""
    reason: str
    numbers: dict[str, str] = field(default_factory=dict)


class AcceptedLeg(Struct, frozen=True, gc=False, array_like=True):
    """One leg of an order of several."""

    symbol: str
    asset_id: str
    side: str
    ratio: int
    """Contracts of one unit; shares for a stock leg."""
    position_intent: str
    multiplier: int
    """1 for a stock leg."""

    @property
    def is_stock(self) -> bool:
        """Whether it trades shares."""
        return self.multiplier == 1

    @property
    def lots(self) -> int:
        """What the unit's net counts: contracts, or lots of a hundred shares."""
        return self.ratio // 100 if self.multiplier == 1 else self.ratio


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
    trail_price: int = 0
    """Trailing stops: distance of the stop from the high-water mark, or"""
    trail_ppm: int = 0
    """the same as a share of the mark."""
    high_water_mark: int = 0
    """Trailing stops: the best price when these terms began (for buys the lowest)."""
    group_no: int = 0
    """``order_no`` of the first order of its bracket, OCO or OTO; 0 for none."""
    leg: str = ""
    """What it is in its group: ``entry``, ``take_profit`` or ``stop_loss``."""
    waits_for: tuple[int, ...] = ()
    """A close that begins when all these orders have ended."""
    legs: tuple[AcceptedLeg, ...] = ()
    """Of an order of several legs; then ``qty`` counts units, ``symbol`` is empty, ``side`` is buy, and prices
    are nets a share, negative for a credit."""
    structure_no: int = 0
    """The structure whose legs it closes, rolls or adds to; 0 for none, and for one that opens a new one."""
    lot_choice: LotChoice | None = None
    """Tax lots that it closes; null: by the account's method."""
    do_not_reduce: bool = False
    """Cash dividends leave its prices alone."""
    structure_id: str = ""
    """The structure that it names, or that it opens when it fills; empty for none."""

    @property
    def held_at_first(self) -> bool:
        """Whether it waits at the broker for other orders (``held``) instead of going to the market."""
        return self.group_no not in (0, self.order_no) or bool(self.waits_for)


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
    high_water_mark: int = 0
    """Of a trailing stop, with the stop that followed from it."""
    stop_price: int = 0


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


class OrderLegFilled(Fact, frozen=True, gc=False, array_like=True, tag="ol"):
    """What one leg traded in the fill before it; directly followed by what it does to the position."""

    order_no: int
    fill_no: int
    leg: int
    """Index of the leg; a leg that traded at two prices has two of these."""
    symbol: str
    side: str
    qty: int
    price: int
    filled_qty: int
    """Of this leg, all fills together."""
    bid: int
    bid_size: int
    ask: int
    ask_size: int
    quote_at: int
    quote_seq: int
    consumed_before: int
    consumed_after: int
    profile: str


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
    lot_method: str = ""
    """By which ``closed`` was chosen, as :class:`LotChoice` names it; empty for first in, first out."""


class LotsAssigned(Fact, frozen=True, gc=False, array_like=True, tag="la"):
    """Other lots were chosen for a closing that has not settled; quantity, cash and proceeds stay as they were."""

    closing_n: int
    """Number of the event that closed."""
    symbol: str
    close_order_no: int
    close_fill_no: int
    closed_at: int
    given_back: tuple[LotUse, ...]
    """What the closing had taken so far."""
    closed: tuple[LotUse, ...]
    """What it has taken from here on."""
    realized_money: int
    """Of the closing, from here on."""


class OrderCancelPending(Fact, frozen=True, gc=False, array_like=True, tag="op"):
    """A cancel was asked for; it takes effect at ``effective_at`` unless the order fills first."""

    order_no: int
    effective_at: int


class OrderCanceled(Fact, frozen=True, gc=False, array_like=True, tag="oc"):
    """Ended without more fills; what it reserved is free."""

    order_no: int
    reason: str
    ca_id: str = ""
    """The corporate action over which it does not go on."""


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
    ca_id: str = ""
    """The corporate action that did it; empty for its owner."""


class OrderReplaceRejected(Fact, frozen=True, gc=False, array_like=True, tag="ok"):
    """The replace was refused; the old order stays as it was."""

    order_no: int
    order_id: str
    reason: str
    reserved_money: int = 0
    reserved_qty: int = 0


class OrderAdjusted(Fact, frozen=True, gc=False, array_like=True, tag="ox"):
    """Other orders changed a held order or an exit: its new total, what it reserves, when it is live."""

    order_no: int
    qty: int
    reserved_qty: int
    live_at: int


class OrderExpired(Fact, frozen=True, gc=False, array_like=True, tag="oe"):
    """Its time in force ended."""

    order_no: int
    reason: str = "expired"
