"""``option.contracts``, ``option.chain`` and ``option.payoff``: contracts, their quotes, and what the model says.

Invariants: contracts are found in the engine's table and quotes on its board at one moment; volatilities and Greeks
are computed from them in a thread, one chain at a time, so that the loop never waits for a model. Lists are sorted
by expiry, strike, right and root; a page token is the place of the last row in that order.

Known limits: computed values are those of the moment of the request, not of its answer.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NoReturn

import anyio
import anyio.to_thread
from msgspec import structs

from actors.book.instruments import Instrument, price_step
from actors.book.units import MONEY_PER_DOLLAR, PRICE_PER_DOLLAR, BadNumber, parse_money, parse_price
from actors.market.messages import Quote
from mbtd.core import Core
from mbtd.market.calendar import Calendar, CalendarError, new_york_date, to_date, to_int
from mbtd.market.contracts import TICKS
from mbtd.market.feed import Feed
from mbtd.pricing.chain import ChainPrices, Priced, Quoted, price_chain
from mbtd.pricing.inputs import PricingInputs
from mbtd.pricing.model import Model
from mbtd.pricing.payoff import Leg, Payoff, payoff
from mbtd.records.options import format_day, render_contract, render_payoff, render_snapshot
from mbtd.rpc.errors import refuse
from mbtd.service import reads as r

_SATURDAY: Final = 5
_FAR: Final = 99_991_231
_DATES: Final = ("expiration_date", "expiration_date_gte", "expiration_date_lte")
_NARROWING: Final = ("strike_price_gte", "strike_price_lte", "root_symbol", "type", "style")
_NEAREST: Final = 4
"""Expiries named where the one asked for is not listed."""
ENDED: Final = {"status": "inactive", "tradable": False}
"""Of a contract that is not active any more."""
Finish = Callable[[], Any]


class OptionQueries:
    """Answers questions about options for one daemon."""

    def __init__(self, core: Core, feed: Feed, inputs: Callable[[], PricingInputs]) -> None:
        self._core = core
        self._feed = feed
        self._inputs = inputs
        self._model: Model | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)

    # ── contracts ────────────────────────────────────────────────────────────────────────────────────────

    async def contracts(self, params: r.OptionContracts) -> Any:
        """A page of contracts as Alpaca lists them."""
        rows = self._find(params, params.underlying_symbols, self._default_end(params))
        if params.ppind is not None:
            rows = [contract for contract in rows if _in_penny_programme(contract) == params.ppind]
        page, token = self._page(rows, params.limit, params.page_token)
        figured = await self._work(lambda: self._feed.with_figures(page))
        items = [self._render(contract, deliverables=params.show_deliverables) for contract in figured]
        return {"items": items, "next_page_token": token}

    async def contract(self, contract: Instrument) -> Any:
        """One contract, with what it delivers, as Alpaca shows it."""
        (figured,) = await self._work(lambda: self._feed.with_figures([contract]))
        return self._render(figured, deliverables=True)

    def _render(self, contract: Instrument, *, deliverables: bool) -> dict[str, Any]:
        ids = {i.symbol: i.asset_id for i in map(self._known, contract.priced_by) if i is not None}
        out = render_contract(contract, ids.get(contract.underlying), deliverables=deliverables)
        if not self.is_active(contract):
            out |= ENDED
        for part in out.get("deliverables", ()):
            part["asset_id"] = ids.get(part["symbol"]) if part["type"] != "cash" else None
        return out

    def _known(self, symbol: str) -> Instrument | None:
        return self._core.engine.world.instruments.by_symbol.get(symbol)

    def _default_end(self, params: r.OptionFilter) -> int:
        """Alpaca's: until the next weekend, unless any expiry is asked for."""
        if params.expiration_date or params.expiration_date_gte or params.expiration_date_lte:
            return _FAR
        today = new_york_date(self._core.now())
        return to_int(today + timedelta(days=(_SATURDAY - today.weekday()) % 7 + 1))

    def _find(self, params: r.OptionFilter, underlyings: Sequence[str] | None, latest: int) -> list[Instrument]:
        day = _day(params.expiration_date, "expiration_date") if params.expiration_date else 0
        first = day or (_day(params.expiration_date_gte, "expiration_date_gte") if params.expiration_date_gte else 0)
        last = day or (
            _day(params.expiration_date_lte, "expiration_date_lte") if params.expiration_date_lte else latest
        )
        low = _strike(params.strike_price_gte, "strike_price_gte") if params.strike_price_gte else 0
        high = _strike(params.strike_price_lte, "strike_price_lte") if params.strike_price_lte else 2**62
        wanted = set(underlyings) if underlyings is not None else None
        active = {"active": True, "inactive": False, None: None}[params.status]
        return sorted(
            (
                contract
                for contract in self._core.engine.world.instruments.by_symbol.values()
                if contract.asset_class == "us_option"
                and (wanted is None or contract.underlying in wanted)
                and first <= contract.settlement_date <= last
                and low <= contract.strike <= high
                and (params.type is None or contract.right == params.type)
                and (params.style is None or contract.style == params.style)
                and (params.root_symbol is None or (contract.root or contract.underlying) == params.root_symbol)
                and (active is None or self.is_active(contract) == active)
            ),
            key=_place,
        )

    def is_active(self, contract: Instrument) -> bool:
        """Whether it is listed and has not ended: on its last trading day a contract ends with the core session."""
        session = self._core.engine.world.session
        if session is None:
            return contract.active and contract.expiry_date >= to_int(new_york_date(self._core.now()))
        if contract.expiry_date == session.trade_date:
            return contract.active and self._core.now() < session.core_closes_at
        return contract.active and contract.expiry_date > session.trade_date

    def _page(self, rows: Sequence[Instrument], limit: int, token: str | None) -> tuple[list[Instrument], str | None]:
        """At most ``limit`` rows after the place of the contract that ``token`` names, and the next page's token.

        That contract need not be among the rows any more: it may have ended since the page before.
        """
        start = 0
        if token is not None:
            last = self._known(token)
            if last is None or not last.is_option:
                refuse("invalid_params", "page_token is not one of this list's", field="page_token")
            start = bisect_right(rows, _place(last), key=_place)
        page = list(rows[start : start + limit])
        more = start + limit < len(rows)
        return page, page[-1].symbol if more else None

    # ── chain ────────────────────────────────────────────────────────────────────────────────────────────

    async def chain(self, params: r.OptionChain) -> Any:
        """A page of an underlying's chain with quotes, volatilities and Greeks; by default its nearest expiry."""
        rows = self._find(params, [params.underlying_symbol], _FAR)
        if not rows:
            self._refuse_nothing(params)
        listed = sorted({contract.settlement_date for contract in rows})
        if not (params.expiration_date or params.expiration_date_gte or params.expiration_date_lte):
            rows = [contract for contract in rows if contract.settlement_date == listed[0]]
        page, token = self._page(rows, params.limit, params.page_token)
        board = self._core.engine.world.board.slots
        self._ask([params.underlying_symbol, *(contract.symbol for contract in page)])
        spot = self._spot(params.underlying_symbol)
        at = self._core.now()
        prices = ChainPrices({}, {})
        if spot and params.greeks:
            quotes = [self._quoted(contract) for contract in self._with_neighbours(page, rows)]
            inputs = self._inputs()
            prices = await self._work(
                lambda: price_chain(self._own_model(), quotes, params.underlying_symbol, spot, inputs, at)
            )
        return {
            "underlying_symbol": params.underlying_symbol,
            "underlying_price": f"{spot:.4f}".rstrip("0").rstrip(".") if spot else None,
            "expiration_dates": [format_day(day) for day in listed],
            "items": [
                render_snapshot(contract, board.get(contract.symbol), prices.contracts.get(contract.symbol))
                for contract in page
            ],
            "next_page_token": token,
        }

    def _refuse_nothing(self, params: r.OptionChain) -> NoReturn:
        """Say which part of a question leaves nothing of the chain."""
        name = params.underlying_symbol
        every = self._find(r.OptionChain(underlying_symbol=name, status=params.status), [name], _FAR)
        if not every:
            refuse("unknown_symbol", f"No option contracts of {name[:24]} are listed", field="underlying_symbol")
        dates = {field: value for field in _DATES if (value := getattr(params, field)) is not None}
        undated = self._find(structs.replace(params, **dict.fromkeys(_DATES)), [name], _FAR)
        if not undated or not dates:
            others = (field for field in _NARROWING if getattr(params, field) is not None)
            refuse("invalid_params", f"No contract of {name[:24]} is like that", field=next(others, None))
        field, wanted = next(iter(dates.items()))
        day = date.fromisoformat(wanted)
        listed = {contract.settlement_date for contract in undated}
        nearest = sorted(sorted(listed, key=lambda at: abs((to_date(at) - day).days))[:_NEAREST])
        told = ", ".join(str(format_day(at)) for at in nearest)
        text = (
            f"No contract of {name[:24]} expires then ({' '.join(dates.values())}); the nearest expiries are {told}"
        )
        refuse("invalid_params", text, field=field)

    def _with_neighbours(self, page: Sequence[Instrument], rows: Sequence[Instrument]) -> list[Instrument]:
        """The page's contracts and everything else of their expiries: a strike may need another's volatility."""
        series = {(contract.root, contract.settlement_date) for contract in page}
        return [contract for contract in rows if (contract.root, contract.settlement_date) in series]

    def _ask(self, symbols: Sequence[str]) -> None:
        if self._core.interest is not None:
            for symbol in symbols:
                self._core.interest.ask(symbol)

    def _spot(self, symbol: str) -> float:
        """Dollars; 0 when nothing is known."""
        return self._core.engine.world.mark(symbol) / PRICE_PER_DOLLAR

    def _quoted(self, contract: Instrument) -> Quoted:
        slot = self._core.engine.world.board.slots.get(contract.symbol)
        return quoted(self._feed.calendar, contract, slot.quote if slot is not None else None)

    # ── payoff ───────────────────────────────────────────────────────────────────────────────────────────

    async def payoff(self, params: r.OptionPayoff) -> Any:
        """What a set of legs brings at every price: at its end, now, and half-way."""
        contracts = [self._leg_instrument(leg, place) for place, leg in enumerate(params.legs)]
        return await self.payoff_of(
            contracts, [leg.qty for leg in params.legs], lambda: self._cost(params, contracts)
        )

    async def payoff_of(
        self,
        contracts: Sequence[Instrument],
        counts: Sequence[int],
        cost_of: Callable[[], int],
        moments: Sequence[tuple[str, int]] | None = None,
    ) -> Any:
        """The payoff of contracts or shares, at their end and at ``moments`` (label, instant): now and half-way."""
        names = {contract.underlying or contract.symbol for contract in contracts}
        if len(names) != 1:
            refuse("invalid_params", "All legs must have one underlying", field="legs")
        (underlying,) = names
        spot = self._spot(underlying)
        if not spot:
            refuse("no_quote", field="legs")
        at, inputs = self._core.now(), self._inputs()
        quotes = [self._quoted(contract) for contract in contracts if contract.is_option]
        cost = cost_of()

        def compute() -> Payoff:
            model = self._own_model()
            prices = price_chain(model, quotes, underlying, spot, inputs, at).contracts
            legs = [
                _leg(contract, count, self._feed.calendar, _volatility(prices, contract.symbol))
                for contract, count in zip(contracts, counts, strict=True)
            ]
            ends = [leg.expires_at for leg in legs if leg.strike]
            dates = list(moments or ())
            if moments is None and ends and min(ends) > at:
                dates = [("now", at), ("half-way", at + (min(ends) - at) // 2)]
            return payoff(legs, cost, underlying, spot, inputs, at, dates, model)

        return render_payoff(await self._work(compute), underlying, spot)

    async def greeks_of(self, contracts: Sequence[Instrument]) -> dict[str, Priced]:
        """Volatility and Greeks of contracts of any underlyings, by symbol; those without a price are left out."""
        at, inputs = self._core.now(), self._inputs()
        by_underlying: dict[str, list[Quoted]] = {}
        for contract in contracts:
            by_underlying.setdefault(contract.underlying, []).append(self._quoted(contract))
        return await self.price(by_underlying, {name: self.spot(name) for name in by_underlying}, at, inputs)

    async def price(
        self,
        by_underlying: Mapping[str, Sequence[Quoted]],
        spots: Mapping[str, float],
        at: int,
        inputs: PricingInputs | None = None,
    ) -> dict[str, Priced]:
        """What the model says at ``at`` of contracts by underlying, in its thread; nothing of one without a price."""
        known = inputs if inputs is not None else self._inputs()

        def compute() -> dict[str, Priced]:
            found: dict[str, Priced] = {}
            for name, quotes in sorted(by_underlying.items()):
                if spots[name]:
                    found |= price_chain(self._own_model(), quotes, name, spots[name], known, at).contracts
            return found

        return await self._work(compute)  # type: ignore[no-any-return]

    def spot(self, symbol: str) -> float:
        """The latest price of an underlying in dollars; 0 when nothing is known."""
        return self._spot(symbol)

    def _leg_instrument(self, leg: r.PayoffLeg, place: int) -> Instrument:
        contract = self._core.engine.world.instruments.by_symbol.get(leg.symbol)
        field = f"legs.{place}.symbol"
        if contract is None or contract.asset_class == "us_index":
            refuse("not_found", f"There is no contract or stock {leg.symbol[:24]}", field=field)
        if contract.is_adjusted:
            refuse("invalid_params", "An adjusted contract has no payoff by its strike alone", field=field)
        if not leg.qty:
            refuse("invalid_params", "qty must not be 0", field=f"legs.{place}.qty")
        return contract

    def _cost(self, params: r.OptionPayoff, contracts: Sequence[Instrument]) -> int:
        """What the legs cost: as given, or all at the middle of their quotes; money units."""
        if params.cost is not None:
            try:
                return parse_money(params.cost)
            except BadNumber as error:
                refuse("invalid_params", f"cost: {error}", field="cost")
        cost = 0.0
        for place, (contract, leg) in enumerate(zip(contracts, params.legs, strict=True)):
            each = self._quoted(contract).middle if contract.is_option else self._spot(contract.symbol)
            if not each:
                refuse("no_quote", f"{contract.symbol} has no two-sided quote; give cost", field=f"legs.{place}")
            cost += each * leg.qty * contract.multiplier
        return round(cost * MONEY_PER_DOLLAR)

    # ── the model ────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self, compute: Callable[[], Any]) -> Any:
        return await anyio.to_thread.run_sync(compute, limiter=self._one_at_a_time)

    def _own_model(self) -> Model:
        """Made in the thread that first needs it; only one of them computes at a time."""
        if self._model is None:
            self._model = Model()
        return self._model


def quoted(calendar: Calendar, contract: Instrument, quote: Quote | None) -> Quoted:
    """A contract and a quote of it as the model takes them."""
    bid, ask = (quote.bid, quote.ask) if quote is not None else (0, 0)
    return Quoted(
        contract.symbol,
        contract.right == "call",
        contract.strike / PRICE_PER_DOLLAR,
        contract.style == "american",
        expires_at(calendar, contract),
        bid / PRICE_PER_DOLLAR,
        ask / PRICE_PER_DOLLAR,
        price_step(contract, bid) / PRICE_PER_DOLLAR,
    )


def expires_at(calendar: Calendar, contract: Instrument) -> int:
    """The instant of the price that settles a contract; by the calendar's days where the date is none."""
    return _ends_at(calendar, contract.settlement_date, contract.settles == "am")


@functools.lru_cache(maxsize=4096)
def _ends_at(calendar: Calendar, settles_on: int, morning: bool) -> int:
    try:
        day = calendar.trading_day(calendar.last_trading_day(settles_on))
    except CalendarError:
        day = calendar.trading_day(calendar.last_trading_day(to_int(to_date(settles_on))))
    return day.core_opens_at if morning else day.core_closes_at


def _leg(contract: Instrument, qty: int, calendar: Calendar, volatility: float | None) -> Leg:
    if not contract.is_option:
        return Leg(contract.symbol, qty)
    return Leg(
        contract.symbol,
        qty * contract.multiplier,
        contract.strike,
        contract.right == "call",
        contract.style == "american",
        expires_at(calendar, contract),
        volatility,
    )


def _volatility(prices: dict[str, Any], symbol: str) -> float | None:
    priced = prices.get(symbol)
    return priced.volatility if priced is not None else None


def _in_penny_programme(contract: Instrument) -> bool:
    return (contract.tick_price, contract.tick_price_from_3) == TICKS["penny"]


def _place(contract: Instrument) -> tuple[int, int, str, str, str]:
    return contract.settlement_date, contract.strike, contract.right, contract.root, contract.symbol


def _day(text: str, field: str) -> int:
    try:
        return to_int(date.fromisoformat(text))
    except ValueError:
        refuse("invalid_params", f"{field} is not a date YYYY-MM-DD", field=field)


def _strike(text: str, field: str) -> int:
    try:
        return parse_price(text)
    except BadNumber as error:
        refuse("invalid_params", f"{field}: {error}", field=field)
