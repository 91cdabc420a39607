"""``mbtd chain U``, ``mbtd contracts U``, ``mbtd payoff SYMBOL:QTY…``."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mbtd.cli import exits, output
from mbtd.cli.base import UsageError, add_limit, add_shared, add_words, connect, flags, pages, show_list

_CONTRACTS: Final = [
    ("symbol", "symbol"),
    ("expires", "expiration_date"),
    ("last day", "last_trading_date"),
    ("type", "type"),
    ("strike", "strike_price"),
    ("style", "style"),
    ("settled", "settlement"),
    ("interest", "open_interest"),
]
_SIDE: Final = (
    ("IV", "implied_volatility"),
    ("delta", "delta"),
    ("theta", "theta"),
    ("bid", "bid_price"),
    ("ask", "ask_price"),
)
_CHAIN_ITEMS: Final = 500
_FILTERS: Final = ("root_symbol", "strike_price_gte", "strike_price_lte")
_LEG: Final = re.compile(r"([A-Z][A-Z0-9./]*)(?::([+-]?[0-9]{1,7}))?\Z")


def _chain(args: argparse.Namespace) -> int:
    if len(args.words) != 1:
        raise UsageError("expected UNDERLYING")
    params = {"underlying_symbol": args.words[0], **flags(args, *_FILTERS)}
    if args.expiry is not None:
        params["expiration_date"] = args.expiry
    with connect(args) as client:
        answer = client.call("option.chain", **params, limit=1, greeks=False)
        params.setdefault("expiration_date", answer["expiration_dates"][0])
        answer["items"] = list(pages(client, "option.chain", params, args.limit))
    answer.pop("next_page_token", None)
    if args.json:
        output.put_json(answer)
        return exits.DONE
    price = answer["underlying_price"] or "-"
    output.put(f"{args.words[0]}  {price}   expires {params['expiration_date']}")
    output.put(chain_table(answer["items"], answer["underlying_price"], args.strikes))
    output.put(f"expiries: {' '.join(answer['expiration_dates'])}")
    return exits.DONE


def chain_table(items: Sequence[Mapping[str, Any]], price: str | None, strikes: int) -> str:
    """Calls to the left, strikes in the middle, puts to the right; the strike nearest to the price is marked.

    At most ``strikes`` of them on each side of the price.
    """
    rows: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for item in items:
        root = item["symbol"][: -len("YYMMDDC00000000")]
        rows.setdefault((root, item["strike_price"]), {})[item["type"]] = item
    keys = sorted(rows, key=lambda key: (key[0], float(key[1])))
    nearest = None
    if price and keys:
        nearest = min(keys, key=lambda key: abs(float(key[1]) - float(price)))
        around = sorted({float(strike) for _, strike in keys}, key=lambda strike: abs(strike - float(price)))
        shown_strikes = set(around[: 2 * strikes + 1])
        keys = [key for key in keys if float(key[1]) in shown_strikes]
    left = [f"call {name}" for name, _ in _SIDE]
    right = [f"put {name}" for name, _ in reversed(_SIDE)]
    lines = [[*left, "strike", *right]]
    for key in keys:
        calls = [_cell(rows[key].get("call"), field) for _, field in _SIDE]
        puts = [_cell(rows[key].get("put"), field) for _, field in reversed(_SIDE)]
        lines.append([*calls, key[1] + (" <" if key == nearest else ""), *puts])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    shown = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([output.paint(shown[0], "bold", sys.stdout), *shown[1:]])


def _cell(item: Mapping[str, Any] | None, field: str) -> str:
    if item is None:
        return "-"
    if field in ("delta", "theta"):
        value = (item.get("greeks") or {}).get(field)
        return f"{round(float(value), 3) + 0.0:.3f}" if value is not None else "-"
    value = item.get(field)
    if field == "implied_volatility" and value is not None:
        return f"{float(value) * 100:.1f}%"
    return output.plain(value)


def _contracts(args: argparse.Namespace) -> int:
    params = flags(args, *_FILTERS, "status", "type")
    if args.words:
        params["underlying_symbols"] = args.words
    if args.expiry is not None:
        params["expiration_date"] = args.expiry
    return show_list(args, "option.contracts", params, _CONTRACTS, "no contracts")


def _payoff(args: argparse.Namespace) -> int:
    params: dict[str, Any] = {"legs": [parse_leg(word) for word in args.words]}
    if not args.words:
        raise UsageError("expected SYMBOL:QTY…, such as AAPL261218C00260000:-1")
    if args.cost is not None:
        params["cost"] = args.cost
    with connect(args) as client:
        answer = client.call("option.payoff", **params)
    return show_payoff(args, answer)


def show_payoff(args: argparse.Namespace, answer: Mapping[str, Any]) -> int:
    """Print a payoff: as JSON, as a PNG file, or as a picture in the terminal."""
    if args.json:
        output.put_json(answer)
        return exits.DONE
    from mbtd.pricing.picture import PictureUnavailable, draw_png, draw_text

    if args.png is not None:
        try:
            Path(args.png).write_bytes(draw_png(answer))
        except PictureUnavailable as error:
            output.say(f"mbtd: {error}")
            return exits.REFUSED
        output.put(str(args.png))
        return exits.DONE
    size = shutil.get_terminal_size((80, 24))
    output.put(draw_text(answer, width=min(size.columns, 120), colours=sys.stdout.isatty()))
    return exits.DONE


def parse_leg(word: str) -> dict[str, Any]:
    """``SYMBOL:-2`` or ``SYMBOL`` (of one) as a leg. Raises :class:`UsageError`."""
    match = _LEG.match(word)
    if match is None:
        raise UsageError(f"{word!r} is not a leg; write SYMBOL:QTY, for example AAPL261218C00260000:-1")
    return {"symbol": match[1], "qty": int(match[2] or 1)}


def add_payoff_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that draws a payoff."""
    parser.add_argument("--png", metavar="FILE", help="write a PNG picture (needs mbtd[pictures])")


def add_chain_commands(commands: Any) -> None:
    """Declare the commands."""
    chain = commands.add_parser("chain", help="an underlying's options with quotes, volatility and Greeks")
    add_words(chain, "UNDERLYING")
    chain.add_argument("--strikes", type=int, default=10, metavar="N", help="strikes shown on each side of the price")
    chain.set_defaults(run=_chain)
    contracts = commands.add_parser("contracts", help="the option contracts of some underlyings")
    add_words(contracts, "UNDERLYING")
    contracts.add_argument("--status", choices=["active", "inactive"])
    contracts.add_argument("--type", choices=["call", "put"])
    contracts.set_defaults(run=_contracts)
    for parser in (chain, contracts):
        parser.add_argument("--expiry", metavar="YYYY-MM-DD", help="one expiry; by default the nearest")
        parser.add_argument("--root-symbol", metavar="ROOT", help="one root, such as SPXW")
        parser.add_argument("--strike-price-gte", metavar="PRICE", help="strikes from here")
        parser.add_argument("--strike-price-lte", metavar="PRICE", help="strikes up to here")
        add_limit(parser)
    chain.set_defaults(limit=_CHAIN_ITEMS)
    payoff = commands.add_parser("payoff", help="what some legs bring at every price, as a picture")
    add_words(payoff, "SYMBOL:QTY")
    payoff.add_argument("--cost", metavar="AMOUNT", help="what was paid for all (negative: a credit)")
    add_payoff_flags(payoff)
    payoff.set_defaults(run=_payoff)
    for parser in (chain, contracts, payoff):
        add_shared(parser)
