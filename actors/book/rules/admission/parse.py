"""Reading an order: form, matrix and price grid; nothing here looks at money or at the market.

Invariant: the result is normalised, so the same order said differently (``1`` or ``1.0``) has one fingerprint.
Rule source: alpaca-api §0.1, §2.2–§2.7.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from actors.book.instruments import Instrument, Instruments, price_step
from actors.book.rules.admission.options import unknown_symbol
from actors.book.rules.admission.unit_form import ParsedUnit, parse_unit
from actors.book.rules.matrix import (
    CLASSES,
    CLIENT_ORDER_ID_MAX,
    INTENTS,
    MIN_TRAIL_PPM,
    OPTIONS,
    RULES,
    SIDES,
    ClassRule,
    OrderRule,
)
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.unreadable import TOO_LARGE, refuse_number
from actors.book.units import (
    INT64_MAX,
    MONEY_PER_DOLLAR,
    PRICE_PER_DOLLAR,
    QTY_PER_SHARE,
    BadNumber,
    format_price,
    parse_money,
    parse_price,
    parse_qty,
    parse_scaled,
)
from actors.commands import PlaceOrder

_CENT_PRICE = PRICE_PER_DOLLAR // 100
_encoder = msgspec.msgpack.Encoder()


class Exits(Struct, frozen=True, gc=False):
    """The exits of a bracket, OCO or OTO: prices, 0 for none."""

    take_profit: int = 0
    stop_loss: int = 0
    stop_loss_limit: int = 0


NO_EXITS = Exits()
_NO_TRAIL = (0, 0)


class Parsed(Struct, frozen=True, gc=False):
    """An order as it was meant, in units."""

    instrument: Instrument
    side: str
    type: str
    time_in_force: str
    qty: int
    notional: int
    limit_price: int
    stop_price: int
    extended_hours: bool
    position_intent: str
    fingerprint: int
    order_class: str = ""
    """Empty for simple orders."""
    exits: Exits = NO_EXITS
    trail_price: int = 0
    trail_ppm: int = 0
    high_water_mark: int = 0
    """Trailing stops: set at admission, with the stop price that follows."""

    unit: ParsedUnit | None = None
    """Of several legs."""
    option: bool = False
    """In contracts; a unit says so of each leg."""

    @property
    def fractional(self) -> bool:
        """By notional, or not a whole number of shares."""
        return self.notional > 0 or self.qty % QTY_PER_SHARE != 0


def parse(action: PlaceOrder, instruments: Instruments) -> Parsed | Refusal:
    """Read an order, or say what is wrong with it."""
    if action.order_class == "mleg":
        return _parse_unit(action, instruments)
    if action.client_order_id is not None and not 0 < len(action.client_order_id) <= CLIENT_ORDER_ID_MAX:
        return refuse("client_order_id_too_long", "client_order_id")
    kind = CLASSES.get(action.order_class or "simple")
    if kind is None:
        return refuse("invalid_order_class", "order_class")
    if action.legs is not None:
        return refuse("not_supported", "legs")
    if action.side not in SIDES:
        return refuse("invalid_side", "side")
    rule = RULES.get(action.type or "")
    if rule is None or rule.type not in kind.types:
        return refuse("oco_not_limit" if kind.name == "oco" else "invalid_type", "type")
    time_in_force = action.time_in_force or "day"
    if time_in_force not in rule.time_in_force or time_in_force not in kind.time_in_force:
        return refuse("invalid_time_in_force", "time_in_force")
    if action.position_intent is not None and action.position_intent not in INTENTS:
        return refuse("invalid_position_intent", "position_intent", position_intent=action.position_intent[:20])
    if not action.symbol:
        return refuse("symbol_required", "symbol")
    instrument = find_tradable(action.symbol, instruments)
    if type(instrument) is Refusal:
        return instrument
    amount = _amount(action)
    if type(amount) is Refusal:
        return amount
    exits: Exits | Refusal = NO_EXITS
    if kind.exits:
        exits = _exits(action, kind)
    elif action.take_profit is not None or action.stop_loss is not None:
        return refuse("not_supported", "take_profit" if action.take_profit is not None else "stop_loss")
    if type(exits) is Refusal:
        return exits
    prices = (exits.take_profit, 0) if kind.name == "oco" else _prices(action, rule)
    if type(prices) is Refusal:
        if instrument.is_option and prices.reason == "limit_price_required":
            return refuse("option_limit_required", "limit_price")
        return prices
    trail: tuple[int, int] | Refusal = _NO_TRAIL
    if rule.trail or action.trail_price is not None or action.trail_percent is not None:
        trail = _trail(action, rule)
    if type(trail) is Refusal:
        return trail
    qty, notional = amount
    option = instrument.is_option
    if option:
        refusal = _option_refusal(instrument, rule, kind, time_in_force, action.extended_hours, qty, prices[0])
    else:
        refusal = _session_refusal(rule, kind, time_in_force) if action.extended_hours else None
    if refusal is None and (notional or qty % QTY_PER_SHARE):
        refusal = _fraction_refusal(instrument, rule, kind, time_in_force)
    if refusal is not None:
        return refusal
    words: tuple[object, ...] = (
        instrument.asset_id, action.side, rule.type, time_in_force, qty, notional, *prices,
        action.extended_hours, action.position_intent,
    )  # fmt: skip
    if kind.exits or rule.trail:
        words = (*words, kind.name, exits, trail)
    if action.lots is not None or action.lot_method is not None:
        words = (*words, action.lot_method, action.lots)
    if action.do_not_reduce:
        words = (*words, "do_not_reduce")
    digest = blake2b(_encoder.encode(words), digest_size=4).digest()
    return Parsed(
        instrument, action.side, rule.type, time_in_force, qty, notional, prices[0], prices[1],
        action.extended_hours, action.position_intent or "", int.from_bytes(digest, "big") >> 7,
        kind.name if kind.exits else "", exits, trail[0], trail[1], 0, None, option,
    )  # fmt: skip


def _parse_unit(action: PlaceOrder, instruments: Instruments) -> Parsed | Refusal:
    unit = parse_unit(action, instruments)
    if type(unit) is Refusal:
        return unit
    return Parsed(
        unit.legs[0].instrument, "buy", unit.type, "day", unit.qty, 0, unit.limit_price, 0, False, "",
        unit.fingerprint, "mleg", unit=unit,
    )  # fmt: skip


def find_tradable(symbol: str, instruments: Instruments) -> Instrument | Refusal:
    """A stock or contract that can be traded."""
    instrument = instruments.find(symbol)
    if instrument is None:
        return unknown_symbol(symbol)
    if instrument.is_option and not (instrument.underlying and instrument.right and instrument.expiry_date):
        return refuse("options_not_served", "symbol", symbol=instrument.symbol)
    if not instrument.active:
        reason = "contract_not_active" if instrument.is_option else "asset_not_active"
        return refuse(reason, "symbol", symbol=instrument.symbol)
    if not instrument.tradable or instrument.asset_class == "us_index":
        reason = "contract_not_tradable" if instrument.is_option else "asset_not_tradable"
        return refuse(reason, "symbol", symbol=instrument.symbol)
    return instrument


def _session_refusal(rule: OrderRule, kind: ClassRule, time_in_force: str) -> Refusal | None:
    if not kind.extended_hours:
        return refuse("extended_hours_not_simple", "extended_hours")
    if time_in_force not in rule.extended_time_in_force:
        return refuse(rule.extended_refusal, "extended_hours")
    return None


def _option_refusal(
    instrument: Instrument, rule: OrderRule, kind: ClassRule, time_in_force: str, extended: bool, qty: int, limit: int
) -> Refusal | None:
    if kind.name != "simple":
        return refuse("option_order_class", "order_class")
    if rule.type not in OPTIONS.types:
        return refuse("option_order_type", "type")
    if time_in_force not in OPTIONS.time_in_force:
        return refuse("option_time_in_force", "time_in_force")
    if extended:
        return refuse("option_extended_hours", "extended_hours")
    if not qty:
        return refuse("option_notional", "notional")
    if qty % QTY_PER_SHARE:
        return refuse("option_whole_contracts", "qty")
    step = price_step(instrument, limit)
    if limit % step:
        return refuse("option_price_step", "limit_price", symbol=instrument.symbol, step=format_price(step))
    return None


def _fraction_refusal(instrument: Instrument, rule: OrderRule, kind: ClassRule, time_in_force: str) -> Refusal | None:
    if not kind.fractional:
        return refuse("fractional_not_simple", "qty")
    if not rule.fractional_time_in_force:
        return refuse("fractional_trailing", "qty")
    if time_in_force not in rule.fractional_time_in_force:
        return refuse("fractional_not_day", "time_in_force")
    if not instrument.fractionable:
        return refuse("asset_not_fractionable", "qty", symbol=instrument.symbol)
    return None


def _exits(action: PlaceOrder, kind: ClassRule) -> Exits | Refusal:
    """The exits of a group, each on the price grid, and on the right sides of each other."""
    profit, loss = action.take_profit, action.stop_loss
    profit_text = profit.limit_price if profit is not None else None
    if kind.name == "oco":
        if None not in (profit_text, action.limit_price) and profit_text != action.limit_price:
            return price_refusal(action.type or "limit", "limit_price")
        profit_text = profit_text or action.limit_price
        if action.stop_price is not None:
            return price_refusal(action.type or "limit", "stop_price")
    loss_text = loss.stop_price if loss is not None else None
    given = (profit is not None or profit_text is not None) + (loss is not None)
    if given < kind.exits_least:
        missing = "take_profit" if profit_text is None else "stop_loss"
        return refuse("exit_required", missing, order_class=kind.name)
    if given > kind.exits_most:
        return refuse("exit_not_accepted", "stop_loss", order_class=kind.name)
    take_profit = stop_loss = stop_loss_limit = 0
    if profit is not None or profit_text is not None:
        read = read_price(profit_text, "take_profit.limit_price", "invalid_limit_price")
        if isinstance(read, Refusal):
            return read
        take_profit = read
    if loss is not None:
        read = read_price(loss_text, "stop_loss.stop_price", "invalid_stop_price")
        if isinstance(read, Refusal):
            return read
        stop_loss = read
        if loss.limit_price is not None:
            read = read_price(loss.limit_price, "stop_loss.limit_price", "invalid_limit_price")
            if isinstance(read, Refusal):
                return read
            stop_loss_limit = read
    above = (action.side == "buy") == kind.opens
    if take_profit and stop_loss and (take_profit <= stop_loss if above else take_profit >= stop_loss):
        return refuse("exits_crossed", "take_profit.limit_price", relation=">" if above else "<")
    return Exits(take_profit, stop_loss, stop_loss_limit)


def _trail(action: PlaceOrder, rule: OrderRule) -> tuple[int, int] | Refusal:
    if not rule.trail:
        field = "trail_price" if action.trail_price is not None else "trail_percent"
        return refuse("trail_not_accepted", field, type=rule.type)
    if (action.trail_price is None) == (action.trail_percent is None):
        return refuse("trail_required", "trail_price")
    if action.trail_price is not None:
        return read_trail(action.trail_price, "trail_price", percent=False)
    return read_trail(action.trail_percent or "", "trail_percent", percent=True)


def read_trail(text: str, field: str, percent: bool) -> tuple[int, int] | Refusal:
    """A trail as ``(price, ppm)``, one of which is 0."""
    try:
        value = parse_scaled(text, 4) if percent else parse_price(text)
    except BadNumber as error:
        return refuse_number("invalid_trail", field, str(error), trail=text[:24])
    if value <= 0 or value > INT64_MAX // 4:
        return refuse_number("invalid_trail", field, TOO_LARGE if value > 0 else "", trail=text[:24])
    if percent and value < MIN_TRAIL_PPM:
        return refuse("trail_percent_too_small", field, trail_percent=text[:24])
    return (0, value) if percent else (value, 0)


def _amount(action: PlaceOrder) -> tuple[int, int] | Refusal:
    if action.qty is None and action.notional is None:
        return refuse("qty_or_notional_required", "qty")
    if action.qty is not None and action.notional is not None:
        return refuse("qty_and_notional", "notional")
    if action.qty is not None:
        try:
            qty = parse_qty(action.qty)
        except BadNumber as error:
            return refuse_number("invalid_qty", "qty", str(error), qty=action.qty[:24])
        return (qty, 0) if qty > 0 else refuse("invalid_qty", "qty", qty=action.qty[:24])
    try:
        notional = parse_money(action.notional or "")
    except BadNumber as error:
        return refuse_number("invalid_notional", "notional", str(error), notional=(action.notional or "")[:24])
    if notional < MONEY_PER_DOLLAR:
        return refuse("invalid_notional", "notional", notional=(action.notional or "")[:24])
    return 0, notional


def price_refusal(kind: str, field: str) -> Refusal:
    """The refusal of a price that an order of this type does not take."""
    prices = {"limit": "stop price", "stop": "limit price"}.get(kind, "stop or limit price")
    return refuse("price_not_accepted", field, type=kind, prices=prices)


def _prices(action: PlaceOrder, rule: OrderRule) -> tuple[int, int] | Refusal:
    needs_limit, needs_stop, missing = rule.limit_price, rule.stop_price, rule.missing_price
    if (action.limit_price is None) == needs_limit or (action.stop_price is None) == needs_stop:
        absent = (needs_limit and action.limit_price is None) or (needs_stop and action.stop_price is None)
        field = "limit_price" if (action.limit_price is None) == needs_limit else "stop_price"
        return refuse(missing, field) if absent else price_refusal(rule.type, field)
    limit = read_price(action.limit_price, "limit_price", "invalid_limit_price") if needs_limit else 0
    if type(limit) is Refusal:
        return limit
    stop = read_price(action.stop_price, "stop_price", "invalid_stop_price") if needs_stop else 0
    if type(stop) is Refusal:
        return stop
    return limit, stop


def read_price(text: str | None, field: str, reason: str) -> int | Refusal:
    """A positive price on the grid of Regulation NMS rule 612, or the refusal."""
    try:
        price = parse_price(text or "")
    except BadNumber as error:
        if "decimals" in str(error):
            return refuse("sub_penny_price", field, price=(text or "")[:24], field=field)
        return refuse_number(reason, field, str(error) if text else "", price=(text or "")[:24])
    if price <= 0:
        return refuse(reason, field, price=(text or "")[:24])
    if price >= PRICE_PER_DOLLAR and price % _CENT_PRICE:
        return refuse("sub_penny_price", field, price=(text or "")[:24], field=field)
    return price
