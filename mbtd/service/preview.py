"""What an order would do before it is sent: accepted or not, and what it would reserve (contracts §3)."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.book.aftermath import charges_fees
from actors.book.events import OrderAccepted
from actors.book.outcome import Placed
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.stock import requirement
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.money.fees import accrued_money, fees_of
from actors.book.rules.money.settlement import violation_of
from actors.book.rules.reasons import Refusal
from actors.book.state.book import Book
from actors.book.units import format_money, format_price, format_qty, format_scaled, qty_for_money, value_money
from actors.book.view import figures, stock_terms
from actors.commands import PlaceOrder
from actors.engine import Engine
from actors.market.world import World
from mbtd.records.money_lines import date_text
from mbtd.service.refusals import rpc_error
from mbtd.service.structures import structure_words


def preview(engine: Engine, account_no: int, action: PlaceOrder, at: int) -> dict[str, Any]:
    """The effect of an order at present; nothing changes."""
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
            **_requirements(book, terms, engine.world),
            **_fees(book, terms, engine.world, engine.profiles),
            "warnings": _warnings(book, terms, engine.world),
        }
    told = {"structures": structure_words(book, outcome)} if isinstance(outcome, Placed) else {}
    return {
        "acceptable": True,
        "duplicate": isinstance(outcome, Placed) and outcome.duplicate,
        "effect": effect,
    } | told


def _requirements(book: Book, terms: OrderAccepted, world: World) -> dict[str, str]:
    """What the filled order would add to the account's requirements, net of the value of what is short."""
    if terms.legs:
        return {"initial_margin": "0", "maintenance_margin": "0"}
    opening = terms.position_intent.endswith("_to_open")
    qty = terms.qty or qty_for_money(terms.notional, terms.check_price)
    instrument = world.instruments.by_symbol[terms.symbol]
    if not opening or instrument.asset_class != "us_equity":
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
    if terms.legs or day is None or not charges_fees(profiles.get(terms.profile)) or not terms.check_price:
        return {"fees": "0", "fee_lines": {}}
    qty = terms.qty or qty_for_money(terms.notional, terms.check_price)
    instrument = world.instruments.by_symbol[terms.symbol]
    fees = fees_of(instrument, terms.side == "buy", qty, terms.check_price, day.trade_date)
    return {
        "fees": format_money(accrued_money(fees)),
        "fee_lines": {fee.kind: format_scaled(fee.pico, 12) for fee in fees},
        "settles_on": date_text(day.settles_on if instrument.asset_class != "us_option" else day.option_settles_on),
    }


def _warnings(book: Book, terms: OrderAccepted, world: World) -> list[str]:
    """What the order would bring upon the account without being refused."""
    day = world.day
    position = book.positions.get(terms.symbol)
    if day is None or position is None or terms.side != "sell" or book.type != "cash":
        return []
    kind = violation_of(book.ledger(), tuple(lot.lot_no for lot in position.lots), day.trade_date)
    return [f"{kind}_violation"] if kind else []
