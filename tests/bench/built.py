"""An engine with accounts and resting orders, built through real commands, for benches without a daemon."""

from __future__ import annotations

from collections.abc import Iterator

from actors.book.instruments import Instrument
from actors.book.outcome import Placed
from actors.commands import CreateAccount, PlaceOrder
from actors.engine import Engine
from actors.inputs import Envelope, Issued
from actors.market.messages import FeedState
from mbtd.market.assets import asset_id
from mbtd.market.calendar import Calendar
from mbtd.market.feeds.alpaca_decode import StreamDecoder
from mbtd.seeds import partition_seed
from tests.bench.feed import frames, symbol_of
from tests.bench.running import BenchError

START: int = 1_760_000_000_000_000_000
ENVELOPE = Envelope("native", "uid:0")


def engine_of(symbols: int, at: int = START) -> Engine:
    """An open market in which every symbol has a quote near 187 dollars."""
    names = [symbol_of(i) for i in range(symbols)]
    engine = Engine(partition_seed(7), instruments=[Instrument(asset_id(name), name) for name in names])
    engine.tape(Calendar(always_open=True).session_at(at))
    engine.tape(FeedState("up", at, "bench", received_at=at))
    decoder = StreamDecoder("stocks")
    for frame in frames(symbols, at, symbols // 8 + 8):
        for message in decoder.decode(frame, at)[0]:
            engine.tape(message)
    return engine


def open_accounts(engine: Engine, first: int, count: int, profile: str = "alpaca-parity") -> None:
    """Accounts ``a<first>`` and on, rich enough for anything."""
    for number in range(first, first + count):
        action = CreateAccount(name=f"a{number}", cash="900000000", profile=profile)
        engine.command(0, action, engine.world.now, ENVELOPE, Issued(number.to_bytes(32, "big")))
        if len(engine.steps) > 1_000:
            engine.take_steps()


def rest_orders(
    engine: Engine, accounts: int, symbols: int, count: int, *, only_buys: bool = False
) -> Iterator[tuple[int, int]]:
    """Place limits far from the market, spread over symbols and accounts; yields each order's key.

    An account has one side, since it may not buy what it also sells short, and a symbol has both, since the sides of
    its accounts look like chance.
    """
    for number in range(count):
        symbol, account_no = symbol_of(number % symbols), number % accounts + 1
        low = only_buys or (account_no * 2_654_435_761 >> 16) % 2 == 0
        price = 100 + number % 50 if low else 260 + number % 50
        order = PlaceOrder(
            symbol=symbol, qty="1", side="buy" if low else "sell", type="limit",
            limit_price=str(price), time_in_force="gtc", client_order_id=f"r{number}",
        )  # fmt: skip
        placed = engine.command(account_no, order, engine.world.now, ENVELOPE)
        if not isinstance(placed, Placed):
            raise BenchError(f"a resting order was refused: {placed}")
        yield account_no, placed.order_no
        if len(engine.steps) > 1_000:
            engine.take_steps()
