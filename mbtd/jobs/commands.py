"""``mbtd backup``, ``restore`` and ``verify`` as a person or a timer runs them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from actors.book.units import parse_time
from mbtd import __version__
from mbtd.cli import exits, output
from mbtd.jobs import restore as restoring
from mbtd.jobs.marks import Marks
from mbtd.jobs.rebuild import CannotRebuild
from mbtd.jobs.verify import Report, verify
from mbtd.journal import catch_up, open_front
from mbtd.rpc.client import Client
from mbtd.rpc.wire import DEFAULT_SOCKETS, SOCKET_VARIABLE, ConnectionLost, RpcRefusal
from storage import backup as backups_of
from storage.backup import BadBackup
from storage.database import FILE_NAME
from storage.errors import AlreadyRunning, Corrupt, StorageError
from storage.lock import StateLock
from storage.sqlite import SqliteStore

BARRIER_S = 60.0
AFTER_S = 3_600.0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fail(args: argparse.Namespace, text: str, status: int) -> int:
    if args.json:
        output.put_json({"ok": False, "error": text})
    output.say(f"mbtd: {text}")
    return status


def _tell(args: argparse.Namespace, values: dict[str, Any]) -> None:
    if args.json:
        output.put_json(values)
    else:
        output.put(output.block(values))


def _settle(state: Path) -> str:
    """Have the store hold everything that was acknowledged: ask the daemon, or do it where none runs."""
    named = (os.environ.get(SOCKET_VARIABLE), state / "mbtd.sock", *DEFAULT_SOCKETS)
    for socket in (Path(each) for each in named if each):
        for path in (socket.with_name("admin.sock"), socket):
            try:
                with Client(path, timeout_s=BARRIER_S) as client:
                    answer = client.call("admin.barrier")
                if os.path.realpath(answer["state"]) == os.path.realpath(state):
                    return "running"
            except (ConnectionLost, RpcRefusal, OSError):
                continue
    with StateLock.acquire(state, wait_s=2.0):
        store = SqliteStore.open(state, take_epoch=False, ballast_bytes=0)
        try:
            front = open_front(state, take_epoch=False)
            try:
                catch_up(front, store)
            finally:
                front.close()
            store.checkpoint(truncate=False)
        finally:
            store.close()
    return "stopped"


def hand_over(*directories: Path) -> None:
    """What root has made in a directory of another user belongs to that user, or the service could not use it."""
    for directory in directories:
        if os.geteuid() != 0 or not directory.is_dir():
            continue
        owner = directory.stat()
        for path in directory.rglob("*"):
            if owner.st_uid and path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def backup(state: Path, backups: Path, args: argparse.Namespace) -> int:
    """Make one, prune old ones, hand it to the hook."""
    if args.list:
        rows = [{"path": str(p), "seq": m.seq, "made_at": m.made_at} for p, m in backups_of.list_backups(backups)]
        if args.json:
            output.put_json({"items": rows})
        elif rows:
            output.put(output.table(rows, [("made at", "made_at"), ("event", "seq"), ("path", "path")]))
        else:
            output.say(f"there is no backup in {backups}")
        return exits.DONE
    if not (state / FILE_NAME).exists():
        return _fail(args, f"there is no state in {state}; name it with --state", exits.USAGE)
    try:
        daemon = "running" if args.settled else _settle(state)
        path, manifest = backups_of.make(
            state, backups, lambda copy: verify(copy).wrong, now=_now(), release=__version__
        )
    except BadBackup as error:
        return _fail(args, str(error), exits.DATA)
    except AlreadyRunning as error:
        return _fail(args, str(error), exits.TRY_AGAIN)
    except (StorageError, OSError) as error:
        return _fail(args, f"no backup was made: {error}", exits.STORAGE)
    gone = backups_of.prune(backups, args.keep, args.keep_weekly)
    hook = _run_hook(args.after, path) if args.after else ""
    Marks(state).set("backup", time.time())
    hand_over(state, backups)
    _tell(
        args,
        {
            "ok": not hook,
            "backup": str(path),
            "seq": manifest.seq,
            "bytes": sum(file.size_bytes for file in manifest.files),
            "seconds": manifest.seconds,
            "daemon": daemon,
            "pruned": [str(each) for each in gone],
            "after": hook or None,
        },
    )
    return exits.TRY_AGAIN if hook else exits.DONE


def _run_hook(command: str, path: Path) -> str:
    """Run the operator's copy command; empty when it went well."""
    try:
        done = subprocess.run([*command.split(), str(path)], timeout=AFTER_S, check=False, stdout=sys.stderr)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the copy command failed: {error}"
    return f"the copy command ended with {done.returncode}" if done.returncode else ""


