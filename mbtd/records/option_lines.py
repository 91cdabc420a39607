"""Lines of the facts about option contracts: instructions, warnings, waiting, early assignment (contracts §2).

Invariant: a warning and an assignment carry their numbers, a wait says for what and until when.
"""

from __future__ import annotations

from typing import Any

from actors.book import events as e
from actors.book.units import format_qty, format_time
from mbtd.records.money_lines import date_text

OPTION_NAMES: dict[type, str] = {
    e.OptionInstructed: "option.instructed",
    e.OptionWarned: "option.warned",
    e.OptionAwaiting: "option.awaiting",
    e.OptionAssigned: "option.assigned",
}


def option_fields(event: Any, line: dict[str, Any]) -> None:
    """The fields of one such fact."""
    match event:
        case e.OptionInstructed():
            line["symbol"] = event.symbol
            line["qty"] = format_qty(event.qty)
            line["reason"] = event.kind
        case e.OptionWarned():
            line["symbol"] = event.underlying
            line["symbols"] = list(event.symbols)
            line["reason"] = event.kind
            line["numbers"] = event.numbers
        case e.OptionAwaiting():
            line["symbol"] = event.underlying
            line["symbols"] = list(event.symbols)
            line["reason"] = event.reason
            line["missing"] = event.missing
            line["settles_on"] = date_text(event.settles_on)
            line["retry_at"] = format_time(event.retry_at)
        case e.OptionAssigned():
            line["symbol"] = event.symbol
            line["qty"] = format_qty(event.qty)
            line["reason"] = f"early_{event.rule}"
            line["probability_ppm"] = event.probability_ppm
            line["draws_ppm"] = list(event.draws_ppm)
            line["numbers"] = event.numbers
