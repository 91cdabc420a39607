"""``mbtd account …``."""

from __future__ import annotations

import argparse
from typing import Any, Final

from mbtd.cli import output
from mbtd.cli.base import (
    Run,
    UsageError,
    add_account,
    add_limit,
    add_shared,
    add_words,
    connect,
    flags,
    show_list,
    show_one,
    take_words,
)
from mbtd.rpc.client import Client
from mbtd.rpc.wire import RpcRefusal

_ACCOUNTS: Final = [
    ("name", "name"),
    ("type", "type|account_type"),
    ("tier", "tier"),
    ("status", "status"),
    ("equity", "equity"),
    ("cash", "cash"),
    ("power", "buying_power"),
    ("id", "id|account_id"),
]


_PROFILES: Final = "how orders fill: realistic (if not given), conservative, alpaca-parity, or a configured one"


def _create(args: argparse.Namespace) -> int:
    params = flags(args, "type", "tier", "cash", "options_level", "profile", "margin_profile")
    name = args.name or (args.words[0] if len(args.words) == 1 else None)
    if name is None or (args.name and args.words):
        raise UsageError("expected one name: mbtd account create --name NAME")
    with connect(args) as client:
        answer = client.call("account.create", name=name, user_id=args.user or name, **params)
    if args.json:
        output.put_json(answer)
        return 0
    output.put(output.block(answer))
    if answer.get("api_secret"):
        output.say("Keep the secret: it is shown this once.")
    return 0


def _list(args: argparse.Namespace) -> int:
    nothing = "no accounts yet; mbtd account create --name NAME opens one"
    return show_list(args, "account.list", {}, _ACCOUNTS, nothing, _with_figures)


