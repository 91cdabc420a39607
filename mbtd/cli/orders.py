"""``mbtd order …`` and ``mbtd why``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import (
    UsageError,
    account_topic,
    add_account,
    add_limit,
    add_shared,
    add_words,
    connect,
    flags,
    lot_pick,
    seconds,
    show_list,
    show_one,
    take_words,
)
from mbtd.cli.order_words import describe, in_words, unit_words, warn
from mbtd.cli.previews import order_lines
from mbtd.rpc.client import Client, RpcRefusal, StreamMessage, new_client_order_id

_TERMINAL: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"})
_ORDERS: Final = [
    ("submitted", "submitted_at|created_at"),
    ("symbol", "symbol|what"),
    ("side", "side|order_class"),
    ("qty", "qty|notional"),
    ("filled", "filled_qty"),
    ("type", "type"),
    ("price", "filled_avg_price|limit_price|stop_price"),
    ("tif", "time_in_force"),
    ("status", "status"),
    ("id", "id"),
]
_PLAIN_FIELDS: Final = (
    "symbol",
    "qty",
    "notional",
    "side",
    "type",
    "time_in_force",
    "limit_price",
    "stop_price",
    "trail_price",
    "trail_percent",
    "client_order_id",
    "order_class",
    "position_intent",
    "lot_method",
)


_LEG: Final = "of an order of several legs; INTENT is buy, sell or buy_to_open, …; repeatable"
_ANY_SIGN: Final = "the limit of several legs is meant, also where the market makes a debit a credit"


def order_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters of an order: flags, with ``ACCOUNT`` or ``ACCOUNT SIDE QTY SYMBOL`` as words."""
    fields = flags(args, "account", *_PLAIN_FIELDS)
    if args.words:
        names = ("account",) if len(args.words) == 1 else ("account", "side", "qty", "symbol")
        if args.account is not None or len(args.words) != len(names):
            raise UsageError(
                "the short form is ACCOUNT SIDE QTY SYMBOL, such as: alice buy 10 SPY; with flags for the rest,"
                " ACCOUNT alone"
            )
        short = dict(zip(names, args.words, strict=True))
        if short.get("qty", "").startswith("$"):
            short["notional"] = short.pop("qty")[1:]
        twice = sorted(name for name in short if name in fields)
        if twice:
            raise UsageError(f"given twice: {', '.join(twice)}")
        fields |= short
    if "account" not in fields:
        raise UsageError("which account? Use --account, or ACCOUNT SIDE QTY SYMBOL")
    _complete(args, fields)
    if args.extended_hours:
        fields["extended_hours"] = True
    if args.any_sign:
        fields["any_sign"] = True
    if args.take_profit is not None:
        fields["take_profit"] = {"limit_price": args.take_profit}
    if args.stop_loss is not None or args.stop_loss_limit is not None:
        stop_loss = {"stop_price": args.stop_loss, "limit_price": args.stop_loss_limit}
        fields["stop_loss"] = {name: price for name, price in stop_loss.items() if price is not None}
    if args.leg:
        fields["legs"] = [_leg(text) for text in args.leg]
        fields.setdefault("order_class", "mleg")
    if args.lot:
        fields["lots"] = [lot_pick(text) for text in args.lot]
    fields.setdefault("type", _type_for(fields))
    fields.setdefault("time_in_force", "day")
    return fields


def _complete(args: argparse.Namespace, fields: Mapping[str, Any]) -> None:
    """Say what an order cannot do without, rather than have an empty symbol looked for."""
    if args.leg:
        missing = [] if "qty" in fields else ["--qty"]
    else:
        missing = [f"--{name}" for name in ("side", "symbol") if name not in fields]
        if "qty" not in fields and "notional" not in fields:
            missing.append("--qty")
    if missing:
        raise UsageError(f"an order needs {', '.join(missing)}; or use ACCOUNT SIDE QTY SYMBOL, or --leg with --qty")


def _type_for(fields: dict[str, Any]) -> str:
    if "trail_price" in fields or "trail_percent" in fields:
        return "trailing_stop"
    if "stop_price" in fields:
        return "stop_limit" if "limit_price" in fields else "stop"
    return "limit" if "limit_price" in fields else "market"


def _leg(text: str) -> dict[str, str]:
    parts = text.split(":")
    if len(parts) != 3:
        raise UsageError("a leg is SYMBOL:RATIO:INTENT, such as SPY261218C00450000:1:buy_to_open")
    symbol, ratio, intent = parts
    side, _, opening = intent.partition("_")
    return {"symbol": symbol, "ratio_qty": ratio, "side": side, **({"position_intent": intent} if opening else {})}


def _place(args: argparse.Namespace) -> int:
    fields = order_fields(args)
    fields.setdefault("client_order_id", new_client_order_id())
    with connect(args) as client:
        if args.wait is None:
            answer = client.place_order(**fields, give_up_s=args.timeout)
            status = exits.REFUSED if answer["order"].get("status") == "rejected" else exits.DONE
        else:
            answer, status = _place_and_wait(client, fields, args.wait, args.timeout)
    if args.json:
        output.put_json(answer)
    else:
        output.put(describe(answer["order"], duplicate=bool(answer.get("duplicate"))))
        warn(answer)
    return status


