"""Orders as people read them: what they trade in one line, their ids, and why they stand where they do.

Known limits: a contract is read off its OSI symbol, so that an adjusted one shows its root.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from mbtd.cli import output
from mbtd.cli.remedies import in_commands

_OSI: Final = re.compile(r"([A-Z][A-Z0-9]*?)([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{5})([0-9]{3})\Z")


def unit_words(order: Mapping[str, Any]) -> str:
    """The legs of an order in short: ``AAPL 2026-12-18 -245C +250C``, the ratio where it is not one."""
    parsed = [(leg, _OSI.match(str(leg.get("symbol")))) for leg in order.get("legs") or ()]
    days = {_day(match) for _, match in parsed if match}
    roots = {match[1] if match else str(leg.get("symbol")) for leg, match in parsed}
    one = len(days) == 1
    words = [output.plain(" ".join(sorted(roots))), *(days if one else ())]
    for leg, match in parsed:
        sign = "+" if leg.get("side") == "buy" else "-"
        ratio = str(leg.get("ratio_qty") or "1")
        if match is None:
            words.append(output.plain(f"{sign}{ratio} shares"))
            continue
        times = "" if ratio == "1" else f"{ratio}×"
        strike = f"{int(match[6])}.{match[7]}".rstrip("0").rstrip(".")
        words.append(f"{sign}{times}{strike}{match[5]}" + ("" if one else f" {_day(match)}"))
    return " ".join(words)


def _day(match: re.Match[str]) -> str:
    return f"20{match[2]}-{match[3]}-{match[4]}"


def order_line(order: Mapping[str, Any]) -> str:
    """What an order is, its prices and where it stands, in one line."""
    if order.get("order_class") == "mleg":
        what = [f"{output.plain(order.get('qty'))} ×", unit_words(order)]
    else:
        amount = order.get("qty") or f"${order.get('notional')}"
        what = [output.plain(word) for word in (order.get("side"), amount, order.get("symbol"))]
    parts = [*what, _terms(order), output.plain(order.get("time_in_force"))]
    return " ".join(part for part in parts if part not in ("", "-")) + f": {output.plain(order.get('status'))}"


def _terms(order: Mapping[str, Any]) -> str:
    """Type and prices; a price that its type names already is not named again."""
    kind = output.plain(order.get("type"))
    words = [kind]
    for name, key in (("stop", "stop_price"), ("limit", "limit_price")):
        if order.get(key):
            words += [output.plain(order[key])] if words == [name] else [name, output.plain(order[key])]
    return " ".join(words)


def warn(answer: dict[str, Any]) -> None:
    """Say what an order does to structures that it is no part of."""
    for warning in answer.get("warnings") or ():
        text = in_commands(output.plain(warning["message"]))
        output.say(f"{output.paint('warning', 'yellow', sys.stderr)}: {text}")


def describe(order: dict[str, Any], *, duplicate: bool = False) -> str:
    """An order as a sentence and its ids."""
    lines = [order_line(order) + (" (the same order as before)" if duplicate else "")]
    if order.get("filled_avg_price"):
        lines.append(f"  filled           {order.get('filled_qty')} at {order['filled_avg_price']}")
    trail = f"{order['trail_percent']} %" if order.get("trail_percent") else order.get("trail_price")
    if trail:
        lines.append(f"  trail            {output.plain(trail)} from {output.plain(order.get('hwm'))}")
    for leg in order.get("legs") or ():
        if order.get("order_class") == "mleg":
            price = f" at {leg['filled_avg_price']}" if leg.get("filled_avg_price") else ""
            words = " ".join(output.plain(leg.get(key)) for key in ("side", "qty", "symbol"))
            told = f"leg              {words}{price}: {output.plain(leg.get('status'))}"
        else:
            words = " ".join(output.plain(leg.get(key)) for key in ("side", "qty"))
            told = f"exit             {words} {_terms(leg)}: {output.plain(leg.get('status'))}"
        lines.append(f"  {told}  {output.plain(leg.get('id'))}")
    if order.get("reason"):
        lines.append(f"  reason           {output.plain(order['reason'])}")
    if order.get("structure_id"):
        lines.append(f"  structure        {output.plain(order['structure_id'])}")
    lines.append(f"  order_id         {output.plain(order.get('id'))}")
    lines.append(f"  client_order_id  {output.plain(order.get('client_order_id'))}")
    return "\n".join(lines)


def in_words(answer: dict[str, Any]) -> str:
    """The answer for somebody who asked a question: sentences first, every number below them."""
    lines = []
    if order := answer.get("order"):
        lines.append(order_line(order))
    lines.append(output.plain(answer.get("explanation")))
    for fill in answer.get("fills", ()):
        lines.append(f"* {_to_the_millisecond(fill['transaction_time'])} {output.plain(fill['explanation'])}")
    return "\n".join([*lines, ""])


def _to_the_millisecond(time: str) -> str:
    """A time as the protocol writes it (up to nine decimals, none if they are zero), cut for reading."""
    second, _, rest = output.plain(time).removesuffix("Z").partition(".")
    return f"{second}.{rest[:3]}Z" if rest else f"{second}Z"
