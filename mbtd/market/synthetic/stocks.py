"""Quotes, prints and auctions of the synthetic stocks.

Invariants: quotes are on the whole-cent grid with bid below ask, now and then locked, never crossed; a print
lies within the quote standing before it; a print at the touch takes its size off that quote, and the quote
that follows says so. Given the same random source and the same calls, the messages are the same.

Known limits: the noise of trading reverts to the slow level within minutes (so that a restart goes on at the
same prices), hence jumps fade as well.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from actors.book.units import NS_PER_SECOND, PRICE_PER_DOLLAR
from actors.market.messages import Auction, Quote, TapeMessage, Trade
from mbtd.market.synthetic.levels import YEAR
from mbtd.market.synthetic.prices import MARKET_VOLATILITY, own_volatility
from mbtd.market.synthetic.universe import STOCKS, StockSpec

CENT: Final = PRICE_PER_DOLLAR // 100
NOISE_SECONDS: Final = 120.0
"""Time in which the noise of trading forgets itself."""
_LOT: Final = 100
_EXCHANGES: Final = ("Q", "P", "V", "K", "N", "Z", "Y", "U")
_PRIMARY: Final = {"NASDAQ": "Q", "NYSE": "N", "ARCA": "P", "BATS": "Z"}
_OFF_EXCHANGE: Final = "D"
_REGULAR, _ODD_LOT = "@", "@I"
_PRINT_SHARE: Final = 0.2
_AT_TOUCH, _INSIDE = 0.72, 0.86
"""Of prints: up to the first at the touch, up to the second inside, the rest odd lots at the touch."""
_LOCKED_SHARE: Final = 0.0004
_JUMP_SHARE: Final = 0.00003


class _Stock:
    """How one stock stands; the only mutable thing here."""

    __slots__ = (
        "ask", "ask_size", "bid", "bid_size", "depth", "last_at", "noise", "place", "primary",
        "sigma", "spread_ticks", "symbol", "trade_id", "width",
    )  # fmt: skip

    def __init__(self, place: int, spec: StockSpec, at: int) -> None:
        self.place = place
        self.symbol = spec.symbol
        self.primary = _PRIMARY[spec.exchange]
        self.spread_ticks = spec.spread_ticks
        self.depth = spec.depth
        self.sigma = own_volatility(spec.volatility, spec.beta) / math.sqrt(YEAR)
        self.noise = 0.0
        self.width = 0.0
        self.last_at = at
        self.bid = self.bid_size = self.ask = self.ask_size = 0
        self.trade_id = 0


class StockTape:
    """Makes the messages of all stocks, piece by piece."""

    def __init__(self, random: np.random.Generator, start: int) -> None:
        self._random = random
        self._stocks = [_Stock(place, spec, start) for place, spec in enumerate(STOCKS)]
        weights = np.array([spec.activity for spec in STOCKS])
        self._shares = np.cumsum(weights / weights.sum())
        self._market_noise = 0.0

    def market_noise(self, seconds: float, heat: float) -> float:
        """Move the passing part of the market factor on by ``seconds`` and return it."""
        sigma = heat * MARKET_VOLATILITY * math.sqrt(seconds / YEAR)
        fading = math.exp(-seconds / NOISE_SECONDS)
        self._market_noise = self._market_noise * fading + sigma * float(self._random.standard_normal())
        return self._market_noise

    def mid(self, place: int) -> float:
        """Dollars in the middle of the standing quote."""
        stock = self._stocks[place]
        return (stock.bid + stock.ask) / (2 * PRICE_PER_DOLLAR)

    def opening_quotes(self, at: int, levels: list[float], calm: float) -> list[TapeMessage]:
        """One quote for every stock, as when trading of a phase begins."""
        draws = np.exp(0.7 * self._random.standard_normal((len(self._stocks), 2))).tolist()
        return [
            self._quote(stock, at, levels[stock.place], calm, draws[stock.place], False) for stock in self._stocks
        ]

    def auctions(self, kind: Literal["open", "close"], at: int) -> list[TapeMessage]:
        """The official print of every stock, at the middle of its quote."""
        found: list[TapeMessage] = []
        sizes = np.exp(0.6 * self._random.standard_normal(len(self._stocks))).tolist()
        for stock, size in zip(self._stocks, sizes, strict=True):
            if stock.bid:
                price = (stock.bid + stock.ask) // (2 * CENT) * CENT
                shares = int(stock.depth * 150 * size) * _LOT + _LOT
                found.append(Auction(stock.symbol, kind, price, shares, at, stock.primary, at))
        return found

    def events(
        self, start: int, end: int, count: int, levels: list[float], heat: float, calm: float
    ) -> list[TapeMessage]:
        """``count`` events in ``[start, end)``: requotes, and prints followed by the quote they leave behind.

        ``levels`` are dollars by place, ``heat`` scales volatility, ``calm`` scales spreads.
        """
        random = self._random
        times = np.sort(random.integers(start, end, count)).tolist()
        places = (
            np.searchsorted(self._shares, random.random(count), side="right").clip(max=len(self._stocks) - 1).tolist()
        )
        moves = random.standard_normal((count, 2)).tolist()
        picks = random.random((count, 4)).tolist()
        sizes = np.exp(0.7 * random.standard_normal((count, 3))).tolist()
        stocks = self._stocks
        found: list[TapeMessage] = []
        for at, place, (move, widen), pick, size in zip(times, places, moves, picks, sizes, strict=True):
            stock = stocks[place]
            seconds = (at - stock.last_at) / NS_PER_SECOND
            stock.last_at = at
            fading = 1.0 - seconds / NOISE_SECONDS if seconds < 10.0 else math.exp(-seconds / NOISE_SECONDS)
            stock.noise = stock.noise * fading + heat * stock.sigma * math.sqrt(min(seconds, NOISE_SECONDS)) * move
            stock.width = stock.width * 0.93 + 0.16 * widen
            if pick[1] < _JUMP_SHARE:
                stock.noise += math.copysign(0.002 + 0.004 * pick[2], move)
            if pick[0] < _PRINT_SHARE and stock.bid < stock.ask:
                found.append(self._print(stock, at, move > 0.0, pick, size[2]))
                if stock.bid_size > 0 and stock.ask_size > 0:
                    found.append(self._standing(stock, at, pick))
                    continue
            found.append(self._quote(stock, at, levels[place], calm, size, pick[1] > 1.0 - _LOCKED_SHARE))
        return found

    def _print(self, stock: _Stock, at: int, buy: bool, pick: list[float], size: float) -> Trade:
        """A print against the standing quote, which it may use up."""
        stock.trade_id += 1
        exchange, conditions = _EXCHANGES[int(pick[3] * 8)], _REGULAR
        price = stock.ask if buy else stock.bid
        shown = stock.ask_size if buy else stock.bid_size
        shares = min(shown, _LOT * max(1, int(0.35 * stock.depth * size)))
        if pick[2] >= _INSIDE:
            shares, conditions = 1 + int(pick[3] * 98), _ODD_LOT
        elif pick[2] >= _AT_TOUCH:
            improved = int((stock.ask - stock.bid) * pick[3] * 0.5)
            price += -improved if buy else improved
            return Trade(stock.symbol, price, shares, at, _OFF_EXCHANGE, conditions, stock.trade_id, at)
        else:
            # A touch that is used up pushes the price on.
            left = shown - shares
            if buy:
                stock.ask_size = left
            else:
                stock.bid_size = left
            if not left:
                stock.noise += (CENT if buy else -CENT) * 0.6 / price
        return Trade(stock.symbol, price, shares, at, exchange, conditions, stock.trade_id, at)

    def _standing(self, stock: _Stock, at: int, pick: list[float]) -> Quote:
        """The same prices again with what is left of their sizes."""
        return Quote(
            stock.symbol, stock.bid, stock.bid_size, stock.ask, stock.ask_size, at,
            _EXCHANGES[int(pick[1] * 8)], _EXCHANGES[int(pick[3] * 8)], "R", at,
        )  # fmt: skip

    def _quote(self, stock: _Stock, at: int, level: float, calm: float, size: list[float], locked: bool) -> Quote:
        """A new quote around the present price."""
        ticks = max(1, round(stock.spread_ticks * calm * math.exp(stock.width)))
        bid = round(level * (1.0 + stock.noise) * 100.0 - ticks * 0.5) * CENT
        stock.bid, stock.ask = bid, bid if locked else bid + ticks * CENT
        stock.bid_size = _LOT * max(1, int(stock.depth * size[0]))
        stock.ask_size = _LOT * max(1, int(stock.depth * size[1]))
        return Quote(
            stock.symbol, bid, stock.bid_size, stock.ask, stock.ask_size, at,
            _EXCHANGES[stock.bid_size // _LOT % 8], _EXCHANGES[stock.ask_size // _LOT % 8], "R", at,
        )  # fmt: skip
