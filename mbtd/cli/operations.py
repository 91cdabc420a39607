"""The operator's commands: ``console``, ``top``, ``backup``, ``restore``, ``verify``, ``user``, ``metrics``.

Invariant: what only asks the daemon imports neither engine nor storage; what works on files does so late.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path
from typing import Any

from mbtd.cli import exits, output
from mbtd.cli.base import UsageError, add_json, add_shared, seconds
from mbtd.cli.users import add_set_tier
from mbtd.rpc.client import Client

BACKUP_VARIABLE = "MBTD_BACKUPS"
SERVICE_STATE = Path("/var/lib/mbtd")


def admin_socket(args: argparse.Namespace) -> Path:
    """The operators' socket: given, or beside the clients' one."""
    given = args.socket
    client = Client(given)
    path = client.path
    return path if path.name == "admin.sock" else path.with_name("admin.sock")


def connect_admin(args: argparse.Namespace) -> Client:
    """A connection for an operator's command; a daemon without an own admin socket is asked on the clients' one."""
    path = admin_socket(args)
    return Client(path if path.exists() else args.socket, timeout_s=args.timeout)


def _state(args: argparse.Namespace) -> Path:
    """Given, told by systemd, below the working directory, or the service's."""
    named = args.state or os.environ.get("STATE_DIRECTORY")
    if named:
        return Path(named)
    here = Path("var")
    return SERVICE_STATE if not (here / "mbtd.sqlite3").exists() and SERVICE_STATE.is_dir() else here


def _backups(args: argparse.Namespace) -> Path:
    given = args.backups or os.environ.get(BACKUP_VARIABLE)
    return Path(given) if given else _state(args) / "backups"


def _console(args: argparse.Namespace) -> int:
    return int(importlib.import_module("mbtd.console.shell").main(connect_admin(args), args.words, args.json))


def _top(args: argparse.Namespace) -> int:
    if args.json or args.once:
        with connect_admin(args) as client:
            output.put_json(importlib.import_module("mbtd.console.screens").sample(client))
        return exits.DONE
    return int(importlib.import_module("mbtd.console.top").main(connect_admin(args), args.every))


def _metrics(args: argparse.Namespace) -> int:
    with connect_admin(args) as client:
        answer = client.call("admin.metrics")
    if args.textfile is not None:
        if not args.textfile.name:
            raise UsageError("--textfile FILE: that is no file's name")
        temporary = args.textfile.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(answer["text"])
        temporary.chmod(0o644)
        temporary.replace(args.textfile)
    elif args.json:
        output.put_json(answer)
    else:
        output.put(answer["text"].rstrip("\n"))
    return exits.DONE


def _backup(args: argparse.Namespace) -> int:
    work = importlib.import_module("mbtd.jobs.commands")
    return int(work.backup(_state(args), _backups(args), args))


def _restore(args: argparse.Namespace) -> int:
    work = importlib.import_module("mbtd.jobs.commands")
    if args.drill:
        return int(work.drill(_state(args), _backups(args), args))
    return int(work.restore(_state(args), _backups(args), args))


def _verify(args: argparse.Namespace) -> int:
    work = importlib.import_module("mbtd.jobs.commands")
    return int(work.verify_state(Path(args.directory) if args.directory else _state(args), args))


def _user_erase(args: argparse.Namespace) -> int:
    if not args.yes and not args.json:
        output.say(f"This takes everything of user {args.user} out of the state for good. Repeat with --yes.")
        return exits.USAGE
    with connect_admin(args) as client:
        answer = client.call("user.erase", user_id=args.user)
    if args.json:
        output.put_json(answer)
    else:
        output.put(output.block(answer))
        output.say("Backups made before keep the user until they are rotated out; a restore erases again.")
    return exits.DONE


def _user_export(args: argparse.Namespace) -> int:
    with connect_admin(args) as client:
        done = importlib.import_module("mbtd.console.exporting").export(client, args.user, args.out, args.format)
    if args.json:
        output.put_json(done)
    else:
        output.put(output.block(done))
    return exits.DONE


def _purge(args: argparse.Namespace) -> int:
    with connect_admin(args) as client:
        answer = client.call("admin.purge", dry_run=args.dry_run)
    if args.json:
        output.put_json(answer)
    else:
        output.put(output.block(answer))
    return exits.DONE


def _install(args: argparse.Namespace) -> int:
    work = importlib.import_module("mbtd.install")
    try:
        written = work.install(args.root, args.prefix)
    except OSError as error:
        raise UsageError(f"cannot write below {args.root}: {error}") from None
    if args.json:
        output.put_json({"written": [str(path) for path in written], "next": work.NEXT})
    else:
        for path in written:
            output.put(str(path))
        output.say("then: " + "; ".join(work.NEXT))
        output.say("for programs that speak HTTP also: " + work.GATEWAY)
        output.say("operators other than root: usermod -aG mbtd-operators NAME; clients: mbtd-clients")
    return exits.DONE


