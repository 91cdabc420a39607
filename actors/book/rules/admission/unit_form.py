"""Reading an order of several legs: its form, nothing about money or the market (alpaca-api §2.13, fill model §11).

Invariant: the result is normalised, so the same order said differently has one fingerprint. A refusal about one leg
names it. Known limit: an adjusted contract trades alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import gcd
from typing import Final

import msgspec
from msgspec import Struct

from actors.book.instruments import CONTRACT_SHARES, Instrument, Instruments
from actors.book.rules.admission.options import unknown_symbol
from actors.book.rules.matching.multileg import LEGS_MAX, LOT_SHARES, NET_TICK_PRICE, UnitLeg, UnitProblem, invalid
from actors.book.rules.matrix import CLIENT_ORDER_ID_MAX, INTENTS, OPTIONS, SIDES
from actors.book.rules.reasons import Refusal, refuse
from actors.book.rules.unreadable import TOO_LARGE, refuse_number
from actors.book.units import QTY_PER_SHARE, BadNumber, parse_price, parse_qty
from actors.commands import OrderLeg, PlaceOrder

_encoder = msgspec.msgpack.Encoder()
LIMIT_MAX_PRICE: Final = 10**10
_OF_ONE_LEG: Final = ("symbol", "side", "position_intent", "notional", "stop_price", "trail_price", "trail_percent",
                      "take_profit", "stop_loss")  # fmt: skip


class ParsedLeg(Struct, frozen=True, gc=False):
    """A leg as it was meant."""

    instrument: Instrument
    buying: bool
    ratio: int
    position_intent: str
    """Empty: whatever the side does to the position."""

    @property
    def lots(self) -> int:
        """What the unit's net counts, signed: contracts, or lots of a hundred shares."""
        lots = self.ratio if self.instrument.is_option else self.ratio // LOT_SHARES
        return lots if self.buying else -lots


class ParsedUnit(Struct, frozen=True, gc=False):
    """What of an order of several legs is not as in other orders."""

    type: str
    qty: int
    limit_price: int
    """Net; meaningless for a market order."""
    legs: tuple[ParsedLeg, ...]
    fingerprint: int
    any_sign: bool = False
    """A limit of the sign that the market does not have is meant."""


def parse_unit(action: PlaceOrder, instruments: Instruments) -> ParsedUnit | Refusal:
    """Read an order of several legs, or say what is wrong with it."""
    if action.client_order_id is not None and not 0 < len(action.client_order_id) <= CLIENT_ORDER_ID_MAX:
        return refuse("client_order_id_too_long", "client_order_id")
    if (
        action.symbol is not None or action.side is not None or action.position_intent is not None
        or action.notional is not None or action.stop_price is not None or action.trail_price is not None
        or action.trail_percent is not None or action.take_profit is not None or action.stop_loss is not None
    ):  # fmt: skip
        name = next(name for name in _OF_ONE_LEG if getattr(action, name) is not None)
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
        return _no_units(action.qty)
    limit = _limit(action)
    if type(limit) is Refusal:
        return limit
    legs: list[ParsedLeg] = []
    forms: list[UnitLeg] = []
    options = 0
    for index, given in enumerate(action.legs[: LEGS_MAX + 1]):
        leg = _leg(given, index, instruments)
        if type(leg) is Refusal:
            return leg
        legs.append(leg)
        instrument = leg.instrument
        symbol, stock = instrument.symbol, instrument.asset_class != "us_option"
        options += not stock
        forms.append(UnitLeg(symbol, instrument.underlying or symbol, leg.ratio if leg.buying else -leg.ratio, stock))
    problem = invalid(forms)
    if problem is not None:
        return _invalid(problem, legs)
    if not options:
        return refuse("stock_leg", "legs", leg=legs[0].instrument.symbol)
    words = (action.type, qty, limit, [(g.symbol, g.ratio_qty, g.side, g.position_intent) for g in action.legs])
    digest = blake2b(_encoder.encode(words), digest_size=4).digest()
    number = int.from_bytes(digest, "big") >> 7
    return ParsedUnit(action.type or "", qty, limit, tuple(legs), number, action.any_sign)


