"""What an order would do before it is sent: accepted or not, and what it would reserve (contracts §3)."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.book.outcome import Placed
from actors.book.rules.reasons import Refusal
from actors.book.units import format_money, format_price, format_qty
from actors.book.view import figures
from actors.commands import PlaceOrder
from actors.engine import Engine
from mbtd.service.refusals import rpc_error


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
            "initial_margin": format_money(
                terms.reserved_money // 2 if book.type == "margin" and terms.reserved_money else terms.reserved_money
            ),
            "maintenance_margin": format_money(terms.reserved_money // 4 if book.type == "margin" else 0),
            "fees": "0",
            "position_intent": terms.position_intent,
        }
    return {"acceptable": True, "duplicate": isinstance(outcome, Placed) and outcome.duplicate, "effect": effect}