def _with_figures(client: Client, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The list names accounts, which may sleep; each one's figures are asked of itself."""
    answers = client.call_many([("account.get", {"account": row["id"]}) for row in rows])
    return [
        row if isinstance(answer, RpcRefusal) else {**answer, **row}
        for row, answer in zip(rows, answers, strict=True)
    ]


def _show(args: argparse.Namespace) -> int:
    return show_one(args, "account.get", take_words(args, "account"), _with_units)


def _with_units(answer: dict[str, Any]) -> dict[str, Any]:
    """What orders hold is buying power, which in a margin account is not cash."""
    held = answer.get("reserved_for_orders")
    return answer if held is None else answer | {"reserved_for_orders": f"{held} of buying power"}


def _configure(args: argparse.Namespace) -> int:
    settings = flags(
        args,
        "profile",
        "margin_profile",
        "options_level",
        "max_options_trading_level",
        "fractional_trading",
        "no_shorting",
        "suspend_trade",
        "max_margin_multiplier",
        "day_trade_rules",
        "pdt_check",
        "dtbp_check",
        "ptp_no_exception_entry",
        "disable_overnight_trading",
        "intraday_mode",
        "unsettled_sales",
        "lot_method",
        "fee_mode",
        "fraction_long",
        "action_orders",
        "order_size_rounding",
        "drip",
        "nra_ppm",
    )
    if not settings:
        raise UsageError("give at least one setting; see mbtd account configure --help")
    return show_one(args, "account.configure", {**take_words(args, "account"), **settings})


def _move_cash(method: str) -> Run:
    def run(args: argparse.Namespace) -> int:
        return show_one(args, method, take_words(args, "account", "amount"))

    return run


def _reset(args: argparse.Namespace) -> int:
    return show_one(args, "account.reset", {**take_words(args, "account"), **flags(args, "cash")})


def _locate(args: argparse.Namespace) -> int:
    words = take_words(args, "account", "symbol", "qty")
    return show_one(args, "account.locate", {**words, **flags(args, "limit_price")})


def _close(args: argparse.Namespace) -> int:
    return show_one(args, "account.close", take_words(args, "account"))


def _clear_flag(args: argparse.Namespace) -> int:
    return show_one(args, "account.clear_pattern_day_trader", take_words(args, "account"))


def _yes_no(text: str) -> bool:
    if text.lower() in {"true", "yes", "on"}:
        return True
    if text.lower() in {"false", "no", "off"}:
        return False
    raise argparse.ArgumentTypeError("expected true or false")


def add_account_commands(commands: Any) -> None:
    """Declare ``mbtd account``."""
    verbs = commands.add_parser("account", help="open, look at and change accounts").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    create = verbs.add_parser("create", help="open an account")
    create.add_argument("--name")
    create.add_argument("--user", metavar="ID", help="whose it is; the name if not given")
    create.add_argument("--type", choices=["cash", "margin"])
    create.add_argument("--tier", choices=["free", "pro", "pro_plus"])
    create.add_argument("--cash", metavar="AMOUNT")
    add_words(create, "NAME")
    add_shared(create)
    create.set_defaults(run=_create)
    listing = verbs.add_parser("list", help="all accounts")
    add_limit(listing)
    add_shared(listing)
    listing.set_defaults(run=_list)
    configure = verbs.add_parser("configure", help="change settings")
    for flag in (
        "--fractional-trading",
        "--no-shorting",
        "--suspend-trade",
        "--ptp-no-exception-entry",
        "--disable-overnight-trading",
    ):
        configure.add_argument(flag, type=_yes_no, metavar="true|false")
    configure.add_argument("--max-margin-multiplier", choices=["1", "2", "4"])
    configure.add_argument("--day-trade-rules", choices=["auto", "finra_pdt_2001", "intraday_margin_2026", "off"])
    configure.add_argument("--pdt-check", choices=["both", "entry", "exit"])
    configure.add_argument("--dtbp-check", choices=["both", "entry", "exit"])
    configure.add_argument("--intraday-mode", choices=["real_time_block", "eod_only"])
    configure.add_argument("--unsettled-sales", choices=["record", "refuse"])
    configure.add_argument("--fee-mode", choices=["daily_aggregate", "per_order"])
    configure.add_argument("--fraction-long", choices=["keep", "cil"], help="fractions in corporate actions")
    configure.add_argument("--action-orders", choices=["finra_5330", "cancel_all"])
    configure.add_argument("--order-size-rounding", choices=["whole", "round_lot"])
    configure.add_argument("--drip", choices=["off", "on"], help="cash dividends buy more shares")
    configure.add_argument("--nra-ppm", type=int, metavar="PPM", help="withheld from dividends, parts per million")
    configure.add_argument("--lot-method", choices=["fifo", "lifo", "highest_cost", "lowest_cost"])
    most = "the owner's cap on option trading, at most what is approved (--options-level)"
    configure.add_argument("--max-options-trading-level", type=int, choices=range(5), help=most)
    configure.set_defaults(run=_configure)
    reset = verbs.add_parser("reset", help="begin again: no orders, no positions, this much cash; the history stays")
    reset.add_argument("--cash", metavar="AMOUNT")
    add_account(reset, "")
    add_shared(reset)
    reset.set_defaults(run=_reset)
    locate = verbs.add_parser("locate", help="find shares of a hard-to-borrow stock to sell short, for a fee")
    locate.add_argument("--limit-price", metavar="PRICE", help="most to pay for each share")
    add_account(locate, "SYMBOL QTY")
    add_shared(locate)
    locate.set_defaults(run=_locate)
    for parser in (create, configure):
        parser.add_argument("--options-level", type=int, choices=range(5))
        parser.add_argument("--profile", metavar="NAME", help=_PROFILES)
        parser.add_argument("--margin-profile", choices=["house", "finra", "alpaca"], help="house if not given")
    for verb, rest, run, text in (
        ("show", "", _show, "one account"),
        ("deposit", "AMOUNT", _move_cash("account.deposit"), "add cash"),
        ("withdraw", "AMOUNT", _move_cash("account.withdraw"), "take cash out"),
        ("close", "", _close, "close an account; its history stays"),
        ("clear-pattern-day-trader", "", _clear_flag, "take the flag of a pattern day trader off (operators)"),
        ("configure", "", _configure, ""),
    ):
        parser = configure if verb == "configure" else verbs.add_parser(verb, help=text)
        add_account(parser, rest)
        add_shared(parser)
        parser.set_defaults(run=run)
