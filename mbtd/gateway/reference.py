"""Assets, contracts, calendar, clock and watchlists (alpaca-api §4.7–4.9)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta

from mbtd.gateway import schemas as s
from mbtd.gateway.endpoint import Body, Endpoint, Query, Request, shape
from mbtd.gateway.errors import ApiError, invalid, not_found
from mbtd.gateway.values import Bool, flag, strike_bound, words
from mbtd.gateway.values import day as day_of

NEW_YORK: Final = ZoneInfo("America/New_York")
FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2035, 12, 31)


class AssetsQuery(Query, frozen=True, kw_only=True):
    """Which assets."""

    status: Literal["active", "inactive"] | None = None
    asset_class: Literal["us_equity", "us_option", "crypto", "crypto_perp"] = "us_equity"
    exchange: str | None = None
    attributes: str | None = None


class CalendarQuery(Query, frozen=True, kw_only=True):
    """Which days, both ends included."""

    start: str | None = None
    end: str | None = None
    date_type: Literal["TRADING", "SETTLEMENT"] = "TRADING"


class ContractsQuery(Query, frozen=True, kw_only=True):
    """Which contracts."""

    underlying_symbols: str | None = None
    status: Literal["active", "inactive"] = "active"
    expiration_date: str | None = None
    expiration_date_gte: str | None = None
    expiration_date_lte: str | None = None
    root_symbol: str | None = None
    type: Literal["call", "put"] | None = None
    style: Literal["american", "european"] | None = None
    strike_price_gte: str | None = None
    strike_price_lte: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    page_token: Annotated[str, Meta(max_length=64)] | None = None
    show_deliverables: Bool = None
    ppind: Bool = None


class NameQuery(Query, frozen=True, kw_only=True):
    """A watchlist by its name."""

    name: str | None = None


class WatchlistBody(Body, frozen=True, kw_only=True):
    """A new list, or what of a list changes."""

    name: str | None = None
    symbols: list[str] | None = None


class SymbolBody(Body, frozen=True, kw_only=True):
    """One symbol."""

    symbol: str | None = None


# ── assets and contracts ─────────────────────────────────────────────────────────────────────────────────


async def pages(request: Request, method: str, **params: Any) -> list[Any]:
    """All items of a list method."""
    items: list[Any] = []
    token = None
    while True:
        found = await request.ask(method, **params, **({"page_token": token} if token else {}))
        items += found["items"]
        token = found.get("next_page_token")
        if token is None:
            return items


_NEWER_WORDS: Final = {"options_enabled": "has_options"}
"""Attributes that had another name once, by which programs still ask."""


async def assets(request: Request) -> Any:
    """GET /assets. Of several attributes one is enough, as at Alpaca."""
    given: AssetsQuery = request.query
    if given.asset_class in ("crypto", "crypto_perp"):
        return []
    rows = await pages(request, "asset.list", asset_class=given.asset_class, limit=500)
    wanted = frozenset(_NEWER_WORDS.get(word, word) for word in words(given.attributes) or ())
    rows = [
        row
        for row in rows
        if (given.status is None or row["status"] == given.status)
        and (given.exchange is None or row["exchange"] == given.exchange)
        and (not wanted or wanted & frozenset(row.get("attributes") or ()))
    ]
    rows.sort(key=lambda row: (row["class"], row["exchange"], row["symbol"]))
    return shape(list[s.Asset], rows)


async def asset(request: Request) -> Any:
    """GET /assets/{symbol}."""
    given = request.path["symbol"]
    for name in dict.fromkeys((given, given.upper())):
        try:
            found = await request.ask("asset.get", symbol=name)
        except ApiError as error:
            if error.status not in (404, 422):
                raise
            continue
        if found["class"] != "us_index":
            return shape(s.Asset, found)
    raise not_found(f"asset not found for {given[:64]}")


PAGE_MAX = 500
"""Rows that one question of the daemon brings."""


async def contracts(request: Request) -> Any:
    """GET /options/contracts."""
    given: ContractsQuery = request.query
    params: dict[str, Any] = {
        "underlying_symbols": words(given.underlying_symbols),
        "status": given.status,
        "root_symbol": given.root_symbol,
        "type": given.type,
        "style": given.style,
        "page_token": given.page_token,
        "show_deliverables": flag(given.show_deliverables) or None,
        "ppind": flag(given.ppind) if given.ppind is not None else None,
    }
    for name in ("expiration_date", "expiration_date_gte", "expiration_date_lte"):
        found = day_of(getattr(given, name), name)
        params[name] = found.isoformat() if found is not None else None
    for name in ("strike_price_gte", "strike_price_lte"):
        text = getattr(given, name)
        params[name] = strike_bound(text, name) if text is not None else None
    params = {name: value for name, value in params.items() if value is not None}
    rows: list[Any] = []
    token = given.page_token
    while len(rows) < given.limit:
        if token is not None:
            params["page_token"] = token
        page = await request.ask("option.contracts", **params, limit=min(PAGE_MAX, given.limit - len(rows)))
        rows += page["items"]
        token = page.get("next_page_token")
        if token is None:
            break
    return shape(s.OptionContracts, {"option_contracts": [_contract(row) for row in rows], "next_page_token": token})


def _contract(row: dict[str, Any]) -> dict[str, Any]:
    """Alpaca always names an underlying; where there is none in the table, as for an index, the contract itself."""
    shown = {**row, "underlying_asset_id": row["underlying_asset_id"] or row["id"]}
    if "deliverables" in row:
        shown["deliverables"] = [_deliverable(part) for part in row["deliverables"]]
    return shown


def _deliverable(part: dict[str, Any]) -> dict[str, Any]:
    """Alpaca knows stock and cash; cash in lieu of a fraction is cash of an amount that is not known yet."""
    if part["type"] != "cash_in_lieu":
        return part
    return {**part, "type": "cash", "symbol": "USD", "asset_id": None, "amount": None, "delayed_settlement": True}


async def contract(request: Request) -> Any:
    """GET /options/contracts/{symbol}."""
    return shape(s.OptionContract, _contract(await request.ask("option.contract", symbol=request.path["symbol"])))


# ── calendar and clock ───────────────────────────────────────────────────────────────────────────────────


async def clock(request: Request) -> Any:
    """GET /clock."""
    found = await request.ask("clock.get")
    times = ("timestamp", "next_open", "next_close")
    return shape(s.Clock, found | {name: _new_york(found[name][:19]).isoformat() for name in times})


@lru_cache(maxsize=1_024)
def _new_york(text: str) -> datetime:
    return datetime.fromisoformat(text[:19] + "+00:00").astimezone(NEW_YORK)


SETTLES_WITHIN: Final = timedelta(days=14)
_years: dict[int, list[s.CalendarDay]] = {}
"""Whole years as they are shown, once they were asked for."""


async def calendar(request: Request) -> Any:
    """GET /calendar: the days whose trade date, or whose settlement date, is within two dates; both included.

    In a market that never closes every date is a trade date: it opens and closes with its official auctions, and the
    bounds of its session say that trading goes on around the clock. Settlement dates are those by which trades are
    booked. Known limits: the years 2000 to 2035; a gateway that outlives its daemon shows the hours that it learned.
    """
    given: CalendarQuery = request.query
    start, end = day_of(given.start, "start") or FIRST_DAY, day_of(given.end, "end") or LAST_DAY
    if given.start and given.end and start > end:
        raise invalid("end must not be before start")
    first, last = max(start, FIRST_DAY), min(end, LAST_DAY)
    bounds = first.isoformat(), last.isoformat()
    if given.date_type == "SETTLEMENT":
        days = await _trading_days(request, first - SETTLES_WITHIN, last)
        return [day for day in days if bounds[0] <= (day.settlement_date or "") <= bounds[1]]
    return [day for day in await _trading_days(request, first, last) if bounds[0] <= day.date <= bounds[1]]


async def _trading_days(request: Request, first: date, last: date) -> list[s.CalendarDay]:
    """All days of the years that two dates lie in."""
    days: list[s.CalendarDay] = []
    for year in range(first.year, last.year + 1):
        found = _years.get(year)
        if found is None:
            rows = await request.ask("calendar.list", start=f"{year}-01-01", end=f"{year}-12-31")
            found = _years[year] = [_calendar_day(row) for row in rows["items"]]
        days += found
    return days


def _calendar_day(row: dict[str, Any]) -> s.CalendarDay:
    opens, closes, begins, ends = (
        _new_york(row[name]) for name in ("open", "close", "session_open", "session_close")
    )
    around_the_clock = begins.date() < opens.date()
    return s.CalendarDay(
        date=row["date"],
        open=f"{opens:%H:%M}",
        close=f"{closes:%H:%M}",
        session_open="0000" if around_the_clock else f"{begins:%H%M}",
        session_close="2359" if around_the_clock else f"{ends:%H%M}",
        settlement_date=row["settlement_date"],
    )


# ── watchlists ───────────────────────────────────────────────────────────────────────────────────────────


def _which(request: Request) -> dict[str, str]:
    """The list that a request is about: by the path's id, or by the query's name."""
    if "watchlist_id" in request.path:
        return {"watchlist_id": request.path["watchlist_id"]}
    if not request.query.name:
        raise invalid("name is missing")
    return {"name": request.query.name}


async def watchlists(request: Request) -> Any:
    """GET /watchlists."""
    return shape(list[s.Watchlist], (await request.call("watchlist.list"))["items"])


async def create_watchlist(request: Request) -> Any:
    """POST /watchlists."""
    if not request.body.name:
        raise invalid("watchlist name is required")
    found = await request.call("watchlist.create", name=request.body.name, symbols=request.body.symbols or [])
    return shape(s.Watchlist, found)


async def watchlist(request: Request) -> Any:
    """GET one."""
    return shape(s.Watchlist, await request.call("watchlist.get", **_which(request)))


async def update_watchlist(request: Request) -> Any:
    """PUT one."""
    given: WatchlistBody = request.body
    params: dict[str, Any] = {}
    if given.name is not None:
        params["new_name"] = given.name
    if given.symbols is not None:
        params["symbols"] = given.symbols
    return shape(s.Watchlist, await request.call("watchlist.update", **_which(request), **params))


async def add_to_watchlist(request: Request) -> Any:
    """POST one symbol."""
    if not request.body.symbol:
        raise invalid("symbol is missing")
    return shape(s.Watchlist, await request.call("watchlist.add", **_which(request), symbol=request.body.symbol))


async def remove_from_watchlist(request: Request) -> Any:
    """DELETE one symbol."""
    params = {**_which(request), "symbol": request.path["symbol"]}
    return shape(s.Watchlist, await request.call("watchlist.remove", **params))


async def delete_watchlist(request: Request) -> Any:
    """DELETE one."""
    await request.call("watchlist.delete", **_which(request))


_BY_ID, _BY_NAME = "/v2/watchlists/{watchlist_id}", "/v2/watchlists:by_name"
ENDPOINTS: Final = (
    Endpoint(method="GET", path="/v2/assets", handler=assets, query=AssetsQuery, answer=list[s.Asset],
             summary="Assets"),
    Endpoint(method="GET", path="/v2/assets/{symbol}", handler=asset, answer=s.Asset, summary="An asset"),
    Endpoint(method="GET", path="/v2/options/contracts", handler=contracts, query=ContractsQuery,
             answer=s.OptionContracts, summary="Option contracts"),
    Endpoint(method="GET", path="/v2/options/contracts/{symbol}", handler=contract, answer=s.OptionContract,
             summary="An option contract"),
    Endpoint(method="GET", path="/v2/clock", handler=clock, answer=s.Clock, summary="The market's clock"),
    Endpoint(method="GET", path="/v2/calendar", handler=calendar, query=CalendarQuery, answer=list[s.CalendarDay],
             summary="Trading days"),
    Endpoint(method="GET", path="/v2/watchlists", handler=watchlists, answer=list[s.Watchlist], summary="Watchlists"),
    Endpoint(method="POST", path="/v2/watchlists", handler=create_watchlist, body=WatchlistBody, answer=s.Watchlist,
             summary="A new watchlist"),
    *(
        endpoint
        for path, query in ((_BY_ID, Query), (_BY_NAME, NameQuery))
        for endpoint in (
            Endpoint(method="GET", path=path, handler=watchlist, query=query, answer=s.Watchlist,
                     summary="A watchlist"),
            Endpoint(method="PUT", path=path, handler=update_watchlist, query=query, body=WatchlistBody,
                     answer=s.Watchlist, summary="Change a watchlist"),
            Endpoint(method="POST", path=path, handler=add_to_watchlist, query=query, body=SymbolBody,
                     answer=s.Watchlist, summary="Add a symbol"),
            Endpoint(method="DELETE", path=path, handler=delete_watchlist, query=query, status=204,
                     summary="Delete a watchlist"),
        )
    ),
    Endpoint(method="DELETE", path=_BY_ID + "/{symbol}", handler=remove_from_watchlist, answer=s.Watchlist,
             summary="Remove a symbol"),
)  # fmt: skip
