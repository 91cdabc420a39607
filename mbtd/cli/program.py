"""All commands of ``mbtd``, and how each ends.

Invariants: the commands that speak with the daemon import neither engine nor storage nor pandas; every
failure ends with one of the statuses in :mod:`mbtd.cli.exits` and a sentence on stderr (a refusal, with
``--json``, as an ``error`` object on stdout); no traceback for what a user can cause.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mbtd import __version__
from mbtd.cli import exits, output
from mbtd.cli.accounts import add_account_commands
from mbtd.cli.base import UsageError
from mbtd.cli.chains import add_chain_commands
from mbtd.cli.corporate import add_corporate_commands
from mbtd.cli.market import add_market_commands
from mbtd.cli.operations import add_operation_commands
from mbtd.cli.orders import add_order_commands
from mbtd.cli.positions import add_position_commands
from mbtd.cli.processes import add_process_commands
from mbtd.cli.records import add_record_commands
from mbtd.cli.structures import add_structure_commands
from mbtd.cli.users import add_user_commands
from mbtd.rpc.wire import ConnectionLost, NoDaemon, ProtocolFault, RpcRefusal

SERVICE_UNIT = Path("/usr/lib/systemd/system/mbtd.service")
"""Where ``mbtd install`` puts the service."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="mbtd", description="A native paper-trading engine.")
    parser.add_argument("--version", action="version", version=f"mbtd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_process_commands(commands)
    add_account_commands(commands)
    add_order_commands(commands)
    add_position_commands(commands)
    add_market_commands(commands)
    add_corporate_commands(commands)
    add_chain_commands(commands)
    add_structure_commands(commands)
    add_operation_commands(commands)
    add_record_commands(commands)
    add_user_commands(commands)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return _run(build_parser(), argv)
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    if any("\udc80" <= letter <= "\udcff" for word in (sys.argv[1:] if argv is None else argv) for letter in word):
        parser.exit(exits.USAGE, "mbtd: the command line is not valid UTF-8\n")
    args, more = parser.parse_known_args(argv)
    # argparse takes only one run of positional words; later ones come back as unknown
    if any(word.startswith("-") for word in more) or (more and not hasattr(args, "words")):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        args.words = [*args.words, *more]
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except UsageError as error:
        parser.exit(exits.USAGE, f"mbtd: {error}\n")
    except BrokenPipeError:
        # whoever read stdout has gone; nothing more can be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.DONE
    except (RpcRefusal, ConnectionLost, ProtocolFault, TimeoutError, PermissionError) as error:
        if isinstance(error, PermissionError) and hasattr(args, "on_files"):
            output.say(
                f"mbtd: not permitted to open {error.filename}; root may, and operators ask the daemon: "
                "mbtd console backup, mbtd console verify"
            )
            return exits.NOT_PERMITTED
        if not hasattr(args, "socket"):
            raise  # the daemon's own; only a client's failures are told as such
        return _report(args, error)
    except OSError as error:
        if not (hasattr(args, "socket") or hasattr(args, "on_files")) or error.filename is None:
            raise
        output.say(f"mbtd: cannot use {str(error.filename)[:200]}: {error.strerror}")
        return exits.USAGE


def _who_may(path: str) -> str:
    """Whom a socket admits."""
    try:
        return f"members of group {Path(path).group()} may"
    except (OSError, KeyError):
        return "ask the operator"


def _report(args: argparse.Namespace, error: Exception) -> int:
    status = exits.status_of(error)
    assert status is not None
    if isinstance(error, RpcRefusal):
        if args.json:
            output.put_json({"error": error.error})
        else:
            output.explain_refusal(error.error)
    elif isinstance(error, NoDaemon):
        start = "systemctl start mbtd" if SERVICE_UNIT.exists() else "mbtd serve"
        output.say(f"mbtd: {error}; start it with: {start}")
    elif isinstance(error, PermissionError):
        output.say(f"mbtd: not permitted to open {error.filename}; {_who_may(error.filename)}")
    else:
        output.say(f"mbtd: {error}")
    return status
