"""``mbtd corporate-action announce|import|list|withdraw``: splits, dividends, mergers and the like, for operators."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import UsageError, add_limit, add_shared, add_words, connect, flags, show_list, show_one
from mbtd.rpc.client import RpcRefusal

_COLUMNS: Final = [
    ("date", "effective_date"),
    ("type", "type"),
    ("affects", "affects"),
    ("status", "status"),
    ("version", "version"),
    ("id", "id"),
    ("terms", "terms"),
]
_IMPORTED: Final = [
    ("date", "effective_date"),
    ("type", "type"),
    ("version", "version"),
    ("id", "id"),
    ("status", "status"),
]
_SWITCHES: Final = frozenset({"special", "foreign", "confirmed"})


def _terms(args: argparse.Namespace) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    if args.terms is not None:
        text = sys.stdin.read() if args.terms == "-" else Path(args.terms).read_text()
        try:
            terms = json.loads(text)
        except ValueError as error:
            raise UsageError(f"--terms is no JSON: {error}") from None
        if not isinstance(terms, dict):
            raise UsageError("--terms is no JSON object")
    for word in args.words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"expected NAME=VALUE, got {word!r}")
        terms[name] = value == "true" if name in _SWITCHES else value
    return terms


def _announce(args: argparse.Namespace) -> int:
    return show_one(args, "corporate_action.announce", _terms(args))


def rows_of(text: str) -> list[dict[str, Any]]:
    """The actions of an answer of Alpaca's ``/v1/corporate-actions``, in the words of an announcement.

    Rates are taken from their text, never through a float. Raises :class:`UsageError` for anything else.
    """
    from actors.house.commands import AnnounceAction  # here, so that other commands start without the engine

    known = frozenset(AnnounceAction.__struct_fields__) - {"at"}
    try:
        answer = json.loads(text, parse_float=str, parse_int=str)
        kinds = answer.get("corporate_actions", answer)
        rows = [(kind, row) for kind, rows in kinds.items() for row in rows]
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"this is no answer of Alpaca's corporate actions: {error}") from None
    return [
        {name: value for name, value in {**row, "type": kind.removesuffix("s")}.items() if name in known and value}
        for kind, row in rows
    ]


def _import(args: argparse.Namespace) -> int:
    if len(args.words) != 1:
        raise UsageError("expected FILE, or - for standard input")
    name = args.words[0]
    rows = rows_of(sys.stdin.read() if name == "-" else Path(name).read_text())
    done: list[dict[str, Any]] = []
    refused = 0
    with connect(args) as client:
        for row in rows:
            try:
                shown = client.call("corporate_action.announce", **row)
                done.append({name: shown[name] for name in ("id", "type", "effective_date", "version", "status")})
            except RpcRefusal as refusal:
                refused += 1
                done.append({"id": row.get("id"), "type": row["type"], "status": f"refused: {refusal}"})
    if args.json:
        output.put_json({"items": done})
    elif done:
        output.put(output.table(done, _IMPORTED))
    return exits.REFUSED if refused else exits.DONE


def _withdraw(args: argparse.Namespace) -> int:
    if len(args.words) != 1:
        raise UsageError("expected ID")
    return show_one(args, "corporate_action.withdraw", {"id": args.words[0]})


def _list(args: argparse.Namespace) -> int:
    params: dict[str, Any] = flags(args, "since", "until", "date_type")
    if args.symbol is not None:
        params["symbols"] = args.symbol.split(",")
    return show_list(args, "corporate_action.list", params, _COLUMNS, "no corporate actions")


def add_corporate_commands(commands: Any) -> None:
    """Declare the commands."""
    verbs = commands.add_parser("corporate-action", help="splits, dividends, mergers and the like").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    announce = verbs.add_parser("announce", help="announce one, or other terms of one, to every account")
    add_words(announce, "NAME=VALUE")
    announce.add_argument(
        "--terms", metavar="FILE", help="a JSON object with (more of) the terms; - for standard input"
    )
    announce.set_defaults(run=_announce)
    withdraw = verbs.add_parser("withdraw", help="take one back, also after it happened")
    add_words(withdraw, "ID")
    withdraw.set_defaults(run=_withdraw)
    taking = verbs.add_parser("import", help="announce everything in an answer of Alpaca's /v1/corporate-actions")
    add_words(taking, "FILE")
    taking.set_defaults(run=_import)
    listing = verbs.add_parser("list", help="what was announced, by date")
    add_limit(listing)
    listing.add_argument("--symbol", metavar="SYMBOL[,SYMBOL]")
    listing.add_argument("--since", metavar="DATE")
    listing.add_argument("--until", metavar="DATE")
    listing.add_argument(
        "--date-type", choices=["effective_date", "process_date", "ex_date", "record_date", "payable_date"]
    )
    listing.set_defaults(run=_list)
    for parser in (announce, taking, withdraw, listing):
        add_shared(parser)
