"""Random sessions: scripts of commands, market messages, phases and passing time, good and bad alike.

``MBTD_EXAMPLES`` multiplies the number of examples for long runs; Hypothesis prints the seed of a failure.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from actors.commands import (
    CancelAll,
    CancelOrder,
    CloseAccount,
    CloseAllPositions,
    ClosePosition,
    ConfigureAccount,
    Deposit,
    PlaceOrder,
    ReplaceOrder,
    StopLoss,
    TakeProfit,
    Withdraw,
)
from actors.market.messages import FeedState, Quote, Status, Trade
from tests.oracle.rig import DAY, HOUR, MS, SECOND, START, Do, Wait, session

OPEN = START + 6 * HOUR
ACCOUNTS = (
    ("margin", "alpaca-parity", "4000"),
    ("cash", "realistic", "500"),
    ("margin", "brisk", "5000"),
    ("cash", "frugal", "100000"),
)
SYMBOLS = ("AAA", "AAA", "AAA", "BBB", "CCC")


def profile(examples: int) -> settings:
    """Settings of a property: few examples, unless the environment asks for more."""
    return settings(
        max_examples=examples * int(os.environ.get("MBTD_EXAMPLES", "1")),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


_STEPS = (0, 0, 1, 20 * MS, 50 * MS, 75 * MS, 100 * MS, 150 * MS, 200 * MS, 250 * MS, SECOND, 5 * SECOND, 40 * SECOND)
_PRICES = ("9.96", "9.98", "9.99", "10.00", "10.01", "10.02", "10.04")
_ODD_PRICES = ("10.50", "10.001", "0", "0.99994", "9", "-1", "1e3", None)
_QTYS = ("1", "1", "2", "3", "5", "10", "30", "400", "0.5", "2.25")
_ODD_QTYS = ("5000", "0", "x", "0.0000000001", "9000000000", None)
_CLIENTS = (None, None, None, None, "a", "b", "c", "d", "e")


class _Dice(Random):
    """Choices of a script, all from one seed."""

    contingent = False
    """Whether orders that depend on others, and trailing stops, are among them."""

    def rarely(self, one_in: int) -> bool:
        return self.randrange(one_in) == 0

    def price(self) -> str | None:
        return self.choice(_ODD_PRICES if self.rarely(40) else _PRICES)

    def qty(self) -> str | None:
        return self.choice(_ODD_QTYS if self.rarely(40) else _QTYS)


def _place(d: _Dice) -> PlaceOrder:
    kind = d.choice(("market", "market", "limit", "limit", "limit", "limit", "stop", "stop_limit"))
    plain = kind in ("market", "limit")
    money = d.rarely(8)
    mixed = d.rarely(50)
    symbol = d.choice(("DDD", "ZZZ", "EEE260116C00100000", None)) if d.rarely(40) else d.choice(SYMBOLS)
    in_force = d.choice(("day", "day", "day", "gtc", "ioc", "fok") if plain else ("day", "gtc"))
    return PlaceOrder(
        symbol=symbol,
        qty=None if money else d.qty(),
        notional=d.choice(("1", "10", "33.33", "200", "0.5", "100000")) if money or mixed else None,
        side="hold" if d.rarely(60) else d.choice(("buy", "buy", "sell")),
        type="trailing_stop" if d.rarely(60) else kind,
        time_in_force=d.choice(("gtd", "ioc", None)) if d.rarely(25) else "day" if money else in_force,
        limit_price=d.price() if kind in ("limit", "stop_limit") or mixed else None,
        stop_price=d.price() if kind in ("stop", "stop_limit") else None,
        client_order_id=d.choice(_CLIENTS),
        extended_hours=d.rarely(3) if kind == "limit" else d.rarely(60),
        position_intent=d.choice(("buy_to_open", "sell_to_close", "whatever")) if d.rarely(15) else None,
        order_class=d.choice(("simple", "bracket")) if d.rarely(40) else None,
    )


def _contingent(d: _Dice) -> Any:
    """A trailing stop, a bracket, an OCO, an OTO, or a close behind cancels."""
    symbol, side = d.choice(SYMBOLS), d.choice(("buy", "buy", "sell"))
    in_force = d.choice(("day", "gtc"))
    shape = d.randrange(8)
    if shape == 0:
        return ClosePosition(symbol=symbol, cancel_orders=True)
    if shape == 1:
        return CloseAllPositions(cancel_orders=d.rarely(2))
    if shape < 4:
        trail = {d.choice(("trail_price", "trail_percent")): d.choice(("0.02", "0.2", "0.5"))}
        return PlaceOrder(
            symbol=symbol, qty=d.qty(), side=side, type="trailing_stop", time_in_force=in_force, **trail
        )
    order_class = d.choice(("bracket", "bracket", "oco", "oto"))
    over = TakeProfit(limit_price=d.choice(("10.02", "10.03", "10.05")))
    under = StopLoss(stop_price=d.choice(("9.95", "9.97", "9.98")), limit_price=d.choice((None, None, "9.90")))
    if (side == "sell") != (order_class == "oco"):
        over, under = TakeProfit(limit_price=d.choice(("9.95", "9.98"))), StopLoss(stop_price="10.03")
    kind = "limit" if order_class == "oco" else d.choice(("market", "limit"))
    return PlaceOrder(
        symbol=symbol,
        qty=d.choice(("1", "3", "10", "30")),
        side=side,
        type=kind,
        time_in_force=in_force,
        limit_price=d.choice(_PRICES) if kind == "limit" and order_class != "oco" else None,
        client_order_id=d.choice(_CLIENTS),
        order_class=order_class,
        take_profit=None if order_class == "oto" and d.rarely(2) else over,
        stop_loss=under if order_class != "oto" or d.rarely(2) else None,
    )


def _other(d: _Dice) -> Any:
    what = d.randrange(20)
    if what < 6:
        return CancelOrder(client_order_id=d.choice(("a", "b", "c", "zz")))
    if what < 7:
        return CancelAll()
    if what < 12:
        share = None if d.rarely(2) else d.choice(("50", "100", "0", "101"))
        return ClosePosition(symbol=d.choice(SYMBOLS), qty=d.choice((None, None, "1")), percentage=share)
    if what < 14:
        return Deposit(amount=d.choice(("5", "100.5", "0", "?")))
    if what < 16:
        return Withdraw(amount=d.choice(("5", "100", "1000000")))
    if what < 19 or not d.rarely(10):
        return ConfigureAccount(
            profile=d.choice((None, None, "realistic", "brisk", "alpaca-parity", "none")),
            no_shorting=d.choice((None, True, False)),
            suspend_trade=d.rarely(10),
            fractional_trading=d.choice((None, True, True, False)),
            max_margin_multiplier=d.choice((None, None, "1", "2", "4")),
        )
    return CloseAccount()


def _command(d: _Dice, placed: dict[int, int]) -> Any:
    kind = d.randrange(20)
    account_no = d.randint(1, len(ACCOUNTS))
    recent = max(1, placed.get(account_no, 0) - d.randrange(6))
    if d.contingent and d.rarely(3):
        placed[account_no] = placed.get(account_no, 0) + 2
        return account_no, _contingent(d), 0
    if kind < 12:
        placed[account_no] = placed.get(account_no, 0) + 1
        return account_no, _place(d), 0
    if kind < 16:
        change = ReplaceOrder(
            client_order_id=d.choice(("a", "b", "c", "f", *[None] * 8)),
            qty=d.qty() if d.rarely(2) else None,
            limit_price=d.price() if d.rarely(2) else None,
            stop_price=d.choice(("9.98", "10.02")) if d.rarely(6) else None,
            time_in_force=d.choice(("gtc", "ioc", "fok")) if d.rarely(5) else None,
        )
        return account_no, change, 0 if change.client_order_id and d.rarely(2) else recent
    return account_no, _other(d), recent if d.rarely(2) else 0


def _tape(d: _Dice, middle: int) -> Any:
    kind = d.randrange(40)
    symbol = d.choice(SYMBOLS)
    if kind < 24:
        width = d.choice((1, 1, 1, 2, 2, 4, 0, -1))
        sizes = (1, 2, 5, 5, 20, 100)
        lag = d.choice((20 * MS, 45 * SECOND)) if d.rarely(6) else 0
        sides = d.choice((1, 2)) if d.rarely(15) else 3
        return "quote", symbol, middle, width, d.choice(sizes), 0 if d.rarely(20) else d.choice(sizes), lag, sides
    if kind < 30:
        conditions = d.choice(("", "", "", "@", "@", "I", "4"))
        size = d.choice((100, 100, 200, 500)) if not conditions else d.choice((1, 3, 10, 50, 100, 200))
        exchange = d.choice(("", "N", "N", "D"))
        return "trade", symbol, middle + d.choice((-2, -1, 0, 0, 1, 2)), exchange, size, conditions
    if kind < 34:
        return "session", d.choice(("pre", "core", "core", "core", "core", "post", "overnight", "closed", "closed"))
    if kind < 36:
        return (
            "status",
            symbol,
            d.choice(("trading", "trading", "trading", "halted", "paused")),
            d.choice((0, 0, 1000)),
            d.rarely(3),
        )
    if kind < 38:
        return "feed", d.choice(("up", "up", "up", "down", "gap", "lagging")), ("AAA",) if d.rarely(3) else ()
    return "wait", d.choice((0, SECOND, SECOND, 2 * HOUR, 6 * HOUR, DAY))


def _items(seed: int, length: int, contingent: bool) -> list[Any]:
    d = _Dice(seed)
    d.contingent = contingent
    middle = 999
    placed: dict[int, int] = {}
    items = []
    for _ in range(length):
        middle = max(990, min(1010, middle + d.choice((-1, 0, 0, 1))))
        items.append((d.choice(_STEPS), _command(d, placed) if d.rarely(2) else _tape(d, middle)))
    return items


def _message(what: Any, at: int) -> Any:
    kind = what[0]
    if kind == "quote":
        _, symbol, bid, width, bid_size, ask_size, lag, sides = what
        return Quote(
            symbol, bid * 100 * (sides & 1), bid_size * (sides & 1), (bid + width) * 100 * (sides >> 1),
            ask_size * (sides >> 1), at - lag, "N", "N", "R", at,
        )  # fmt: skip
    if kind == "trade":
        return Trade(what[1], what[2] * 100, what[4], at, what[3], what[5])
    if kind == "status":
        band = what[3] * 100
        return Status(what[1], what[2], at, "", band and band - 200, band and band + 200, what[4])
    if kind == "session":
        return session(what[1], at, (at - START) // DAY)
    if kind == "feed":
        return FeedState(what[1], at, "sip", what[2])
    return Wait(at + what[1])


def _script(items: list[Any]) -> list[Any]:
    at = OPEN + 2
    script: list[Any] = [session("core", OPEN)]
    for symbol in ("AAA", "BBB", "CCC"):
        script.append(Quote(symbol, 99_900, 5, 100_100, 5, OPEN + 1, received_at=OPEN + 1))
    day = 0
    for step, what in items:
        at += step
        if (at - START) // DAY != day:
            day = (at - START) // DAY
            script.append(session("core", at, day))
        if isinstance(what[0], int):
            account_no, action, order_no = what
            aims = isinstance(action, CancelOrder | ReplaceOrder)
            script.append(Do(account_no, action, at, order_no if aims else 0))
        else:
            script.append(_message(what, at))
            if isinstance(script[-1], Wait):
                at = script[-1].until
    return script


def script_of(seed: int, length: int, contingent: bool = False) -> list[Any]:
    """The script that :func:`scripts` draws for these."""
    return _script(_items(seed, length, contingent))


def scripts(least: int = 5, most: int = 80, contingent: bool = False) -> st.SearchStrategy[list[Any]]:
    """Scripts with so many items, starting in the core session with a quote for each symbol; ``contingent`` ones
    hold groups and trailing stops too.

    They are drawn from a seed, not from Hypothesis' own choices: those repeat themselves too much to reach far.
    """
    seeds, flags = st.integers(0, 2**64 - 1), st.booleans() if contingent else st.just(False)
    return st.builds(_items, seeds, st.integers(least, most), flags).map(_script)
