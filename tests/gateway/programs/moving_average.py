"""A stock bot in the style of alpaca-py's documentation: trades the cross of two moving averages, flat by the close.

Knows nothing of mbtd: it is given keys and addresses as any program is, and works on Alpaca's minute bars. At the end
it prints what it did.
"""

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from datetime import timedelta

from alpaca.common.exceptions import APIError
from alpaca.data.live import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce, TradeEvent
from alpaca.trading.requests import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream

SYMBOL, BARGAIN, QTY, FAST, SLOW = "SPY", "BAC", 100, 5, 20

key, secret = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
rest, ws = os.environ["APCA_API_BASE_URL"], os.environ["APCA_STREAM_URL"]

trading_client = TradingClient(key, secret, paper=True, url_override=rest)
trading_stream = TradingStream(key, secret, paper=True, url_override=f"{ws}/stream")
data_stream = StockDataStream(key, secret, url_override=f"{ws}/v2/iex")

closes: deque[float] = deque(maxlen=SLOW)
report = {
    "bars": 0,
    "entries": 0,
    "exits": 0,
    "updates": [],
    "first_bar": None,
    "last_bar": None,
    "behind_minutes": 0,
}
state = {"bid": None, "opened": False}
done = asyncio.Event()


def held() -> int:
    positions = trading_client.get_all_positions()
    return sum(int(position.qty) for position in positions if position.symbol == SYMBOL)


def flatten() -> None:
    """Sell what is held and take back the stop; the bid for a bargain stays until the day ends."""
    open_orders = trading_client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=[SYMBOL]))
    for order in open_orders:
        if order.side == OrderSide.SELL:
            with contextlib.suppress(APIError):  # filled meanwhile
                trading_client.cancel_order_by_id(order.id)
    if held():
        for _ in range(100):
            try:
                trading_client.close_position(SYMBOL)
                break
            except APIError as error:
                if error.status_code != 403:
                    raise
                time.sleep(0.01)  # the stop's shares are not free yet
        report["exits"] += 1
        for _ in range(100):
            if not held():
                break
            time.sleep(0.01)


def step(bar) -> None:
    clock = trading_client.get_clock()
    behind = (clock.timestamp - bar.timestamp).total_seconds() / 60
    report["behind_minutes"] = max(report["behind_minutes"], behind if clock.is_open else 0)
    if not clock.is_open:
        if state["opened"]:
            loop.call_soon_threadsafe(done.set)
        return
    if not state["opened"]:
        state["opened"] = True
        order = LimitOrderRequest(
            symbol=BARGAIN, qty=QTY, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=5
        )
        state["bid"] = trading_client.submit_order(order).id
    if clock.next_close - clock.timestamp < timedelta(minutes=20):
        flatten()
        return
    if len(closes) < SLOW:
        return
    fast = sum(list(closes)[-FAST:]) / FAST
    slow = sum(closes) / SLOW
    position = held()
    if fast > slow and position == 0:
        order = MarketOrderRequest(symbol=SYMBOL, qty=QTY, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
        trading_client.submit_order(order)
        report["entries"] += 1
    elif fast < slow and position > 0:
        flatten()


async def on_bar(bar) -> None:
    report["bars"] += 1
    report["first_bar"] = report["first_bar"] or bar.timestamp.isoformat()
    report["last_bar"] = bar.timestamp.isoformat()
    closes.append(bar.close)
    await asyncio.to_thread(step, bar)


async def on_update(update) -> None:
    report["updates"].append(f"{update.event!s} {update.order.side.value}")
    if update.event == TradeEvent.FILL and update.order.side == OrderSide.BUY:
        stop = StopOrderRequest(
            symbol=SYMBOL,
            qty=QTY,
            side=OrderSide.SELL,
            time_in_force=TimeInForce.DAY,
            stop_price=round(float(update.price) * 0.98, 2),
        )
        await asyncio.to_thread(trading_client.submit_order, stop)


async def until_the_close() -> None:
    """End with the day, even when no bar tells that it is over."""
    while True:
        await asyncio.sleep(0.5)
        clock = await asyncio.to_thread(trading_client.get_clock)
        if not clock.is_open and clock.next_open.date() > clock.timestamp.date():
            done.set()


async def main() -> None:
    global loop
    loop = asyncio.get_running_loop()
    trading_stream.subscribe_trade_updates(on_update)
    data_stream.subscribe_bars(on_bar, SYMBOL)
    watch = asyncio.create_task(until_the_close())
    streams = [asyncio.create_task(stream._run_forever()) for stream in (trading_stream, data_stream)]
    await done.wait()
    for task in (watch, *streams):
        task.cancel()


asyncio.run(main())
account = trading_client.get_account()
orders = trading_client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500))
report["clock"] = trading_client.get_clock().timestamp.isoformat()
report["positions"] = len(trading_client.get_all_positions())
report["statuses"] = [order.status.value for order in orders if order.id != state["bid"]]
report["bid"] = trading_client.get_order_by_id(state["bid"]).status.value if state["bid"] else None
report["cash"], report["equity"] = account.cash, account.equity
report["sold_less_bought"] = sum(
    float(order.filled_qty) * float(order.filled_avg_price) * (1 if order.side == OrderSide.SELL else -1)
    for order in orders
    if order.filled_avg_price is not None
)
print(json.dumps(report))
