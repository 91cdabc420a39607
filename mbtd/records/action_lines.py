"""Lines of the facts about corporate actions (contracts §2), and what an account shows of those to come.

Invariant: what an action did to a position is a line of its own, and its bookings are lines of activities.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.state.book import Book, Position
from actors.book.units import average_price, format_money, format_price, format_qty, format_scaled, format_time
from actors.market.actions import roll_at
from actors.market.world import World
from mbtd.records.money_lines import date_text

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


def action_dues(record: e.AppliedAction, world: World) -> list[dict[str, Any]]:
    """Money that an account is owed, or owes, of an action and that is not paid yet."""
    if world.days is None:
        return []
    return [
        {
            "ca_id": record.ca_id,
            "symbol": pay.symbol,
            "rate": format_scaled(pay.rate, 9) if pay.rate else None,
            "ex_date": date_text(world.days.at(record.effective_at).trade_date),
            "payable_date": date_text(world.days.at(pay.at).trade_date),
            "entitled_qty": format_qty(pay.qty),
            "receivable": format_money(pay.money),
        }
        for pay in record.pays
        if pay.kind in ("dividend", "cash")
    ]


def position_actions(book: Book, position: Position, world: World) -> list[dict[str, Any]]:
    """Actions that made a position what it is, the oldest first: those that are not older than all its lots."""
    since = min((lot.opened_at for lot in position.lots), default=0)
    found = []
    for record in sorted(book.actions.values(), key=lambda record: (record.effective_at, record.ca_id)):
        own = [each for each in record.entries if each.symbol == position.symbol and each.qty]
        if not own or record.effective_at < since or record.stage == "withdrawn":
            continue
        known = world.actions.by_id.get(record.ca_id)
        found.append(
            {
                "ca_id": record.ca_id,
                "type": known.action.type if known is not None else None,
                "effective_date": date_text(known.action.effective_date) if known is not None else None,
                "entries": [{"activity_type": each.type, "qty": format_qty(each.qty)} for each in own],
            }
        )
    return found


def coming_actions(book: Book, world: World) -> list[dict[str, Any]]:
    """Announced actions of what an account holds that have not happened yet, the nearest first."""
    if world.days is None or not world.actions:
        return []
    found = []
    for symbol in book.positions:
        contract = world.instruments.by_symbol.get(symbol)
        for name in contract.priced_by if contract is not None and contract.is_option else (symbol,):
            for ca_id in world.actions.by_symbol.get(name, ()):
                action = world.actions.by_id[ca_id].action
                ahead = roll_at(world.days, action.effective_date) > world.now
                if ahead and name == action.symbol and not action.withdrawn:
                    found.append((action.effective_date, ca_id, action.type, symbol))
    return [
        {"ca_id": ca_id, "type": kind, "symbol": symbol, "effective_date": date_text(day)}
        for day, ca_id, kind, symbol in sorted(set(found))
    ]
