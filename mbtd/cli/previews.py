"""What an order would do, for reading: before it is placed, or before a structure is closed or rolled.

Known limits: prices are those of the answer; nothing is asked for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from mbtd.cli import output
from mbtd.cli.output import cents, money
from mbtd.cli.remedies import in_commands
from mbtd.rpc.errors import RpcError

_WARNINGS: Final = {
    "sign_suspect": "the limit has the sign of a {said}, and at the market this unit is a {is_}: it would trade at"
    " once, for the market's price or better; a debit has a positive limit, a credit a negative one",
    "good_faith_violation": "sells what unsettled money bought: a good-faith violation",
    "free_riding_violation": "sells what was never paid for: free riding",
}


def title(name: str) -> str:
    """A structure's name for people."""
    return output.plain(name.replace("_", " "))


def net_words(net: str | None) -> str:
    """A net, positive when it is paid, as a debit or credit."""
    if net is None:
        return "-"
    return f"{net.removeprefix('-')} {'credit' if net.startswith('-') else 'debit'}"


def order_lines(answer: Mapping[str, Any], fields: Mapping[str, Any]) -> list[str]:
    """What an order with these fields would do."""
    effect = answer["effect"]
    if not answer["acceptable"]:
        return _refused(answer)
    if answer["duplicate"]:
        return ["is placed already under this client_order_id: nothing new would be placed"]
    price = effect["check_price"]
    lines = [f"would be accepted, checked at {f'{net_words(price)} a share' if fields.get('legs') else money(price)}"]
    lines += _cash(effect)
    lines += _margin(effect)
    held, before = effect["buying_power"].removeprefix("-"), effect["buying_power_before"]
    lines.append(f"  power     holds {cents(held)} of {cents(before)} buying power until it ends")
    if effect.get("options_buying_power") is not None:
        lines.append(f"            filled it changes options buying power by {cents(effect['options_buying_power'])}")
    if Decimal(effect.get("reserved_qty") or 0):
        lines.append(f"  shares    holds {effect['reserved_qty']} of the position until it ends")
    if effect.get("max_loss") is not None or effect.get("max_profit") is not None:
        lines.append(f"  alone     {limits(effect)}")
    return [*lines, *_warned(answer)]


def structure_lines(answer: Mapping[str, Any]) -> list[str]:
    """What a close or a roll of a structure would do."""
    effect = answer["effect"]
    if not answer["acceptable"]:
        return _refused(answer)
    lines = [f"would send a {effect['type']} order, checked at {net_words(effect['check_price'])} a share"]
    for leg in effect["legs"]:
        lines.append(f"  {leg['side']:<9} {leg['qty']} {leg['symbol']} ({title(leg['position_intent'])})")
    lines += _cash(effect)
    if "realized_pl" in effect:
        net = cents(effect["realized_net_pl"])
        lines.append(f"  realises  {cents(effect['realized_pl'])}, {net} after these fees")
    lines += _margin(effect)
    if effect.get("options_buying_power") is not None:
        lines.append(f"  power     changes options buying power by {cents(effect['options_buying_power'])}")
    return lines + _warned(answer)


def limits(effect: Mapping[str, Any]) -> str:
    """Best and worst end, and the prices between them, in words."""
    profit, loss = (effect[key] for key in ("max_profit", "max_loss"))
    words = [
        f"max profit {cents(profit) if profit is not None else 'without limit or not known'}",
        f"max loss {cents(loss) if loss is not None else 'without limit or not known'}",
    ]
    if effect.get("breakevens"):
        words.append(f"breakeven {', '.join(effect['breakevens'])}")
    return ", ".join(words)


def _refused(answer: Mapping[str, Any]) -> list[str]:
    head, *rest = output.refusal_lines(msgspec.convert(answer["refusal"], RpcError))
    return [f"would be refused: {head}", *rest]


def _cash(effect: Mapping[str, Any]) -> list[str]:
    fees = f"fees {cents(effect['fees'])}" if effect.get("fees") is not None else "no fees known"
    settles = f", settles {effect['settles_on']}" if effect.get("settles_on") else ""
    if effect.get("cost") is None:
        return [f"  cash      {fees}{settles}"]
    cost = Decimal(effect["cost"])
    return [f"  cash      {'pays' if cost >= 0 else 'brings'} {cents(str(abs(cost)))}, {fees}{settles}"]


def _margin(effect: Mapping[str, Any]) -> list[str]:
    if effect.get("initial_margin") is None:
        return ["  margin    not known: a price is missing"]
    initial, maintenance = cents(effect["initial_margin"]), cents(effect["maintenance_margin"])
    return [f"  margin    changes the initial requirement by {initial}, maintenance by {maintenance}"]


def _warned(answer: Mapping[str, Any]) -> list[str]:
    """What it would bring upon the account, and upon structures that it is no part of."""
    effect = answer["effect"]
    said, is_ = ("debit", "credit") if Decimal(effect["check_price"]) >= 0 else ("credit", "debit")
    told = [_WARNINGS.get(kind, title(kind)).format(said=said, is_=is_) for kind in effect.get("warnings") or ()]
    of_structures = (answer.get("structures") or {}).get("warnings") or ()
    told += [in_commands(output.plain(warning["message"])) for warning in of_structures]
    return [f"  warning   {text}" for text in told]
