"""A soak: very many random commands and market messages over many accounts, from one seed, without a broken invariant.

    python -m tests.simulation.soak --inputs 1000000 --accounts 1000

After every input the accounts that it touched are compared with a double-entry ledger of the events alone, no
account may be quarantined, no order may fill beyond its limit or its quantity, and equity is cash plus marked
positions plus what accrued. The seed is printed first; the same seed gives the same events, whose digest ends the line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from hashlib import blake2b
from random import Random
from typing import Any

from actors.book import events as e
from actors.book.view import figures, position_money
from actors.commands import (
    CancelAll,
    CancelOrder,
    CloseAllPositions,
    ClosePosition,
    Deposit,
    PlaceOrder,
    ReplaceOrder,
    StopLoss,
    TakeProfit,
    Withdraw,
)
from actors.inputs import Step, encode
from actors.market.messages import Quote, Status, Trade
from tests.money.rig import CALENDAR, INSTRUMENTS, SECOND, Bench
from tests.oracle.ledger import Ledger, check_ledger

PROFILES = ("realistic", "conservative", "alpaca-parity", "quick")
TYPES = (
    "market",
    "market",
    "limit",
    "limit",
    "limit",
    "stop",
    "stop_limit",
    "trailing_stop",
    "bracket",
    "oco",
    "oto",
)
SYMBOLS = tuple(instrument.symbol for instrument in INSTRUMENTS)


class Soak:
    """One market, its accounts, and a ledger beside each."""

    def __init__(self, seed: int, accounts: int) -> None:
        self.random = Random(seed)
        self.bench = Bench("2026-08-03 04:00")
        self.day = 20260803
        self.cents = {symbol: 200 if symbol == "CHEAP" else 10_000 for symbol in SYMBOLS}
        self.ledgers: dict[int, Ledger] = {}
        self.terms: dict[tuple[int, int], e.OrderAccepted] = {}
        self.digest = blake2b(digest_size=8)
        self.counts = {"inputs": 0, "events": 0, "fills": 0, "refused": 0, "days": 0}
        for number in range(1, accounts + 1):
            kind = "cash" if number % 3 == 0 else "margin"
            cash = str(self.random.choice((500, 3_000, 30_000, 1_000_000)))
            self.bench.account(cash, kind, PROFILES[number % len(PROFILES)])
        for symbol in SYMBOLS:
            self.quote(symbol)
        self.look()

    # ── inputs ───────────────────────────────────────────────────────────────────────────────────────────

    def run(self, inputs: int) -> None:
        """So many inputs, spread over trading days of some thousand each."""
        while self.counts["inputs"] < inputs:
            self.one()
            self.counts["inputs"] += 1
            self.look()
            if self.counts["inputs"] % 20_000 == 0:
                self.turn_the_day()
                self.look()
                self.check_everybody()
                print(json.dumps(self.counts), file=sys.stderr, flush=True)

    def one(self) -> None:
        """One input."""
        bench, random = self.bench, self.random
        # A day of 20,000 inputs passes from before the open to after the close.
        bench.now += random.randrange(6 * SECOND)
        self.session()
        bench.engine.run_timers_through(bench.now)
        pick = random.random()
        if pick < 0.45:
            self.quote(random.choice(SYMBOLS))
        elif pick < 0.60:
            self.trade(random.choice(SYMBOLS))
        elif pick < 0.605:
            state = random.choice(("halted", "trading", "trading"))
            bench.engine.tape(Status(random.choice(SYMBOLS), state, bench.now))  # type: ignore[arg-type]
        else:
            self.command(random.randrange(1, len(bench.engine.books) + 1))

    def session(self) -> None:
        """Whatever change of the session is due."""
        world = self.bench.engine.world
        now = CALENDAR.session_at(self.bench.now)
        if world.session is None or (now.phase, now.trade_date) != (world.session.phase, world.session.trade_date):
            self.bench.engine.tape(now)

    def turn_the_day(self) -> None:
        """On to the pre-market of the next trading day."""
        self.day = CALENDAR.next_trading_day(self.day)
        self.counts["days"] += 1
        text = f"{self.day // 10_000}-{self.day // 100 % 100:02d}-{self.day % 100:02d} 04:00"
        self.bench.go(text)

    def quote(self, symbol: str) -> None:
        random = self.random
        cents = max(5, self.cents[symbol] + random.randrange(-12, 13) * max(1, self.cents[symbol] // 4_000))
        self.cents[symbol] = cents
        spread = random.choice((1, 1, 1, 2, 5, 0, -1))
        sizes = random.choice((1, 3, 10, 100)), random.choice((0, 2, 10, 100))
        self.bench.now += 1
        self.bench.engine.tape(Quote(symbol, cents * 100, sizes[0], (cents + spread) * 100, sizes[1], self.bench.now))

    def trade(self, symbol: str) -> None:
        random = self.random
        cents = max(1, self.cents[symbol] + random.randrange(-2, 3))
        conditions = random.choice(((), (), (), ("I",)))
        self.bench.now += 1
        self.bench.engine.tape(
            Trade(symbol, cents * 100, random.choice((1, 50, 100, 700)), self.bench.now, conditions=conditions)  # type: ignore[arg-type]
        )

    def command(self, account_no: int) -> None:
        action = self.action(account_no)
        outcome = self.bench.do(account_no, action)
        if type(outcome).__name__ == "Refusal":
            self.counts["refused"] += 1

    def action(self, account_no: int) -> Any:
        random = self.random
        orders = self.bench.book(account_no).orders
        pick = random.random()
        if pick < 0.70 or not orders:
            return self.order()
        live = orders[random.choice(sorted(orders))]
        if pick < 0.82:
            return CancelOrder(order_id=live.terms.order_id)
        if pick < 0.90:
            changes: dict[str, str] = {"qty": str(random.randrange(1, 200))}
            if live.terms.limit_price:
                changes["limit_price"] = self.price(live.terms.symbol)
            return ReplaceOrder(order_id=live.terms.order_id, **changes)
        symbol = random.choice(SYMBOLS)
        return random.choice(
            (
                CancelAll(),
                ClosePosition(symbol=symbol, cancel_orders=random.random() < 0.5),
                CloseAllPositions(cancel_orders=random.random() < 0.5),
                Deposit(amount=str(random.randrange(1, 500))),
                Withdraw(amount=str(random.randrange(1, 500))),
            )
        )

    def price(self, symbol: str, away: int = 6) -> str:
        cents = max(
            2, self.cents[symbol] + self.random.randrange(-away, away + 1) * max(1, self.cents[symbol] // 4_000)
        )
        return f"{cents / 100:.2f}"

    def order(self) -> PlaceOrder:
        random = self.random
        symbol, kind, side = random.choice(SYMBOLS), random.choice(TYPES), random.choice(("buy", "sell"))
        terms: dict[str, Any] = {
            "symbol": symbol,
            "side": side,
            "qty": str(random.choice((1, 1, 7, 100, 150, 0.5))),
            "time_in_force": random.choice(("day", "day", "gtc", "ioc", "fok", "opg", "cls")),
        }
        if kind in ("bracket", "oco", "oto"):
            up, down = self.price(symbol, 30), self.price(symbol, 30)
            terms |= {"order_class": kind, "time_in_force": "day", "qty": str(random.choice((1, 40, 100)))}
            terms["type"] = "limit" if kind == "oco" else random.choice(("market", "limit"))
            if terms["type"] == "limit" and kind != "oco":
                terms["limit_price"] = self.price(symbol)
            if kind != "oto" or random.random() < 0.5:
                terms["take_profit"] = TakeProfit(limit_price=up)
            if kind != "oto" or "take_profit" not in terms:
                terms["stop_loss"] = StopLoss(stop_price=down)
            return PlaceOrder(**terms)
        terms["type"] = kind
        if kind in ("limit", "stop_limit"):
            terms["limit_price"] = self.price(symbol)
            terms["extended_hours"] = kind == "limit" and terms["time_in_force"] == "day" and random.random() < 0.3
        if kind in ("stop", "stop_limit"):
            terms["stop_price"] = self.price(symbol, 30)
        if kind == "trailing_stop":
            terms[random.choice(("trail_price", "trail_percent"))] = random.choice(("0.05", "0.5", "1"))
        return PlaceOrder(**terms)

    # ── judges ───────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """Judge what the last input led to."""
        engine = self.bench.engine
        assert not engine.failures, engine.failures
        touched = set()
        for step in engine.take_steps():
            self.digest.update(encode([step]))
            touched |= self.take(step)
        engine.take_moved()
        for account_no in sorted(touched):
            check_ledger(self.ledgers[account_no], engine.books[account_no])

    def take(self, step: Step) -> set[int]:
        touched = set()
        for section in step.sections:
            if section.account_no == 0:
                continue
            touched.add(section.account_no)
            ledger = self.ledgers.setdefault(section.account_no, Ledger())
            for event in section.events:
                self.counts["events"] += 1
                ledger.take(event)
                self.judge(section.account_no, event)
        return touched

    def judge(self, account_no: int, event: Any) -> None:
        """No fill beyond an order's limit or quantity."""
        if isinstance(event, e.OrderAccepted):
            self.terms[account_no, event.order_no] = event
        elif isinstance(event, e.OrderReplaced):
            self.terms[account_no, event.terms.order_no] = event.terms
        elif isinstance(event, e.OrderFilled):
            self.counts["fills"] += 1
            terms = self.terms[account_no, event.order_no]
            limit = terms.limit_price
            assert not limit or (event.price <= limit if terms.side == "buy" else event.price >= limit), event
            assert event.qty > 0
            assert not terms.qty or event.filled_qty <= max(terms.qty, event.qty), event

    def check_everybody(self) -> None:
        """The identity of equity, for each account."""
        world = self.bench.engine.world
        for account_no in sorted(self.bench.engine.books):
            book = self.bench.engine.books[account_no]
            marked = sum(position_money(position, world) for position in book.positions.values())
            f = figures(book, world)
            assert f.equity_money == book.cash + marked - f.accrued_money, account_no


def main(arguments: list[str] | None = None) -> int:
    """Run it; 1 when something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args(arguments)
    seed = wanted.seed if wanted.seed is not None else time.time_ns() % 2**32
    print(json.dumps({"seed": seed}), flush=True)
    begun = time.monotonic()
    soak = Soak(seed, wanted.accounts)
    try:
        soak.run(wanted.inputs)
    except AssertionError as error:
        print(json.dumps({"seed": seed, **soak.counts, "broken": str(error)[:2_000]}))
        return 1
    seconds = round(time.monotonic() - begun, 1)
    print(json.dumps({"seed": seed, **soak.counts, "seconds": seconds, "digest": soak.digest.hexdigest()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
