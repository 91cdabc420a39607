"""Methods for option contracts: ``option.contracts``, ``option.contract`` and ``option.chain`` (alpaca-api §4.8).

Invariants: by symbol, bounded by ``limit``, the page token is the last symbol; without an expiration filter only
contracts up to the next weekend are listed, as at Alpaca.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta

from actors.book.instruments import Instrument
from actors.book.rules.reasons import refuse as refusal_of
from actors.book.units import BadNumber, format_price, parse_price
from mbtd.market.calendar import new_york_date, to_date, to_int
from mbtd.rpc.errors import Refusal, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.market_data import MarketData
from mbtd.service.reads import Params
from mbtd.service.refusals import rpc_error


class ContractsOf(Params, frozen=True, kw_only=True):
    """Contracts by what they are."""

    underlying_symbols: tuple[str, ...] | None = None
    root_symbol: str | None = None
    status: Literal["active", "inactive"] | None = "active"
    expiration_date: str | None = None
    expiration_date_gte: str | None = None
    expiration_date_lte: str | None = None
    type: Literal["call", "put"] | None = None
    style: Literal["american", "european"] | None = None
    strike_price_gte: str | None = None
    strike_price_lte: str | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100
    page_token: Annotated[str, Meta(max_length=32)] | None = None


class ContractOf(Params, frozen=True, kw_only=True):
    """One contract, by symbol or id."""

    symbol: str


class ChainOf(ContractsOf, frozen=True, kw_only=True):
    """A chain with its market."""

    underlying_symbol: str
    account: str | None = None


class Contracts:
    """Answers the methods."""

    def __init__(self, desk: Desk, data: MarketData) -> None:
        self._desk = desk
        self._data = data
        self._sorted: list[str] = []
        self._sorted_of = -1
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "option.contracts": (ContractsOf, self._contracts),
            "option.contract": (ContractOf, self._contract),
            "option.chain": (ChainOf, self._chain),
        }

    def _contracts(self, session: Session, request_id: RequestId, params: ContractsOf) -> None:
        underlyings = frozenset(params.underlying_symbols) if params.underlying_symbols else None
        found, token = self._select(params, underlyings, weekend=True, most=1_500)
        items = [render_contract(instrument, self._table()) for instrument in found]
        self._desk.reply(session, request_id, {"items": items, "next_page_token": token})

    def _contract(self, session: Session, request_id: RequestId, params: ContractOf) -> None:
        instrument = self._desk.core.engine.world.instruments.find(params.symbol)
        if instrument is None or instrument.asset_class != "us_option":
            raise Refusal(rpc_error(refusal_of("contract_not_found", symbol=params.symbol[:36])))
        self._desk.reply(session, request_id, render_contract(instrument, self._table()))

    def _chain(self, session: Session, request_id: RequestId, params: ChainOf) -> None:
        lane = self._data.lane_of(session, params.account)
        found, token = self._select(params, frozenset((params.underlying_symbol,)), weekend=False, most=500)
        items = {instrument.symbol: self._data.snapshot(lane, instrument.symbol) for instrument in found}
        self._desk.reply(session, request_id, {"items": items, "next_page_token": token, "lane": lane.name})

    # ── the inside ───────────────────────────────────────────────────────────────────────────────────────

    def _table(self) -> Mapping[str, Instrument]:
        return self._desk.core.engine.world.instruments.by_symbol

    def _symbols(self) -> list[str]:
        """All contracts by symbol; sorted anew when the table has grown."""
        table = self._table()
        if len(table) != self._sorted_of:
            self._sorted = sorted(name for name, i in table.items() if i.asset_class == "us_option")
            self._sorted_of = len(table)
        return self._sorted

    def _select(
        self, params: ContractsOf, underlyings: frozenset[str] | None, *, weekend: bool, most: int
    ) -> tuple[list[Instrument], str | None]:
        table = self._table()
        first, last = self._dates(params, weekend)
        low, high = _strike(params.strike_price_gte, "gte"), _strike(params.strike_price_lte, "lte")
        limit = min(params.limit, most)
        names = self._symbols()
        found: list[Instrument] = []
        for name in names[bisect_right(names, params.page_token or "") :]:
            it = table[name]
            if underlyings is not None and it.underlying not in underlyings:
                continue
            if not first <= it.expiry_date <= last or (params.type is not None and it.right != params.type):
                continue
            if (low is not None and it.strike < low) or (high is not None and it.strike > high):
                continue
            if params.style is not None and it.style != params.style:
                continue
            if params.root_symbol is not None and root_of(name) != params.root_symbol:
                continue
            if params.status is not None and it.active != (params.status == "active"):
                continue
            if len(found) == limit:
                return found, found[-1].symbol
            found.append(it)
        return found, None

    def _dates(self, params: ContractsOf, weekend: bool) -> tuple[int, int]:
        if params.expiration_date is not None:
            day = _day(params.expiration_date, "expiration_date")
            return day, day
        first = _day(params.expiration_date_gte, "expiration_date_gte") if params.expiration_date_gte else 0
        if params.expiration_date_lte:
            return first, _day(params.expiration_date_lte, "expiration_date_lte")
        if first or not weekend:
            return first, 99_999_999
        today = new_york_date(self._desk.core.now())
        return first, to_int(today + timedelta(days=6 - today.weekday()))


def root_of(symbol: str) -> str:
    """The root of an OSI compact symbol."""
    return symbol[:-15]


def _day(text: str, field: str) -> int:
    try:
        return to_int(date.fromisoformat(text))
    except ValueError:
        refuse("invalid_params", f"{field} is not a date such as 2026-11-24", field=field)


def _strike(text: str | None, which: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_price(text)
    except BadNumber:
        refuse("invalid_params", "a strike is a price in dollars", field=f"strike_price_{which}")


def render_contract(contract: Instrument, table: Mapping[str, Instrument]) -> dict[str, Any]:
    """Alpaca's option contract."""
    expiry = to_date(contract.expiry_date)
    underlying = table.get(contract.underlying)
    strike = format_price(contract.strike)
    root = root_of(contract.symbol)
    return {
        "id": contract.asset_id,
        "symbol": contract.symbol,
        "name": contract.name or f"{root} {expiry:%b %d %Y} {strike} {contract.right.capitalize()}",
        "status": "active" if contract.active else "inactive",
        "tradable": contract.tradable,
        "expiration_date": expiry.isoformat(),
        "root_symbol": root,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": underlying.asset_id if underlying is not None else contract.asset_id,
        "type": contract.right,
        "style": contract.style or "american",
        "strike_price": strike,
        "multiplier": str(contract.multiplier),
        "size": str(contract.multiplier),
        "open_interest": None,
        "open_interest_date": None,
        "close_price": format_price(contract.previous_close) if contract.previous_close else None,
        "close_price_date": None,
        "ppind": contract.tick_price == 100,
    }
