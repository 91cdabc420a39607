"""What a person or a program gets to see: tables, blocks, JSON lines; data on stdout, talk on stderr.

Invariants: colour only on a terminal and never with NO_COLOR; ``--json`` prints one JSON value a line and
nothing else on stdout; control characters of texts from outside are not printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final, TextIO

from mbtd.cli.remedies import in_commands
from mbtd.rpc.errors import RpcError
from mbtd.rpc.wire import encode_json

_CENT: Final = Decimal("0.01")
_CENT_DIGITS: Final = 2
_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_MONEY: Final = frozenset(("P/L", "value", "net", "cost", "proceeds", "max loss"))
"""Columns of dollars that are shown to the cent; balances are shown as they are."""
_RIGHT: Final = frozenset(("qty", "filled", "price", "cash", "equity", "power")) | _MONEY
_OPTIONAL: Final = frozenset(("note",))
"""Columns that are left out where no row has anything in them."""
_STATUS_COLOURS: Final = {
    "filled": "green",
    "ok": "green",
    "rejected": "red",
    "degraded": "yellow",
    "stopping": "yellow",
}

Column = tuple[str, str]
"""Heading, and the keys to look under, separated by ``|``: the first that has a value is shown."""


def paint(text: str, colour: str | None, stream: TextIO) -> str:
    """``text`` in a colour where the stream is a terminal."""
    if colour is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def plain(value: object) -> str:
    """A value as one line of text."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or "-"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def money(value: object) -> str:
    """A decimal text with thousands separated; anything else as it is."""
    text = plain(value)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = digits.partition(".")
    if not whole.isdigit():
        return text
    return f"{sign}{int(whole):,}{point}{rest}"


def cents(value: object) -> str:
    """Dollars for reading: finer than a cent is rounded to it; thousands separated."""
    text = plain(value)
    _, _, rest = text.partition(".")
    return money(_to_the_cent(text) if len(rest) > _CENT_DIGITS else text)


def _to_the_cent(text: str) -> str:
    """With two decimals; what is no number stays."""
    try:
        return f"{Decimal(text).quantize(_CENT, ROUND_HALF_EVEN) + 0:f}"  # + 0: no -0.00
    except InvalidOperation:
        return text


def pick(row: Mapping[str, Any], keys: str) -> object:
    """The first of the keys (``a|b|c``) that has a value in the row."""
    for key in keys.split("|"):
        if row.get(key) not in (None, ""):
            return row[key]
    return None


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """Rows under headings; numbers to the right."""
    rows = list(rows)
    columns = [
        (name, keys) for name, keys in columns if name not in _OPTIONAL or any(pick(row, keys) for row in rows)
    ]
    cells = [[_cell(name, pick(row, keys)) for name, keys in columns] for row in rows]
    headings = [heading for heading, _ in columns]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]

    def line(texts: Sequence[str]) -> str:
        placed = [
            text.rjust(width) if heading in _RIGHT else text.ljust(width)
            for text, width, heading in zip(texts, widths, headings, strict=True)
        ]
        return "  ".join(placed).rstrip()

    lines = [paint(line(headings), "bold", sys.stdout)]
    for texts in cells:
        shown = line(texts)
        colour = next((_STATUS_COLOURS[text] for text in texts if text in _STATUS_COLOURS), None)
        lines.append(paint(shown, colour, sys.stdout))
    return "\n".join(lines)


def _cell(heading: str, value: object) -> str:
    text = plain(value)
    return _to_the_cent(text) if heading in _MONEY else text


def block(values: Mapping[str, Any], indent: int = 0) -> str:
    """A nested object, one member a line, for reading; members without a value are left out."""
    shown = {key: value for key, value in values.items() if value not in (None, "", [], {})}
    width = max((len(key) for key, value in shown.items() if not _is_nested(value)), default=0)
    lines: list[str] = []
    pad = " " * indent
    for key, value in shown.items():
        if isinstance(value, Mapping):
            lines += [f"{pad}{key}", block(value, indent + 2)]
        elif _is_nested(value):
            lines.append(f"{pad}{key}")
            for number, item in enumerate(value, 1):
                lines += [f"{pad}  {number}", block(item, indent + 4)]
        else:
            lines.append(f"{pad}{key.ljust(width)}  {plain(value)}")
    return "\n".join(lines)


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def put(text: str) -> None:
    """Data, for stdout."""
    sys.stdout.write(text + "\n")


def put_json(value: object) -> None:
    """Data as one line of JSON."""
    sys.stdout.write(encode_json(value).decode() + "\n")


def say(text: str) -> None:
    """Talk, for stderr."""
    sys.stderr.write(text + "\n")


def refusal_lines(error: RpcError) -> list[str]:
    """Why something was or would be refused, with the numbers, and what can be done."""
    data = error.data
    lines = [f"{plain(error.message)} [{plain(data.reason)}, {error.code}]"]
    if data.field:
        lines.append(f"  field      {plain(data.field)}")
    numbers = {name: number for name, number in (data.numbers or {}).items() if number not in ("", None, [])}
    lines += [f"  {plain(name):<10} {money(number)}" for name, number in numbers.items()]
    if data.alpaca is not None:
        lines.append(f"  at Alpaca  {data.alpaca.status} {data.alpaca.code} {plain(data.alpaca.message)}")
    if data.remedy:
        lines.append(f"  what to do {in_commands(plain(data.remedy))}")
    elif data.retryable:
        wait = f" in {data.retry_after_ms / 1000:g} s" if data.retry_after_ms else ""
        lines.append(f"  what to do try again{wait}")
    return lines


def explain_refusal(error: RpcError) -> None:
    """Say on stderr why something was refused."""
    head, *rest = refusal_lines(error)
    say("\n".join([f"{paint('refused', 'red', sys.stderr)}: {head}", *rest]))


FINDING_COLUMNS = [("check", "check"), ("looked at", "looked_at"), ("result", "result")]


def _shortened(lines: list[str], most: int = 3) -> str:
    more = f" (and {len(lines) - most} more)" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


def findings(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The checks of ``mbtd verify`` as rows of a table."""
    return [
        {
            "check": each["check"],
            "looked_at": each["looked_at"],
            "result": "ok"
            if each["ok"]
            else _shortened([line for text in each["wrong"] for line in text.split("\n")]),
        }
        for each in found
    ]
