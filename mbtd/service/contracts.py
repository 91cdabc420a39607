"""``option.contract``, and ``option.snapshots``: quotes and prints of a chain as a lane shows them (alpaca-api §4.8).

Invariants: by symbol, bounded by ``limit``; the page token is the last symbol.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date
from typing import Any

from actors.book.instruments import Instrument
from actors.book.rules.reasons import refuse as refusal_of
from actors.book.units import BadNumber, parse_price
from mbtd.market.calendar import to_int
from mbtd.rpc.errors import Refusal, refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.market_data import MarketData
from mbtd.service.options import OptionQueries
from mbtd.service.reads import OptionFilter, Params
from mbtd.service.refusals import rpc_error


class ContractOf(Params, frozen=True, kw_only=True):
    """One contract, by symbol or id."""

    symbol: str


class ChainOf(OptionFilter, frozen=True, kw_only=True):
    """A chain with its market."""

    underlying_symbol: str
    account: str | None = None
    greeks: bool = False
    """Whether ``implied_volatility`` and ``greeks`` are wanted."""


class Contracts:
    """Answers the methods."""

    def __init__(self, desk: Desk, data: MarketData) -> None:
        self._desk = desk
        self._data = data
        self._sorted: list[str] = []
        self._sorted_of = -1
        self.options: OptionQueries
        """Set by the application: who shows a contract."""
        self.methods: Mapping[str, tuple[type[Params], Handler]] = {
            "option.contract": (ContractOf, self._contract),
            "option.snapshots": (ChainOf, self._chain),
        }

    def _contract(self, session: Session, request_id: RequestId, params: ContractOf) -> None:
        instrument = self._desk.core.engine.world.instruments.find(params.symbol)
        if instrument is None or instrument.asset_class != "us_option":
            raise Refusal(rpc_error(refusal_of("contract_not_found", symbol=params.symbol[:36])))
        self._data.later(session, request_id, lambda: self.options.contract(instrument))

    def _chain(self, session: Session, request_id: RequestId, params: ChainOf) -> None:
        lane = self._data.lane_of(session, params.account)
        found, token = self._select(params)
        items = {instrument.symbol: self._data.snapshot(lane, instrument.symbol) for instrument in found}
        answer: dict[str, Any] = {"items": items, "next_page_token": token} | self._data.lane_said(lane)
        if params.greeks:
            self._data.reply_with_model(session, request_id, lane, answer)
        else:
            self._desk.reply(session, request_id, answer)

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

    def _select(self, params: ChainOf) -> tuple[list[Instrument], str | None]:
        table = self._table()
        first, last = _dates(params)
        low, high = _strike(params.strike_price_gte, "gte"), _strike(params.strike_price_lte, "lte")
        names = self._symbols()
        found: list[Instrument] = []
        for name in names[bisect_right(names, params.page_token or "") :]:
            it = table[name]
            if it.underlying != params.underlying_symbol:
                continue
            if not first <= it.settlement_date <= last or (params.type is not None and it.right != params.type):
                continue
            if (low is not None and it.strike < low) or (high is not None and it.strike > high):
                continue
            if params.style is not None and it.style != params.style:
                continue
            if params.root_symbol is not None and (it.root or it.underlying) != params.root_symbol:
                continue
            if params.status is not None and it.active != (params.status == "active"):
                continue
            if len(found) == params.limit:
                return found, found[-1].symbol
            found.append(it)
        return found, None


def _dates(params: ChainOf) -> tuple[int, int]:
    if params.expiration_date is not None:
        day = _day(params.expiration_date, "expiration_date")
        return day, day
    first = _day(params.expiration_date_gte, "expiration_date_gte") if params.expiration_date_gte else 0
    last = _day(params.expiration_date_lte, "expiration_date_lte") if params.expiration_date_lte else 99_999_999
    return first, last


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
