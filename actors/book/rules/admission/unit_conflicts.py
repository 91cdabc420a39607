"""What an account may not do with a unit whatever its money: the account's standing, and its other open orders.

Invariants: the same rules as for orders in one instrument (:mod:`actors.book.rules.admission.money`,
:mod:`actors.book.rules.admission.conflicts`), looked at leg by leg; the first leg that is refused names the reason.
A leg has no price of its own, so an open order on the other side of its symbol stands in its way as it would in that
of a market order. Rule sources: alpaca-api §2.12, rules §8, margin-and-options §1, §4.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.book.instruments import Instrument
from actors.book.rules.admission.conflicts import named
from actors.book.rules.admission.money import borrow_refusal_of, day_trade_refusal, debt_refusal, unsettled_sale
from actors.book.rules.admission.options import OptionLeg
from actors.book.rules.margin.pairing import BOUNDS
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.trailing import trails
from actors.book.state.book import Book
from actors.book.view import figures, may_short, trade_date
from actors.market.world import World


def unit_restriction(book: Book, legs: Sequence[OptionLeg], cost_money: int, world: World) -> Refusal | None:
    """Why the account's standing does not allow the unit: a call, a freeze, day trades, unsettled money."""
    money = book.money
    if money is None:
        return None
    opening = [leg for leg in legs if leg.intent.endswith("_to_open")]
    if opening and money.call.state in ("call", "liquidating"):
        return refuse("margin_call")
    today = trade_date(world)
    if opening and (money.intraday is not None or money.day_trade_calls):
        adds_debt = any(not leg.buying for leg in opening) or book.cash - book.reserved_money < cost_money
        if adds_debt and (frozen := debt_refusal(book, today)) is not None:
            return frozen
    if money.day_trading is not None and book.type == "margin":
        for leg in legs:
            opens = leg.intent.endswith("_to_open")
            refused = day_trade_refusal(book, leg.instrument.symbol, leg.buying, world, opens, today)
            if refused is not None:
                return refused
    if money.unpaid and book.rules().unsettled_sales == "refuse":
        for leg in legs:
            refused = unsettled_sale(book, leg.instrument.symbol, today) if leg.intent == "sell_to_close" else None
            if refused is not None:
                return refused
    return None


def unit_conflict(book: Book, legs: Sequence[OptionLeg], but_not: int = 0) -> Refusal | None:
    """The open order of the other side of a leg that stands in the way; ``but_not`` is one that is replaced."""
    for leg in legs:
        symbol = leg.instrument.symbol
        if ("-" if leg.buying else "+") + symbol not in book.open_sides:
            continue
        opening = leg.intent.endswith("_to_open")
        for order_no in sorted(book.orders):
            terms = book.orders[order_no].terms
            if order_no == but_not:
                continue
            for part in terms.legs or (terms,):
                if part.symbol != symbol or (part.side == "buy") == leg.buying:
                    continue
                if opening and part.position_intent.endswith("_to_open"):
                    return named("buy_while_shorting" if leg.buying else "short_while_buying", terms)
                if not terms.group_no and not terms.waits_for and not trails(terms):
                    market = terms.legs or terms.type in ("market", "stop")
                    kind = "market/stop" if market else "limit"
                    return named("wash_trade", terms, reject_reason=f"opposite side {kind} order exists")
    return None


def short_stock_refusal(book: Book, instrument: Instrument, qty: int, world: World) -> Refusal | None:
    """Why the stock leg may not be sold short."""
    symbol = instrument.symbol
    if not may_short(book, figures(book, world, BOUNDS).equity_money):
        return refuse("shorting_not_allowed", "legs", symbol=symbol)
    if not instrument.shortable:
        return refuse("asset_not_shortable", "legs", symbol=symbol)
    return borrow_refusal_of(book, instrument, qty, world)
