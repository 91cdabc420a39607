"""A structure as people read it: its card with legs, profit, limits, cover, Greeks, exits and story."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from mbtd.cli import output
from mbtd.cli.positions import lapse_note
from mbtd.cli.previews import net_words, title

_LEGS: Final = [
    ("side", "side"),
    ("qty", "qty"),
    ("contract", "symbol"),
    ("entry", "avg_entry_price"),
    ("now", "current_price"),
    ("value", "market_value"),
    ("P/L", "unrealized_pl"),
    ("delta", "delta"),
    ("note", "note"),
]


EXPIRY_WARNINGS: Final = {
    "cannot_settle": "ends today, and at the present price or one near it the account could not settle it",
    "pin_risk": "ends today so near to its strike that either end is possible",
    "short_in_the_money": "ends today and would be assigned at the present price",
    "one_leg_ends_alone": "ends today while another leg stays",
    "dividend_assignment_risk": "may be assigned early for a dividend",
    "awaiting_price": "ends today, and the price that decides is not known",
    "awaiting_settlement": "has ended and waits for its official price",
}
_ENDED_BY: Final = {"expired": "expiry", "exercised": "exercise", "assigned": "assignment", "trade": "a trade"}


def count(number: int, noun: str) -> str:
    """A number of things: ``1 day``, ``2 days``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _net_words(item: Mapping[str, Any]) -> str:
    """Profit with its fees: ``$58.21 = $60.00 - $1.79 fees``."""
    gross, fees = output.cents(item["gross_pl"]), output.cents(item["fees"])
    return f"{output.cents(item['net_pl'])} = {gross} - {fees} fees"


def card(item: Mapping[str, Any]) -> str:
    """Everything about one structure, for reading."""
    units = f"{item['qty']} × " if item.get("qty") else ""
    lines = [f"{units}{title(item['name'])} on {item['underlying']}, {item['status']}, structure {item['number']}"]
    rolls = count(item["campaign"]["rolls"], "roll")
    if item["status"] != "open":
        days = count(item["days_in_trade"], "day")
        lines.append(f"  closed    {item['closed_at']} by {_ENDED_BY[item['closed_by']]}, after {days}")
        lines.append(f"  result    {_net_words(item)}, {rolls}")
        return "\n".join([*lines, *_story(item), f"  id        {item['id']}"])
    if item["broken"]:
        lines.append("  warning   one of its legs was traded alone; what is left is not what was opened")
    for warning in item["warnings"]:
        told = EXPIRY_WARNINGS.get(warning["kind"], title(warning["kind"]))
        lines.append(f"  warning   {told}: {', '.join(warning['symbols'])}")
    for leg in item["legs"]:
        leg["delta"] = (leg.get("greeks") or {}).get("delta")
        leg["note"] = lapse_note(leg.get("do_not_exercise_qty"))
    table = output.table(item["legs"], _LEGS)
    lines += [f"  {line}" for line in table.splitlines()]
    lines.append(
        f"  opened    for {net_words(item['entry_net'])} a share; closing stands at {net_words(item['close_net'])}"
    )
    lines.append(
        f"  P/L       {_net_words(item)}; before fees {output.cents(item['unrealized_pl'])} open, "
        f"{output.cents(item['realized_pl'])} realised"
    )
    lines += _limits(item)
    lines += _cover(item)
    lines.append(
        f"  campaign  {count(item['days_in_trade'], 'day')}, {rolls}, premium "
        f"{output.cents(item['campaign']['net_premium'])} in all"
    )
    if item.get("greeks"):
        greeks = item["greeks"]
        lines.append(
            f"  Greeks    delta {greeks['delta']} shares, gamma {greeks['gamma']}, "
            f"theta {greeks['theta']} $ in a day, vega {greeks['vega']} $ a point"
        )
        if greeks["unpriced"]:
            lines.append(f"            without {', '.join(greeks['unpriced'])}: no price, or it has ended")
    lines += exit_lines(item.get("exit"))
    lines += _story(item)
    lines.append(f"  id        {item['id']}")
    return "\n".join(lines)


