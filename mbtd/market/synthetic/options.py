"""Quotes and prints of the synthetic option contracts.

Invariants: quotes are on the contract's price grid with bid below ask; a bid of zero has size zero; a
contract is quoted again only when its worth has moved enough for its width, the most moved first. What is
quoted lies around a value free of arbitrage (:mod:`mbtd.market.synthetic.surface`).

Known limits: under a low message rate quotes of fast markets lag behind their underlying, as far as their
width allows and the rate demands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from actors.book.instruments import TICK_BREAK_PRICE, Instrument
from actors.book.osi import OptionSymbol, format_osi
from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR
from actors.market.messages import Quote, TapeMessage, Trade
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar
from mbtd.market.contracts import TICKS, contract_of, root_class
from mbtd.market.expiries import Expiry
from mbtd.market.synthetic.levels import Floats
from mbtd.market.synthetic.listing import PLACES, Contract
from mbtd.market.synthetic.surface import value
from mbtd.market.synthetic.universe import OPTIONS
from mbtd.pricing.inputs import years_until

_EXCHANGES: Final = ("C", "A", "X", "W", "N", "P", "Q", "B")
_PRINT_SHARE: Final = 0.03
_FORGETTING_SECONDS: Final = 90.0
"""A contract is looked at again after this time, even when its underlying stands still."""


class _Option:
    """One contract as last quoted."""

    __slots__ = (
        "american",
        "ask",
        "at_the_money",
        "bid",
        "call",
        "dividend_yield",
        "expires_at",
        "skew",
        "strike",
        "symbol",
        "ticks",
        "trade_id",
        "width",
    )

    def __init__(self, contract: Contract, expires_at: int) -> None:
        spec = OPTIONS[contract.spec]
        kind = root_class(spec.root)
        self.symbol = format_osi(spec.root, contract.expiry.osi_date, contract.right, contract.strike)
        self.strike = contract.strike / PRICE_PER_DOLLAR
        self.call = contract.right == "call"
        self.american = kind.style == "american"
        self.skew, self.dividend_yield = spec.skew, spec.dividend_yield
        self.at_the_money = spec.at_the_money
        self.width = spec.width
        self.ticks = TICKS[spec.ticks or kind.ticks]
        self.expires_at = expires_at
        self.bid = self.ask = 0
        self.trade_id = 0


def contract_instrument(contract: Contract) -> Instrument:
    """The reference record of a listed contract."""
    spec, expiry = OPTIONS[contract.spec], contract.expiry
    option = OptionSymbol(spec.root, expiry.osi_date, contract.right, contract.strike)
    symbol = format_osi(spec.root, expiry.osi_date, contract.right, contract.strike)
    return contract_of(
        option, asset_id(symbol), expiry.last_trading_day, settles_on=expiry.settles_on, ticks=spec.ticks
    )


def ends_at(calendar: Calendar, root: str, expiry: Expiry) -> int:
    """The instant of the price that settles: the open of AM-settled classes, the close of others."""
    day = calendar.trading_day(expiry.settles_on)
    return day.core_opens_at if root_class(root).settles == "am" else day.core_closes_at


def step_at(ticks: tuple[int, int], price: float) -> int:
    """The price step of a contract at a price."""
    return ticks[price >= TICK_BREAK_PRICE]


class OptionTape:
    """Makes the messages of all listed contracts."""

    def __init__(self, random: np.random.Generator, calendar: Calendar) -> None:
        self._random = random
        self._calendar = calendar
        self._known: dict[Contract, _Option] = {}
        self._options: list[_Option] = []
        self._underlying = np.zeros(0, dtype=np.int64)
        self._spot, self._delta, self._width, self._priced_at = (np.zeros(0) for _ in range(4))

    def list_contracts(self, contracts: Sequence[Contract]) -> list[Contract]:
        """Trade exactly these contracts from now on; returns those that are new."""
        new = [contract for contract in contracts if contract not in self._known]
        old = {id(option): place for place, option in enumerate(self._options)}
        ends: dict[tuple[int, Expiry], int] = {}
        for contract in contracts:
            series = (contract.spec, contract.expiry)
            if series not in ends:
                ends[series] = ends_at(self._calendar, OPTIONS[contract.spec].root, contract.expiry)
        self._known = {
            contract: self._known.get(contract) or _Option(contract, ends[contract.spec, contract.expiry])
            for contract in contracts
        }
        self._options = list(self._known.values())
        self._underlying = np.array(
            [PLACES[OPTIONS[contract.spec].underlying] for contract in contracts], dtype=np.int64
        )
        kept = np.array([old.get(id(option), -1) for option in self._options], dtype=np.int64)
        self._spot = _carry(self._spot, kept, 0.0)
        self._delta = _carry(self._delta, kept, 0.0)
        self._width = _carry(self._width, kept, 1.0)
        self._priced_at = _carry(self._priced_at, kept, -math.inf)
        return new

    def all_quotes(self, at: int, spots: Floats, fear: float) -> list[TapeMessage]:
        """A quote for every contract, as when options open."""
        return self._publish(list(range(len(self._options))), at, spots, fear, always=True)

    def forget_prices(self) -> None:
        """Make every contract wait for a first quote, as when options open."""
        self._priced_at[:] = -math.inf

    def unpriced_quotes(self, at: int, spots: Floats, fear: float, limit: int) -> list[TapeMessage]:
        """First quotes of at most ``limit`` contracts that wait for one."""
        waiting = np.flatnonzero(np.isneginf(self._priced_at))[:limit]
        return self._publish(waiting.tolist(), at, spots, fear, always=True)

    def due_quotes(self, at: int, spots: Floats, fear: float, limit: int) -> list[TapeMessage]:
        """Quotes of at most ``limit`` contracts, those first whose worth moved most for their width."""
        if limit <= 0 or not self._options:
            return []
        moved = np.abs(self._delta * (spots[self._underlying] - self._spot)) / self._width
        age = (at / NS_PER_SECOND - self._priced_at) / _FORGETTING_SECONDS
        urgency = moved + age
        due = np.flatnonzero(urgency >= 1.0)
        if len(due) > limit:
            due = due[np.argsort(-urgency[due], kind="stable")[:limit]]
        return self._publish(due.tolist(), at, spots, fear, always=False)

    def _publish(self, places: list[int], at: int, spots: Floats, fear: float, *, always: bool) -> list[TapeMessage]:
        found: list[TapeMessage] = []
        if not places:
            return found
        sizes = np.exp(0.9 * self._random.standard_normal((len(places), 2))).tolist()
        picks = self._random.random((len(places), 2)).tolist()
        for place, size, (pick, which) in zip(places, sizes, picks, strict=True):
            option, spot = self._options[place], float(spots[self._underlying[place]])
            if option.expires_at <= at:
                continue
            worth, delta, point = value(
                spot,
                option.strike,
                years_until(at, option.expires_at),
                option.call,
                option.at_the_money * fear,
                option.american,
                dividend_yield=option.dividend_yield,
                skew=option.skew,
            )
            half = option.width * (0.006 + 0.008 * worth + 0.05 * point) * PRICE_PER_DOLLAR
            self._spot[place], self._delta[place] = spot, delta
            units = worth * PRICE_PER_DOLLAR
            low, high = step_at(option.ticks, units - half), step_at(option.ticks, units + half)
            self._width[place] = max(half, high * 0.7) / PRICE_PER_DOLLAR
            self._priced_at[place] = at / NS_PER_SECOND
            bid = max(0, math.floor((units - half) / low)) * low
            ask = max(math.ceil((units + half) / high) * high, bid + step_at(option.ticks, bid))
            if option.bid < option.ask and pick < _PRINT_SHARE and not always:
                found.append(self._print(option, at, pick < _PRINT_SHARE / 2, size[0], which))
            if always or bid != option.bid or ask != option.ask:
                option.bid, option.ask = bid, ask
                found.append(_quote(option, at, size, which))
        return found

    def _print(self, option: _Option, at: int, buy: bool, size: float, which: float) -> Trade:
        """A print at the standing quote's touch, before the new quote."""
        option.trade_id += 1
        price = option.ask if buy or not option.bid else option.bid
        contracts = max(1, int(4 * size))
        return Trade(option.symbol, price, contracts, at, _EXCHANGES[int(which * 8)], "I", option.trade_id, at)


def _quote(option: _Option, at: int, size: list[float], which: float) -> Quote:
    depth = 25 / option.width
    bid_size = max(1, int(depth * size[0])) if option.bid else 0
    exchange = _EXCHANGES[int(which * 8)]
    other = _EXCHANGES[int(which * 64) % 8]
    return Quote(
        option.symbol,
        option.bid,
        bid_size,
        option.ask,
        max(1, int(depth * size[1])),
        at,
        exchange,
        other,
        "",
        at,
    )


def _carry(old: Floats, kept: np.ndarray[tuple[int], np.dtype[np.int64]], new: float) -> Floats:
    """Rearrange a column for a new list; ``kept`` holds each entry's old place, or -1."""
    extended = np.append(old, new)
    return extended[kept]
