"""Quotes, prints and bars in the shape of Alpaca's market data (alpaca-api §5.2), prices as decimal texts.

Invariant: one rendering for snapshots, history and streams; times are RFC 3339 UTC with nanoseconds.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from actors.book.instruments import Instrument
from actors.book.units import NS_PER_SECOND, format_price, format_time
from actors.market.messages import Quote, Trade
from mbtd.market.bars import Bar

_NEW_YORK = ZoneInfo("America/New_York")
_TAPES = {"NASDAQ": "C", "NYSE": "A"}
_LAST_DATE = 99_991_231


def tape_of(instrument: Instrument | None) -> str:
    """The consolidated tape that an instrument prints on."""
    return _TAPES.get(instrument.exchange, "B") if instrument is not None else "C"


def data_quote(quote: Quote, tape: str | None) -> dict[str, Any]:
    """A quote; ``tape`` is None for options."""
    shown: dict[str, Any] = {
        "t": format_time(quote.at),
        "bx": quote.bid_exchange or "V",
        "bp": format_price(quote.bid),
        "bs": quote.bid_size,
        "ax": quote.ask_exchange or "V",
        "ap": format_price(quote.ask),
        "as": quote.ask_size,
    }
    if tape is None:
        shown["c"] = quote.condition or "A"
    else:
        shown |= {"c": [quote.condition or "R"], "z": tape}
    return shown


def data_trade(trade: Trade, tape: str | None) -> dict[str, Any]:
    """A print; ``tape`` is None for options."""
    shown: dict[str, Any] = {
        "t": format_time(trade.at),
        "x": trade.exchange or "V",
        "p": format_price(trade.price),
        "s": trade.size,
    }
    if tape is None:
        shown["c"] = trade.conditions or "a"
    else:
        shown |= {"c": list(trade.conditions) or ["@"], "i": trade.trade_id, "z": tape}
    return shown


def data_bar(bar: Bar) -> dict[str, Any]:
    """A bar; a daily one is stamped with midnight in New York."""
    return {
        "t": format_time(bar_at(bar.at)),
        "o": format_price(bar.open),
        "h": format_price(bar.high),
        "l": format_price(bar.low),
        "c": format_price(bar.close),
        "v": bar.volume,
        "n": bar.count,
        "vw": format_price(bar.vwap),
    }


def bar_at(at: int) -> int:
    """The instant that a bar begins: of a daily one, midnight in New York of its trade date."""
    return midnight(at) if at <= _LAST_DATE else at


@lru_cache(maxsize=4_096)
def midnight(day: int) -> int:
    """Midnight in New York of a date YYYYMMDD, in nanoseconds UTC."""
    begin = datetime(day // 10_000, day // 100 % 100, day % 100, tzinfo=_NEW_YORK)
    return int(begin.timestamp()) * NS_PER_SECOND
