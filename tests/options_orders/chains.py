"""The chain of a recording at any moment, and structures drawn from it: what replays and benches trade.

Invariants: everything follows from the recording and the dice handed in; a structure is drawn only from contracts that
have a two-sided quote at that moment. Prices are price units, ratios signed contracts (for the stock: shares).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.matching.multileg import LOT_SHARES, LegQuote, UnitQuote, outside_payoff, unit_quote
from actors.market.messages import Quote
from mbtd.market.calendar import Calendar
from mbtd.market.recordings import Recording, open_recordings

CENT: Final = 100
FRESH_NS: Final = 30 * 60 * 1_000_000_000
"""A contract whose last quote is older is left alone."""
Legs = list[tuple[str, int]]


class Shape(Struct, frozen=True):
    """A structure: its name and its legs."""

    name: str
    legs: tuple[tuple[str, int], ...]


class Chain:
    """All quotes of one recording of a stock and its options, by symbol and time."""

    def __init__(self, path: Path) -> None:
        self.recording: Recording = open_recordings([path])
        self.instruments: dict[str, Instrument] = {i.symbol: i for i in self.recording.instruments(Calendar())}
        self._at: dict[str, list[int]] = defaultdict(list)
        self._sides: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for message in self.recording.messages():
            if isinstance(message, Quote):
                self._at[message.symbol].append(message.at)
                self._sides[message.symbol].append((message.bid, message.ask))
        self.stock = next(symbol for symbol, i in self.instruments.items() if not i.is_option)
        self.first_at, self.last_at = self.recording.first_at, self.recording.last_at
        by_expiry: dict[int, set[int]] = defaultdict(set)
        self._symbols: dict[tuple[int, str, int], str] = {}
        for symbol, i in sorted(self.instruments.items()):
            if i.is_option and symbol in self._at:
                by_expiry[i.expiry_date].add(i.strike)
                self._symbols[i.expiry_date, i.right, i.strike] = symbol
        self.expiries = sorted(by_expiry)
        self._strikes = {expiry: sorted(strikes) for expiry, strikes in by_expiry.items()}

    def sides(self, symbol: str, at: int) -> tuple[int, int] | None:
        """Bid and ask standing at a moment; None when a side is missing, crossed or long ago."""
        times = self._at.get(symbol, [])
        place = bisect_right(times, at) - 1
        if place < 0 or at - times[place] > FRESH_NS:
            return None
        bid, ask = self._sides[symbol][place]
        return (bid, ask) if 0 < bid <= ask else None

    def quote(self, legs: tuple[tuple[str, int], ...], at: int) -> UnitQuote | None:
        """What a unit costs; None when a leg has no two sides."""
        found = []
        for symbol, ratio in legs:
            sides = self.sides(symbol, at)
            if sides is None:
                return None
            found.append(LegQuote(ratio // LOT_SHARES if symbol == self.stock else ratio, *sides))
        return unit_quote(found)

    def outside_payoff(self, legs: tuple[tuple[str, int], ...], net: int) -> bool:
        """Whether a net of contracts of one expiry is more than they can pay."""
        found = [(i.right == "call", i.strike, ratio) for symbol, ratio in legs for i in (self.instruments[symbol],)]
        return outside_payoff(found, net)

    def near_money(self, expiry: int, at: int, width: int) -> list[int]:
        """Strikes around the stock's price with both contracts quoted, at most ``width`` on either side."""
        spot = self.sides(self.stock, at)
        if spot is None:
            return []
        middle = (spot[0] + spot[1]) // 2
        good = [
            strike
            for strike in self._strikes[expiry]
            if all(
                (symbol := self._symbols.get((expiry, right, strike))) is not None and self.sides(symbol, at)
                for right in ("call", "put")
            )
        ]
        below = [strike for strike in good if strike <= middle][-width:]
        return below + [strike for strike in good if strike > middle][:width]

    def symbol(self, expiry: int, right: str, strike: int) -> str:
        """The contract of these terms."""
        return self._symbols[expiry, right, strike]

    def draw(self, kind: str, dice: Random, at: int, expiries: list[int] | None = None) -> Shape | None:
        """A structure of a kind at a moment; None when the chain has none of it."""
        expiry = dice.choice(expiries or self.expiries)
        strikes = self.near_money(expiry, at, 4)
        if len(strikes) < 6:
            return None

        def leg(right: str, place: int, ratio: int) -> tuple[str, int]:
            return self.symbol(expiry, right, strikes[place]), ratio

        right = dice.choice(("call", "put"))
        way = dice.choice((1, -1))
        low = dice.randrange(len(strikes) - 2)
        match kind:
            case "single":
                legs = [leg(right, low, way)]
            case "cash_secured_put":
                legs = [leg("put", low // 2, -1)]
            case "vertical":
                legs = [leg(right, low, way), leg(right, low + 1, -way)]
            case "strangle":
                legs = [leg("put", 1, way), leg("call", len(strikes) - 2, way)]
            case "butterfly":
                legs = [leg(right, low, way), leg(right, low + 1, -2 * way), leg(right, low + 2, way)]
            case "condor":
                legs = [leg("put", 0, way), leg("put", 1, -way), leg("call", -2, -way), leg("call", -1, way)]
            case "covered_call":
                legs = [(self.stock, LOT_SHARES), leg("call", len(strikes) - 1 - low // 2, -1)]
            case _:
                raise ValueError(f"there is no structure {kind!r}")
        return Shape(kind, tuple(legs))
