"""Lines of the facts about corporate actions (contracts §2).

Invariant: what an action did to a position is a line of its own, and its bookings are lines of activities.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.units import average_price, format_money, format_price, format_qty, format_time

ACTION_NAMES: dict[type, str] = {
    e.CorporateActionApplied: "corporate_action.applied",
    e.PositionAdjusted: "position.adjusted",
}


def action_fields(event: Any, line: dict[str, Any]) -> None:
    """The fields of one such fact."""
    match event:
        case e.CorporateActionApplied():
            record = event.record
            line |= {
                "ca_id": record.ca_id,
                "version": record.version,
                "symbol": record.symbol,
                "status": record.stage,
                "effective_at": format_time(record.effective_at),
                "provisional": record.provisional,
                "reconcile_required": record.reconcile,
            }
        case e.PositionAdjusted():
            line |= {
                "ca_id": event.ca_id,
                "symbol": event.symbol,
                "qty": format_qty(event.qty),
                "price": format_price(average_price(abs(event.basis_money), abs(event.qty))),
                "cost_basis": format_money(event.basis_money),
                "realized_pl": format_money(event.realized_money),
            }
