"""docs/protocol.md lists every method with its parameters and every reason, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from actors.book.rules.reasons import REASONS
from mbtd.methods import COMMANDS, PREVIEWS
from mbtd.rpc.errors import KINDS
from mbtd.service.reads import READS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def parameters(kind: type[msgspec.Struct]) -> list[tuple[str, bool]]:
    """Each parameter and whether it may be left out. A command's account is always needed."""
    needs_account = kind in COMMANDS.values()
    return [
        (field.name, not field.required and not (field.name == "account" and needs_account))
        for field in msgspec.structs.fields(kind)
    ]


def test_the_page_lists_the_methods() -> None:
    methods = {**COMMANDS, **READS, **PREVIEWS}
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {
        name: [(found[0], bool(found[1])) for found in re.findall(r"`([a-z_]+)`(\??)", text)] for name, text in rows
    }
    assert listed == {name: parameters(kind) for name, kind in sorted(methods.items())}


def test_the_page_lists_the_refusals_of_options() -> None:
    """Published names and numbers stay as they are: whoever changes one changes the page."""
    rows = re.findall(r"^\| (36[0-9]+) \| `([a-z_]+)` \| ([0-9]+) ([0-9]+) \| (.+) \|$", PAGE, re.MULTILINE)
    table = sorted(REASONS.values(), key=lambda reason: reason.code)
    assert rows == [
        (str(r.code), r.name, str(r.alpaca_status), str(r.alpaca_code), r.alpaca_text)
        for r in table
        if 3620 <= r.code < 3700
    ]


def test_the_page_lists_the_reasons() -> None:
    rows = re.findall(r"^\| (-?[0-9]+) \| `([a-z_]+)` \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(kind.code), kind.reason, "yes" if kind.retryable else "no") for kind in KINDS.values()]
