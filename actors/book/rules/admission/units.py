"""Orders of several legs: reading them, and whether this account may have one (alpaca-api §2.13, fill model §11).

Invariants: a unit is judged whole, as the book with all its legs filled; a leg that closes reserves its contracts,
and what a unit opens reserves buying power once. ``qty`` counts units; the limit is a net a share, positive for a
debit. A refusal about one leg names it. Known limit: legs are contracts; a stock leg is refused.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from actors.book.instruments import CONTRACT_SHARES, Instrument, Instruments
from actors.book.rules.admission.options import (
    OptionLeg,
    change_of,
    date_refusal,
    free_contracts,
    intent_of,
    need_money,
)
from actors.book.rules.margin.holdings import holdings_of
from actors.book.rules.margin.orders import UNCOVERED_LEVEL, level_needed
from actors.book.rules.matching.multileg import LEGS_MAX, NET_TICK_PRICE, LegQuote, UnitLeg, invalid, sign_suspect
from actors.book.rules.matching.multileg import unit_quote as unit_quote
from actors.book.rules.matrix import CLIENT_ORDER_ID_MAX, INTENTS, OPTIONS, SIDES
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE, BadNumber, format_qty, parse_price, parse_qty, value_money
from actors.book.view import buying_power, trade_date
from actors.commands import OrderLeg, PlaceOrder
from actors.market.world import World

_encoder = msgspec.msgpack.Encoder()
MAX_VALUE = 9 * 10**18 // 1_000


class ParsedLeg(Struct, frozen=True, gc=False):
    """A leg as it was meant."""

    instrument: Instrument
    buying: bool
    ratio: int
    position_intent: str
    """Empty: whatever the side does to the position."""


class ParsedUnit(Struct, frozen=True, gc=False):
    """What of an order of several legs is not as in other orders."""

    type: str
    qty: int
    limit_price: int
    """Net; meaningless for a market order."""
    legs: tuple[ParsedLeg, ...]
    fingerprint: int


def parse_unit(action: PlaceOrder, instruments: Instruments) -> ParsedUnit | Refusal:
    """Read an order of several legs, or say what is wrong with it."""
    if action.client_order_id is not None and not 0 < len(action.client_order_id) <= CLIENT_ORDER_ID_MAX:
        return refuse("client_order_id_too_long", "client_order_id")
    for name in ("symbol", "side", "position_intent", "notional", "stop_price", "trail_price", "trail_percent",
                 "take_profit", "stop_loss"):  # fmt: skip
        if getattr(action, name) is not None:
            return refuse("mleg_field", name, field=name)
    if not action.legs:
        return refuse("legs_required", "legs")
    if (action.type or "") not in OPTIONS.types:
        return refuse("option_order_type", "type")
    if (action.time_in_force or "day") not in OPTIONS.time_in_force:
        return refuse("option_time_in_force", "time_in_force")
    if action.extended_hours:
        return refuse("option_extended_hours", "extended_hours")
    qty = _whole(action.qty)
    if not qty:
        return refuse("option_whole_contracts", "qty")
    limit = _limit(action)
    if isinstance(limit, Refusal):
        return limit
    legs = []
    for index, given in enumerate(action.legs[: LEGS_MAX + 1]):
        leg = _leg(given, index, instruments)
        if isinstance(leg, Refusal):
            return leg
        legs.append(leg)
    problem = invalid(
        [UnitLeg(leg.instrument.symbol, leg.instrument.underlying or leg.instrument.symbol,
                 leg.ratio if leg.buying else -leg.ratio, not leg.instrument.is_option) for leg in legs],
        stock_allowed=False,
    )  # fmt: skip
    if problem is not None:
        return refuse(problem.reason, "legs", leg=problem.leg, most=str(LEGS_MAX))
    words = (action.type, qty, limit, [(g.symbol, g.ratio_qty, g.side, g.position_intent) for g in action.legs])
    digest = blake2b(_encoder.encode(words), digest_size=4).digest()
    return ParsedUnit(action.type or "", qty, limit, tuple(legs), int.from_bytes(digest, "big") >> 7)


def _whole(text: str | None) -> int:
    try:
        qty = parse_qty(text or "")
    except BadNumber:
        return 0
    return qty if 0 < qty < 10**6 * QTY_PER_SHARE and qty % QTY_PER_SHARE == 0 else 0


def _limit(action: PlaceOrder) -> int | Refusal:
    if action.type == "market":
        return refuse("price_not_accepted", "limit_price") if action.limit_price is not None else 0
    if action.limit_price is None:
        return refuse("limit_price_required", "limit_price")
    try:
        limit = parse_price(action.limit_price)
    except BadNumber:
        return refuse("invalid_limit_price", "limit_price", price=action.limit_price[:24])
    if limit % NET_TICK_PRICE or abs(limit) > 10**10:
        return refuse("sub_penny_price", "limit_price", price=action.limit_price[:24], field="limit_price")
    return limit


def _leg(given: OrderLeg, index: int, instruments: Instruments) -> ParsedLeg | Refusal:
    where = f"legs.{index}"
    instrument = instruments.find(given.symbol)
    if instrument is None:
        return refuse("asset_not_found", f"{where}.symbol", symbol=given.symbol[:24])
    symbol = instrument.symbol
    if instrument.is_option and not (instrument.underlying and instrument.right and instrument.expiry_date):
        return refuse("options_not_served", f"{where}.symbol", symbol=symbol)
    if not instrument.active:
        return refuse("asset_not_active", f"{where}.symbol", symbol=symbol)
    if not instrument.tradable:
        return refuse("asset_not_tradable", f"{where}.symbol", symbol=symbol)
    intent = given.position_intent or ""
    if intent and intent not in INTENTS:
        return refuse("leg_refused", f"{where}.position_intent", leg=symbol, detail="This is no position intent.")
    side = given.side or intent.partition("_")[0]
    if side not in SIDES or (intent and not intent.startswith(side)):
        return refuse("leg_refused", f"{where}.side", leg=symbol, detail="Give side, in line with position_intent.")
    ratio = _whole(given.ratio_qty) // QTY_PER_SHARE
    if not 0 < ratio <= 10_000:
        return refuse("leg_ratio", f"{where}.ratio_qty", leg=symbol)
    return ParsedLeg(instrument, side == "buy", ratio, intent)


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
    """What the unit reserves, or why it is refused; the legs in their order, then the whole."""
    legs: list[OptionLeg] = []
    quotes: list[LegQuote] = []
    for index, leg in enumerate(unit.legs):
        found = _check_leg(book, leg, index, unit, world, freed_qty)
        if isinstance(found, Refusal):
            return found
        legs.append(found)
        slot = world.board.slots.get(leg.instrument.symbol)
        if slot is not None and slot.quote is not None and slot.quote.ask:
            quotes.append(LegQuote(leg.ratio if leg.buying else -leg.ratio, slot.quote.bid, slot.quote.ask))
    natural = sum(
        leg.price * part.ratio * (1 if part.buying else -1) for leg, part in zip(legs, unit.legs, strict=True)
    )
    net = natural if unit.type == "market" else unit.limit_price
    if unit.type == "market" and world.session is not None and world.phase != "core":
        return refuse("option_market_closed", "type")
    if unit.type == "limit" and len(quotes) == len(legs) and sign_suspect(unit_quote(quotes), net):
        return refuse("sign_suspect", "limit_price", market="a credit" if net > 0 else "a debit")
    if sum(value_money(leg.price, leg.qty, leg.instrument.multiplier) for leg in legs) > MAX_VALUE:
        return refuse("number_too_large", "qty")
    cash = -value_money(net, unit.qty, CONTRACT_SHARES)
    intents = tuple(leg.intent for leg in legs)
    closing = unit.qty if any(intent.endswith("_to_close") for intent in intents) else 0
    if all(intent.endswith("_to_close") for intent in intents):
        money = _closing_money(book, legs, cash, world, freed_money)
    else:
        money = need_money(book, legs, cash, world, freed_money, but_not)
    return money if isinstance(money, Refusal) else UnitNeed(money, closing, net, intents)


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
    if (refused := date_refusal(book, instrument, intent, world)) is not None:
        return refused
    slot = world.board.slots.get(symbol)
    quote = slot.quote if slot is not None else None
    price = (quote.ask if leg.buying else quote.bid) if quote is not None else 0
    price = price or world.mark(symbol)
    if not price and unit.type == "market":
        return refuse("no_market_price", f"{where}.symbol", symbol=symbol)
    qty = unit.qty * leg.ratio
    found = OptionLeg(instrument, leg.buying, qty, price, intent)
    free = free_contracts(book, found) + freed_qty * leg.ratio
    if intent.endswith("_to_close") and qty > free:
        position = book.positions.get(symbol)
        return refuse(
            "insufficient_qty", f"{where}.ratio_qty", symbol=symbol, requested=format_qty(qty),
            available=format_qty(free), existing_qty=format_qty(position.qty if position else 0),
            held_for_orders=format_qty(book.held.get(symbol, 0)),
        )  # fmt: skip
    return found


def _closing_money(
    book: Book, legs: list[OptionLeg], cash_money: int, world: World, freed_money: int
) -> int | Refusal:
    """What closes needs no margin, but leaves nothing uncovered, and a cash account pays for it."""
    change = change_of(legs, cash_money, world)
    held = holdings_of(book, world, trade_date(world), book.cash)
    if held is not None and not isinstance(change, Refusal):
        needed = level_needed(held, change)
        if needed == UNCOVERED_LEVEL and (book.options_level < needed or book.type == "cash"):
            return refuse("uncovered_short", "legs")
    if (
        book.type == "cash"
        and -cash_money > max(book.cash - book.reserved_money, buying_power(book, world)) + freed_money
    ):
        return refuse("insufficient_buying_power", "qty")
    return max(0, -cash_money) if book.type == "cash" else 0