def _cover(item: Mapping[str, Any]) -> list[str]:
    """Shares held beside a call: where they count, and what both make together."""
    cover = item.get("cover")
    if not cover:
        return []
    lines = [
        f"  covered   by {cover['qty']} {cover['symbol']} held beside it: they count in the limits and the payoff; "
        "P/L, closing and Greeks are the call's alone"
    ]
    if cover.get("unrealized_pl") is not None:
        profit = Decimal(item["net_pl"]) + Decimal(cover["unrealized_pl"])
        told = f"P/L {output.cents(f'{profit:f}')}"
        if item.get("greeks") and not item["greeks"]["unpriced"]:
            told += f", delta {Decimal(item['greeks']['delta']) + Decimal(cover['qty']):f} shares"
        lines.append(f"            with them {told}")
    return lines


def _limits(item: Mapping[str, Any]) -> list[str]:
    """Best and worst end and what lies between; of legs that end on different days what is sure."""
    bounds = {"max profit": item["max_profit"], "max loss": item["max_loss"]}
    known = ", ".join(f"{name} {output.cents(value)}" for name, value in bounds.items() if value is not None)
    unknown = " and ".join(name for name, value in bounds.items() if value is None)
    bounds_at = item.get("bounds_at", "expiry" if item["bounded"] is not None else None)
    if bounds_at == "expiry":
        return [f"  at expiry {known}, breakeven {', '.join(item['breakevens']) or 'none'}"]
    if bounds_at is None:
        return [
            "  limits    none known: what an adjusted or unknown contract ends at does not follow from its strike"
        ]
    lines = [f"  limits    until the first expiry {known}"] if known else []
    if unknown:
        verb = "depend" if " and " in unknown else "depends"
        head = " " * 12 if known else "  limits    "
        lines.append(f"{head}{unknown} {verb} on what the later legs are worth then: mbtd structure payoff")
    return lines


_HAPPENED: Final = {
    "opened": "opened",
    "added": "more of it was opened",
    "reduced": "closed in part",
    "rolled": "rolled",
    "leg_alone": "a leg was traded alone",
    "adjusted": "its contracts were changed",
    "expired": "contracts expired",
    "exercised": "contracts were exercised",
    "assigned": "contracts were assigned",
}


def _story(item: Mapping[str, Any]) -> list[str]:
    """What happened to a structure, a line each."""
    lines: list[str] = []
    for fact in item.get("story") or ():
        match fact["event"]:
            case "structure.changed":
                told = "closed" if fact["status"] == "closed" and fact["reason"] == "reduced" else ""
                told = told or _HAPPENED[fact["reason"]]
                told += f", cash {output.cents(fact['net_amount'])}, realised {output.cents(fact['realized_pl'])}"
            case "structure.exit_set":
                levels = [f"{title(n)} {net_words(fact[n])}" for n in ("take_profit", "stop_loss") if fact[n]]
                told = f"exits set: {', '.join(levels)}"
            case "structure.exit_cleared":
                told = f"exits taken off ({title(fact['reason'])})"
            case _:
                told = f"{title(fact['exit'])} at {net_words(fact['price'])}: {title(fact['reason'])}"
        lines.append(f"  {'story     ' if not lines else ' ' * 10}{fact['at'][:19].replace('T', ' ')}  {told}")
    return lines


def exit_lines(found: Mapping[str, Any] | None) -> list[str]:
    """What a structure's exits are and what they wait for."""
    if not found:
        return ["  exits     none"]
    words = []
    if found["take_profit"]:
        words.append(f"take profit when it closes for {net_words(found['take_profit']['limit_price'])}")
    if found["stop_loss"]:
        words.append(f"stop when it closes for {net_words(found['stop_loss']['stop_price'])}")
        if found["stop_loss"].get("limit_price"):
            words[-1] += f" (at worst {net_words(found['stop_loss']['limit_price'])})"
    waits = {
        "order": f"order {found['order_id']} is at work",
        "quote": "waiting for the next quote",
        "not_reached": "not reached",
        "dwell": "reached, held for two seconds before it acts",
        "refused": "its order was refused; tried again in a minute",
    }
    reason = str(found["waits_for"])
    told = waits.get(reason, f"a leg has no good quote ({reason})")
    return [f"  exits     {'; '.join(words)}", f"            {told}"]
