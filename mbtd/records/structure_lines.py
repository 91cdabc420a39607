"""Lines of the facts about structures (contracts §2)."""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.rules.money.fees import PICO_PER_MONEY
from actors.book.units import divide_half_even, format_money, format_price, format_qty, format_time

STRUCTURE_NAMES: dict[type, str] = {
    e.StructureChanged: "structure.changed",
    e.StructureExitSet: "structure.exit_set",
    e.StructureExitTriggered: "structure.exit_triggered",
}


def story_line(event: Any, at: int) -> dict[str, Any]:
    """One thing that happened to a structure, as its own story tells it."""
    line: dict[str, Any] = {"at": format_time(at), "event": STRUCTURE_NAMES[type(event)]}
    structure_fields(event, line)
    del line["structure_id"]
    return line


def structure_fields(event: Any, line: dict[str, Any]) -> None:
    """The fields of one such fact in a line."""
    line["structure_id"] = event.structure_id
    match event:
        case e.StructureChanged():
            line["symbol"] = event.underlying
            line["reason"] = event.change
            line["name"] = event.name
            line["status"] = "open" if event.legs else "closed"
            line["legs"] = [{"symbol": leg.symbol, "qty": format_qty(leg.qty)} for leg in event.legs]
            line["net_amount"] = format_money(event.net_money)
            line["realized_pl"] = format_money(event.realized_money)
            if event.fees_pico:
                line["fees"] = format_money(divide_half_even(event.fees_pico, PICO_PER_MONEY))
            line["broken"] = event.broken
            if event.ca_id:
                line["ca_id"] = event.ca_id
        case e.StructureExitSet():
            held = event.exit
            if held is None:
                line["event"], line["reason"] = "structure.exit_cleared", event.reason
                return
            line["take_profit"] = format_price(held.take_profit) if held.take_profit is not None else None
            line["stop_loss"] = format_price(held.stop_loss) if held.stop_loss is not None else None
            line["stop_limit"] = format_price(held.stop_limit) if held.stop_limit is not None else None
        case e.StructureExitTriggered():
            line["exit"] = event.exit
            line["price"] = format_price(divide_half_even(event.middle_doubled, 2))
            line["level"] = format_price(event.level)
            line["since"] = format_time(event.since)
            line["reason"] = event.reason or "reached"
            line["legs"] = [
                {
                    "symbol": leg.symbol,
                    "bid_price": format_price(leg.bid),
                    "ask_price": format_price(leg.ask),
                    "quote_timestamp": format_time(leg.quote_at),
                }
                for leg in event.legs
            ]
