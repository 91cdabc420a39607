"""What an order would do before it is sent: accepted or not, and what it would reserve (contracts §3)."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.book.aftermath import charges_fees
from actors.book.events import OrderAccepted
from actors.book.events.parts import Fee
from actors.book.osi import is_option_symbol
from actors.book.outcome import Placed
from actors.book.rules.admission.options import OptionLeg, cash_of, change_of, legs_of
from actors.book.rules.margin.holdings import holdings_of
from actors.book.rules.margin.orders import UNCOVERED_LEVEL, apply, effect, level_needed
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.requirement import Holdings
from actors.book.rules.margin.stock import requirement
from actors.book.rules.matching.multileg import LegQuote, sign_suspect, unit_quote
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.fees import PICO_PER_MONEY, accrued_money, fees_of
from actors.book.rules.money.settlement import violation_of
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.units import (
    QTY_PER_SHARE,
    divide_half_even,
    format_money,
    format_price,
    format_qty,
    format_scaled,
    qty_for_money,
    value_money,
)
from actors.book.view import accrued, figures, stock_terms, trade_date
from actors.commands import CloseStructure, PlaceOrder, RollStructure
from actors.engine import Engine
from actors.market.world import World
from mbtd.pricing.payoff import Leg, corner_points, extremes, last_slope, price_texts, roots
from mbtd.records.money_lines import date_text
from mbtd.service.refusals import rpc_error
from mbtd.service.structures import structure_words


def preview(
    engine: Engine, account_no: int, action: PlaceOrder | CloseStructure | RollStructure, at: int
) -> dict[str, Any]:
    """The effect of an order at present, also of one that closes or rolls a structure; nothing changes."""
    outcome, _ = engine.preview(account_no, action, at)
    book = engine.books[account_no]
    before = figures(book, engine.world)
    if isinstance(outcome, Refusal):
        return {
            "acceptable": False,
            "refusal": msgspec.to_builtins(rpc_error(outcome)),
            "effect": {"buying_power": "0", "buying_power_before": format_money(before.buying_power_money)},
        }
    effect: dict[str, Any] = {"buying_power_before": format_money(before.buying_power_money)}
    if isinstance(outcome, Placed) and outcome.terms is not None:
        terms = outcome.terms
        effect |= {
            "buying_power": format_money(-terms.reserved_money),
            "check_price": format_price(terms.check_price),
            "reserved_qty": format_qty(terms.reserved_qty),
            "position_intent": terms.position_intent,
            **(_option_effect if is_optional(terms) else _stock_effect)(book, terms, engine.world, engine.profiles),
            "warnings": _warnings(book, terms, engine.world),
        }
        if isinstance(action, CloseStructure | RollStructure):
            effect |= _structure_effect(book, terms, engine.world, engine.profiles)
    told = {"structures": structure_words(book, outcome)} if isinstance(outcome, Placed) else {}
    return {
        "acceptable": True,
        "duplicate": isinstance(outcome, Placed) and outcome.duplicate,
        "effect": effect,
    } | told


def _structure_effect(book: Book, terms: OrderAccepted, world: World, profiles: Profiles) -> dict[str, Any]:
    """The order that would be sent, and what the structure has realised once it is filled at its check price.

    The profit of a roll's closed legs depends on how its one net falls to the legs; only its cash is foreseen.
    """
    structure = book.structures[terms.structure_no]
    legs = legs_of(terms, terms.qty, world)
    shown: dict[str, Any] = {
        "structure_id": structure.structure_id,
        "type": terms.type,
        "cost": format_money(-cash_of(terms, terms.qty, legs)),
        "legs": [
            {
                "symbol": leg.instrument.symbol,
                "side": "buy" if leg.buying else "sell",
                "qty": format_qty(leg.qty),
                "position_intent": leg.intent,
            }
            for leg in legs
        ],
    }
    if any(leg.intent.endswith("_to_open") for leg in legs):
        return shown
    gone = 0
    for leg in legs:
        held = next(own for own in structure.legs if own.symbol == leg.instrument.symbol)
        gone += divide_half_even(held.basis_money * leg.qty, abs(held.qty))
    gross = cash_of(terms, terms.qty, legs) - gone
    fees = divide_half_even(sum(fee.pico for fee in _option_fees(legs, terms, world, profiles)), PICO_PER_MONEY)
    return shown | {"realized_pl": format_money(gross), "realized_net_pl": format_money(gross - fees)}


def is_optional(terms: OrderAccepted) -> bool:
    """Whether an order trades contracts."""
    return bool(terms.legs) or is_option_symbol(terms.symbol)


def _stock_effect(book: Book, terms: OrderAccepted, world: World, profiles: Profiles) -> dict[str, Any]:
    return {**_requirements(book, terms, world), **_fees(book, terms, world, profiles)}


def _option_effect(book: Book, terms: OrderAccepted, world: World, profiles: Profiles) -> dict[str, Any]:
    """Cost, requirements, fees and largest loss of an order in contracts, all of it filled at its check price."""
    qty = terms.qty - terms.filled_qty
    legs = legs_of(terms, qty, world)
    fees = _option_fees(legs, terms, world, profiles)
    fee_money = accrued_money(fees)
    cash = cash_of(terms, qty, legs)
    change = change_of(legs, cash - fee_money, world)
    held = holdings_of(book, world, trade_date(world), book.cash - accrued(book.money))
    shown: dict[str, Any] = {
        "cost": format_money(-cash),
        "fees": format_money(fee_money),
        "fee_lines": {fee.kind: format_scaled(fee.pico, 12) for fee in fees},
        "initial_margin": None,
        "maintenance_margin": None,
        "options_buying_power": None,
        **_extremes(legs, cash, world),
    }
    if world.day is not None:
        shown["settles_on"] = date_text(world.day.option_settles_on)
    if isinstance(change, Refusal) or held is None:
        return shown
    profile = profile_of(book.margin_profile, book.type)
    found = effect(world.requirements, profile, book.options_level, held, change)
    before, after = found.before, found.after
    worth = after.equity_money - before.equity_money
    return shown | {
        "initial_margin": format_money(worth - after.available_money + before.available_money),
        "maintenance_margin": format_money(worth - after.excess_money + before.excess_money),
        "options_buying_power": format_money(-found.needed_money),
    }


def _option_fees(legs: list[OptionLeg], terms: OrderAccepted, world: World, profiles: Profiles) -> tuple[Fee, ...]:
    """Estimated fees of all legs, by kind."""
    day = world.day
    if day is None or not charges_fees(profiles.get(terms.profile)):
        return ()
    pico: dict[str, int] = {}
    for leg in legs:
        for fee in fees_of(leg.instrument, leg.buying, leg.qty, leg.price, day.trade_date):
            pico[fee.kind] = pico.get(fee.kind, 0) + fee.pico
    return tuple(Fee(kind, amount) for kind, amount in pico.items())


def _extremes(legs: list[OptionLeg], cash: int, world: World) -> dict[str, Any]:
    """The most that the order alone can lose, and its best outcome, by its expiry; null without bound or one expiry.

    Also null where a leg closes something, since what is left of the position is then part of the outcome. Legs of
    several expiries: the loss by the rule of their largest loss.
    """
    nothing: dict[str, Any] = {"max_loss": None, "max_profit": None, "breakevens": []}
    if not all(leg.intent.endswith("_to_open") for leg in legs):
        return nothing
    ends = {(x.instrument.expiry_date, x.instrument.settles) for x in legs if x.instrument.is_option}
    if len(ends) == 1:
        held = [_payoff_leg(leg) for leg in legs]
        corners, slope = corner_points(held, -cash), last_slope(held)
        gain, loss = extremes(corners, slope)
        return {
            "max_loss": format_money(loss) if loss is not None else None,
            "max_profit": format_money(gain) if gain is not None else None,
            "breakevens": price_texts(roots(corners, slope)),
        }
    change = change_of(legs, cash, world)
    if isinstance(change, Refusal) or change.stock:
        return nothing
    empty = Holdings(0, {u.symbol: u for u in change.underlyings}, {}, (), trade_date(world))
    if level_needed(empty, change) == UNCOVERED_LEVEL:
        return nothing
    alone = world.requirements.account(profile_of("alpaca", "margin"), apply(empty, change))
    return nothing | {"max_loss": format_money(max(0, -alone.available_money))}


def _payoff_leg(leg: OptionLeg) -> Leg:
    instrument = leg.instrument
    units = (leg.qty if leg.buying else -leg.qty) // QTY_PER_SHARE * instrument.multiplier
    if not instrument.is_option:
        return Leg(instrument.symbol, units)
    return Leg(instrument.symbol, units, instrument.strike, instrument.right == "call")


def _requirements(book: Book, terms: OrderAccepted, world: World) -> dict[str, str]:
    """What the filled order would add to the account's requirements, net of the value of what is short."""
    opening = terms.position_intent.endswith("_to_open")
    qty = terms.qty or qty_for_money(terms.notional, terms.check_price)
    instrument = world.instruments.by_symbol[terms.symbol]
    if not opening:
        return {"initial_margin": "0", "maintenance_margin": "0"}
    value = value_money(terms.check_price, qty)
    buying = terms.side == "buy"
    if book.type == "cash":
        return {"initial_margin": format_money(value), "maintenance_margin": "0"}
    profile = profile_of(book.margin_profile, book.type)
    need = requirement(profile, stock_terms(instrument, terms.check_price), qty if buying else -qty)
    proceeds = 0 if buying else value
    return {
        "initial_margin": format_money(need.initial_money - proceeds),
        "maintenance_margin": format_money(need.maintenance_money - proceeds),
    }


