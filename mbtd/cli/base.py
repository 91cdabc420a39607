"""How commands are declared and run: shared flags, words, paging.

Invariant: a command gets its words (positional arguments) by name; the account is the first of them, or
--account.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mbtd.cli import output
from mbtd.rpc.client import Client, find_socket

PAGE_DEFAULT_ITEMS: Final = 100
_PAGE_MAX_ITEMS: Final = 500
_WAIT_MAX_S: Final = 86_400

Run = Callable[[argparse.Namespace], int]


class UsageError(Exception):
    """The command line does not make sense; the text says what was expected."""


def connect(args: argparse.Namespace) -> Client:
    """The client for a command; an operator who may open only the operators' socket is served there."""
    path = find_socket(args.socket)
    operators = path.with_name("admin.sock")
    if not os.access(path, os.W_OK) and os.access(operators, os.W_OK):
        path = operators
    return Client(path, timeout_s=args.timeout)


def account_topic(client: Client, account: str) -> str:
    """The stream of an account, which goes by its id."""
    found = client.call("account.get", account=account)
    return f"account:{found.get('id') or found.get('account_id')}"


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that speaks with the daemon."""
    add_json(parser)
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket (else MBTD_SOCKET, ./var, /run)")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="S", help=argparse.SUPPRESS)


def seconds(text: str) -> float:
    """A time to wait: up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _WAIT_MAX_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0 and up to {_WAIT_MAX_S}")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """The flag of every command."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_words(parser: argparse.ArgumentParser, metavar: str) -> None:
    """Positional arguments, sorted out later by :func:`take_words`."""
    parser.add_argument("words", nargs="*", metavar=metavar)


def add_account(parser: argparse.ArgumentParser, rest: str = "") -> None:
    """The account as first word or as a flag, and what else the command takes as words."""
    parser.add_argument("--account", "-a", metavar="ACCOUNT", help="id or name; or as the first word")
    add_words(parser, f"[ACCOUNT] {rest}".strip())


def take_words(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The words by name: ``account`` comes from --account where that is given."""
    given: dict[str, Any] = {}
    wanted = list(names)
    if "account" in wanted and args.account is not None:
        given["account"] = args.account
        wanted.remove("account")
    if len(args.words) != len(wanted):
        expected = " ".join(name.upper() for name in wanted) or "nothing"
        raise UsageError(f"expected {expected}, got {len(args.words)} words")
    given.update(zip(wanted, args.words, strict=True))
    return given


def flags(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The given flags as parameters."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def pages(client: Client, method: str, params: Mapping[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """Items of a list method over its pages, at most ``limit``; says when there are more."""
    left = limit
    token: str | None = None
    while True:
        answer = client.call(method, **{**params, "limit": min(left, _PAGE_MAX_ITEMS), "page_token": token})
        items = answer["items"][:left]
        yield from items
        left -= len(items)
        token = answer.get("next_page_token")
        if token is None or not items:
            return
        if left <= 0:
            output.say(f"(the first {limit}; more with --limit)")
            return


def show_list(
    args: argparse.Namespace,
    method: str,
    params: Mapping[str, Any],
    columns: list[output.Column],
    nothing: str,
    complete: Callable[[Client, list[dict[str, Any]]], list[dict[str, Any]]] | None = None,
) -> int:
    """Run a list method and print it; ``complete`` adds what the table shows and the list does not say."""
    with connect(args) as client:
        if args.json:
            limit = args.limit
            answer: dict[str, Any] = {"items": list(pages(client, method, params, limit))}
            output.put_json(answer)
            return 0
        rows = list(pages(client, method, params, args.limit))
        if complete is not None:
            rows = complete(client, rows)
    if rows:
        output.put(output.table(rows, columns))
    else:
        output.say(nothing)
    return 0


def show_one(
    args: argparse.Namespace,
    method: str,
    params: Mapping[str, Any],
    worded: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> int:
    """Run a method that answers one object and print it; ``worded`` puts values into words for people."""
    with connect(args) as client:
        answer = client.call(method, **params)
    if args.json:
        output.put_json(answer)
    else:
        output.put(output.block(worded(answer)) if isinstance(answer, dict) else output.plain(answer))
    return 0


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Paging flag of list commands."""
    parser.add_argument(
        "--limit", type=positive, default=PAGE_DEFAULT_ITEMS, metavar="N", help="at most so many items"
    )


def positive(text: str) -> int:
    """A number of things, at least one."""
    if not (text.isascii() and text.isdigit() and int(text[:18])):
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return int(text)


def lot_pick(text: str) -> dict[str, Any]:
    """One tax lot as the flag ``--lot`` names it."""
    number, _, qty = text.partition(":")
    if not (number.isascii() and number.isdigit()):
        raise UsageError("a lot is LOT_NO or LOT_NO:QTY, such as 3:50; position list shows the open lots")
    return {"lot_no": int(number), **({"qty": qty} if qty else {})}