def _place_and_wait(
    client: Client, fields: dict[str, Any], wait_s: float, timeout_s: float
) -> tuple[dict[str, Any], int]:
    """Place, follow the account's stream until the order has ended, and answer with its last state."""
    messages = client.subscribe([account_topic(client, fields["account"])], seconds=wait_s)
    next(messages, None)
    answer: dict[str, Any] = client.place_order(**fields, give_up_s=timeout_s)
    order_id = answer["order"]["id"]
    ended = answer["order"].get("status") in _TERMINAL
    if not ended:
        ended = any(_ends(message, order_id) for message in messages)
    messages.close()
    answer["order"] = client.call("order.get", account=fields["account"], order_id=order_id)
    status = answer["order"].get("status")
    if status not in _TERMINAL:
        output.say(f"not finished within {wait_s:g} s; the order stays {output.plain(status)}")
        _say_why(client, fields["account"], order_id)
        return answer, exits.TRY_AGAIN
    return answer, exits.DONE if status == "filled" else exits.REFUSED


def _say_why(client: Client, account: str, order_id: str) -> None:
    """Why an order waits; nothing where it has ended meanwhile or nobody can tell."""
    try:
        told = client.call("order.why", account=account, order_id=order_id)
    except RpcRefusal:
        return
    if told.get("explanation"):
        output.say(output.plain(told["explanation"]))


def _ends(message: StreamMessage, order_id: str) -> bool:
    """Whether a message says that the order has ended; a new snapshot means: look again."""
    if message.kind == "snapshot":
        return message.resync
    order = message.data.get("order")
    about = order if isinstance(order, dict) else message.data
    found = about.get("id") if about is order else about.get("order_id")
    return found == order_id and about.get("status") in _TERMINAL


def _preview(args: argparse.Namespace) -> int:
    fields = order_fields(args)
    with connect(args) as client:
        answer = client.call("order.preview", **fields)
    output.put_json(answer) if args.json else output.put("\n".join(order_lines(answer, fields)))
    return exits.DONE if answer.get("acceptable") else exits.REFUSED


def _which(args: argparse.Namespace) -> dict[str, Any]:
    """Account and order: by id as a word, or by --client-order-id."""
    if args.client_order_id is not None:
        return {**take_words(args, "account"), "client_order_id": args.client_order_id}
    return take_words(args, "account", "order_id")


def _replace(args: argparse.Namespace) -> int:
    changes = flags(args, "qty", "limit_price", "stop_price", "trail", "time_in_force")
    if not changes:
        raise UsageError("give at least one change; see mbtd order replace --help")
    if args.any_sign:
        changes["any_sign"] = True
    with connect(args) as client:
        answer = client.call("order.replace", **_which(args), **changes)
    _put_order(args, answer)
    return exits.DONE


def _cancel(args: argparse.Namespace) -> int:
    with connect(args) as client:
        answer = client.call("order.cancel", **_which(args))
    _put_order(args, answer)
    return exits.DONE


def _put_order(args: argparse.Namespace, answer: Any) -> None:
    """An answer about an order, whichever of the shapes it has."""
    if args.json:
        output.put_json(answer)
        return
    order = answer.get("order", answer) if isinstance(answer, dict) else None
    if isinstance(order, dict) and order.get("id"):
        output.put(describe(order))
    elif answer:
        output.put(output.block(answer) if isinstance(answer, dict) else output.plain(answer))
    else:
        output.say("done")


def _cancel_all(args: argparse.Namespace) -> int:
    words = take_words(args, "account")
    with connect(args) as client:
        answer = client.call("order.cancel_all", **words)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    items = answer.get("items", []) if isinstance(answer, dict) else answer or []
    asked = [item for item in items if item.get("status", 200) == 200]
    output.say(f"cancel requested for {len(asked)} order{'' if len(asked) == 1 else 's'}")
    for item in items:
        if item not in asked:
            output.put(f"{output.plain(item['id'])}: {output.plain(item['body']['message'])}")
    return exits.DONE if len(asked) == len(items) else exits.REFUSED


def _list(args: argparse.Namespace) -> int:
    params: dict[str, Any] = take_words(args, "account")
    params |= flags(args, "status", "after", "until", "direction", "side")
    if args.symbol:
        params["symbols"] = args.symbol
    return show_list(args, "order.list", params, _ORDERS, "no orders", _with_legs)