def _fees(book: Book, terms: OrderAccepted, world: World, profiles: Profiles) -> dict[str, Any]:
    """Estimated fees, rounded up to the cent as a day's total would be, and each kind's exact amount."""
    day = world.day
    if day is None or not charges_fees(profiles.get(terms.profile)) or not terms.check_price:
        return {"fees": "0", "fee_lines": {}}
    qty = terms.qty or qty_for_money(terms.notional, terms.check_price)
    instrument = world.instruments.by_symbol[terms.symbol]
    fees = fees_of(instrument, terms.side == "buy", qty, terms.check_price, day.trade_date)
    return {
        "fees": format_money(accrued_money(fees)),
        "fee_lines": {fee.kind: format_scaled(fee.pico, 12) for fee in fees},
        "settles_on": date_text(day.settles_on),
    }


def _warnings(book: Book, terms: OrderAccepted, world: World) -> list[str]:
    """What the order would bring upon the account without being refused."""
    if terms.legs and terms.profile in world.any_sign and _wrong_sign(terms, world):
        return ["sign_suspect"]
    day = world.day
    position = book.positions.get(terms.symbol)
    if day is None or position is None or terms.side != "sell" or book.type != "cash":
        return []
    kind = violation_of(book.ledger(), tuple(lot.lot_no for lot in position.lots), day.trade_date)
    return [f"{kind}_violation"] if kind else []


def _wrong_sign(terms: OrderAccepted, world: World) -> bool:
    """Whether a net limit says debit where the market is a credit, or the reverse, under a profile that lets it."""
    quotes = []
    for leg in terms.legs:
        slot = world.board.slots.get(leg.symbol)
        if slot is None or slot.quote is None or not slot.quote.ask:
            return False
        quotes.append(LegQuote(leg.lots if leg.side == "buy" else -leg.lots, slot.quote.bid, slot.quote.ask))
    return terms.type == "limit" and sign_suspect(unit_quote(quotes), terms.limit_price)
