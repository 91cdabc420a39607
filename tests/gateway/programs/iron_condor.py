"""An option program in the style of alpaca-py's documentation: sells an iron condor, buys it back before the close.

Knows nothing of mbtd: it is given keys and addresses as any program is. At the end it prints what it did.
"""

import asyncio
import contextlib
import json
import os
from datetime import date, timedelta

from alpaca.common.exceptions import APIError
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import OptionLatestQuoteRequest, StockLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetStatus,
    ContractType,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from alpaca.trading.requests import (
    GetOptionContractsRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
)
from alpaca.trading.stream import TradingStream

UNDERLYING, DISTANCE, WIDTH = "TWX", 2.5, 2.5

key, secret = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
rest, ws = os.environ["APCA_API_BASE_URL"], os.environ["APCA_STREAM_URL"]

trade_client = TradingClient(key, secret, paper=True, url_override=rest)
stock_data = StockHistoricalDataClient(key, secret, url_override=rest)
option_data = OptionHistoricalDataClient(key, secret, url_override=rest)
trade_stream = TradingStream(key, secret, paper=True, url_override=f"{ws}/stream")
data_stream = StockDataStream(key, secret, url_override=f"{ws}/v2/iex")

report = {
    "minutes": 0,
    "behind_minutes": 0,
    "first_bar": None,
    "updates": [],
    "legs": [],
    "opened": None,
    "closed": None,
    "most_legs": 0,
}
state = {"legs": None, "opening": None, "since": None, "filled": None, "closing": None}
done = asyncio.Event()


def nearest(kind, strike, expiration):
    """The contract of this kind closest to a strike."""
    found = trade_client.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=[UNDERLYING],
            status=AssetStatus.ACTIVE,
            expiration_date=expiration,
            type=ContractType(kind),
            limit=1000,
        )
    )
    return min(found.option_contracts, key=lambda contract: abs(contract.strike_price - strike))


def choose(today):
    quote = stock_data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=UNDERLYING))[UNDERLYING]
    spot = (quote.bid_price + quote.ask_price) / 2
    expirations = trade_client.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=[UNDERLYING],
            expiration_date_gte=today + timedelta(days=7),
            expiration_date_lte=today + timedelta(days=60),
            limit=10000,
        )
    )
    expiration = min(contract.expiration_date for contract in expirations.option_contracts)
    short_put = nearest("put", spot - DISTANCE, expiration)
    long_put = nearest("put", short_put.strike_price - WIDTH, expiration)
    short_call = nearest("call", spot + DISTANCE, expiration)
    long_call = nearest("call", short_call.strike_price + WIDTH, expiration)
    return [
        (long_put.symbol, OrderSide.BUY),
        (short_put.symbol, OrderSide.SELL),
        (short_call.symbol, OrderSide.SELL),
        (long_call.symbol, OrderSide.BUY),
    ]


def credit(legs):
    """What the condor brings at the market, per share."""
    quotes = option_data.get_option_latest_quote(
        OptionLatestQuoteRequest(symbol_or_symbols=[symbol for symbol, _ in legs])
    )
    if any(symbol not in quotes or not quotes[symbol].bid_price for symbol, side in legs if side == OrderSide.SELL):
        return None
    sold = sum(quotes[symbol].bid_price for symbol, side in legs if side == OrderSide.SELL)
    bought = sum(quotes[symbol].ask_price for symbol, side in legs if side == OrderSide.BUY)
    return round(sold - bought, 2)


def reversed_legs(legs):
    opposite = {OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY}
    return [OptionLegRequest(symbol=symbol, side=opposite[side], ratio_qty=1) for symbol, side in legs]


def step(bar) -> None:
    clock = trade_client.get_clock()
    behind = (clock.timestamp - bar.timestamp).total_seconds() / 60
    report["behind_minutes"] = max(report["behind_minutes"], behind if clock.is_open else 0)
    today = date.fromisoformat(clock.timestamp.date().isoformat())
    if not clock.is_open:
        if state["opening"] is not None:
            loop.call_soon_threadsafe(done.set)
        return
    closing_time = clock.next_close - clock.timestamp < timedelta(minutes=45)
    if state["opening"] is None:
        if closing_time:
            return
        legs = state["legs"] = state["legs"] or choose(today)
        price = credit(legs)
        if price is None or price <= 0:
            return
        order = trade_client.submit_order(
            LimitOrderRequest(
                qty=5,
                limit_price=-round(price, 2),
                order_class=OrderClass.MLEG,
                time_in_force=TimeInForce.DAY,
                legs=[OptionLegRequest(symbol=symbol, side=side, ratio_qty=1) for symbol, side in legs],
            )
        )
        state["opening"], state["since"] = order.id, clock.timestamp
        report["legs"] = [leg.symbol for leg in order.legs]
        return
    if state["filled"] is None:
        if trade_client.get_order_by_id(state["opening"]).status == OrderStatus.FILLED:
            state["filled"] = clock.timestamp
        elif clock.timestamp - state["since"] > timedelta(minutes=10):
            with contextlib.suppress(APIError):  # filled meanwhile
                trade_client.cancel_order_by_id(state["opening"])
                state["opening"] = None
        return
    if state["closing"] is None and closing_time:
        order = trade_client.submit_order(
            MarketOrderRequest(
                qty=5,
                type=OrderType.MARKET,
                order_class=OrderClass.MLEG,
                time_in_force=TimeInForce.DAY,
                legs=reversed_legs(state["legs"]),
            )
        )
        state["closing"] = order.id


async def on_bar(bar) -> None:
    report["minutes"] += 1
    report["first_bar"] = report["first_bar"] or bar.timestamp.isoformat()
    await asyncio.to_thread(step, bar)


async def on_update(update) -> None:
    report["updates"].append(str(update.event))
    report["most_legs"] = max(report["most_legs"], len(update.order.legs or ()))


async def until_the_close() -> None:
    """End with the day, even when no bar tells that it is over."""
    while True:
        await asyncio.sleep(0.5)
        clock = await asyncio.to_thread(trade_client.get_clock)
        if not clock.is_open and clock.next_open.date() > clock.timestamp.date():
            done.set()


async def main() -> None:
    global loop
    loop = asyncio.get_running_loop()
    trade_stream.subscribe_trade_updates(on_update)
    data_stream.subscribe_bars(on_bar, UNDERLYING)
    watch = asyncio.create_task(until_the_close())
    streams = [asyncio.create_task(stream._run_forever()) for stream in (trade_stream, data_stream)]
    await done.wait()
    for task in (watch, *streams):
        task.cancel()


asyncio.run(main())
for name in ("opening", "closing"):
    if state[name] is None:
        continue
    order = trade_client.get_order_by_id(state[name])
    report["opened" if name == "opening" else "closed"] = {
        "status": order.status.value,
        "price": order.filled_avg_price,
        "filled_qty": order.filled_qty,
        "legs": len(order.legs or ()),
    }
account = trade_client.get_account()
report["clock"] = trade_client.get_clock().timestamp.isoformat()
report["positions"] = len(trade_client.get_all_positions())
report["cash"], report["equity"] = account.cash, account.equity
print(json.dumps(report))
