"""What the market data half of Alpaca's interface answers (alpaca-api §5), prices as JSON numbers."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType, field

from mbtd.gateway.schemas import Shape


class CorporateActions(Shape, kw_only=True):
    """A page of corporate actions by kind."""

    corporate_actions: dict[str, list[dict[str, Any]]]
    next_page_token: str | None = None


class DataQuote(Shape, kw_only=True):
    """A quote, prices as numbers."""

    t: str
    bx: str
    bp: float
    bs: int
    ax: str
    ap: float
    as_: int = field(name="as")
    c: list[str] | str
    z: str | UnsetType = UNSET


class DataTrade(Shape, kw_only=True):
    """A print."""

    t: str
    x: str
    p: float
    s: int
    c: list[str] | str
    i: int | UnsetType = UNSET
    z: str | UnsetType = UNSET


class DataBar(Shape, kw_only=True):
    """A bar."""

    t: str
    o: float
    h: float
    l: float  # noqa: E741
    c: float
    v: int
    n: int
    vw: float


class Snapshot(Shape, kw_only=True):
    """What stands of one symbol now. What is not known is absent."""

    latestTrade: DataTrade | UnsetType = UNSET
    latestQuote: DataQuote | UnsetType = UNSET
    minuteBar: DataBar | UnsetType = UNSET
    dailyBar: DataBar | UnsetType = UNSET
    prevDailyBar: DataBar | UnsetType = UNSET
    impliedVolatility: float | UnsetType = UNSET
    greeks: dict[str, float] | UnsetType = UNSET


class LatestQuotes(Shape, kw_only=True):
    """Newest quotes by symbol."""

    quotes: dict[str, DataQuote]


class LatestTrades(Shape, kw_only=True):
    """Newest prints by symbol."""

    trades: dict[str, DataTrade]


class LatestBars(Shape, kw_only=True):
    """Newest minute bars by symbol."""

    bars: dict[str, DataBar]


class QuotePage(Shape, kw_only=True):
    """A page of quotes by symbol."""

    quotes: dict[str, list[DataQuote]]
    next_page_token: str | None = None


class TradePage(Shape, kw_only=True):
    """A page of prints by symbol."""

    trades: dict[str, list[DataTrade]]
    next_page_token: str | None = None


class BarPage(Shape, kw_only=True):
    """A page of bars by symbol."""

    bars: dict[str, list[DataBar]]
    next_page_token: str | None = None


class OptionSnapshots(Shape, kw_only=True):
    """A page of option snapshots by symbol."""

    snapshots: dict[str, Snapshot]
    next_page_token: str | None = None


class OneQuote(Shape, kw_only=True):
    """The newest quote of one symbol."""

    symbol: str
    quote: DataQuote


class OneTrade(Shape, kw_only=True):
    """The newest print of one symbol."""

    symbol: str
    trade: DataTrade


class OneBar(Shape, kw_only=True):
    """The newest minute bar of one symbol."""

    symbol: str
    bar: DataBar
