"""``mbtd corporate-action announce|list|withdraw``: splits, dividends, mergers and the like, for operators."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from mbtd.cli.base import UsageError, add_limit, add_shared, add_words, flags, show_list, show_one

_COLUMNS: Final = [
    ("date", "effective_date"),
    ("type", "type"),
    ("affects", "affects"),
    ("status", "status"),
    ("version", "version"),
    ("id", "id"),
    ("terms", "terms"),
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
    listing = verbs.add_parser("list", help="what was announced, by date")
    add_limit(listing)
    listing.add_argument("--symbol", metavar="SYMBOL[,SYMBOL]")
    listing.add_argument("--since", metavar="DATE")
    listing.add_argument("--until", metavar="DATE")
    listing.add_argument(
        "--date-type", choices=["effective_date", "process_date", "ex_date", "record_date", "payable_date"]
    )
    listing.set_defaults(run=_list)
    for parser in (announce, withdraw, listing):
        add_shared(parser)
