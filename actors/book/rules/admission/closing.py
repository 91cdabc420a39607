"""Whether closing something leaves a short contract without its cover (alpaca-api §2.13).

Invariants: below the uncovered level, and in a cash account, no order is taken that could leave one more short call
uncovered, whichever of the open orders fill and whichever do not; puts may be left to cash that is free for them.
Known limits: assignments, exercises by exception and corporate actions may uncover; nobody chose that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from actors.book.instruments import CONTRACT_SHARES
from actors.book.osi import is_option_symbol
from actors.book.rules.admission.options import (
    OptionLeg,
    change_of,
    free_money,
    leg_value,
    open_changes,
    reserved_by_options,
)
from actors.book.rules.admission.risks import moved, needs_cover, open_risks, quantities, uncovers
from actors.book.rules.margin.holdings import holdings_of
from actors.book.rules.margin.orders import (
    UNCOVERED_LEVEL,
    Change,
    apply,
    calls_at_risk,
    cover,
    reservation,
    secured_need,
)
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE, format_qty
from actors.book.view import figures, trade_date
from actors.market.world import World

_LOT_QTY = CONTRACT_SHARES * QTY_PER_SHARE


def uncovering(book: Book, symbol: str, buying: bool, qty: int, world: World, but_not: int = 0) -> Refusal | None:
    """Why so much of a position cannot be closed: it would uncover something short. ``but_not`` is its order."""
    instrument = world.instruments.by_symbol[symbol]
    if instrument.is_option:
        leg = OptionLeg(instrument, buying, qty, world.mark(symbol), "")
        return closing_refusal(book, [leg], leg_value(leg), "position_intent", world, but_not)
    return None if buying else covering_refusal(book, symbol, qty, world, but_not)


def closing_refusal(
    book: Book, legs: Sequence[OptionLeg], cash_money: int, field: str, world: World, but_not: int = 0
) -> Refusal | None:
    """Why long contracts cannot be sold: a short one beside them would be left uncovered (alpaca-api §2.13).

    Whichever open orders fill: what they may sell covers nothing any more, what they may buy nothing yet. ``but_not``
    is none of them.
    """
    if all(leg.buying for leg in legs):
        return None
    change = moved((leg.instrument, leg.qty if leg.buying else -leg.qty) for leg in legs)
    if needs_cover(book) and uncovers(book, change, world, but_not):
        return refuse("uncovered_short", field)
    if book.options_level < UNCOVERED_LEVEL and not _puts_secured(book, legs, cash_money, world, but_not):
        return refuse("uncovered_short", field)
    return None


def _puts_secured(book: Book, legs: Sequence[OptionLeg], cash_money: int, world: World, but_not: int) -> bool:
    """Whether short puts keep a long one, or free money secures those that are left without (§4.7)."""
    held = holdings_of(book, world, trade_date(world), book.cash)
    change = change_of(legs, cash_money, world)
    if held is None or isinstance(change, Refusal):
        return True
    left = held
    for other in open_changes(book, world, but_not):
        sold = tuple(option for option in other.options if option.qty < 0)
        left = apply(left, Change(0, sold, (), other.underlyings))
    if cover(apply(left, change)).by_cash <= cover(left).by_cash:
        return True
    f = figures(book, world)
    held = holdings_of(book, world, trade_date(world), book.cash - f.accrued_money)
    assert held is not None, "it was known before"
    profile = profile_of(book.margin_profile, book.type)
    others, free = open_changes(book, world, but_not), free_money(book, f, 0)
    needed = reservation(world.requirements, profile, book.options_level, held, others, change)
    at_strikes = secured_need(world.requirements, profile, book.options_level, held, others, change)
    promised = reserved_by_options(book, but_not) if at_strikes else 0
    return needed * f.multiplier <= free and at_strikes * f.multiplier <= free + promised


def covering_refusal(book: Book, symbol: str, qty: int, world: World, but_not: int = 0) -> Refusal | None:
    """Why shares cannot be sold: they cover short calls, held or on order (alpaca-api §2.13)."""
    if not _may_matter(book) or not uncovers(book, _sale(symbol, qty), world, but_not):
        return None
    free = free_of_cover_qty(book, symbol, world, but_not) or 0
    position = book.positions.get(symbol)
    return refuse(
        "shares_cover_calls", "qty", symbol=symbol, requested=format_qty(qty), available=format_qty(free),
        existing_qty=format_qty(position.qty if position is not None else 0),
        held_for_orders=format_qty(book.held.get(symbol, 0)),
    )  # fmt: skip


def free_of_cover_qty(book: Book, symbol: str, world: World, but_not: int = 0) -> int | None:
    """How many shares can be sold beside open orders without uncovering a call; None when calls do not limit it."""
    if not _may_matter(book):
        return None
    name = frozenset((symbol,))
    held, risks = quantities(book, world, name), open_risks(book, world, name, but_not)
    on_order = sum([qty for risk in risks if not risk.options for _, qty in risk.stock])
    free = held.stock.get(symbol, 0) + on_order
    before = calls_at_risk(held, risks)
    if free <= 0 or calls_at_risk(held, (*risks, _sale(symbol, free))) <= before:
        return None

    def is_enough(lots: int) -> bool:
        return calls_at_risk(held, (*risks, _sale(symbol, max(0, free - lots * _LOT_QTY)))) <= before

    kept = bisect_left(range(free // _LOT_QTY + 1), True, key=is_enough)
    return max(0, free - kept * _LOT_QTY)


def _may_matter(book: Book) -> bool:
    """Whether there can be short calls that have to be covered."""
    orders = any(is_option_symbol(key[1:]) for key in book.open_sides)
    return needs_cover(book) and (orders or any(is_option_symbol(held) for held in book.positions))


def _sale(symbol: str, qty: int) -> Change:
    return Change(0, (), ((symbol, -qty),))
