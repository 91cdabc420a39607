"""``mbtd position …`` and ``mbtd activity …``."""

from __future__ import annotations

import argparse
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import add_account, add_limit, add_shared, connect, flags, show_list, show_one, take_words
from mbtd.rpc.client import Client

_POSITIONS: Final = [
    ("symbol", "symbol"),
    ("side", "side"),
    ("qty", "qty"),
    ("entry", "avg_entry_price"),
    ("now", "current_price"),
    ("value", "market_value"),
    ("P/L", "unrealized_pl"),
    ("note", "note"),
]
_BOOKED: Final = [
    ("type", "activity_type"),
    ("symbol", "symbol"),
    ("qty", "qty"),
    ("net", "net_amount"),
    ("what", "description"),
]
_OF_EXERCISES: Final = ["OPEXC", "OPTRD", "OPCSH"]
_PARTS_MOST: Final = 20
"""Bookings of one exercise that are looked for: the contract and each part of what it delivers."""
_ACTIVITIES: Final = [
    ("time", "transaction_time|date|created_at"),
    ("type", "activity_type"),
    ("symbol", "symbol"),
    ("side", "side"),
    ("qty", "qty"),
    ("price", "price"),
    ("net", "net_amount"),
    ("status", "status|order_status"),
    ("id", "id"),
]


def _positions(args: argparse.Namespace) -> int:
    words = take_words(args, "account")

    def with_notes(client: Client, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return _with_notes(client, rows, words["account"])

    return show_list(args, "position.list", words, _POSITIONS, "no positions", with_notes)


def _with_notes(client: Client, rows: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    """What was said of contracts for their end, which their structures know."""
    if not any(row.get("asset_class") == "us_option" for row in rows):
        return rows
    lapsing = {
        leg["symbol"]: leg["do_not_exercise_qty"]
        for item in client.call("structure.list", account=account, status="open")["items"]
        for leg in item["legs"]
        if leg.get("do_not_exercise_qty")
    }
    return [row | {"note": lapse_note(lapsing.get(row["symbol"]))} for row in rows]


def lapse_note(qty: str | None) -> str:
    """A standing do-not-exercise instruction; empty for none."""
    return f"{qty} not to be exercised" if qty else ""


def _position(args: argparse.Namespace) -> int:
    return show_one(args, "position.get", take_words(args, "account", "symbol"))


def _close_all(args: argparse.Namespace) -> int:
    with connect(args) as client:
        answer = client.call("position.close_all", **take_words(args, "account"), cancel_orders=args.cancel_orders)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    for item in answer:
        body = item["body"]
        said = body["status"] if item["status"] == 200 else body["message"]
        output.put(f"{output.plain(item['symbol'])}: {output.plain(said)}")
    if not answer:
        output.say("no positions")
    return exits.DONE if all(item["status"] == 200 for item in answer) else exits.REFUSED


def _close_position(args: argparse.Namespace) -> int:
    if args.all:
        return _close_all(args)
    words = take_words(args, "account", "symbol")
    params: dict[str, Any] = {**words, **flags(args, "qty", "percentage", "client_order_id")}
    if args.cancel_orders:
        params["cancel_orders"] = True
    return show_one(args, "position.close", params)


def _exercise(args: argparse.Namespace) -> int:
    words = take_words(args, "account", "contract")
    account, symbol = words["account"], words["contract"]
    with connect(args) as client:
        answer = client.call("position.exercise", account=account, symbol=symbol, **flags(args, "qty"))
        if args.json:
            output.put_json(answer)
            return exits.DONE
        rows = client.call(
            "activity.list", account=account, activity_types=_OF_EXERCISES, direction="desc", limit=_PARTS_MOST
        )["items"]
    group = next((row["group_id"] for row in rows if row["symbol"] == symbol), None)
    booked = [row for row in reversed(rows) if row["group_id"] == group]
    output.put(f"exercised {output.plain(args.qty or 'all')} {output.plain(symbol)}")
    if booked:
        output.put(output.table(booked, _BOOKED))
    return exits.DONE


def _do_not_exercise(args: argparse.Namespace) -> int:
    words = take_words(args, "account", "contract")
    account, symbol = words["account"], words["contract"]
    with connect(args) as client:
        answer = client.call("position.do_not_exercise", account=account, symbol=symbol, **flags(args, "qty"))
        if args.json:
            output.put_json(answer)
            return exits.DONE
        held = client.call("position.get", account=account, symbol=symbol)["qty"]
    if args.qty == "0":
        output.put(f"taken back: all {held} {output.plain(symbol)} are exercised if they end in the money")
        return exits.DONE
    which = f"{output.plain(args.qty or held)} of {held} {output.plain(symbol)}"
    output.put(
        f"{which} will lapse at expiry, in the money or not; another request replaces this one, 0 takes it back"
    )
    return exits.DONE


def _activities(args: argparse.Namespace) -> int:
    params: dict[str, Any] = take_words(args, "account")
    if args.type:
        params["activity_types"] = args.type
    params |= flags(args, "after", "until", "direction")
    return show_list(args, "activity.list", params, _ACTIVITIES, "no activities")


def add_position_commands(commands: Any) -> None:
    """Declare ``mbtd position`` and ``mbtd activity``."""
    verbs = commands.add_parser("position", help="look at, close and exercise positions").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = verbs.add_parser("list", help="positions of an account")
    add_account(listing)
    add_limit(listing)
    listing.set_defaults(run=_positions)
    show = verbs.add_parser("show", help="one position")
    add_account(show, "SYMBOL")
    show.set_defaults(run=_position)
    close = verbs.add_parser("close", help="close a position, or part of it, with a market order")
    add_account(close, "SYMBOL")
    close.add_argument("--qty")
    close.add_argument("--percentage")
    close.add_argument("--client-order-id")
    close.add_argument("--cancel-orders", action="store_true", help="cancel what holds the shares first")
    close.add_argument("--all", action="store_true", help="every position of the account")
    close.set_defaults(run=_close_position)
    exercise = verbs.add_parser("exercise", help="exercise long American contracts now, or any on their last day")
    exercise.set_defaults(run=_exercise)
    lapse = verbs.add_parser(
        "do-not-exercise",
        help="let contracts that expire today lapse, although they may end in the money",
        description="A contract that ends at least a cent in the money is exercised by itself. This is taken on its"
        " last day, until 90 minutes after the close (profile alpaca-parity: 30).",
    )
    lapse.set_defaults(run=_do_not_exercise)
    for parser in (exercise, lapse):
        add_account(parser, "CONTRACT")
        more = "; 0 takes it back" if parser is lapse else ""
        parser.add_argument("--qty", metavar="CONTRACTS", help=f"all that are held if not given{more}")
    activity = commands.add_parser("activity", help="what was booked").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    booked = activity.add_parser("list", help="activities of an account, newest first")
    add_account(booked)
    add_limit(booked)
    booked.add_argument("--type", action="append", metavar="TYPE", help="FILL, DIV, FEE, …; repeatable")
    booked.add_argument("--after", metavar="TIME")
    booked.add_argument("--until", metavar="TIME")
    booked.add_argument("--direction", choices=["asc", "desc"])
    booked.set_defaults(run=_activities)
    for parser in (listing, show, close, exercise, lapse, booked):
        add_shared(parser)
