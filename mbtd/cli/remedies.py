"""What the daemon advises, in the words of the command line: its own commands in place of the protocol's methods."""

from __future__ import annotations

import re
from typing import Final

COMMANDS: Final = {
    "account.configure": "account configure",
    "account.locate": "account locate",
    "asset.list": "asset list",
    "corporate_action.announce": "corporate-action announce",
    "fill.list": "why ORDER_ID",
    "option.contracts": "contracts UNDERLYING",
    "order.rules": "order rules",
    "position.close": "position close",
    "position.get": "position show",
    "structure.close": "structure close",
    "structure.exit_clear": "structure exit --clear",
    "structure.get": "structure show",
    "structure.list": "structure list",
}
"""Methods that texts name, and the commands that do the same."""
FLAGS: Final = {"any_sign": "--any-sign"}
_NAMED: Final = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in (*COMMANDS, *FLAGS)))


def in_commands(text: str) -> str:
    """A text with ``mbtd structure list`` for ``structure.list``; what is unknown stays."""
    return _NAMED.sub(lambda match: FLAGS.get(match[0]) or f"`mbtd {COMMANDS[match[0]]}`", text)
