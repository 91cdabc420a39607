"""``mbtd history``, ``mbtd performance``, ``mbtd lot list``, ``mbtd lot assign``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import add_account, add_limit, add_shared, connect, flags, lot_pick, show_list, take_words

_LOTS: Final = [
    ("closed", "closed_at"),
    ("symbol", "symbol"),
    ("lot", "lot_no"),
    ("side", "side"),
    ("qty", "qty"),
    ("cost", "cost_basis"),
    ("proceeds", "proceeds"),
    ("P/L", "realized_pl"),
    ("term", "term"),
    ("opened", "opened_at"),
]
_POINTS: Final = [("time", "time"), ("equity", "equity"), ("P/L", "profit_loss"), ("P/L %", "percent")]
_TRADES: Final = [
    ("symbol", "symbol"),
    ("trades", "trades"),
    ("won", "wins"),
    ("win rate", "win_rate"),
    ("profit factor", "profit_factor"),
    ("P/L", "realized_pl"),
]


def _history(args: argparse.Namespace) -> int:
    params = take_words(args, "account")
    params |= flags(args, "period", "timeframe", "start", "end", "intraday_reporting", "pnl_reset", "cashflow_types")
    with connect(args) as client:
        answer = client.call("history.portfolio", **params)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    rows = [
        {
            "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="minutes").replace("+00:00", "Z"),
            "equity": equity,
            "profit_loss": profit,
            "percent": f"{share * 100:.2f}",
        }
        for at, equity, profit, share in zip(
            answer["timestamp"], answer["equity"], answer["profit_loss"], answer["profit_loss_pct"], strict=True
        )
    ]
    output.put(output.table(rows, _POINTS) if rows else "no points in this period")
    return exits.DONE


def _performance(args: argparse.Namespace) -> int:
    params = {**take_words(args, "account"), **flags(args, "start", "end")}
    with connect(args) as client:
        answer = client.call("performance.get", **params)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    by_symbol = answer.pop("by_symbol")
    output.put(output.block(answer))
    if by_symbol:
        output.put(output.table(by_symbol, _TRADES))
    return exits.DONE


def _lots(args: argparse.Namespace) -> int:
    params: dict[str, Any] = {**take_words(args, "account"), **flags(args, "symbol", "after", "until")}
    return show_list(args, "lot.list", params, _LOTS, "no closed lots")


def _assign(args: argparse.Namespace) -> int:
    params: dict[str, Any] = take_words(args, "account", "fill_id")
    params["lots"] = [lot_pick(text) for text in args.lot]
    with connect(args) as client:
        answer = client.call("lot.assign", **params)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    lots = answer.pop("lots")
    output.put(output.block(answer))
    output.put(output.table(lots, _LOTS))
    return exits.DONE


def add_record_commands(commands: Any) -> None:
    """Declare the commands."""
    history = commands.add_parser("history", help="equity and profit of an account over time")
    add_account(history)
    history.add_argument("--period", metavar="N[DWMA]", help="such as 1D, 2W, 3M, 1A; 1M if not given")
    history.add_argument("--timeframe", choices=["1Min", "5Min", "15Min", "1H", "1D"])
    history.add_argument("--intraday-reporting", choices=["market_hours", "extended_hours", "continuous"])
    history.add_argument("--pnl-reset", choices=["per_day", "no_reset"])
    history.add_argument("--cashflow-types", metavar="TYPES", help="ALL, NONE or a comma list")
    history.set_defaults(run=_history)
    performance = commands.add_parser("performance", help="return, drawdown and closed trades of an account")
    add_account(performance)
    performance.set_defaults(run=_performance)
    for parser in (history, performance):
        parser.add_argument("--start", metavar="TIME")
        parser.add_argument("--end", metavar="TIME")
    verbs = commands.add_parser("lot", help="tax lots of what was closed").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    lots = verbs.add_parser("list", help="closed tax lots of an account, newest first")
    add_account(lots)
    add_limit(lots)
    lots.add_argument("--symbol")
    lots.add_argument("--after", metavar="TIME")
    lots.add_argument("--until", metavar="TIME")
    lots.set_defaults(run=_lots)
    assign = verbs.add_parser("assign", help="choose the tax lots of a closing fill, until it settles")
    add_account(assign, "FILL_ID")
    assign.add_argument(
        "--lot", action="append", metavar="LOT_NO[:QTY]", required=True, help="repeatable; all that it closed"
    )
    assign.set_defaults(run=_assign)
    for parser in (history, performance, lots, assign):
        add_shared(parser)
