"""Scripts of mixed commands for a replay, made from one seed and the recording's own symbols and prices."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

TYPES = ("market", "limit", "stop", "stop_limit")
TIME_IN_FORCE = {"market": ("day", "gtc", "ioc", "fok"), "limit": ("day", "gtc", "ioc", "fok")}
PROFILES = ("alpaca-parity", "realistic")


class _Line(msgspec.Struct, gc=False):
    S: str
    t: str
    bp: float = 0.0
    ap: float = 0.0


class Levels:
    """What a recording trades: its stocks, the time it spans, and middle prices over time."""

    def __init__(self, recording: Path) -> None:
        decode = msgspec.json.Decoder(_Line).decode
        quotes: list[tuple[str, str, float]] = []
        first = last = ""
        with gzip.open(recording) as lines:
            for line in lines:
                found = decode(line)
                first = first or found.t
                last = found.t
                if found.bp > 0 and found.ap > 0 and len(found.S) <= 5:
                    quotes.append((found.t, found.S, (found.bp + found.ap) / 2))
        self.first, self.last = _time(first), _time(last)
        self._quotes = quotes[:: max(1, len(quotes) // 5000)]
        self.symbols = tuple(sorted({symbol for _, symbol, _ in self._quotes}))

    def draw(self, dice: Random, at: datetime) -> tuple[str, float]:
        """A stock and its middle price at ``at`` or soon after."""
        symbol = dice.choice(self.symbols)
        text = _text(at)
        known = [price for when, name, price in self._quotes if name == symbol and when <= text]
        if known:
            return symbol, known[-1]
        return symbol, next(price for _, name, price in self._quotes if name == symbol)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Writer:
    """Writes one script."""

    def __init__(self, levels: Levels, seed: int, orders: int, accounts: int) -> None:
        self._levels = levels
        self._dice = Random(f"script {seed}")
        self._orders = orders
        self._names = [f"acct-{number:02d}" for number in range(accounts)]
        self._placed: list[tuple[str, str]] = []
        self.lines: list[str] = []

    def write(self) -> str:
        """The whole script."""
        dice, levels = self._dice, self._levels
        span = (levels.last - levels.first).total_seconds()
        opening = sorted(dice.uniform(0, span / 50) for _ in self._names)
        for name, offset in zip(self._names, opening, strict=True):
            self._add(offset, name, "account.create", self._account())
        # Half at whole seconds: many commands at one moment, and many beside a message.
        offsets = sorted(
            float(round(at)) if dice.random() < 0.5 else at
            for at in (dice.uniform(span / 40, span) for _ in range(self._orders * 4 // 3))
        )
        placed = 0
        for offset in offsets:
            at = levels.first + timedelta(seconds=offset)
            if placed < self._orders and dice.random() < 0.78:
                placed += 1
                self._place(offset, at)
            else:
                self._other(offset, at)
        for _ in range(self._orders - placed):
            self._place(offsets[-1], levels.last)
        return "\n".join(self.lines) + "\n"

    def _add(self, offset: float, account: str, method: str, params: dict[str, Any]) -> None:
        at = _text(self._levels.first + timedelta(seconds=offset))
        self.lines.append(json.dumps({"at": at, "account": account, "method": method, "params": params}))

    def _account(self) -> dict[str, Any]:
        dice = self._dice
        params = {"type": dice.choice(("cash", "margin")), "cash": str(dice.choice((500, 5_000, 100_000, 2_000_000)))}
        if dice.random() < 0.7:
            params["profile"] = dice.choice(PROFILES)
        return params

    def _price(self, middle: float, spread: float = 0.01) -> str:
        return f"{middle * (1 + self._dice.gauss(0, spread)):.2f}"

    def _place(self, offset: float, at: datetime) -> None:
        dice = self._dice
        account = dice.choice(self._names)
        symbol, middle = self._levels.draw(dice, at)
        kind = dice.choice(TYPES)
        params: dict[str, Any] = {
            "symbol": symbol,
            "side": dice.choice(("buy", "buy", "sell")),
            "type": kind,
            "time_in_force": dice.choice(TIME_IN_FORCE.get(kind, ("day", "gtc"))),
        }
        if dice.random() < 0.12:
            params |= {"time_in_force": "day", "notional": str(dice.choice((1, 25, 999.5)))}
        elif dice.random() < 0.1:
            params |= {"time_in_force": "day", "qty": "1.25"}
        else:
            params["qty"] = str(dice.choice((1, 5, 20, 100, 700, 9_000)))
        if "limit" in kind:
            params["limit_price"] = self._price(middle, 0.003)
        if kind.startswith("stop"):
            params["stop_price"] = self._price(middle * (1.003 if params["side"] == "buy" else 0.997), 0.002)
        if kind == "limit" and params["time_in_force"] in ("day", "gtc") and dice.random() < 0.2:
            params["extended_hours"] = True
        if dice.random() < 0.7:
            client_id = f"c{len(self._placed)}"
            params["client_order_id"] = client_id
            self._placed.append((account, client_id))
        self._add(offset, account, "order.place", params)

    def _other(self, offset: float, at: datetime) -> None:
        dice = self._dice
        account = dice.choice(self._names)
        symbol, middle = self._levels.draw(dice, at)
        if self._placed and dice.random() < 0.5:
            # Mostly a recent order: it may still live.
            account, client_id = dice.choice(self._placed[-40:])
            if dice.random() < 0.5:
                self._add(offset, account, "order.cancel", {"client_order_id": client_id})
            else:
                change = {"qty": str(dice.choice((2, 30, 150)))} if dice.random() < 0.5 else {}
                if not change or dice.random() < 0.4:
                    change["limit_price"] = self._price(middle, 0.003)
                self._add(offset, account, "order.replace", {"client_order_id": client_id} | change)
            return
        method, params = dice.choice(
            (
                ("order.cancel_all", {}),
                ("position.close", {"symbol": symbol}),
                ("position.close", {"symbol": symbol, "percentage": "40"}),
                ("account.deposit", {"amount": "250.25"}),
                ("account.withdraw", {"amount": "100"}),
                ("account.configure", {"no_shorting": dice.random() < 0.5}),
                ("account.configure", {"profile": dice.choice((*PROFILES, "unheard-of"))}),
                ("order.place", {"symbol": symbol, "qty": 7}),
                ("order.place", {"symbol": "NOSUCH", "qty": "1", "side": "buy", "type": "market"}),
                ("order.place", {"symbol": symbol, "qty": "1e400", "side": "buy", "type": "market"}),
                ("order.invent", {"a": [1, {"b": None}]}),
                ("order.cancel", {"order_id": "00000000-0000-0000-0000-000000000000"}),
                ("account.create", {"type": "margin"}),
                ("account.close", {}),
            )
        )
        self._add(offset, account if dice.random() < 0.97 else "nobody", method, params)


def write_script(levels: Levels, seed: int, *, orders: int = 500, accounts: int = 50) -> str:
    """A script: at least ``orders`` placements over ``accounts`` accounts, with everything else among them."""
    return Writer(levels, seed, orders, accounts).write()
