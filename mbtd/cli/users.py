"""``mbtd user …``, ``mbtd key …``, ``mbtd session …``: tiers, API keys and web sessions."""

from __future__ import annotations

import argparse
from typing import Any, Final

from mbtd.cli import output
from mbtd.cli.base import UsageError, add_account, add_shared, add_words, connect, flags, show_one, take_words

TIERS: Final = ("free", "pro", "pro_plus")
_KEYS: Final = [("key", "api_key"), ("label", "label"), ("issued", "issued_at"), ("last used", "last_used_at")]
_SESSIONS: Final = [
    ("session", "session_id"),
    ("kind", "kind"),
    ("label", "label"),
    ("opened", "opened_at"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
]


def _set_tier(args: argparse.Namespace) -> int:
    if len(args.words) != 2 or args.words[1] not in TIERS:
        raise UsageError(f"expected USER and one of {', '.join(TIERS)}")
    return show_one(args, "user.set_tier", {"user_id": args.words[0], "tier": args.words[1]})


def _create_key(args: argparse.Namespace) -> int:
    return show_one(args, "apikey.create", {**take_words(args, "account"), **flags(args, "label")})


def _keys(args: argparse.Namespace) -> int:
    return _list(args, "apikey.list", _KEYS, "no keys")


def _of_key(method: str) -> Any:
    def run(args: argparse.Namespace) -> int:
        if len(args.words) != 1:
            raise UsageError("expected KEY")
        return show_one(args, method, {"key_id": args.words[0]})

    return run


def _sessions(args: argparse.Namespace) -> int:
    return _list(args, "websession.list", _SESSIONS, "no sessions")


def _revoke_sessions(args: argparse.Namespace) -> int:
    given = flags(args, "session_id", "user_id")
    if args.everybody:
        given["everybody"] = True
    if len(given) != 1:
        raise UsageError("expected one of --session, --user and --everybody")
    return show_one(args, "websession.revoke", given)


def _list(args: argparse.Namespace, method: str, columns: list[output.Column], nothing: str) -> int:
    """Show a list that comes in one piece."""
    with connect(args) as client:
        answer = client.call(method, **take_words(args, "account"))
    if args.json:
        output.put_json(answer)
    elif answer["items"]:
        output.put(output.table(answer["items"], columns))
    else:
        output.say(nothing)
    return 0


def add_set_tier(verbs: Any) -> None:
    """Declare ``mbtd user set-tier`` among the verbs of ``mbtd user``."""
    tier = verbs.add_parser("set-tier", help="a user's tier, from now on")
    add_words(tier, "USER TIER")
    add_shared(tier)
    tier.set_defaults(run=_set_tier)


def add_user_commands(commands: Any) -> None:
    """Declare the commands."""
    verbs = _verbs(commands, "key", "API keys")
    create = verbs.add_parser("create", help="a new key; its secret is shown this once")
    create.add_argument("--label")
    create.set_defaults(run=_create_key)
    listing = verbs.add_parser("list", help="keys of an account")
    listing.set_defaults(run=_keys)
    for parser in (create, listing):
        add_account(parser)
        add_shared(parser)
    for verb, text in (("rotate", "replace a key by a new one"), ("revoke", "end a key at once")):
        parser = verbs.add_parser(verb, help=text)
        add_words(parser, "KEY")
        add_shared(parser)
        parser.set_defaults(run=_of_key(f"apikey.{verb}"))

    verbs = _verbs(commands, "session", "web sessions")
    shown = verbs.add_parser("list", help="sessions of an account")
    add_account(shown)
    add_shared(shown)
    shown.set_defaults(run=_sessions)
    revoke = verbs.add_parser("revoke", help="end sessions at once")
    revoke.add_argument("--session", dest="session_id", metavar="ID")
    revoke.add_argument("--user", dest="user_id", metavar="USER", help="all of a user")
    revoke.add_argument("--everybody", action="store_true", help="all there are")
    add_shared(revoke)
    revoke.set_defaults(run=_revoke_sessions)


def _verbs(commands: Any, noun: str, text: str) -> Any:
    return commands.add_parser(noun, help=text).add_subparsers(dest="verb", required=True, metavar="VERB")
