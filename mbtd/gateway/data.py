"""Market data over HTTP: what the SDK's stock and option data clients ask for (alpaca-api §5).

Invariants: every answer comes from the lane of the caller's tier, which the daemon alone decides; a feed named in the
request is checked for its spelling and changes nothing, so an unchanged program of a Free user is served the delayed
lane. Prices are JSON numbers here, as at Alpaca.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from mbtd.gateway import schemas_data as s
from mbtd.gateway.endpoint import Endpoint, Query, Request, shape
from mbtd.gateway.errors import ApiError, invalid, not_found
from mbtd.gateway.values import day, instant, strike_bound, words

OPTION_PARTS: Final = ("quote", "trade", "minute_bar", "daily_bar", "prev_daily_bar", "greeks")
SYMBOLS_MAX: Final = 1_000
PAGE_DEFAULT: Final = 1_000
CHAIN_DEFAULT: Final = 100
MODEL_PAGE: Final = 250
"""Contracts at most on a page with Greeks, whatever is asked for: each costs the model's time."""
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./]{0,20}\Z")
Feed = Literal["iex", "sip", "delayed_sip", "otc", "boats", "overnight"]
OptionFeed = Literal["indicative", "opra"]
Limit = Annotated[int, Meta(ge=1, le=10_000)]
Token = Annotated[str, Meta(max_length=128)]


class Latest(Query, frozen=True, kw_only=True):
    """Which symbols."""

    symbols: str | None = None
    feed: str | None = None
    currency: str | None = None


class History(Latest, frozen=True, kw_only=True):
    """Which symbols and when."""

    start: str | None = None
    end: str | None = None
    limit: Limit = PAGE_DEFAULT
    page_token: Token | None = None
    sort: Literal["asc", "desc"] = "asc"
    asof: str | None = None


class BarHistory(History, frozen=True, kw_only=True):
    """Which bars."""

    timeframe: str | None = None
    adjustment: str | None = None


class SnapshotPage(Latest, frozen=True, kw_only=True):
    """Which option snapshots."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = CHAIN_DEFAULT
    page_token: Token | None = None
    updated_since: str | None = None


class Chain(Query, frozen=True, kw_only=True):
    """Which contracts of a chain."""

    feed: str | None = None
    type: Literal["call", "put"] | None = None
    strike_price_gte: str | None = None
    strike_price_lte: str | None = None
    expiration_date: str | None = None
    expiration_date_gte: str | None = None
    expiration_date_lte: str | None = None
    root_symbol: str | None = None
    updated_since: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = CHAIN_DEFAULT
    page_token: Token | None = None


_STOCK_FEEDS: Final = frozenset({"iex", "sip", "delayed_sip", "otc", "boats", "overnight"})
_OPTION_FEEDS: Final = frozenset({"indicative", "opra"})


def _check(given: Any, feeds: frozenset[str]) -> None:
    if given.feed is not None and given.feed not in feeds:
        raise invalid("invalid feed")
    if getattr(given, "currency", None) not in (None, "USD"):
        raise invalid("invalid currency")


def _symbols(request: Request, feeds: frozenset[str]) -> list[str]:
    given = request.query
    _check(given, feeds)
    found = [request.path["symbol"]] if "symbol" in request.path else words(given.symbols)
    if not found:
        raise invalid("symbols is required")
    if len(found) > SYMBOLS_MAX:
        raise invalid("too many symbols")
    for symbol in found:
        if not _SYMBOL.match(symbol):
            raise invalid(f"invalid symbol: {symbol[:24]}")
    return found


_NUMBERS: Final = frozenset({"ap", "bp", "p", "o", "h", "l", "vw"})


def figures(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its prices as numbers. ``c`` is a price only in bars."""
    for name in row:
        if name in _NUMBERS or (name == "c" and "vw" in row):
            row[name] = float(row[name])
    return row