def _with_legs(client: Client, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An order of several legs has no symbol of its own: its legs in short stand for it."""
    return [row | {"what": unit_words(row)} if row.get("order_class") == "mleg" else row for row in rows]


def _rules(args: argparse.Namespace) -> int:
    return show_one(args, "order.rules", {})


def _show(args: argparse.Namespace) -> int:
    return show_one(args, "order.get", _which(args))


def _why(args: argparse.Namespace) -> int:
    if len(args.words) != 1:
        raise UsageError("expected the ID of a fill or of an order")
    account = flags(args, "account")
    with connect(args) as client:
        try:
            answer = client.call("fill.why", fill_id=args.words[0], **account)
        except RpcRefusal as refusal:
            alpaca = refusal.error.data.alpaca
            if not refusal.reason.endswith("not_found") and (alpaca is None or alpaca.status != 404):
                raise
            answer = client.call("order.why", order_id=args.words[0], **account)
    if args.json:
        output.put_json(answer)
    else:
        output.put(in_words(answer))
        output.put(output.block(answer))
    return exits.DONE


def _add_order_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", "-a", metavar="ACCOUNT", help="id or name")
    parser.add_argument("--symbol")
    parser.add_argument("--qty")
    parser.add_argument("--notional", metavar="DOLLARS")
    parser.add_argument("--side", choices=["buy", "sell"])
    parser.add_argument("--type", help="market, limit, stop, stop_limit, trailing_stop; else from the prices")
    parser.add_argument("--time-in-force", "--tif", help="day (if not given), gtc, opg, cls, ioc, fok")
    parser.add_argument("--limit-price", "--limit", metavar="PRICE")
    parser.add_argument("--stop-price", "--stop", metavar="PRICE")
    parser.add_argument("--trail-price", metavar="DOLLARS")
    parser.add_argument("--trail-percent", metavar="PERCENT")
    parser.add_argument("--extended-hours", action="store_true")
    parser.add_argument("--client-order-id", metavar="ID", help="repeating an id never orders twice")
    parser.add_argument("--order-class", help="simple, bracket, oco, oto, mleg")
    parser.add_argument("--take-profit", metavar="PRICE")
    parser.add_argument("--stop-loss", metavar="PRICE")
    parser.add_argument("--stop-loss-limit", metavar="PRICE")
    parser.add_argument("--leg", action="append", metavar="SYMBOL:RATIO:INTENT", help=_LEG)
    parser.add_argument("--any-sign", action="store_true", help=_ANY_SIGN)
    parser.add_argument("--position-intent")
    parser.add_argument(
        "--lot-method", metavar="METHOD", help="tax lots to close: fifo, lifo, highest_cost or lowest_cost"
    )
    parser.add_argument("--lot", action="append", metavar="LOT_NO[:QTY]", help="close this very lot; repeatable")
    add_words(parser, "ACCOUNT [SIDE QTY SYMBOL]")


def add_order_commands(commands: Any) -> None:
    """Declare ``mbtd order`` and ``mbtd why``."""
    verbs = commands.add_parser("order", help="place, change, cancel and look at orders").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    place = verbs.add_parser("place", help="place an order: alice buy 10 SPY --limit 450.10")
    place.add_argument("--wait", type=seconds, metavar="SECONDS", help="wait until the order has ended")
    place.set_defaults(run=_place)
    preview = verbs.add_parser("preview", help="what an order would need and do, without placing it")
    preview.set_defaults(run=_preview)
    for parser in (place, preview):
        _add_order_flags(parser)
    replace = verbs.add_parser("replace", help="change a live order; --qty is the new total")
    replace.add_argument("--qty")
    replace.add_argument("--limit-price", "--limit", metavar="PRICE")
    replace.add_argument("--stop-price", "--stop", metavar="PRICE")
    replace.add_argument("--trail", metavar="AMOUNT")
    replace.add_argument("--time-in-force", "--tif")
    replace.add_argument("--any-sign", action="store_true", help=_ANY_SIGN)
    replace.set_defaults(run=_replace)
    cancel = verbs.add_parser("cancel", help="ask for an order to be cancelled")
    cancel.set_defaults(run=_cancel)
    show = verbs.add_parser("show", help="one order")
    show.set_defaults(run=_show)
    for parser in (replace, cancel, show):
        add_account(parser, "ORDER_ID")
        parser.add_argument("--client-order-id", metavar="ID", help="name the order by it")
    rules = verbs.add_parser("rules", help="what may be ordered, and every reason for which it is refused")
    rules.set_defaults(run=_rules)
    cancel_all = verbs.add_parser("cancel-all", help="ask for all live orders to be cancelled")
    add_account(cancel_all)
    cancel_all.set_defaults(run=_cancel_all)
    listing = verbs.add_parser("list", help="orders of an account; live ones if not told otherwise")
    add_account(listing)
    add_limit(listing)
    listing.add_argument("--status", choices=["open", "closed", "all"])
    listing.add_argument("--symbol", action="append", help="repeatable")
    listing.add_argument("--side", choices=["buy", "sell"])
    listing.add_argument("--after", metavar="TIME")
    listing.add_argument("--until", metavar="TIME")
    listing.add_argument("--direction", choices=["asc", "desc"])
    listing.set_defaults(run=_list)
    why = commands.add_parser("why", help="why a fill is as it is, or why an order has not filled")
    why.add_argument("--account", "-a", metavar="ACCOUNT", help="id or name")
    add_words(why, "ID")
    why.set_defaults(run=_why)
    for parser in (place, preview, replace, cancel, show, rules, cancel_all, listing, why):
        add_shared(parser)
