"""``mbtd serve``, ``replay`` and ``check-config``: hand over to the daemon's own modules, imported late."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mbtd.cli.base import UsageError, add_json
from mbtd.cli.options import CheckConfigOptions, ReplayOptions, ServeOptions

SWITCH_INTERVAL_S: Final = 0.000_5


def _serve(args: argparse.Namespace) -> int:
    if args.feed == "replay" and not args.recording:
        raise UsageError("--feed replay needs --recording FILE")
    if args.feed in ("synthetic", "alpaca") and (args.recording or args.speed is not None):
        raise UsageError("--recording and --speed go with --feed replay")
    options = ServeOptions(
        config=args.config,
        state=args.state,
        feed=args.feed,
        recordings=tuple(args.recording or ()),
        speed=args.speed,
        gateway=args.gateway,
        seed=args.seed,
        json=args.json,
    )
    # Prices are computed in threads, and Python lets one keep the loop waiting for 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return int(importlib.import_module("mbtd.daemon").main(options))


def _replay(args: argparse.Namespace) -> int:
    options = ReplayOptions(
        recordings=tuple(args.recording),
        script=args.script,
        state=args.state,
        out=args.out,
        profile=args.profile,
        seed=args.seed,
        until=args.until,
        json=args.json,
    )
    return int(importlib.import_module("mbtd.replay").main(options))


def _run_gateway(args: argparse.Namespace) -> int:
    process = importlib.import_module("mbtd.gateway.process")
    options = process.GatewayOptions(
        config=args.config, socket=args.gateway_socket, address=args.listen, child=args.child
    )
    return int(process.main(options))


def _check_config(args: argparse.Namespace) -> int:
    options = CheckConfigOptions(config=args.config, json=args.json)
    return int(importlib.import_module("mbtd.config").main(options))


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError("must be a positive number, or inf")
    return value


def _gateway(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text == "off" or (host and port.isascii() and port.isdigit() and int(port) < 65536):
        return text
    raise argparse.ArgumentTypeError("must be HOST:PORT or off")


def _time(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise argparse.ArgumentTypeError("must be a time such as 2013-10-07T20:00:00Z")
    return text


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63):
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 2**63 - 1")
    return int(text)


def add_process_commands(commands: Any) -> None:
    """Declare the commands."""
    serve = commands.add_parser("serve", help="run the daemon")
    serve.add_argument("--config", type=Path, metavar="FILE")
    serve.add_argument("--state", type=Path, metavar="DIR", help="./var if not given")
    serve.add_argument("--feed", choices=["synthetic", "replay", "alpaca"])
    serve.add_argument("--recording", type=Path, nargs="+", action="extend", metavar="FILE")
    serve.add_argument("--speed", type=_speed, metavar="X", help="tape seconds a second")
    serve.add_argument("--gateway", type=_gateway, metavar="HOST:PORT|off")
    serve.add_argument("--seed", type=_seed, metavar="N")
    serve.set_defaults(run=_serve)
    replay = commands.add_parser("replay", help="run recorded data and a script through the engine")
    replay.add_argument("--recording", type=Path, nargs="+", action="extend", metavar="FILE", required=True)
    replay.add_argument("--script", type=Path, metavar="FILE", required=True)
    replay.add_argument("--state", type=Path, metavar="DIR", required=True)
    replay.add_argument("--out", type=Path, metavar="FILE", required=True)
    replay.add_argument("--profile", metavar="NAME")
    replay.add_argument("--seed", type=_seed, metavar="N")
    replay.add_argument("--until", type=_time, metavar="TIME")
    replay.set_defaults(run=_replay)
    check = commands.add_parser("check-config", help="show the effective configuration and where it is from")
    check.add_argument("--config", type=Path, metavar="FILE")
    check.set_defaults(run=_check_config)
    gateway = commands.add_parser("gateway", help="run Alpaca's HTTP and WebSocket interface beside a daemon")
    gateway.add_argument("--config", type=Path, metavar="FILE")
    gateway.add_argument("--socket", type=Path, metavar="PATH", dest="gateway_socket", help="the daemon's socket")
    gateway.add_argument("--listen", type=_gateway, metavar="HOST:PORT")
    gateway.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    gateway.set_defaults(run=_run_gateway)
    for parser in (serve, replay, check, gateway):
        add_json(parser)
