"""May this account have this order of several legs now (alpaca-api §2.13, fill model §11).

Invariants: a unit is judged whole, as the book with all its legs filled; a leg that closes reserves its contracts,
and what a unit opens reserves buying power once. ``qty`` counts units; the limit is a net a share, positive for a
debit. A refusal about one leg names it. A stock leg obeys the rules of stock orders: borrowing, shorting, shares that
cover calls.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.book.instruments import CONTRACT_SHARES
from actors.book.rules.admission.closing import closing_refusal
from actors.book.rules.admission.options import (
    OptionLeg,
    date_refusal,
    free_contracts,
    intent_of,
    need_money,
)
from actors.book.rules.admission.unit_conflicts import short_stock_refusal, unit_conflict, unit_restriction
from actors.book.rules.admission.unit_form import ParsedLeg, ParsedUnit
from actors.book.rules.matching.multileg import LegQuote, sign_suspect, unit_quote
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import format_qty, value_money
from actors.book.view import buying_power
from actors.market.world import World

MAX_VALUE: Final = 9 * 10**18 // 1_000


class UnitNeed(Struct, frozen=True, gc=False):
    """What an admitted unit reserves, the net it was checked at, and what each leg does."""

    money: int
    qty: int
    """Units, when any leg closes something."""
    check_price: int
    intents: tuple[str, ...]


def check_unit(
    book: Book, unit: ParsedUnit, world: World, freed_money: int = 0, freed_qty: int = 0, but_not: int = 0
) -> UnitNeed | Refusal:
    """What the unit reserves, or why it is refused; the legs in their order, then the whole.

    ``but_not`` is the order that this one replaces; what that holds is free for it.
    """
    if unit.type == "market" and world.session is not None and world.phase != "core":
        return refuse("option_market_closed", "type")
    legs: list[OptionLeg] = []
    closing = 0
    for index, leg in enumerate(unit.legs):
        found = _check_leg(book, leg, index, unit, world, freed_qty)
        if type(found) is Refusal:
            return found
        legs.append(found)
        closing += found.intent.endswith("_to_close")
    if unit.type == "market":
        net = sum([leg.price * part.lots for leg, part in zip(legs, unit.legs, strict=True)])
    else:
        net = unit.limit_price
        if not unit.any_sign and book.profile not in world.any_sign and _is_sign_suspect(unit, world):
            return refuse("sign_suspect", "limit_price", market="a credit" if net > 0 else "a debit")
    if sum([value_money(leg.price, leg.qty, leg.instrument.multiplier) for leg in legs]) > MAX_VALUE:
        return refuse("number_too_large", "qty")
    cash = -value_money(net, unit.qty, CONTRACT_SHARES)
    refused = unit_restriction(book, legs, -cash, world) or unit_conflict(book, legs, but_not)
    if refused is not None:
        return refused
    if closing == len(legs):
        money = _closing_money(book, legs, cash, world, freed_money, but_not)
    else:
        money = need_money(book, legs, cash, world, freed_money, but_not)
    if type(money) is Refusal:
        return money
    return UnitNeed(money, unit.qty if closing else 0, net, tuple([leg.intent for leg in legs]))


def _is_sign_suspect(unit: ParsedUnit, world: World) -> bool:
    """Whether the limit has the sign that the market does not have, as far as every leg is quoted."""
    quotes = []
    for leg in unit.legs:
        slot = world.board.slots.get(leg.instrument.symbol)
        if slot is None or slot.quote is None or not slot.quote.ask:
            return False
        quotes.append(LegQuote(leg.lots, slot.quote.bid, slot.quote.ask))
    return sign_suspect(unit_quote(quotes), unit.limit_price)


def _check_leg(
    book: Book, leg: ParsedLeg, index: int, unit: ParsedUnit, world: World, freed_qty: int
) -> OptionLeg | Refusal:
    instrument, where = leg.instrument, f"legs.{index}"
    symbol = instrument.symbol
    intent = intent_of(book, symbol, leg.buying)
    if leg.position_intent and leg.position_intent != intent:
        return refuse(
            "position_intent_mismatch", f"{where}.position_intent", inferred=intent, specified=leg.position_intent
        )
    refused = None
    if instrument.asset_class == "us_option":
        refused = date_refusal(book, instrument, intent, world)
    elif intent == "sell_to_open":
        refused = short_stock_refusal(book, instrument, unit.qty * leg.ratio, world)
    if refused is not None:
        return refused
    slot = world.board.slots.get(symbol)
    quote = slot.quote if slot is not None else None
    price = (quote.ask if leg.buying else quote.bid) if quote is not None else 0
    price = price or world.mark(symbol)
    if not price and unit.type == "market":
        return refuse("no_market_price", f"{where}.symbol", symbol=symbol)
    qty = unit.qty * leg.ratio
    found = OptionLeg(instrument, leg.buying, qty, price, intent)
    if not intent.endswith("_to_close"):
        return found
    free = free_contracts(book, found) + freed_qty * leg.ratio
    if qty > free:
        position = book.positions.get(symbol)
        return refuse(
            "insufficient_qty", f"{where}.ratio_qty", symbol=symbol, requested=format_qty(qty),
            available=format_qty(free), existing_qty=format_qty(position.qty if position else 0),
            held_for_orders=format_qty(book.held.get(symbol, 0)),
        )  # fmt: skip
    return found


def _closing_money(
    book: Book, legs: list[OptionLeg], cash_money: int, world: World, freed_money: int, but_not: int
) -> int | Refusal:
    """What closes needs no margin, but leaves nothing uncovered, and a cash account pays for it."""
    if (refused := closing_refusal(book, legs, cash_money, "legs", world, but_not)) is not None:
        return refused
    if (
        book.type == "cash"
        and -cash_money > max(book.cash - book.reserved_money, buying_power(book, world)) + freed_money
    ):
        return refuse("insufficient_buying_power", "qty")
    return max(0, -cash_money) if book.type == "cash" else 0
