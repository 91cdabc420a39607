"""What Alpaca's interface answers, type by type (alpaca-api §2.1, §4): the shapes, and so the OpenAPI document.

Invariant: a member is listed here or it does not leave; money, prices and quantities are texts. Members without a
default are those that the SDK's models cannot do without.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, field


class Shape(Struct, kw_only=True):
    """Base of all."""


class ErrorBody(Shape, kw_only=True):
    """Every error."""

    code: int
    message: str


class Order(Shape, kw_only=True):
    """An order, or a leg of one."""

    id: str
    client_order_id: str
    created_at: str
    updated_at: str
    submitted_at: str
    filled_at: str | None = None
    expired_at: str | None = None
    expires_at: str | None = None
    canceled_at: str | None = None
    failed_at: str | None = None
    replaced_at: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    asset_id: str | None = None
    symbol: str | None = None
    asset_class: str | None = None
    notional: str | None = None
    qty: str | None = None
    filled_qty: str = "0"
    filled_avg_price: str | None = None
    order_class: str = ""
    order_type: str | None = None
    type: str | None = None
    side: str | None = None
    position_intent: str | None = None
    time_in_force: str
    limit_price: str | None = None
    stop_price: str | None = None
    trail_percent: str | None = None
    trail_price: str | None = None
    hwm: str | None = None
    extended_hours: bool = False
    legs: list[Order] | None = None
    ratio_qty: str | None = None
    status: str
    reason: str | None = None
    """Ours: why it ended, for ends that have a reason."""
    source: str | None = None
    subtag: str | None = None

    def __post_init__(self) -> None:
        """What an order of several legs has none of, or a leg, is an empty text there (alpaca-api §2.1)."""
        if self.order_class == "mleg":
            for name in _EMPTY:
                if getattr(self, name) is None:
                    setattr(self, name, "")


_EMPTY: Final = ("asset_id", "symbol", "asset_class", "side", "position_intent", "type", "order_type")


class CanceledOrder(Shape, kw_only=True):
    """One entry of a cancellation of all."""

    id: str
    status: int
    body: dict[str, Any] | None = None


class ClosedPosition(Shape, kw_only=True):
    """One entry of a closing of all positions."""

    symbol: str
    status: int
    order_id: str | None = None
    body: dict[str, Any] | None = None


class Position(Shape, kw_only=True):
    """A position."""

    asset_id: str
    symbol: str
    exchange: str
    asset_class: str
    asset_marginable: bool = False
    qty: str
    qty_available: str | None = None
    side: str
    avg_entry_price: str
    market_value: str | None = None
    cost_basis: str
    unrealized_pl: str | None = None
    unrealized_plpc: str | None = None
    unrealized_intraday_pl: str | None = None
    unrealized_intraday_plpc: str | None = None
    current_price: str | None = None
    lastday_price: str | None = None
    change_today: str | None = None


class Account(Shape, kw_only=True):
    """The trading account."""

    id: str
    account_number: str
    status: str
    crypto_status: str = "ACTIVE"
    currency: str = "USD"
    cash: str
    buying_power: str | None = None
    regt_buying_power: str | None = None
    daytrading_buying_power: str | None = None
    effective_buying_power: str | None = None
    non_marginable_buying_power: str | None = None
    options_buying_power: str | None = None
    accrued_fees: str = "0"
    pending_transfer_in: str = "0"
    pending_transfer_out: str = "0"
    intraday_adjustments: str = "0"
    pending_reg_taf_fees: str = "0"
    portfolio_value: str | None = None
    equity: str | None = None
    last_equity: str | None = None
    long_market_value: str | None = None
    short_market_value: str | None = None
    position_market_value: str | None = None
    initial_margin: str | None = None
    maintenance_margin: str | None = None
    last_maintenance_margin: str | None = None
    sma: str | None = None
    multiplier: str | None = None
    daytrade_count: int = 0
    balance_asof: str | None = None
    bod_dtbp: int | str | None = None
    pattern_day_trader: bool = False
    trading_blocked: bool = False
    transfers_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False
    options_approved_level: int = 0
    options_trading_level: int = 0
    created_at: str | None = None
    crypto_tier: int = 1
    admin_configurations: dict[str, Any] = field(default_factory=dict)
    user_configurations: dict[str, Any] | None = None


class Configurations(Shape, kw_only=True):
    """The account's settings."""

    dtbp_check: str | None = None
    pdt_check: str | None = None
    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    max_options_trading_level: int | None = None
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "none"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False


