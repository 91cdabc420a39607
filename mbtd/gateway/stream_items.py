"""Messages of the market data streams, in Alpaca's shape (alpaca-api §5.2, §5.4).

Invariant: a message is rendered when first needed and once for each encoding, however many read it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.book.units import format_time
from actors.market.messages import Quote, Status, Trade
from mbtd.records.data import bar_at

OPTION_LENGTH: Final = 13
"""Symbols that are longer name contracts."""
encode_json = msgspec.json.Encoder().encode
encode_msgpack = msgspec.msgpack.Encoder().encode
_TAPE: Final = "C"


class Item:
    """One message to clients, rendered when first needed and once for each encoding."""

    __slots__ = ("_json", "_msgpack", "channel", "symbol", "what")

    def __init__(self, channel: str, symbol: str, what: Any) -> None:
        self.channel = channel
        self.symbol = symbol
        self.what = what
        self._json: bytes | None = None
        self._msgpack: bytes | None = None

    def encoded(self, msgpack: bool) -> bytes:
        """As bytes."""
        if msgpack:
            if self._msgpack is None:
                self._msgpack = encode_msgpack(render(self.channel, self.symbol, self.what, msgpack=True))
            return self._msgpack
        if self._json is None:
            self._json = encode_json(render(self.channel, self.symbol, self.what, msgpack=False))
        return self._json


def render(channel: str, symbol: str, what: Any, *, msgpack: bool) -> dict[str, Any]:
    """A message in Alpaca's shape. msgpack carries times as timestamps, JSON as text."""
    option = len(symbol) > OPTION_LENGTH
    at = bar_at(what.at)
    time: Any = timestamp(at) if msgpack else format_time(at)
    if isinstance(what, Quote):
        shown: dict[str, Any] = {
            "T": "q", "S": symbol, "bx": what.bid_exchange or "V", "bp": what.bid / 10_000, "bs": what.bid_size,
            "ax": what.ask_exchange or "V", "ap": what.ask / 10_000, "as": what.ask_size,
            "c": (what.condition or "A") if option else [what.condition or "R"], "t": time,
        }  # fmt: skip
        return shown if option else shown | {"z": _TAPE}
    if isinstance(what, Trade):
        shown = {
            "T": "t", "S": symbol, "x": what.exchange or "V", "p": what.price / 10_000, "s": what.size,
            "c": (what.conditions or "a") if option else list(what.conditions) or ["@"], "t": time,
        }  # fmt: skip
        return shown if option else shown | {"i": what.trade_id, "z": _TAPE}
    if isinstance(what, Status):
        halted = what.state != "trading"
        return {
            "T": "s", "S": symbol, "sc": "H" if halted else "T",
            "sm": "Trading Halt" if halted else "Trading Resumption", "rc": what.reason, "rm": what.reason,
            "t": time, "z": _TAPE,
        }  # fmt: skip
    return {
        "T": {"bars": "b", "updatedBars": "u"}.get(channel, "d"), "S": symbol, "o": what.open / 10_000,
        "h": what.high / 10_000, "l": what.low / 10_000, "c": what.close / 10_000, "v": what.volume,
        "n": what.count, "vw": what.vwap / 10_000, "t": time,
    }  # fmt: skip


def timestamp(at: int) -> msgspec.msgpack.Ext:
    """msgpack's timestamp, with nanoseconds, in its 96-bit form or the shorter 64-bit one."""
    seconds, nanos = divmod(at, 1_000_000_000)
    if seconds >> 34 == 0:
        return msgspec.msgpack.Ext(-1, ((nanos << 34) | seconds).to_bytes(8, "big"))
    return msgspec.msgpack.Ext(-1, nanos.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True))


def frame(items: list[bytes], msgpack: bool) -> bytes:
    """Messages as one array."""
    if not msgpack:
        return b"[" + b",".join(items) + b"]"
    count = len(items)
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(items)