def _invalid(problem: UnitProblem, legs: Sequence[ParsedLeg]) -> Refusal:
    """The refusal of legs that make no unit, with the numbers that its text speaks of."""
    lots = [abs(leg.lots) for leg in legs]
    told: dict[str, str] = {}
    if problem.reason == "leg_count":
        told = {"most": str(LEGS_MAX)}
    elif problem.reason == "ratio_not_reduced":
        told = {"ratios": " ".join(map(str, lots)), "divisor": str(gcd(*lots))}
    elif problem.reason == "underlying_mismatch":
        under = {leg.instrument.symbol: leg.instrument.underlying or leg.instrument.symbol for leg in legs}
        told = {"underlying": under[legs[0].instrument.symbol], "other": under[problem.leg], "leg": problem.leg}
    elif problem.leg:
        told = {"leg": problem.leg}
    return refuse(problem.reason, "legs", **told)


def _whole(text: str | None) -> int:
    try:
        qty = parse_qty(text or "")
    except BadNumber:
        return 0
    return qty if 0 < qty < 10**6 * QTY_PER_SHARE and qty % QTY_PER_SHARE == 0 else 0


def _no_units(text: str | None) -> Refusal:
    """Why a text is no number of units."""
    if text is None:
        return refuse("qty_or_notional_required", "qty")
    try:
        qty = parse_qty(text)
    except BadNumber as error:
        return refuse_number("option_whole_contracts", "qty", str(error))
    return refuse_number("option_whole_contracts", "qty", TOO_LARGE if qty >= 10**6 * QTY_PER_SHARE else "")


def _limit(action: PlaceOrder) -> int | Refusal:
    if action.type == "market":
        return refuse("option_market_price", "limit_price") if action.limit_price is not None else 0
    if action.limit_price is None:
        return refuse("option_limit_required", "limit_price")
    try:
        limit = parse_price(action.limit_price)
    except BadNumber as error:
        return refuse_number("invalid_limit_price", "limit_price", str(error), price=action.limit_price[:24])
    if limit % NET_TICK_PRICE or abs(limit) > LIMIT_MAX_PRICE:
        return refuse("sub_penny_price", "limit_price", price=action.limit_price[:24], field="limit_price")
    return limit


def _leg(given: OrderLeg, index: int, instruments: Instruments) -> ParsedLeg | Refusal:
    where = f"legs.{index}"
    instrument = instruments.find(given.symbol)
    if instrument is None:
        return unknown_symbol(given.symbol, f"{where}.symbol")
    symbol, option = instrument.symbol, instrument.asset_class == "us_option"
    if option and not (instrument.underlying and instrument.right and instrument.expiry_date):
        return refuse("options_not_served", f"{where}.symbol", symbol=symbol)
    if not instrument.active:
        reason = "contract_not_active" if option else "asset_not_active"
        return refuse(reason, f"{where}.symbol", symbol=symbol)
    if not instrument.tradable or instrument.asset_class == "us_index":
        reason = "contract_not_tradable" if option else "asset_not_tradable"
        return refuse(reason, f"{where}.symbol", symbol=symbol)
    if option and instrument.multiplier != CONTRACT_SHARES:
        return refuse("leg_refused", f"{where}.symbol", leg=symbol, detail="An adjusted contract trades alone.")
    intent = given.position_intent or ""
    if intent and intent not in INTENTS:
        return refuse("leg_refused", f"{where}.position_intent", leg=symbol, detail="This is no position intent.")
    if not given.side and not intent:
        return refuse("leg_intent_required", f"{where}.position_intent", index=str(index))
    side = given.side or intent.partition("_")[0]
    if side not in SIDES or (intent and not intent.startswith(side)):
        return refuse("leg_refused", f"{where}.side", leg=symbol, detail="Give side, in line with position_intent.")
    ratio = _whole(given.ratio_qty) // QTY_PER_SHARE
    if not 0 < ratio <= 10_000:
        return refuse("leg_ratio", f"{where}.ratio_qty", leg=symbol)
    return ParsedLeg(instrument, side == "buy", ratio, intent)