def restore(state: Path, backups: Path, args: argparse.Namespace) -> int:
    """Restore the named backup or the newest; with the journal, whatever base makes the state whole."""
    path = args.backup
    replay = args.replay or args.until is not None
    if path is None and not replay:
        found = backups_of.list_backups(backups)
        if not found:
            return _fail(
                args, f"there is no backup in {backups}; name one, or their place with --backups", exits.USAGE
            )
        path = found[-1][0]
    until = parse_time(args.until) if args.until is not None else None
    try:
        done, report = restoring.restore(path, state, now=_now(), backups=backups, replay=args.replay, until_at=until)
    except AlreadyRunning as error:
        return _fail(args, f"{error} (stop the daemon first)", exits.TRY_AGAIN)
    except CannotRebuild as error:
        return _refuse(args, error)
    except Corrupt as error:
        return _fail(args, str(error), exits.DATA)
    except (StorageError, OSError) as error:
        return _fail(args, str(error), exits.STORAGE)
    hand_over(state, backups)
    _tell(args, {"ok": report.ok, **msgspec.to_builtins(done), "wrong": report.wrong})
    return exits.DONE if report.ok else exits.DATA


def _refuse(args: argparse.Namespace, error: CannotRebuild) -> int:
    """Say what is damaged, what is missing and what to do, a line each."""
    told = {
        "damaged": error.damaged,
        "passed_over": error.passed_over,
        "missing": error.missing,
        "next": error.next_steps,
    }
    if args.json:
        output.put_json({"ok": False, "error": str(error), **told})
        return exits.DATA
    output.say("mbtd: the state cannot be made whole; nothing was touched")
    for heading, lines in told.items():
        for line in lines:
            output.say(f"  {heading.replace('_', ' ')}: {line}")
    return exits.DATA


def drill(state: Path, backups: Path, args: argparse.Namespace) -> int:
    """Try the newest (or the named) backup in a scratch place."""
    try:
        done, report = restoring.drill(backups, now=_now(), backup=args.backup)
    except Corrupt as error:
        return _fail(args, str(error), exits.DATA)
    except (StorageError, OSError) as error:
        return _fail(args, str(error), exits.STORAGE)
    if report.ok and state.is_dir():
        Marks(state).set("drill", time.time())
        hand_over(state)
    _tell(args, {"ok": report.ok, **msgspec.to_builtins(done), "wrong": report.wrong})
    return exits.DONE if report.ok else exits.DATA


def verify_state(directory: Path, args: argparse.Namespace) -> int:
    """Check a state directory or a backup, and say what was looked at."""
    try:
        report = verify(directory, progress=None if args.json else output.say)
    except OSError as error:
        return _fail(args, str(error), exits.USAGE)
    if args.redecide and report.ok:
        from mbtd.jobs.redecide import redecide

        report = msgspec.structs.replace(
            report, findings=(*report.findings, redecide(directory, tuple(args.recording or ())))
        )
    if report.ok:
        _mark(directory)
    _show(report, args)
    return exits.DONE if report.ok else exits.DATA


def _mark(directory: Path) -> None:
    if (directory / "mbtd.lock").exists() and os.access(directory, os.W_OK):
        Marks(directory).set("verify", time.time())
        hand_over(directory)


def _show(report: Report, args: argparse.Namespace) -> None:
    if args.json:
        output.put_json({"ok": report.ok, **msgspec.to_builtins(report), "wrong": report.wrong})
        return
    output.put(output.table(output.findings(msgspec.to_builtins(report.findings)), output.FINDING_COLUMNS))
    output.say(f"{report.accounts} accounts up to event {report.seq}; state {report.state_hash[:16]}")
