"""``mbtd structure list|show|close|roll|exit|payoff``."""

from __future__ import annotations

import argparse
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import UsageError, add_account, add_shared, connect, flags, take_words
from mbtd.cli.chains import add_payoff_flags, parse_leg, show_payoff
from mbtd.cli.order_words import describe, warn
from mbtd.cli.positions import lapse_note
from mbtd.cli.previews import net_words, structure_lines, title
from mbtd.rpc.client import new_client_order_id

_STRUCTURES: Final = [
    ("no", "number"),
    ("underlying", "underlying"),
    ("structure", "title"),
    ("qty", "qty"),
    ("expires", "expires"),
    ("held", "held"),
    ("opened for", "entry"),
    ("closes for", "close"),
    ("P/L", "net_pl"),
    ("max loss", "max_loss"),
    ("rolls", "rolls"),
    ("state", "state"),
]
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
    "cannot_settle": "ends today, and the account could not settle it at the present price",
    "pin_risk": "ends today so near to its strike that either end is possible",
    "short_in_the_money": "ends today and would be assigned at the present price",
    "one_leg_ends_alone": "ends today while another leg stays",
    "dividend_assignment_risk": "may be assigned early for a dividend",
    "awaiting_price": "ends today, and the price that decides is not known",
    "awaiting_settlement": "has ended and waits for its official price",
}
_ENDED_BY: Final = {"expired": "expiry", "exercised": "exercise", "assigned": "assignment", "trade": "a trade"}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    state = item["status"]
    if item.get("broken"):
        state += ", a leg went alone"
    if item.get("exit"):
        state += ", exits set"
    return {
        **item,
        "title": title(item["name"]),
        "held": _count(item["days_in_trade"], "day"),
        "expires": " ".join(item.get("expiration_dates") or ()),
        "entry": net_words(item.get("entry_net")),
        "close": net_words(item.get("close_net")),
        "rolls": item["campaign"]["rolls"] or None,
        "state": state,
    }


def _list(args: argparse.Namespace) -> int:
    params = {**take_words(args, "account"), **flags(args, "status", "underlying", "limit")}
    with connect(args) as client:
        answer = client.call("structure.list", **params)
    if args.json:
        output.put_json(answer)
    elif answer["items"]:
        output.put(output.table([_row(item) for item in answer["items"]], _STRUCTURES))
        if answer.get("next_page_token"):
            output.say("(there are more; raise --limit)")
    else:
        output.say("no structures; an option order opens one (mbtd order place --leg …)")
    return exits.DONE


def _show(args: argparse.Namespace) -> int:
    with connect(args) as client:
        answer = client.call("structure.get", **_which(args), story=args.story)
    if args.json:
        output.put_json(answer)
    else:
        output.put(card(answer))
    return exits.DONE


def _net_words(item: Mapping[str, Any]) -> str:
    """Profit with its fees: ``$58.21 = $60.00 - $1.79 fees``."""
    gross, fees = output.money(item["gross_pl"]), output.money(item["fees"])
    return f"{output.money(item['net_pl'])} = {gross} - {fees} fees"


