"""May this account have this order now: account, side, price, money, quantity (alpaca-api §2.10, §2.11).

Invariants: what an order needs is reserved before it is acknowledged, in money for buys and short sales, in
quantity for sales of what is held; one order never turns a long position into a short one. Money is reserved as
buying power used: an order that the account's multiplier would lend too much on reserves more than its cost. What
reduces a position is never refused for margin (margin-and-options §4.4). The estimated fees are part of the cost.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book.rules.admission.closing import closing_refusal, covering_refusal
from actors.book.rules.admission.money import affordable, borrow_refusal, fees_money, leverage_weight, restriction
from actors.book.rules.admission.options import (
    OptionLeg,
    date_refusal,
    free_contracts,
    intent_of,
    leg_value,
    need_money,
)
from actors.book.rules.admission.options import fees_money as options_fees_money
from actors.book.rules.admission.parse import Parsed
from actors.book.rules.margin.pairing import BOUNDS
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.unreadable import refuse_number
from actors.book.state.book import Book
from actors.book.units import (
    INT64_MAX,
    PRICE_PER_DOLLAR,
    QTY_PER_SHARE,
    BadNumber,
    divide_half_even,
    format_money,
    format_price,
    format_qty,
    parse_scaled,
    value_money,
)
from actors.book.view import available_qty, figures, may_short
from actors.market.world import World

MAX_VALUE = 9 * 10**18 // 1_000
_LOW_STOP_PRICE = 50 * PRICE_PER_DOLLAR


class Need(Struct, frozen=True, gc=False):
    """What an admitted order reserves, and at what price it was checked."""

    money: int
    qty: int
    check_price: int
    collar_price: int
    intent: str
    intents: tuple[str, ...] = ()
    """Of each leg."""


def account_refusal(book: Book) -> Refusal | None:
    """Why this account may not place orders at all."""
    if book.quarantined:
        return refuse("account_quarantined")
    if book.status != "ACTIVE":
        return refuse("account_closed")
    if book.suspend_trade:
        return refuse("trade_suspended")
    return None


def check(
    book: Book, order: Parsed, world: World, freed_money: int = 0, freed_qty: int = 0, but_not: int = 0
) -> Need | Refusal:
    """What the order reserves, or why it is refused.

    ``freed_money`` and ``freed_qty`` are what a replaced order (``but_not``) holds and the new one may use.
    """
    if not book.fractional_trading and order.fractional:
        return refuse("fractional_disabled", "qty")
    if order.qty and order.qty > INT64_MAX // 4:
        return refuse("number_too_large", "qty")
    if order.limit_price > INT64_MAX // 4 or order.stop_price > INT64_MAX // 4:
        return refuse("number_too_large", "limit_price" if order.limit_price else "stop_price")
    if order.stop_price and (refusal := stop_refusal(order, world)) is not None:
        return refusal
    if (refused := restriction(book, order, world)) is not None:
        return refused
    if order.option:
        return _check_option(book, order, world, freed_money, freed_qty, but_not)
    if order.side == "buy":
        return _check_buy(book, order, world, freed_money, freed_qty)
    return _check_sell(book, order, world, freed_money, freed_qty, but_not)


def _check_option(
    book: Book, order: Parsed, world: World, freed_money: int, freed_qty: int, but_not: int
) -> Need | Refusal:
    instrument, buying = order.instrument, order.side == "buy"
    intent = intent_of(book, instrument.symbol, buying)
    if order.position_intent and order.position_intent != intent:
        return refuse("position_intent_mismatch", "position_intent", inferred=intent, specified=order.position_intent)
    if (refused := date_refusal(book, instrument, intent, world)) is not None:
        return refused
    if order.type == "market" and world.session is not None and world.phase != "core":
        return refuse("option_market_closed", "type")
    price = order.limit_price or market_price(instrument.symbol, world, buying)
    if not price:
        return refuse("no_market_price", "symbol", symbol=instrument.symbol)
    if value_money(price, order.qty, instrument.multiplier) > MAX_VALUE:
        return refuse("number_too_large", "qty")
    leg = OptionLeg(instrument, buying, order.qty, price, intent)
    if intent.endswith("_to_close"):
        free = free_contracts(book, leg) + freed_qty
        if order.qty > free:
            return _insufficient_qty(book, order, order.qty, free)
        if (refused := closing_refusal(book, [leg], leg_value(leg), "position_intent", world, but_not)) is not None:
            return refused
        return _closing_need(book, leg, world, freed_money)
    value = value_money(price, order.qty, instrument.multiplier)
    money = need_money(book, [leg], -value if buying else value, world, freed_money, but_not)
    return money if isinstance(money, Refusal) else Need(money, 0, price, 0, intent)


def _closing_need(book: Book, leg: OptionLeg, world: World, freed_money: int) -> Need | Refusal:
    """What closes needs no margin, but a cash account pays for it from its cash."""
    if book.type != "cash" or not leg.buying:
        return Need(0, leg.qty, leg.price, 0, leg.intent)
    cost = value_money(leg.price, leg.qty, leg.instrument.multiplier) + options_fees_money(book, [leg], world)
    free = book.cash - book.reserved_money + freed_money
    if cost > free:
        return refuse(
            "insufficient_buying_power", "", buying_power=format_money(max(0, free)), cost_basis=format_money(cost)
        )
    return Need(cost, leg.qty, leg.price, 0, leg.intent)


def stop_refusal(order: Parsed, world: World) -> Refusal | None:
    """Why a stop is on the wrong side of the market."""
    if not order.stop_price:
        return None
    mark = world.mark(order.instrument.symbol)
    if not mark:
        return None
    if order.side == "sell" and order.stop_price >= mark:
        return refuse(
            "stop_not_below_market", "stop_price",
            market_price=format_price(mark), stop_price=format_price(order.stop_price),
        )  # fmt: skip
    if order.side == "buy" and order.stop_price <= mark:
        return refuse(
            "stop_not_above_market", "stop_price",
            market_price=format_price(mark), stop_price=format_price(order.stop_price),
        )  # fmt: skip
    return None


def buy_stop_collar(stop_price: int) -> int:
    """Limit at which a buy stop's money is reserved: +4 % below $50, +2.5 % from there (fill model §12)."""
    ppm = 40_000 if stop_price < _LOW_STOP_PRICE else 25_000
    step = 100 if stop_price >= PRICE_PER_DOLLAR else 1
    raised = stop_price + divide_half_even(stop_price * ppm, 1_000_000)
    return -(-raised // step) * step


def market_price(symbol: str, world: World, buying: bool) -> int:
    """Price basis of a market order: far side in the core session, middle in extended hours, else last."""
    slot = world.board.slots.get(symbol)
    quote = slot.quote if slot is not None else None
    if quote is not None and world.phase == "core":
        far = quote.ask if buying else quote.bid
        if far > 0:
            return far
    if quote is not None and world.phase in ("pre", "post", "overnight") and quote.bid and quote.ask:
        return (quote.bid + quote.ask) // 2
    return world.mark(symbol)


def _check_price(order: Parsed, world: World) -> tuple[int, int]:
    """Check price and collar price of a buy."""
    if order.type in ("stop", "trailing_stop"):
        collar = buy_stop_collar(order.stop_price)
        return collar, collar
    if order.limit_price:
        return order.limit_price, 0
    return market_price(order.instrument.symbol, world, buying=True), 0


def _check_buy(book: Book, order: Parsed, world: World, freed_money: int, freed_qty: int) -> Need | Refusal:
    position = book.positions.get(order.instrument.symbol)
    covering = position is not None and position.qty < 0
    intent = "buy_to_close" if covering else "buy_to_open"
    if order.position_intent and order.position_intent != intent:
        return refuse("position_intent_mismatch", "position_intent", inferred=intent, specified=order.position_intent)
    price, collar = _check_price(order, world)
    if not price:
        return refuse("no_market_price", "symbol", symbol=order.instrument.symbol)
    if covering:
        return _check_cover(book, order, price, collar, freed_qty)
    value = order.notional or value_money(price, order.qty)
    if value > MAX_VALUE:
        return refuse("number_too_large", "qty")
    cost = leverage_weight(book, order, price, value, world) + fees_money(book, order, price, value, world)
    refused = affordable(book, order, price, value, cost, world, freed_money)
    return refused if refused is not None else Need(cost, 0, price, collar, intent)


def _insufficient_qty(book: Book, order: Parsed, requested: int, free: int) -> Refusal:
    symbol = order.instrument.symbol
    position = book.positions.get(symbol)
    return refuse(
        "insufficient_qty", "qty", symbol=symbol, requested=format_qty(requested), available=format_qty(free),
        existing_qty=format_qty(position.qty if position else 0),
        held_for_orders=format_qty(book.held.get(symbol, 0)),
    )  # fmt: skip


def _check_cover(book: Book, order: Parsed, price: int, collar: int, freed_qty: int) -> Need | Refusal:
    free = freed_qty - available_qty(book, order.instrument.symbol)
    qty = order.qty or _notional_qty(order, price)
    if qty > free:
        return _insufficient_qty(book, order, qty, free)
    return Need(0, qty, price, collar, "buy_to_close")


def _notional_qty(order: Parsed, price: int) -> int:
    """Quantity that a dollar order may come to at most: 10 % of room for a moving price."""
    return order.notional * PRICE_PER_DOLLAR * QTY_PER_SHARE * 11 // (price * 1_000_000 * 10)


def _check_sell(
    book: Book, order: Parsed, world: World, freed_money: int, freed_qty: int, but_not: int
) -> Need | Refusal:
    symbol = order.instrument.symbol
    position = book.positions.get(symbol)
    holding = position is not None and position.qty > 0
    intent = "sell_to_close" if holding else "sell_to_open"
    if order.position_intent and order.position_intent != intent:
        return refuse("position_intent_mismatch", "position_intent", inferred=intent, specified=order.position_intent)
    price = order.limit_price or order.stop_price or market_price(symbol, world, buying=False)
    if not price:
        return refuse("no_market_price", "symbol", symbol=symbol)
    if not holding:
        return _check_short(book, order, world, price, freed_money)
    free = available_qty(book, symbol) + freed_qty
    qty = order.qty or min(_notional_qty(order, price), free)
    if qty > free or qty <= 0:
        return _insufficient_qty(book, order, qty, free)
    if (refused := covering_refusal(book, symbol, qty, world, but_not)) is not None:
        return refused
    if order.notional and value_money(price, free) < order.notional:
        return _insufficient_qty(book, order, _notional_qty(order, price) * 10 // 11, free)
    return Need(0, qty, price, 0, intent)


def _check_short(book: Book, order: Parsed, world: World, price: int, freed_money: int) -> Need | Refusal:
    symbol = order.instrument.symbol
    if book.type == "cash":
        return _insufficient_qty(book, order, order.qty, max(0, available_qty(book, symbol)))
    if not may_short(book, figures(book, world, BOUNDS).equity_money):
        return refuse("shorting_not_allowed", "side")
    if not order.instrument.shortable:
        return refuse("asset_not_shortable", "symbol", symbol=symbol)
    if order.fractional:
        return refuse("fractional_short", "qty")
    if (refused := borrow_refusal(book, order, world)) is not None:
        return refused
    slot = world.board.slots.get(symbol)
    ask = slot.quote.ask if slot is not None and slot.quote is not None else 0
    basis = max(price, divide_half_even(ask * 103, 100))
    cost = value_money(basis, order.qty)
    if cost > MAX_VALUE:
        return refuse("number_too_large", "qty")
    used = leverage_weight(book, order, basis, cost, world) + fees_money(book, order, basis, cost, world)
    refused = affordable(book, order, basis, cost, used, world, freed_money)
    return refused if refused is not None else Need(used, 0, basis, 0, "sell_to_open")


def read_close(held_qty: int, qty: str | None, percentage: str | None) -> str | Refusal:
    """Quantity text of an order that closes all, a quantity, or a percentage of a position."""
    if qty is not None and percentage is not None:
        return refuse("qty_and_notional", "percentage")
    if qty is not None:
        return qty
    if percentage is None:
        return format_qty(abs(held_qty))
    try:
        share = parse_scaled(percentage, 9)
    except BadNumber as error:
        return refuse_number("invalid_percentage", "percentage", str(error))
    if not 0 < share <= 100 * 10**9:
        return refuse("invalid_percentage", "percentage")
    return format_qty(abs(held_qty) * share // (100 * 10**9))
