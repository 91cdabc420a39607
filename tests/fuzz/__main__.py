"""Long runs: ``python -m tests.fuzz protocol --minutes N`` and ``python -m tests.fuzz clients``."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.fuzz.hostile import CLIENTS, measure, misbehave
from tests.fuzz.protocol import ProtocolFuzz


def _protocol(args: argparse.Namespace) -> None:
    print(json.dumps({"seed": args.seed}), flush=True)
    fuzz = ProtocolFuzz(args.seed)
    try:
        with tempfile.TemporaryDirectory(prefix="mbtd-fuzz-") as directory:
            asyncio.run(fuzz.run(Path(directory) / "state", args.minutes * 60))
    finally:
        print(json.dumps({"conversations": fuzz.conversations, "requests": fuzz.requests}))
        print(json.dumps(dict(fuzz.counts.most_common()), indent=1))


def _clients(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="mbtd-fuzz-") as directory:
        print(json.dumps(asyncio.run(measure(Path(directory) / "state", args.turns, args.seconds, args.clients))))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    kinds = parser.add_subparsers(required=True)
    protocol = kinds.add_parser("protocol", help="arbitrary bytes and mutated requests")
    protocol.add_argument("--minutes", type=float, default=10)
    protocol.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    protocol.set_defaults(run=_protocol)
    clients = kinds.add_parser("clients", help="what misbehaving clients do to the others' latency")
    clients.add_argument("--turns", type=int, default=5)
    clients.add_argument("--seconds", type=float, default=4.0)
    clients.set_defaults(run=_clients)
    hostile = kinds.add_parser("hostile", help="misbehave towards a socket until killed")
    hostile.add_argument("socket", type=Path)
    hostile.set_defaults(run=lambda args: asyncio.run(misbehave(args.socket, args.clients)))
    for kind in (clients, hostile):
        kind.add_argument("--clients", type=int, default=CLIENTS)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
