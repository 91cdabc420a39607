"""``mbtd quote``, ``mbtd asset …``, ``mbtd stream``, ``mbtd status``."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import (
    UsageError,
    account_topic,
    add_limit,
    add_shared,
    add_words,
    connect,
    flags,
    seconds,
    show_list,
    show_one,
)
from mbtd.console.screens import status_text
from mbtd.rpc.client import Client, StreamMessage

_ASSETS: Final = [
    ("symbol", "symbol"),
    ("class", "class|asset_class"),
    ("exchange", "exchange"),
    ("status", "status"),
    ("tradable", "tradable"),
    ("shortable", "shortable"),
    ("name", "name"),
]
_COLOUR_OF_STATE: Final = {"ok": "green", "degraded": "yellow", "stopping": "yellow"}


def _one_word(args: argparse.Namespace, name: str) -> str:
    if len(args.words) != 1:
        raise UsageError(f"expected {name}")
    return str(args.words[0])


def _quote(args: argparse.Namespace) -> int:
    return show_one(args, "quote.get", {"symbol": _one_word(args, "SYMBOL")})


def _asset(args: argparse.Namespace) -> int:
    return show_one(args, "asset.get", {"symbol": _one_word(args, "SYMBOL")})


def _assets(args: argparse.Namespace) -> int:
    return show_list(args, "asset.list", flags(args, "status", "asset_class"), _ASSETS, "no assets")


def _status(args: argparse.Namespace) -> int:
    with connect(args) as client:
        health = client.call("health.get")
    if args.json:
        output.put_json(health)
        return exits.DONE
    if "switches" in health:
        output.put(status_text(health))
        return exits.DONE
    state = output.plain(health.get("status"))
    output.put(output.paint(state, _COLOUR_OF_STATE.get(state), sys.stdout))
    rest = {key: value for key, value in health.items() if key != "status"}
    if rest:
        output.put(output.block(rest, 2))
    return exits.DONE


def _stream(args: argparse.Namespace) -> int:
    if not args.words:
        raise UsageError("expected topics, such as account:ID or quotes:SPY")
    if args.from_n is not None and len(args.words) != 1:
        raise UsageError("--from-n goes with one topic")
    with connect(args) as client:
        topics = [_topic(client, word) for word in args.words]
        from_n = None if args.from_n is None else {topics[0]: args.from_n}
        for message in client.subscribe(topics, from_n=from_n, seconds=args.seconds):
            if args.json:
                output.put_json(message)
            else:
                output.put(_event_line(message))
            sys.stdout.flush()
    return exits.DONE


def _topic(client: Client, word: str) -> str:
    """The topic a person means: an account may be given by its name."""
    kind, _, name = word.partition(":")
    return account_topic(client, name) if kind == "account" else word


def _event_line(message: StreamMessage) -> str:
    if message.kind == "snapshot":
        what = "snapshot, what was known before is void" if message.resync else "snapshot"
        return f"{message.topic} #{message.n} {what}: {output.plain(message.data)}"
    data = {key: value for key, value in message.data.items() if key not in ("topic", "n", "event")}
    return f"{message.topic} #{message.n} {output.plain(message.data.get('event'))}: {output.plain(data)}"


def add_market_commands(commands: Any) -> None:
    """Declare the commands."""
    quote = commands.add_parser("quote", help="the best bid and offer of a symbol")
    add_words(quote, "SYMBOL")
    quote.set_defaults(run=_quote)
    verbs = commands.add_parser("asset", help="what can be traded").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    listing = verbs.add_parser("list", help="all assets")
    add_limit(listing)
    listing.add_argument("--status", choices=["active", "inactive"])
    listing.add_argument("--asset-class", choices=["us_equity", "us_option", "us_index"])
    listing.set_defaults(run=_assets)
    show = verbs.add_parser("show", help="one asset")
    add_words(show, "SYMBOL")
    show.set_defaults(run=_asset)
    stream = commands.add_parser("stream", help="print events as they come")
    add_words(stream, "TOPIC")
    stream.add_argument("--from-n", type=int, metavar="N", help="go on after this number")
    stream.add_argument("--seconds", type=seconds, metavar="S", help="stop after so long")
    stream.set_defaults(run=_stream)
    status = commands.add_parser("status", help="how the daemon is")
    status.set_defaults(run=_status)
    for parser in (quote, listing, show, stream, status):
        add_shared(parser)
