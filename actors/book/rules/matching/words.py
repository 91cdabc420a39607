"""Every reason for which an order fills, waits or ends in the market, with its sentence for users (fill model §18).

Invariant: no other reason leaves an evaluation, but ``leg:SYMBOL:REASON`` for the leg of a unit; each one here is
produced by a test.
"""

from __future__ import annotations

from typing import Final

FILLS: Final[dict[str, str]] = {
    "take": "The order could trade as soon as it met the market: it took what the other side of the quote offered.",
    "take_slice": "The rest of a market order took a further slice of the other side, each a tick worse.",
    "queue": "Prints at the order's price used up everybody who stood before it in the queue, and then reached it.",
    "print_through": "A print went through the order's price, so everything at that price must have traded.",
    "far_through": "The other side of the quote came to the resting order's limit and stayed there long enough.",
    "inside": "The limit stood far enough into the spread, for long enough, for somebody to come and meet it.",
    "auction_open": "The order took part in the official print of the opening auction.",
    "auction_close": "The order took part in the official print of the closing auction.",
    "auction_halt": "The order took part in the auction that reopened trading after a halt.",
    "parity_partial": "The profile fills one eligible event in ten only in part; the draw said so.",
}
WAITS: Final[dict[str, str]] = {
    "latency": "The order is still on its way to the market.",
    "trading_disabled": "Trading is switched off on this server; nothing is matched.",
    "market_data_disabled": "Market data is switched off on this server; orders wait.",
    "no_live_quote": "There has been no live quote for the symbol since the feed subscribed to it.",
    "halted": "Trading in the symbol, or in the stock under the option, is halted.",
    "session": "The order may not trade in this session of the market; it waits for the next one.",
    "feed_dead": "The market data feed is down; nothing fills until it is back.",
    "no_far_side": "Nobody quotes the side that the order needs.",
    "crossed": "The quote is crossed (bid above ask) and is not trusted.",
    "luld": "The quote lies outside the symbol's price band.",
    "stale": "The quote is old, and what has traded or moved since says that it means nothing any more.",
    "wide": "The option's quote is so wide that a market order would pay too much; it waits for a better one.",
    "not_marketable": "The market has not reached the order's limit.",
    "queue_ahead": "The order stands at the best price; those who came before it must trade or leave first.",
    "dwell": "The market is at the limit; it must stay there a moment longer.",
    "reslice": "The rest of the order waits for the next quote after the last slice.",
    "consumed": "This account has already taken what the other side of the quote shows.",
    "collar": "The market has moved further than a market order may follow it.",
    "max_slices": "The market order has taken as many slices as its fill profile allows; the rest waits for its end.",
    "ssr": "Short sales of this stock must be above the bid today, so the order rests a tick above it.",
    "payoff_bound": "The quotes together ask for more than the legs can ever pay, so one of them is not trusted.",
    "awaiting_print": "The order waits for the official print of its auction.",
    "stop": "The stop has not been elected: the market has not reached it.",
    "held": "The order waits at the broker until the order it belongs to fills, or the orders before it have ended.",
}
ENDS: Final[dict[str, str]] = {
    "fok_unfillable": "Not all of the order could be filled at once, so none was.",
    "ioc_remainder": "What could not be filled at once was cancelled.",
    "no_auction_print": "The auction of this order printed nothing in time.",
    "expired": "The order's time in force ended.",
    "user_cancel": "The owner cancelled the order.",
    "exit_filled": "The other exit of its group filled.",
    "group_ended": "Another order of its group was cancelled or ended, and the group ends together.",
    "nothing_to_close": "When the orders before it had ended, nothing was left to close.",
    "corporate_action": "A corporate action changed the security, and an order of this kind does not go on over it.",
    "margin_call": "The account is in a margin call, and what it had on order gives way to the selling.",
    "borrow_recalled": "The lender of the shares wants them back, so no more of them may be sold short.",
    "buy_in": "Shares that the account was short of had to be bought back, and its other orders in them gave way.",
    "option_settled": "The option has ended: it expired, or it was exercised or assigned.",
    "expiry_close_out": "The contract ends today and the account could not settle it, so the broker closes it.",
    "structure_exit": "A profit target or stop of the structure acts, and its order takes the place of this one.",
    "account_reset": "The account was reset.",
    "buying_power": "The price ran away and the account could not pay for the rest.",
}
SENTENCES: Final[dict[str, str]] = FILLS | WAITS | ENDS


_LEGS: Final = {"wide": "Its quote is so wide that no price of several legs is taken from it."}
"""Of legs, where a single order is told something else."""


def sentence(reason: str) -> str:
    """What a reason means; of ``leg:SYMBOL:REASON`` which leg it is about. Empty when there is none."""
    kind, _, rest = reason.partition(":")
    symbol, _, own = rest.partition(":")
    if kind == "leg" and own in WAITS:
        return f"The leg {symbol} holds the whole unit back. {_LEGS.get(own, WAITS[own])}"
    return SENTENCES.get(reason, "")