def card(item: Mapping[str, Any]) -> str:
    """Everything about one structure, for reading."""
    units = f"{item['qty']} × " if item.get("qty") else ""
    lines = [f"{units}{title(item['name'])} on {item['underlying']}, {item['status']}, structure {item['number']}"]
    rolls = _count(item["campaign"]["rolls"], "roll")
    if item["status"] != "open":
        days = _count(item["days_in_trade"], "day")
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
        f"  P/L       {_net_words(item)}; before fees {output.money(item['unrealized_pl'])} open, "
        f"{output.money(item['realized_pl'])} realised"
    )
    lines += _limits(item)
    if item.get("cover"):
        lines.append(f"  covered   by {item['cover']['qty']} {item['cover']['symbol']}, counted in the figures above")
    lines.append(
        f"  campaign  {_count(item['days_in_trade'], 'day')}, {rolls}, premium "
        f"{output.money(item['campaign']['net_premium'])} in all"
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


def _limits(item: Mapping[str, Any]) -> list[str]:
    """Best and worst end and what lies between; of legs that end on different days what is sure."""
    bounds = {"max profit": item["max_profit"], "max loss": item["max_loss"]}
    known = ", ".join(f"{name} {output.money(value)}" for name, value in bounds.items() if value is not None)
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
        hang = "hang" if " and " in unknown else "hangs"
        head = " " * 12 if known else "  limits    "
        lines.append(f"{head}{unknown} {hang} on what the later legs are worth then: structure payoff")
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
                told += f", cash {output.money(fact['net_amount'])}, realised {output.money(fact['realized_pl'])}"
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


def _which(args: argparse.Namespace) -> dict[str, Any]:
    return take_words(args, "account", "structure_id")


def _close(args: argparse.Namespace) -> int:
    params = {**_which(args), **flags(args, "qty", "limit_price", "client_order_id")}
    if args.leg:
        params["legs"] = args.leg
    return _order(args, "structure.close", params)


def _roll(args: argparse.Namespace) -> int:
    params = {**_which(args), **flags(args, "qty", "limit_price", "client_order_id")}
    if (args.expiry is None) == (not args.open):
        raise UsageError("give --expiry YYYY-MM-DD, or --open SYMBOL:QTY for each new leg (negative: sold)")
    if args.expiry is not None:
        params["expiration_date"] = args.expiry
    else:
        params["legs"] = [_new_leg(word) for word in args.open]
    if args.close:
        params["close"] = args.close
    return _order(args, "structure.roll", params)


def _new_leg(word: str) -> dict[str, str]:
    leg = parse_leg(word)
    if not leg["qty"]:
        raise UsageError(f"{word!r} opens nothing")
    return {
        "symbol": leg["symbol"],
        "ratio_qty": str(abs(leg["qty"])),
        "side": "buy" if leg["qty"] > 0 else "sell",
    }


def _order(args: argparse.Namespace, method: str, params: dict[str, Any]) -> int:
    if args.preview:
        return _preview(args, f"{method}_preview", params)
    params.setdefault("client_order_id", new_client_order_id())
    with connect(args) as client:
        answer = client.call(method, **params)
    if args.json:
        output.put_json(answer)
    else:
        output.put(describe(answer["order"], duplicate=bool(answer.get("duplicate"))))
        warn(answer)
    return exits.REFUSED if answer["order"].get("status") == "rejected" else exits.DONE


def _preview(args: argparse.Namespace, method: str, params: dict[str, Any]) -> int:
    with connect(args) as client:
        answer = client.call(method, **params)
    output.put_json(answer) if args.json else output.put("\n".join(structure_lines(answer)))
    return exits.DONE if answer["acceptable"] else exits.REFUSED


def _exit(args: argparse.Namespace) -> int:
    given = flags(args, "take_profit", "stop_loss", "stop_limit")
    if args.clear == bool(given):
        raise UsageError("give --take-profit or --stop-loss (a net, or a percent such as 50%), or --clear")
    which = _which(args)
    with connect(args) as client:
        if args.clear:
            answer = client.call("structure.exit_clear", **which)
        else:
            answer = client.call("structure.exit_set", **which, **_levels(given))
    if args.json:
        output.put_json(answer)
    else:
        output.put("\n".join(exit_lines(answer.get("exit"))))
    return exits.DONE


def _levels(given: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, key in (("take_profit", "limit_price"), ("stop_loss", "stop_price")):
        text = given.get(name)
        if text is None:
            continue
        if text.endswith("%"):
            out[f"{name}_percent"] = text.removesuffix("%")
        else:
            out[name] = {key: text}
    if "stop_limit" in given:
        out.setdefault("stop_loss", {})["limit_price"] = given["stop_limit"]
    return out


def _payoff(args: argparse.Namespace) -> int:
    params = _which(args)
    if args.date:
        params["dates"] = args.date
    drawn = args.png is not None and not args.json
    with connect(args) as client:
        answer = client.call("structure.payoff", **params, png=drawn)
    if not drawn:
        if not args.json:
            output.put(f"{title(answer['name'])} on {answer['underlying']}")
        return show_payoff(args, answer)
    Path(args.png).write_bytes(b64decode(answer["png"]))
    output.put(str(args.png))
    return exits.DONE


def add_structure_commands(commands: Any) -> None:
    """Declare ``mbtd structure``."""
    verbs = commands.add_parser(
        "structure", help="contracts opened together: look at them, close, roll and guard them as one"
    ).add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="structures of an account; open ones if not told otherwise")
    add_account(listing)
    listing.add_argument("--status", choices=["open", "closed", "all"])
    listing.add_argument("--underlying", metavar="SYMBOL")
    listing.add_argument("--limit", type=int, metavar="N", help="at most so many ended ones")
    listing.set_defaults(run=_list)
    show = verbs.add_parser("show", help="one structure: legs, profit and loss, limits, Greeks, exits")
    show.add_argument("--story", action="store_true", help="also what happened to it")
    show.set_defaults(run=_show)
    close = verbs.add_parser("close", help="close it, or some of its units, with one order of all legs")
    close.add_argument("--leg", action="append", metavar="SYMBOL", help="only these legs; repeatable")
    close.set_defaults(run=_close)
    roll = verbs.add_parser("roll", help="close legs and open others with one order")
    roll.add_argument("--expiry", metavar="YYYY-MM-DD", help="the same strikes at this expiry")
    roll.add_argument("--open", action="append", metavar="SYMBOL:QTY", help="a new leg for each unit; -1 sells one")
    roll.add_argument("--close", action="append", metavar="SYMBOL", help="only these legs; all if not given")
    roll.set_defaults(run=_roll)
    for parser in (close, roll):
        parser.add_argument("--qty", metavar="UNITS", help="all units if not given")
        parser.add_argument(
            "--limit-price",
            "--limit",
            metavar="NET",
            help="a share of a unit; negative: received. Else at market",
        )
        parser.add_argument("--client-order-id", metavar="ID", help="repeating an id never orders twice")
        parser.add_argument("--preview", action="store_true", help="only say what it would cost and do")
    exit_ = verbs.add_parser("exit", help="profit target and stop on the net of all legs, held until cancelled")
    exit_.add_argument("--take-profit", metavar="NET", help="what closing costs then (negative: brings), or 50%%")
    exit_.add_argument("--stop-loss", metavar="NET", help="likewise, or a loss of 200%% of the credit")
    exit_.add_argument("--stop-limit", metavar="NET", help="worst net of its order; a market order if not given")
    exit_.add_argument("--clear", action="store_true", help="take both off")
    exit_.set_defaults(run=_exit)
    payoff = verbs.add_parser("payoff", help="profit and loss at every price, as a picture")
    payoff.add_argument("--date", action="append", metavar="YYYY-MM-DD", help="a curve for this day; repeatable")
    add_payoff_flags(payoff)
    payoff.set_defaults(run=_payoff)
    for parser in (show, close, roll, exit_, payoff):
        add_account(parser, "STRUCTURE")
    for parser in (listing, show, close, roll, exit_, payoff):
        add_shared(parser)