class Asset(Shape, kw_only=True):
    """An instrument."""

    id: str
    class_: str = field(name="class")
    exchange: str
    symbol: str
    name: str | None = None
    status: str
    tradable: bool
    marginable: bool
    shortable: bool
    easy_to_borrow: bool
    fractionable: bool
    cusip: str | None = None
    maintenance_margin_requirement: int | float | None = None
    margin_requirement_long: str | None = None
    margin_requirement_short: str | None = None
    borrow_status: str | None = None
    attributes: list[str] = field(default_factory=list)


class Clock(Shape, kw_only=True):
    """The market's clock, with New York's offset."""

    timestamp: str
    is_open: bool
    next_open: str
    next_close: str


class CalendarDay(Shape, kw_only=True):
    """A trading day, times in New York."""

    date: str
    open: str
    close: str
    session_open: str = "0400"
    session_close: str = "2000"
    settlement_date: str | None = None


class Watchlist(Shape, kw_only=True):
    """A named list; ``assets`` is absent in lists of lists."""

    id: str
    account_id: str
    name: str
    created_at: str
    updated_at: str
    assets: list[Asset] | UnsetType = UNSET


class Activity(Shape, kw_only=True):
    """A fill or a booking. What does not apply is absent."""

    id: str
    activity_type: str
    account_id: str | UnsetType | None = UNSET
    activity_sub_type: str | UnsetType | None = UNSET
    transaction_time: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    price: str | UnsetType | None = UNSET
    qty: str | UnsetType | None = UNSET
    side: str | UnsetType | None = UNSET
    symbol: str | UnsetType | None = UNSET
    leaves_qty: str | UnsetType | None = UNSET
    cum_qty: str | UnsetType | None = UNSET
    order_id: str | UnsetType | None = UNSET
    order_status: str | UnsetType | None = UNSET
    date: str | UnsetType | None = UNSET
    created_at: str | UnsetType | None = UNSET
    net_amount: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    cusip: str | UnsetType | None = UNSET
    per_share_amount: str | UnsetType | None = UNSET
    currency: str | UnsetType | None = UNSET
    group_id: str | UnsetType | None = UNSET
    ca_id: str | UnsetType | None = UNSET
    previous_id: str | UnsetType | None = UNSET


class PortfolioHistory(Shape, kw_only=True):
    """Equity over time."""

    timestamp: list[int]
    equity: list[float]
    profit_loss: list[float]
    profit_loss_pct: list[float | None]
    base_value: float | None = None
    base_value_asof: str | None = None
    timeframe: str
    cashflow: dict[str, list[float]] = field(default_factory=dict)


class Deliverable(Shape, kw_only=True):
    """What a contract delivers."""

    type: str
    symbol: str
    amount: str | None = None
    asset_id: str | None = None
    allocation_percentage: str = "100"
    settlement_type: str = "T+1"
    settlement_method: str = "CCC"
    delayed_settlement: bool = False


class OptionContract(Shape, kw_only=True):
    """An option contract."""

    id: str
    symbol: str
    name: str
    status: str
    tradable: bool
    expiration_date: str
    root_symbol: str
    underlying_symbol: str
    underlying_asset_id: str
    type: str
    style: str
    strike_price: str
    multiplier: str = "100"
    size: str = "100"
    open_interest: str | None = None
    open_interest_date: str | None = None
    close_price: str | None = None
    close_price_date: str | None = None
    ppind: bool = True
    deliverables: list[Deliverable] | UnsetType = UNSET


class OptionContracts(Shape, kw_only=True):
    """A page of contracts."""

    option_contracts: list[OptionContract]
    next_page_token: str | None = None


class Announcement(Shape, kw_only=True):
    """A corporate action as announced."""

    id: str
    corporate_action_id: str
    ca_type: str
    ca_sub_type: str
    initiating_symbol: str
    initiating_original_cusip: str
    target_symbol: str | None = None
    target_original_cusip: str | None = None
    declaration_date: str | None = None
    ex_date: str | None = None
    record_date: str | None = None
    payable_date: str | None = None
    cash: str = "0"
    old_rate: str = "0"
    new_rate: str = "0"