def _number_all(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {symbol: [figures(row) for row in rows] for symbol, rows in found.items()}


def snapshot(found: dict[str, Any]) -> dict[str, Any]:
    """A daemon's snapshot in Alpaca's names."""
    names = {
        "trade": "latestTrade",
        "quote": "latestQuote",
        "minute_bar": "minuteBar",
        "daily_bar": "dailyBar",
        "prev_daily_bar": "prevDailyBar",
    }
    shown: dict[str, Any] = {}
    if found.get("implied_volatility") is not None:
        greeks = {name: float(value) for name, value in found["greeks"].items()}
        shown = {"impliedVolatility": float(found["implied_volatility"]), "greeks": greeks}
    for ours, theirs in names.items():
        value = found.get(ours)
        if value is not None:
            shown[theirs] = figures(value) if isinstance(value, dict) else value
    return shown


async def _snapshots(request: Request, symbols: list[str], *parts: str) -> dict[str, Any]:
    return _filled(await request.call("market.snapshots", symbols=symbols, parts=parts or None))


def _filled(found: dict[str, Any]) -> dict[str, Any]:
    """The items of an answer. Raises 503 when the lane fills up and has nothing of any of them."""
    items: dict[str, Any] = found["items"]
    if found["warming"] and items and not any(any(item.values()) for item in items.values()):
        # Nothing to show yet is not the same as nothing quoted.
        wait = {"Retry-After": "30"}
        raise ApiError(503, 50310000, "delayed market data fills up after a restart, try again later", headers=wait)
    return items


def latest(kind: str, ours: str, answer: type[Any], feeds: frozenset[str]) -> Any:
    """A handler of ``…/{kind}/latest``."""

    async def handler(request: Request) -> Any:
        found = await _snapshots(request, _symbols(request, feeds), ours)
        rows = {symbol: figures(item[ours]) for symbol, item in found.items() if item.get(ours)}
        return shape(answer, {kind: rows})

    return handler


def latest_one(name: str, ours: str, answer: type[Any]) -> Any:
    """A handler of ``/v2/stocks/{symbol}/{kind}/latest``."""

    async def handler(request: Request) -> Any:
        (symbol,) = _symbols(request, _STOCK_FEEDS)
        item = (await _snapshots(request, [symbol], ours)).get(symbol)
        if item is None or not item.get(ours):
            raise not_found(f"no {name} found for {symbol}")
        return shape(answer, {"symbol": symbol, name: figures(item[ours])})

    return handler


def history(method: str, kind: str, answer: type[Any], feeds: frozenset[str]) -> Any:
    """A handler of past quotes, prints or bars."""

    async def handler(request: Request) -> Any:
        given = request.query
        symbols = _symbols(request, feeds)
        params: dict[str, Any] = {
            "symbols": symbols,
            "start": instant(given.start, "start"),
            "end": instant(given.end, "end", end_of_day=True),
            "limit": given.limit,
            "sort": given.sort,
            "page_token": given.page_token,
        }
        if kind == "bars":
            if not given.timeframe:
                raise invalid("timeframe is required")
            params["timeframe"] = given.timeframe
        params = {name: value for name, value in params.items() if value is not None}
        if "start" in params and "end" in params and params["start"] > params["end"]:
            raise invalid("end should not be before start")
        found = await request.call(method, **params)
        rows = _number_all(found["items"])
        return shape(answer, {kind: rows, "next_page_token": found["next_page_token"]})

    return handler


async def stock_snapshots(request: Request) -> Any:
    """GET /v2/stocks/snapshots."""
    found = await _snapshots(request, _symbols(request, _STOCK_FEEDS))
    return shape(dict[str, s.Snapshot], {symbol: snapshot(item) for symbol, item in found.items()})


async def stock_snapshot(request: Request) -> Any:
    """GET /v2/stocks/{symbol}/snapshot."""
    (symbol,) = _symbols(request, _STOCK_FEEDS)
    item = (await _snapshots(request, [symbol])).get(symbol)
    if item is None:
        raise not_found(f"no snapshot found for {symbol}")
    return shape(s.Snapshot, snapshot(item))


async def option_snapshots(request: Request) -> Any:
    """GET /v1beta1/options/snapshots."""
    given: SnapshotPage = request.query
    symbols = sorted(set(_symbols(request, _OPTION_FEEDS)))
    rest = [symbol for symbol in symbols if symbol > (given.page_token or "")]
    page = rest[: min(MODEL_PAGE, given.limit)]
    found = await _snapshots(request, page, *OPTION_PARTS) if page else {}
    token = page[-1] if len(rest) > len(page) else None
    shown = {symbol: snapshot(item) for symbol, item in found.items()}
    return shape(s.OptionSnapshots, {"snapshots": shown, "next_page_token": token})


async def chain(request: Request) -> Any:
    """GET /v1beta1/options/snapshots/{underlying}."""
    given: Chain = request.query
    _check(given, _OPTION_FEEDS)
    params: dict[str, Any] = {
        "underlying_symbol": request.path["underlying"],
        "type": given.type,
        "root_symbol": given.root_symbol,
        "page_token": given.page_token,
        "limit": min(MODEL_PAGE, given.limit),
        "greeks": True,
    }
    for name in ("expiration_date", "expiration_date_gte", "expiration_date_lte"):
        found = day(getattr(given, name), name)
        params[name] = found.isoformat() if found is not None else None
    for name in ("strike_price_gte", "strike_price_lte"):
        text = getattr(given, name)
        params[name] = strike_bound(text, name) if text is not None else None
    page = await request.call("option.snapshots", **{k: v for k, v in params.items() if v is not None})
    shown = {symbol: snapshot(item) for symbol, item in _filled(page).items()}
    return shape(s.OptionSnapshots, {"snapshots": shown, "next_page_token": page["next_page_token"]})


EXCHANGES: Final = {"C": "Cboe", "N": "NYSE", "Q": "NASDAQ", "V": "IEX", "P": "NYSE Arca", "Z": "Cboe BZX"}


async def exchanges(request: Request) -> Any:
    """GET /v1beta1/options/meta/exchanges and /v2/stocks/meta/exchanges."""
    return EXCHANGES


def _stock(path: str, handler: Any, query: type[Query], answer: Any, summary: str) -> Endpoint:
    return Endpoint(
        method="GET", path=f"/v2/stocks/{path}", handler=handler, query=query, answer=answer, summary=summary
    )


def _option(path: str, handler: Any, query: type[Query], answer: Any, summary: str) -> Endpoint:
    path = f"/v1beta1/options/{path}"
    return Endpoint(method="GET", path=path, handler=handler, query=query, answer=answer, summary=summary)


_ST, _OP = _STOCK_FEEDS, _OPTION_FEEDS
ENDPOINTS: Final = (
    _stock("quotes/latest", latest("quotes", "quote", s.LatestQuotes, _ST), Latest, s.LatestQuotes, "Newest quotes"),
    _stock("trades/latest", latest("trades", "trade", s.LatestTrades, _ST), Latest, s.LatestTrades, "Newest prints"),
    _stock("bars/latest", latest("bars", "minute_bar", s.LatestBars, _ST), Latest, s.LatestBars, "Newest bars"),
    _stock("snapshots", stock_snapshots, Latest, dict[str, s.Snapshot], "Snapshots"),
    _stock("meta/exchanges", exchanges, Query, dict[str, str], "Exchange codes"),
    _stock("quotes", history("market.quotes", "quotes", s.QuotePage, _ST), History, s.QuotePage, "Past quotes"),
    _stock("trades", history("market.trades", "trades", s.TradePage, _ST), History, s.TradePage, "Past prints"),
    _stock("bars", history("market.bars", "bars", s.BarPage, _ST), BarHistory, s.BarPage, "Past bars"),
    _stock("{symbol}/quotes/latest", latest_one("quote", "quote", s.OneQuote), Latest, s.OneQuote, "Newest quote"),
    _stock("{symbol}/trades/latest", latest_one("trade", "trade", s.OneTrade), Latest, s.OneTrade, "Newest print"),
    _stock("{symbol}/bars/latest", latest_one("bar", "minute_bar", s.OneBar), Latest, s.OneBar, "Newest minute bar"),
    _stock("{symbol}/snapshot", stock_snapshot, Latest, s.Snapshot, "Snapshot"),
    _option("meta/exchanges", exchanges, Query, dict[str, str], "Exchange codes"),
    _option("quotes/latest", latest("quotes", "quote", s.LatestQuotes, _OP), Latest, s.LatestQuotes, "Newest quotes"),
    _option("trades/latest", latest("trades", "trade", s.LatestTrades, _OP), Latest, s.LatestTrades, "Newest prints"),
    _option("trades", history("market.trades", "trades", s.TradePage, _OP), History, s.TradePage, "Past prints"),
    _option("bars", history("market.bars", "bars", s.BarPage, _OP), BarHistory, s.BarPage, "Past bars"),
    _option("snapshots", option_snapshots, SnapshotPage, s.OptionSnapshots, "Snapshots"),
    _option("snapshots/{underlying}", chain, Chain, s.OptionSnapshots, "A chain with its market"),
)  # fmt: skip
