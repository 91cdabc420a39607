"""Requests for every method, right and wrong, and bytes that were requests once. Everything from one seed."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

ORDER = {
    "account": "fuzz-0", "symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.00",
    "time_in_force": "day",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "session.hello": {},
    "account.create": {"name": "fuzz-x", "type": "margin", "tier": "free", "cash": "1000", "options_level": 2},
    "account.get": {"account": "fuzz-0"},
    "account.list": {"limit": 5},
    "account.configure": {"account": "fuzz-1", "no_shorting": True, "max_margin_multiplier": "2"},
    "account.deposit": {"account": "fuzz-0", "amount": "10.50"},
    "account.withdraw": {"account": "fuzz-0", "amount": "1"},
    "account.reset": {"account": "fuzz-2", "cash": "5"},
    "account.close": {"account": "fuzz-2"},
    "order.place": ORDER,
    "order.preview": ORDER,
    "order.replace": {"account": "fuzz-0", "client_order_id": "c1", "qty": "2"},
    "order.cancel": {"account": "fuzz-0", "client_order_id": "c1"},
    "order.cancel_all": {"account": "fuzz-0"},
    "order.get": {"account": "fuzz-0", "client_order_id": "c1"},
    "order.list": {"account": "fuzz-0", "status": "all", "limit": 5, "after": "2026-01-01T00:00:00Z"},
    "order.rules": {},
    "order.why": {"order_id": "0", "account": "fuzz-0"},
    "position.list": {"account": "fuzz-0"},
    "position.get": {"account": "fuzz-0", "symbol": "AAPL"},
    "position.close": {"account": "fuzz-0", "symbol": "AAPL", "percentage": "50"},
    "position.close_all": {"account": "fuzz-0"},
    "structure.list": {"account": "fuzz-0"},
    "structure.close_preview": {"account": "fuzz-0", "structure_id": "1", "qty": "1"},
    "fill.list": {"account": "fuzz-0", "limit": 5},
    "fill.why": {"fill_id": "0"},
    "activity.list": {"account": "fuzz-0", "activity_types": ["JNLC"], "limit": 5},
    "history.portfolio": {"account": "fuzz-0"},
    "quote.get": {"symbol": "AAPL"},
    "asset.list": {"limit": 3},
    "asset.get": {"symbol": "AAPL"},
    "option.chain": {"underlying_symbol": "AAPL"},
    "calendar.list": {"start": "2026-01-01", "end": "2026-01-31"},
    "clock.get": {},
    "stream.subscribe": {"topics": ["account:fuzz-0", "quotes:AAPL"]},
    "stream.unsubscribe": {},
    "health.get": {},
    "admin.stop": {},
}
TEXTS = (
    "", "0", "-1", "1", "1.5", "0.0000000001", "1e5", "1e400", "NaN", "Infinity", "-0", "+1", " 1", "1\n", "١٢٣",
    "１", "9" * 30, "9007199254740993", "9223372036854775807", "9223372036854775808", "0x10", "1_000", "1,000",
    "buy", "sell", "market", "stop", "stop_limit", "gtc", "ioc", "fok", "AAPL", "SPY", "NOSUCH",
    "AAPL261218C00100000", "fuzz-0", "fuzz-1",
    "fuzz-2", "\u0000", "\ud83d\ude00", "\u202e", "\ud800", "é" * 70, "a" * 200,
    "2026-02-30", "2026-11-24T25:00:00Z",
    "2026-11-24T10:00:00.1234567890Z", "9999-12-31", "0001-01-01T00:00:00Z", "quotes:AAPL", "account:",
    "account:fuzz-0",     "'; DROP TABLE journal; --", "%s%n", "../../etc/passwd", "{field}", "null", "c1", "c2",
)  # fmt: skip
NUMBERS = (0, 1, -1, 500, 501, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**40, -(2**63), 0.1, -0.0, 1e308)
EXTRA = (
    "account", "qty", "notional", "limit_price", "stop_price", "trail_percent", "order_class", "legs", "take_profit",
    "extended_hours", "client_order_id", "position_intent", "page_token", "direction", "until", "from_n",
    "do", "", "x",
)  # fmt: skip


class Grammar:
    """Draws requests."""

    def __init__(self, seed: str) -> None:
        self.dice = Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        dice = self.dice
        draw = dice.random()
        if draw < 0.5:
            return dice.choice(TEXTS)
        if draw < 0.7:
            return dice.choice(NUMBERS)
        if draw < 0.85 or depth > 3:
            return dice.choice((None, True, False))
        if draw < 0.93:
            return [self.value(depth + 1) for _ in range(dice.randint(0, 4))]
        return {str(dice.choice(TEXTS + EXTRA)): self.value(depth + 1) for _ in range(dice.randint(0, 4))}

    def params(self, method: str) -> Any:
        """Parameters of a method, some of them wrong."""
        dice = self.dice
        params = dict(METHODS[method])
        if method in ("order.place", "account.create") and dice.random() < 0.5:
            params["client_order_id" if method == "order.place" else "name"] = f"u{dice.randrange(10**9)}"
        if method == "order.place" and dice.random() < 0.5:
            kind = dice.choice(("market", "limit", "stop", "stop_limit"))
            params |= {"type": kind, "side": dice.choice(("buy", "sell")), "symbol": dice.choice(("AAPL", "SPY"))}
            if "limit" not in kind:
                params.pop("limit_price")
            if "stop" in kind:
                params["stop_price"] = str(dice.choice((1, 100, 300, 5_000)))
        for _ in range(dice.choice((0, 0, 1, 1, 2, 4))):
            change = dice.random()
            if params and change < 0.5:
                params[dice.choice(list(params))] = self.value()
            elif params and change < 0.65:
                params.pop(dice.choice(list(params)))
            else:
                params[dice.choice(EXTRA)] = self.value()
        if method in ("account.close", "account.reset") and "account" in params:
            # The other accounts stay open, so that their orders meet more than a closed account.
            params["account"] = "fuzz-2"
        return params if dice.random() < 0.97 else self.value()

    def request(self, request_id: int) -> bytes:
        """One request line with a good id: it must get exactly one answer."""
        dice = self.dice
        method = dice.choice(list(METHODS))
        line: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": self.params(method)}
        draw = dice.random()
        if draw < 0.03:
            line["method"] = self.value()
        elif draw < 0.05:
            line["jsonrpc"] = self.value()
        elif draw < 0.07:
            line[dice.choice(EXTRA)] = self.value()
        elif draw < 0.1:
            line["deadline_ms"] = self.value()
        elif draw < 0.13:
            line["deadline_ms"] = dice.choice((0, 1, 1000))
        elif draw < 0.15:
            line.pop(dice.choice(("jsonrpc", "method", "params")))
        text = json.dumps(line, ensure_ascii=dice.random() < 0.5)
        if draw > 0.97:
            deep = dice.choice((10, 500, 2_000, 20_000))
            text = text[:-1] + ', "params": ' + "[" * deep + "]" * deep + "}"
        return text.encode("utf-8", "replace") + b"\n"

    def soup(self) -> bytes:
        """Bytes that mean nothing, or nearly something."""
        dice = self.dice
        draw = dice.random()
        if draw < 0.3:
            return dice.randbytes(dice.randint(1, 400))
        if draw < 0.4:
            opening = dice.choice((b"[", b'{"a":', b"[{", b'"', b"-", b"\xff\xfe"))
            return opening * dice.choice((1, 100, 20_000, 70_000)) + b"\n" * dice.randint(0, 1)
        if draw < 0.45:
            return dice.choice(
                (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\n\n\n", b"\r\n", b"\x16\x03\x01\x02\x00", b"null\n")
            )
        data = bytearray(self.request(dice.randrange(1 << 30)))
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(data))
            change = dice.random()
            if change < 0.4:
                data[at] = dice.randrange(256)
            elif change < 0.6:
                del data[at : at + dice.randint(1, 10)]
                data = data or bytearray(b"{")
            elif change < 0.8:
                data[at:at] = dice.randbytes(dice.randint(1, 5))
            else:
                data[at:at] = data[: dice.randint(1, 40)]
        return bytes(data)

    def chunks(self, data: bytes) -> list[bytes]:
        """The same bytes in arbitrary pieces, seldom in very many."""
        dice = self.dice
        if dice.random() < 0.4:
            return [data]
        cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randint(1, 12)))
        edges = [0, *cuts, len(data)]
        return [data[start:end] for start, end in itertools.pairwise(edges) if end > start]
