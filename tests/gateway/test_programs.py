"""Programs in the style of alpaca-py's own documentation, unchanged except for the URL.

A day of the market is minutes here: the synthetic market runs at its own pace, and the program trades on minute bars
and quotes as they come until it has gone round once.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, StockBarsRequest, StockLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
)

from tests.gateway.running import User


class MovingAverageBot:
    """Buys when the short average is above the long one, sells when it is below."""

    def __init__(self, key: str, secret: str, url: str) -> None:
        self.trading = TradingClient(key, secret, paper=True, url_override=url)
        self.data = StockHistoricalDataClient(key, secret, url_override=url)
        self.rounds = 0

    def average(self, symbol: str, prints: int) -> float:
        request = StockBarsRequest(
            symbol_or_symbols=symbol,
            timeframe=TimeFrame.Minute,
            start=datetime.now(timezone.utc) - timedelta(hours=1),
        )
        closes = [bar.close for bar in self.data.get_stock_bars(request)[symbol]][-prints:]
        return sum(closes) / len(closes)

    def wait_for(self, order_id: Any) -> Any:
        while True:
            order = self.trading.get_order_by_id(order_id)
            if order.status.value in ("filled", "canceled", "expired", "rejected"):
                return order
            time.sleep(0.05)

    def step(self, symbol: str, qty: int) -> None:
        if not self.trading.get_clock().is_open:
            return
        quote = self.data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbol))[symbol]
        short, long = quote.ask_price, self.average(symbol, 20)
        held = {position.symbol: position for position in self.trading.get_all_positions()}
        side = OrderSide.BUY if symbol not in held else OrderSide.SELL
        if symbol not in held and short < long * 0.5:
            return
        order = self.trading.submit_order(
            MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.DAY)
        )
        assert self.wait_for(order.id).status.value == "filled"
        self.rounds += side is OrderSide.SELL


def test_a_moving_average_bot_goes_round(own: User) -> None:
    bot = MovingAverageBot(own.key, own.secret, own.served.url)
    for _ in range(6):
        bot.step("SPY", 10)
    assert bot.rounds == 3
    assert bot.trading.get_all_positions() == []
    closed = bot.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert len(closed) == 6
    spent = sum(float(o.filled_avg_price or 0) * 10 * (1 if o.side is OrderSide.BUY else -1) for o in closed)
    account = bot.trading.get_account()
    assert float(account.cash) == pytest.approx(1_000_000 - spent, abs=5)


def test_an_iron_condor_is_sold(own: User) -> None:
    trading = TradingClient(own.key, own.secret, paper=True, url_override=own.served.url)
    data = OptionHistoricalDataClient(own.key, own.secret, url_override=own.served.url)
    today = datetime.now(timezone.utc).date()
    chain = data.get_option_chain(
        OptionChainRequest(underlying_symbol="SPY", expiration_date_gte=today + timedelta(days=1))
    )
    expiry = min(symbol[3:9] for symbol in chain)
    puts = sorted(symbol for symbol in chain if symbol[3:10] == expiry + "P")
    calls = sorted(symbol for symbol in chain if symbol[3:10] == expiry + "C")
    legs = [
        OptionLegRequest(symbol=puts[len(puts) // 4], side=OrderSide.BUY, ratio_qty=1),
        OptionLegRequest(symbol=puts[len(puts) // 3], side=OrderSide.SELL, ratio_qty=1),
        OptionLegRequest(symbol=calls[len(calls) * 2 // 3], side=OrderSide.SELL, ratio_qty=1),
        OptionLegRequest(symbol=calls[len(calls) * 3 // 4], side=OrderSide.BUY, ratio_qty=1),
    ]
    order = trading.submit_order(
        LimitOrderRequest(
            qty=1,
            limit_price=-0.01,
            order_class=OrderClass.MLEG,
            time_in_force=TimeInForce.DAY,
            legs=legs,
        )
    )
    assert order.legs is not None
    assert len(order.legs) == 4
    trading.cancel_order_by_id(order.id)