def _until(text: str) -> str:
    from datetime import datetime

    try:
        if datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("must be a time such as 2013-10-07T20:00:00Z")


def add_operation_commands(commands: Any) -> None:
    """Declare the commands."""
    _add_asking(commands)
    _add_files(commands)
    _add_users(commands)
    install = commands.add_parser("install", help="write units, users and directories for systemd")
    install.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="below this directory (/)")
    install.add_argument("--prefix", type=Path, metavar="DIR", help="where mbtd lives (this installation's)")
    install.set_defaults(run=_install)
    add_json(install)


def _add_asking(commands: Any) -> None:
    console = commands.add_parser("console", help="look into the running daemon, and steer it")
    console.add_argument("words", nargs="*", metavar="WORD", help="one command instead of a conversation")
    console.set_defaults(run=_console)
    top = commands.add_parser("top", help="rates, latencies, feed age and busiest accounts, live")
    top.add_argument("--every", type=seconds, default=1.0, metavar="S", help="refresh this often")
    top.add_argument("--once", action="store_true", help="print one sample and end")
    top.set_defaults(run=_top)
    metrics = commands.add_parser("metrics", help="the metrics as Prometheus text")
    metrics.add_argument("--textfile", type=Path, metavar="FILE", help="write it there, whole, for the node exporter")
    metrics.set_defaults(run=_metrics)
    purge = commands.add_parser("purge", help="forget history that is older than its tier keeps")
    purge.add_argument("--dry-run", action="store_true", help="count only")
    purge.set_defaults(run=_purge)
    for parser in (console, top, metrics, purge):
        add_shared(parser)


def _add_files(commands: Any) -> None:
    backup = commands.add_parser("backup", help="a checked copy of the state, while trading goes on")
    backup.add_argument("--keep", type=int, default=7, metavar="N", help="last backups of so many days are kept")
    backup.add_argument("--keep-weekly", type=int, default=4, metavar="N", help="and the last of so many weeks")
    backup.add_argument(
        "--after", metavar="COMMAND", help="run this with the backup's path: the copy to another host"
    )
    backup.add_argument("--list", action="store_true", help="show the backups there are")
    backup.add_argument("--settled", action="store_true", help=argparse.SUPPRESS)
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="put a backup in place of the state; the daemon must be stopped")
    restore.add_argument("backup", nargs="?", type=Path, metavar="BACKUP", help="the newest if not given")
    restore.add_argument("--replay", action="store_true", help="and what the present journal adds, to its end")
    restore.add_argument("--until", type=_until, metavar="TIME", help="and what it adds up to this moment")
    restore.add_argument("--drill", action="store_true", help="only try it, in a scratch place")
    restore.set_defaults(run=_restore)
    verify = commands.add_parser("verify", help="is what is stored right? Also beside a running daemon")
    verify.add_argument("directory", nargs="?", metavar="DIR", help="a state directory or a backup")
    verify.add_argument("--redecide", action="store_true", help="run inputs and tape again and compare the bytes")
    verify.add_argument("--recording", type=Path, nargs="+", action="extend", metavar="FILE",
                        help="the recordings of a replay's state directory")  # fmt: skip
    verify.set_defaults(run=_verify)
    for parser in (backup, restore, verify):
        places = f"$STATE_DIRECTORY, ./var, {SERVICE_STATE}"
        parser.set_defaults(on_files=True)
        parser.add_argument("--state", metavar="DIR", help=f"the state directory ({places})")
        parser.add_argument(
            "--backups", metavar="DIR", help=f"the backups' place (${BACKUP_VARIABLE}, STATE/backups)"
        )
        add_json(parser)


def _add_users(commands: Any) -> None:
    user = commands.add_parser("user", help="a user of the platform: tier, export, erase").add_subparsers(
        dest="user_command", required=True, metavar="COMMAND"
    )
    add_set_tier(user)
    erase = user.add_parser("erase", help="take everything of a user out of the state, for good")
    erase.add_argument("user", metavar="USER")
    erase.add_argument("--yes", action="store_true", help="mean it")
    erase.set_defaults(run=_user_erase)
    export = user.add_parser("export", help="everything kept of a user, as JSON and CSV")
    export.add_argument("user", metavar="USER")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new directory")
    export.add_argument("--format", choices=["json", "csv", "both"], default="both")
    export.set_defaults(run=_user_export)
    for parser in (erase, export):
        add_shared(parser)
