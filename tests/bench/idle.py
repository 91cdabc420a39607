"""What an idle account costs: resident memory of the daemon, and the time to bring one back from disk.

``bytes_per_account`` is (RSS at N − RSS at 1,000) / (N − 1,000) of the daemon's main process, once with all
accounts opened in its lifetime, once of daemons started anew over the same accounts. Snapshots are written in the
largest chunks that the configuration allows, only so that the bench need not wait.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.running import BenchError, Child, StateDirectory, percentile, start_daemon

FEW: Final = 1_000
_CHUNK: Final = "MBTD_STORAGE__SNAPSHOT_CHUNK_MAX_ROWS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--wakes", type=int, default=2_000)
    parser.add_argument("--settle-max", type=float, default=300.0, help="seconds")
    parser.add_argument("--state-in", type=Path, help="where the state directory is made")


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per figure."""
    before = os.environ.get(_CHUNK)
    os.environ[_CHUNK] = "500"
    try:
        with StateDirectory(options.state_in) as state:
            yield from _measure(options, state)
    finally:
        if before is None:
            del os.environ[_CHUNK]
        else:
            os.environ[_CHUNK] = before


def _measure(options: argparse.Namespace, state: Path) -> Iterator[dict[str, Any]]:
    many = options.accounts - options.few
    if many <= 0:
        raise BenchError("--accounts must be more than --few")
    copy = state.with_name(state.name + "-few")
    with start_daemon(state, 10) as daemon:
        daemon.ask("create", count=options.few)
        few = _settled(daemon, options)
        daemon.ask("create", first=options.few, count=many)
        begin = time.perf_counter()
        lived = _settled(daemon, options)
        settle_s = time.perf_counter() - begin
        wake_us = sorted(daemon.ask("wake", count=options.wakes)["wake_us"])
    try:
        with start_daemon(copy, 10) as daemon:
            daemon.ask("create", count=options.few)
            _settled(daemon, options)
        with start_daemon(copy, 10) as daemon:
            few_anew = _settled(daemon, options)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    with start_daemon(state, 10) as daemon:
        anew = _settled(daemon, options)
    common = {"accounts": options.accounts, "few": options.few, "load_average": round(os.getloadavg()[0], 2)}
    for name, small, large in (("bytes_per_account", few, lived), ("bytes_per_account_anew", few_anew, anew)):
        grown = large["rss_bytes"] - small["rss_bytes"]
        yield {
            "name": name, "value": round(grown / many), "unit": "bytes", "resident": large["resident"],
            "rss_bytes": large["rss_bytes"], "few_rss_bytes": small["rss_bytes"],
            "few_resident": small["resident"], "settle_s": round(settle_s, 1),
        } | common  # fmt: skip
    yield {
        "name": "wake_p99_us", "value": round(percentile(wake_us, 0.99)), "unit": "us",
        "p50": round(percentile(wake_us, 0.5)), "wakes": len(wake_us),
    } | common  # fmt: skip


def _settled(daemon: Child, options: argparse.Namespace) -> dict[str, Any]:
    settled = daemon.ask("settle", seconds=options.settle_max)
    return daemon.ask("rss") | {"dirty": settled["dirty"]}
