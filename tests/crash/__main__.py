"""Long crash loops: ``python -m tests.crash replay|serve [options]``. Every figure is one JSON line."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from random import SystemRandom

import msgspec


def _replay(args: argparse.Namespace) -> None:
    from tests.crash.replay_loop import ReplayLoop

    with tempfile.TemporaryDirectory(prefix="mbtd-replay-") as directory:
        loop = ReplayLoop(
            Path(directory), args.recording, args.seed, orders=args.orders, accounts=args.accounts,
            text=_option_script(args) if args.options else "",
        )  # fmt: skip
        expected, summary = loop.undisturbed()
        print(json.dumps({"undisturbed": summary, "output_bytes": len(expected)}), flush=True)
        started = time.monotonic()
        tally = loop.run(args.kills)
        seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"seed": args.seed, "seconds": seconds, **msgspec.to_builtins(tally)}))


def _option_script(args: argparse.Namespace) -> str:
    from tests.crash.option_scripts import write_option_script
    from tests.options_orders.chains import Chain

    return write_option_script(Chain(args.recording), args.seed, orders=args.orders, accounts=args.accounts)


def _serve(args: argparse.Namespace) -> None:
    import asyncio

    from tests.crash.serve_loop import ServeLoop

    with tempfile.TemporaryDirectory(prefix="mbtd-serve-") as directory:
        loop = ServeLoop(Path(directory), args.seed, clients=args.clients, say=True)
        started = time.monotonic()
        tally = asyncio.run(loop.run(args.rounds))
        seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"seed": args.seed, "seconds": seconds, **msgspec.to_builtins(tally)}))


def _campaign(args: argparse.Namespace) -> None:
    from tests.crash import campaign

    kinds = args.kind or list(campaign.KINDS)
    until = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    if not args.table:
        for unit in campaign.run(
            kinds, args.seed, args.log, first=args.first, units=args.units, trials=args.trials, until=until
        ):
            print(json.dumps(msgspec.to_builtins(unit)), flush=True)
    units = campaign.read_log(args.log)
    print(campaign.table(units))
    if not all(unit.ok for unit in units):
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    seed = SystemRandom().randrange(1 << 32)
    kinds = parser.add_subparsers(required=True)
    replay = kinds.add_parser("replay", help="kill replays of a recording")
    replay.add_argument("--recording", type=Path, required=True)
    replay.add_argument("--kills", type=int, default=100)
    replay.add_argument("--orders", type=int, default=500)
    replay.add_argument("--accounts", type=int, default=50)
    replay.add_argument("--options", action="store_true", help="orders of several legs on a recording of options")
    replay.set_defaults(run=_replay)
    serve = kinds.add_parser("serve", help="kill a daemon under load")
    serve.add_argument("--rounds", type=int, default=300)
    serve.add_argument("--clients", type=int, default=8)
    serve.set_defaults(run=_serve)
    campaign = kinds.add_parser("campaign", help="every kind of fault, and a table")
    campaign.add_argument("--kind", action="append", help="only this one; may be repeated")
    campaign.add_argument("--log", type=Path, default=Path("campaign.jsonl"), help="what is done; gone on with")
    campaign.add_argument("--first", type=int, default=0, help="the first directory of each kind")
    campaign.add_argument("--units", type=int, help="so many directories of each kind")
    campaign.add_argument("--trials", type=int, help="so many trials in each directory")
    campaign.add_argument("--minutes", type=float, help="begin no directory after so long")
    campaign.add_argument("--table", action="store_true", help="only sum up the log")
    campaign.set_defaults(run=_campaign)
    for kind in (replay, serve, campaign):
        kind.add_argument("--seed", type=int, default=seed)
    args = parser.parse_args()
    print(json.dumps({"seed": args.seed}), flush=True)
    args.run(args)


if __name__ == "__main__":
    main()
