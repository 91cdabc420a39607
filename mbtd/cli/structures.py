"""``mbtd structure list|show|close|roll|exit|payoff``."""

from __future__ import annotations

import argparse
import re
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import UsageError, add_account, add_shared, connect, flags, positive, take_words
from mbtd.cli.chains import add_payoff_flags, parse_leg, show_payoff
from mbtd.cli.order_words import describe, warn
from mbtd.cli.previews import net_words, structure_lines, title
from mbtd.cli.structure_words import card, count, exit_lines
from mbtd.rpc.client import new_client_order_id

_LEVEL: Final = re.compile(r"[+-]?[0-9]*\.?[0-9]+%?\Z")
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


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    state = item["status"]
    if item.get("broken"):
        state += ", a leg went alone"
    if item.get("exit"):
        state += ", exits set"
    if item.get("cover"):
        state += f", max loss with {item['cover']['qty']} shares beside it"
    return {
        **item,
        "title": title(item["name"]),
        "held": count(item["days_in_trade"], "day"),
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
        if not _LEVEL.match(text):
            raise UsageError(
                f"--{name.replace('_', '-')} {text[:24]!r} is no level: give what closing costs a share, such as "
                "1.20 (-0.60: what it brings), or a percent such as 50%"
            )
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
    listing.add_argument("--limit", type=positive, metavar="N", help="at most so many ended ones")
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
