"""Parameters of the methods that only read. Unknown fields are refused by name."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Limit = Annotated[int, Meta(ge=1, le=500)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all."""


class NoParams(Params, frozen=True, kw_only=True):
    """Nothing."""


class OfAccount(Params, frozen=True, kw_only=True):
    """One account, by id or name."""

    account: str


class Page(Params, frozen=True, kw_only=True):
    """A page of a list."""

    limit: Limit = 100
    page_token: str | None = None


class OrderGet(OfAccount, frozen=True, kw_only=True):
    """One order, by its id or client id."""

    order_id: str | None = None
    client_order_id: str | None = None


class OrderList(OfAccount, frozen=True, kw_only=True):
    """Orders (alpaca-api §1, GET /orders)."""

    status: Literal["open", "closed", "all"] = "open"
    symbols: tuple[str, ...] | None = None
    side: Literal["buy", "sell"] | None = None
    asset_classes: tuple[str, ...] | None = None
    """``us_equity``, ``us_option``: an order of several legs has the second."""
    after: str | None = None
    until: str | None = None
    direction: Literal["asc", "desc"] = "desc"
    limit: Limit = 50
    page_token: str | None = None
    nested: bool = False
    """Show exits in the ``legs`` of the order that carries them, and as items of their own only when the list has
    no such order."""


class PositionList(OfAccount, frozen=True, kw_only=True):
    """Positions, by symbol."""

    limit: Limit = 500
    page_token: str | None = None


class SymbolOf(OfAccount, frozen=True, kw_only=True):
    """A position."""

    symbol: str


class FillList(OfAccount, frozen=True, kw_only=True):
    """Fills, newest first."""

    order_id: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class FillWhy(Params, frozen=True, kw_only=True):
    """A fill's receipt."""

    fill_id: str
    account: str | None = None


class OrderWhy(Params, frozen=True, kw_only=True):
    """Why an order has not filled, or how it ended."""

    order_id: str
    account: str | None = None


class ActivityList(OfAccount, frozen=True, kw_only=True):
    """Activities (alpaca-api §4.5)."""

    activity_types: tuple[str, ...] | None = None
    category: Literal["trade_activity", "non_trade_activity"] | None = None
    date: str | None = None
    order_id: str | None = None
    after: str | None = None
    until: str | None = None
    direction: Literal["asc", "desc"] = "desc"
    limit: Limit = 100
    page_token: str | None = None


class LotList(OfAccount, frozen=True, kw_only=True):
    """Closed tax lots, newest first."""

    symbol: str | None = None
    after: str | None = None
    until: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class PortfolioHistory(OfAccount, frozen=True, kw_only=True):
    """Equity and profit over time (alpaca-api §4.4)."""

    period: str | None = None
    timeframe: Literal["1Min", "5Min", "15Min", "1H", "1D"] | None = None
    intraday_reporting: Literal["market_hours", "extended_hours", "continuous"] = "market_hours"
    start: str | None = None
    end: str | None = None
    pnl_reset: Literal["per_day", "no_reset"] = "per_day"
    extended_hours: bool | None = None
    """Alpaca's older word for ``intraday_reporting``."""
    date_end: str | None = None
    """Alpaca's older word for ``end``."""
    cashflow_types: str | None = None


class Performance(OfAccount, frozen=True, kw_only=True):
    """Return, drawdown and closed trades between two moments; from the opening until now if not given."""

    start: str | None = None
    end: str | None = None


class Symbol(Params, frozen=True, kw_only=True):
    """An instrument."""

    symbol: str


class AssetList(Page, frozen=True, kw_only=True):
    """Instruments, by symbol."""

    asset_class: Literal["us_equity", "us_option", "us_index"] | None = "us_equity"


class OptionFilter(Params, frozen=True, kw_only=True):
    """Which contracts (alpaca-api §4.8); dates as YYYY-MM-DD, both ends included."""

    status: Literal["active", "inactive"] | None = "active"
    expiration_date: str | None = None
    expiration_date_gte: str | None = None
    expiration_date_lte: str | None = None
    root_symbol: str | None = None
    type: Literal["call", "put"] | None = None
    style: Literal["american", "european"] | None = None
    strike_price_gte: str | None = None
    strike_price_lte: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class OptionContracts(OptionFilter, frozen=True, kw_only=True):
    """Contracts; without dates those that expire until the next weekend."""

    underlying_symbols: tuple[str, ...] | None = None
    show_deliverables: bool = False
    ppind: bool | None = None
    """Only those that are, or are not, in the penny programme."""


class OptionChain(OptionFilter, frozen=True, kw_only=True):
    """One underlying's contracts with quotes and Greeks; without dates those of its nearest expiry."""

    underlying_symbol: str
    greeks: bool = True


class PayoffLeg(Params, frozen=True, kw_only=True):
    """Signed contracts, or shares of stock."""

    symbol: str
    qty: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]


class OptionPayoff(Params, frozen=True, kw_only=True):
    """Legs of one underlying; without ``cost`` (dollars, negative for a credit) at the middle of their quotes."""

    legs: Annotated[tuple[PayoffLeg, ...], Meta(min_length=1, max_length=40)]
    cost: str | None = None


class StructureList(OfAccount, frozen=True, kw_only=True):
    """Structures, newest first."""

    status: Literal["open", "closed", "all"] = "open"
    underlying: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class StructureGet(OfAccount, frozen=True, kw_only=True):
    """One structure, by its id or number."""

    structure_id: str
    greeks: bool = True
    story: bool = False
    """Also what happened to it, oldest first; of an ended one always."""


class StructurePayoff(OfAccount, frozen=True, kw_only=True):
    """What a structure brings at every price."""

    structure_id: str
    dates: Annotated[tuple[str, ...], Meta(max_length=8)] | None = None
    """Further curves at the closes of these days, YYYY-MM-DD; now and half-way when absent."""
    png: bool = False


class CalendarList(Params, frozen=True, kw_only=True):
    """Trading days, both ends included, as YYYY-MM-DD."""

    start: str
    end: str


class Subscribe(Params, frozen=True, kw_only=True):
    """Streams: ``account:<id or name>`` and ``quotes:<symbol>``."""

    topics: tuple[str, ...]
    from_n: int | None = None


READS: dict[str, type[Params]] = {
    "session.hello": NoParams,
    "account.get": OfAccount,
    "account.list": Page,
    "order.get": OrderGet,
    "order.list": OrderList,
    "order.rules": NoParams,
    "order.why": OrderWhy,
    "position.list": PositionList,
    "position.get": SymbolOf,
    "fill.list": FillList,
    "fill.why": FillWhy,
    "activity.list": ActivityList,
    "lot.list": LotList,
    "history.portfolio": PortfolioHistory,
    "performance.get": Performance,
    "quote.get": Symbol,
    "asset.list": AssetList,
    "asset.get": Symbol,
    "option.contracts": OptionContracts,
    "option.chain": OptionChain,
    "option.payoff": OptionPayoff,
    "structure.list": StructureList,
    "structure.get": StructureGet,
    "structure.payoff": StructurePayoff,
    "account.greeks": OfAccount,
    "calendar.list": CalendarList,
    "clock.get": NoParams,
    "stream.subscribe": Subscribe,
    "stream.unsubscribe": NoParams,
    "health.get": NoParams,
}
