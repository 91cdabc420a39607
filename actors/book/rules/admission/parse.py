"""Reading an order: form, matrix and price grid; nothing here looks at money or at the market.

Invariant: the result is normalised, so the same order said differently (``1`` or ``1.0``) has one fingerprint.
Rule source: alpaca-api §0.1, §2.2–§2.5.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from actors.book.instruments import Instrument, Instruments
from actors.book.rules.matrix import CLIENT_ORDER_ID_MAX, INTENTS, ORDER_CLASSES, RULES, SIDES
from actors.book.rules.reasons import Refusal, refuse
from actors.book.units import (
    MONEY_PER_DOLLAR,
    PRICE_PER_DOLLAR,
    QTY_PER_SHARE,
    BadNumber,
    parse_money,
    parse_price,
    parse_qty,
)
from actors.commands import PlaceOrder

_CENT_PRICE = PRICE_PER_DOLLAR // 100
_encoder = msgspec.msgpack.Encoder()


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

    @property
    def fractional(self) -> bool:
        """By notional, or not a whole number of shares."""
        return self.notional > 0 or self.qty % QTY_PER_SHARE != 0


def parse(action: PlaceOrder, instruments: Instruments) -> Parsed | Refusal:
    """Read an order, or say what is wrong with it."""
    if action.client_order_id is not None and not 0 < len(action.client_order_id) <= CLIENT_ORDER_ID_MAX:
        return refuse("client_order_id_too_long", "client_order_id")
    if (unserved := _unserved(action)) is not None:
        return unserved
    if action.side not in SIDES:
        return refuse("invalid_side", "side")
    rule = RULES.get(action.type or "")
    if rule is None:
        return refuse("invalid_type", "type")
    time_in_force = action.time_in_force or "day"
    if time_in_force not in rule.time_in_force:
        return refuse("invalid_time_in_force", "time_in_force")
    if action.position_intent is not None and action.position_intent not in INTENTS:
        return refuse("position_intent_mismatch", "position_intent", specified=action.position_intent[:20])
    instrument = instruments.find(action.symbol or "")
    if instrument is None:
        return refuse("asset_not_found", "symbol", symbol=(action.symbol or "")[:24])
    if instrument.asset_class == "us_option":
        return refuse("options_not_served", "symbol", symbol=instrument.symbol)
    if not (instrument.active and instrument.tradable) or instrument.asset_class != "us_equity":
        return refuse("asset_not_tradable", "symbol", symbol=instrument.symbol)
    amount = _amount(action)
    if isinstance(amount, Refusal):
        return amount
    prices = _prices(action, rule.limit_price, rule.stop_price, rule.missing_price)
    if isinstance(prices, Refusal):
        return prices
    if action.extended_hours and time_in_force not in rule.extended_time_in_force:
        return refuse("extended_hours_not_limit", "extended_hours")
    qty, notional = amount
    if (notional or qty % QTY_PER_SHARE) and time_in_force not in rule.fractional_time_in_force:
        return refuse("fractional_not_day", "time_in_force")
    if (notional or qty % QTY_PER_SHARE) and not instrument.fractionable:
        return refuse("asset_not_fractionable", "qty", symbol=instrument.symbol)
    words = (
        instrument.asset_id, action.side, rule.type, time_in_force, qty, notional, *prices,
        action.extended_hours, action.position_intent,
    )  # fmt: skip
    digest = blake2b(_encoder.encode(words), digest_size=4).digest()
    return Parsed(
        instrument, action.side, rule.type, time_in_force, qty, notional, prices[0], prices[1],
        action.extended_hours, action.position_intent or "", int.from_bytes(digest, "big") >> 7,
    )  # fmt: skip


def _unserved(action: PlaceOrder) -> Refusal | None:
    """The first field that no rule here serves."""
    for name, value in (
        ("trail_price", action.trail_price),
        ("trail_percent", action.trail_percent),
        ("take_profit", action.take_profit),
        ("stop_loss", action.stop_loss),
        ("legs", action.legs),
    ):
        if value is not None:
            return refuse("not_supported", name)
    if action.order_class and action.order_class not in ORDER_CLASSES:
        return refuse("invalid_order_class", "order_class")
    return None


def _amount(action: PlaceOrder) -> tuple[int, int] | Refusal:
    if action.qty is None and action.notional is None:
        return refuse("qty_or_notional_required", "qty")
    if action.qty is not None and action.notional is not None:
        return refuse("qty_and_notional", "notional")
    if action.qty is not None:
        try:
            qty = parse_qty(action.qty)
        except BadNumber:
            qty = 0
        return (qty, 0) if qty > 0 else refuse("invalid_qty", "qty", qty=action.qty[:24])
    try:
        notional = parse_money(action.notional or "")
    except BadNumber:
        notional = 0
    if notional < MONEY_PER_DOLLAR:
        return refuse("invalid_notional", "notional", notional=(action.notional or "")[:24])
    return 0, notional


def _prices(action: PlaceOrder, needs_limit: bool, needs_stop: bool, missing: str) -> tuple[int, int] | Refusal:
    if (action.limit_price is None) == needs_limit or (action.stop_price is None) == needs_stop:
        absent = (needs_limit and action.limit_price is None) or (needs_stop and action.stop_price is None)
        field = "limit_price" if (action.limit_price is None) == needs_limit else "stop_price"
        return refuse(missing if absent else "price_not_accepted", field)
    limit = read_price(action.limit_price, "limit_price", "invalid_limit_price") if needs_limit else 0
    if isinstance(limit, Refusal):
        return limit
    stop = read_price(action.stop_price, "stop_price", "invalid_stop_price") if needs_stop else 0
    if isinstance(stop, Refusal):
        return stop
    return limit, stop


def read_price(text: str | None, field: str, reason: str) -> int | Refusal:
    """A positive price on the grid of Regulation NMS rule 612, or the refusal."""
    try:
        price = parse_price(text or "")
    except BadNumber as error:
        if "decimals" in str(error):
            return refuse("sub_penny_price", field, price=(text or "")[:24], field=field)
        return refuse(reason, field, price=(text or "")[:24])
    if price <= 0:
        return refuse(reason, field, price=(text or "")[:24])
    if price >= PRICE_PER_DOLLAR and price % _CENT_PRICE:
        return refuse("sub_penny_price", field, price=(text or "")[:24], field=field)
    return price
