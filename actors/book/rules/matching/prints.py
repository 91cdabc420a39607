"""Which prints are evidence, who was the aggressor, and what a print gives a resting order (fill model §3, §10).

Invariants: a print from a trade reporting facility, an odd lot of a stock, or one that is late, averaged, priced
elsewhere or part of a package elects no stop and fills nothing. Missing exchange or conditions are taken as good.
"""

from __future__ import annotations

from typing import Final

from actors.book.rules.matching.profiles import Numbers
from actors.market.messages import Quote, Trade

NOT_EXCHANGE: Final = ("D",)
"""Exchange codes of trade reporting facilities."""
ROUND_LOT: Final = 100
_STOCK_BAD: Final = frozenset("BCGHILMNPQRUVWZ4789")
"""Odd lot, late, out of sequence, averaged, prior reference, derived, contingent, seller's, official re-prints."""
_OPTION_BAD: Final = frozenset("ABCDEGHabcdefghijklmnopqrstuv")
"""Cancelled, late, out of sequence; auctions, crosses, floor, multi-leg, stock-option and proprietary trades."""

BUYER, SELLER, EITHER = 1, -1, 0


def is_eligible(trade: Trade, option: bool) -> bool:
    """Whether a print may elect stops, move queues, fill and make a quote stale."""
    if trade.exchange in NOT_EXCHANGE or trade.price <= 0:
        return False
    conditions = trade.conditions
    if option:
        return not conditions or _OPTION_BAD.isdisjoint(conditions)
    if not conditions:
        return trade.size >= ROUND_LOT
    return _STOCK_BAD.isdisjoint(conditions)


def aggressor(price: int, quote: Quote | None) -> int:
    """Who aggressed, by the quote in force before the print: below its middle the seller, above it the buyer."""
    if quote is None or quote.bid <= 0 or quote.ask <= 0:
        return EITHER
    doubled = 2 * price - quote.bid - quote.ask
    return BUYER if doubled > 0 else SELLER if doubled < 0 else EITHER


def usable_size(size: int, numbers: Numbers, bars: bool, extended: bool) -> int:
    """Whole shares or contracts of a print that one account may have."""
    usable = size * (numbers.bar_print_ppm if bars else numbers.live_print_ppm) // 1_000_000
    return usable // 2 if extended else usable
