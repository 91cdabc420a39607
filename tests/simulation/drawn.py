"""A long session drawn without Hypothesis, for subprocesses that compare bytes."""

from __future__ import annotations

import sys
from random import Random
from typing import Any

from actors.commands import CancelAll, PlaceOrder
from actors.inputs import encode
from actors.market.messages import Quote, Trade
from tests.oracle.rig import MS, Do, feed, open_engine, session
from tests.oracle.scripts import ACCOUNTS, OPEN


def drawn(seed: int, length: int) -> list[Any]:
    """A script of limit, market and stop orders around a walking price."""
    random = Random(seed)
    at, middle = OPEN, 1000
    script: list[Any] = [session("core", OPEN)]
    for _ in range(length):
        at += random.choice((1, 30 * MS, 120 * MS, 300 * MS))
        middle += random.choice((-1, 0, 1))
        symbol = random.choice(("AAA", "BBB", "CCC"))
        kind = random.random()
        if kind < 0.6:
            size = random.choice((1, 5, 50))
            script.append(Quote(symbol, middle * 100, size, (middle + 1) * 100, size, at, received_at=at))
        elif kind < 0.7:
            script.append(Trade(symbol, middle * 100, 10, at))
        elif kind < 0.98:
            price = f"{(middle + random.choice((-2, -1, 0, 1, 2))) / 100:.2f}"
            stop = random.random() < 0.2
            action: Any = PlaceOrder(
                symbol=symbol, qty=random.choice(("1", "3", "7")), side=random.choice(("buy", "buy", "sell")),
                type="stop" if stop else "limit", time_in_force="day",
                limit_price=None if stop else price, stop_price=price if stop else None,
            )  # fmt: skip
            script.append(Do(random.randint(1, 4), action, at))
        else:
            script.append(Do(random.randint(1, 4), CancelAll(), at))
    return script


def main() -> None:
    """Write the steps and the books of a drawn session to standard output."""
    engine = open_engine(ACCOUNTS)
    for item in drawn(7, 600):
        feed(engine, item)
    sys.stdout.buffer.write(encode(engine.steps) + encode(engine.take_moved()) + encode(engine.books))
