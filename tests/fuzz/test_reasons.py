"""Every reason that the daemon's code names is in the table of errors."""

from __future__ import annotations

import ast
from pathlib import Path

import mbtd
from mbtd.rpc.errors import KINDS


def reasons(path: Path) -> set[str]:
    """The texts that a file hands to ``make_error`` or ``refuse``."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args)
    named = ((node.func, node.args[0]) for node in calls)
    return {
        first.value
        for function, first in named
        if isinstance(function, ast.Name) and function.id in ("make_error", "refuse")
        if isinstance(first, ast.Constant) and isinstance(first.value, str)
    }


def test_every_reason_in_the_code_is_in_the_table() -> None:
    used = {reason for path in Path(mbtd.__file__).parent.rglob("*.py") for reason in reasons(path)}
    assert "invalid_params" in used
    assert used <= KINDS.keys()
