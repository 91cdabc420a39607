"""Durable orders over the socket, beside quotes: acknowledgements a second, their latency, fills a second.

Every repetition is: anchors with the daemon at rest, then a window of load. Figures are medians over the
repetitions; the p99.9 of short windows is indicative only. ``behind_events`` is what history still had to catch
up with when a window ended: it is work that the acknowledged orders caused and that was not done in the window.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.database import FILE_NAME
from tests.bench.anchors import Anchors
from tests.bench.running import Child, StateDirectory, start_daemon

WARM_S = 0.2
CONDOR_ACCOUNTS = 4_096
"""Enough for every account to open its four structures and no more while a run of some seconds lasts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument(
        "--accounts", type=int, default=0, help="0: one for each client, at least 64; of condors 2,048"
    )
    parser.add_argument("--quotes-per-s", type=float, default=20_000)
    parser.add_argument("--saturated", action="store_true", help="quotes as fast as they decode")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured time, all repetitions together")
    parser.add_argument("--kind", choices=["market", "limit_cancel", "condor", "mixed"], default="market")
    parser.add_argument("--profile", default="alpaca-parity")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: clients wait for answers")
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--pause-after-start", type=float, default=0.0, help="seconds, to attach a profiler")
    parser.add_argument("--state-in", type=Path, help="where the state directory is made")


def run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure; yields one object per figure."""
    condor = options.kind == "condor"
    accounts = options.accounts or (CONDOR_ACCOUNTS if condor else max(options.clients, 64))
    with StateDirectory(options.state_in) as state, start_daemon(state, options.symbols, options=condor) as daemon:
        daemon.ask("create", count=accounts, profile=options.profile)
        if condor:
            daemon.ask("create", count=accounts, profile=options.profile, prefix="s")
        daemon.ask("settle", seconds=10)
        settings = {
            "socket": str(state / "mbtd.sock"), "clients": options.clients, "accounts": accounts,
            "symbols": options.symbols, "kind": options.kind, "rate": options.rate, "run": time.time_ns(),
        }  # fmt: skip
        with Child("tests.bench.load", json.dumps(settings)) as load:
            load.hear()
            if options.pause_after_start:
                print(json.dumps({"daemon_pid": daemon.process.pid}), flush=True)
                time.sleep(options.pause_after_start)
            if condor:
                with Child("tests.bench.load", json.dumps(settings | {"kind": "market", "prefix": "s"})) as stock:
                    stock.hear()
                    windows, anchors = _windows(options, state, daemon, load, stock)
            else:
                windows, anchors = _windows(options, state, daemon, load)
        yield from _figures(options, accounts, state, windows, anchors)
        if condor:
            yield _against_stock(options, accounts, windows)


def _windows(
    options: argparse.Namespace, state: Path, daemon: Child, load: Child, stock: Child | None = None
) -> tuple[list[dict[str, Any]], Anchors]:
    """Measure; with ``stock`` every window is preceded by one of market orders in stock."""
    seconds = options.seconds / options.reps
    anchors = Anchors(state, min(0.4, seconds))
    windows = []
    for _ in range(options.reps):
        settled = daemon.ask("settle", seconds=20, history_only=True)
        anchors.measure()
        beside = _stock_window(options, daemon, stock, seconds) if stock is not None else {}
        before = daemon.ask("rate", rate=-1 if options.saturated else options.quotes_per_s)
        time.sleep(0.05)
        load.say(do="run", warm_s=WARM_S, seconds=seconds)
        window = load.hear()
        after = daemon.ask("rate", rate=0)
        elapsed = (after["at"] - before["at"]) / 1e9
        window |= {
            "quotes_per_s": (after["pushed"] - before["pushed"]) / elapsed,
            "events": after["seq"] - before["seq"],
            "groups": after["groups"] - before["groups"],
            "cpu_share": (after["cpu_s"] - before["cpu_s"]) / elapsed,
            "behind_events": after["seq"] - after["projected_seq"],
            "slice_us_max": after["slice_us_max"],
            "commit_us_max": after["commit_us_max"],
            "settle_s": settled["settle_s"],
            "load_average": os.getloadavg()[0],
            "seconds": seconds,
            "cpu_us_per_ack": (after["cpu_s"] - before["cpu_s"]) * 1e6 / max(1, window["sent"]),
            **beside,
        }
        windows.append(window)
    daemon.ask("settle", seconds=30, history_only=True)
    anchors.close()
    return windows, anchors


def _stock_window(options: argparse.Namespace, daemon: Child, stock: Child, seconds: float) -> dict[str, Any]:
    """A window of market orders in stock, in other accounts of the same daemon."""
    before = daemon.ask("rate", rate=-1 if options.saturated else options.quotes_per_s)
    stock.say(do="run", warm_s=WARM_S, seconds=seconds)
    window = stock.hear()
    after = daemon.ask("rate", rate=0)
    daemon.ask("settle", seconds=20, history_only=True)
    cpu_us = (after["cpu_s"] - before["cpu_s"]) * 1e6 / max(1, window["sent"])
    return {"stock_acks_per_s": window["acks_per_s"], "stock_cpu_us_per_ack": cpu_us}


def _against_stock(options: argparse.Namespace, accounts: int, windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Condors acknowledged for each stock order acknowledged in the windows between theirs."""
    shares = sorted(w["acks_per_s"] / w["stock_acks_per_s"] for w in windows if w["stock_acks_per_s"])
    value = round(statistics.median(shares), 4) if shares else 0.0
    return {
        "name": "ratio_stock_orders", "value": value, "unit": "1", "ratio": value, "anchor": "stock market orders",
        "anchor_value": round(statistics.median(w["stock_acks_per_s"] for w in windows)), "kind": options.kind,
        "min": round(shares[0], 4) if shares else 0.0, "max": round(shares[-1], 4) if shares else 0.0,
        "cpu_us_per_order": round(statistics.median(w["cpu_us_per_ack"] for w in windows)),
        "structures_an_account": round(sum(w["sent"] for w in windows) / accounts, 1),
        "stock_cpu_us_per_order": round(statistics.median(w["stock_cpu_us_per_ack"] for w in windows)),
    }  # fmt: skip


def _fills(state: Path, window: dict[str, Any]) -> float:
    with sqlite3.connect(f"file:{state / FILE_NAME}?mode=ro", uri=True) as connection:
        count = connection.execute(
            "SELECT count(*) FROM fills WHERE at BETWEEN ? AND ?", (window["from_ns"], window["to_ns"])
        ).fetchone()[0]
    return float(count) / window["seconds"]


def _figures(
    options: argparse.Namespace, accounts: int, state: Path, windows: list[dict[str, Any]], anchors: Anchors
) -> Iterator[dict[str, Any]]:
    def median(key: str, digits: int = 0) -> float:
        return round(statistics.median(window[key] for window in windows), digits or None)

    for window in windows:
        window["fills_per_s"] = _fills(state, window)
    acks = [window["acks_per_s"] for window in windows]
    common = {
        "kind": options.kind, "clients": options.clients, "accounts": accounts,
        "quotes_per_s": median("quotes_per_s"), "saturated": options.saturated, "rate": options.rate,
        "reps": options.reps, "load_average": median("load_average", 2),
    }  # fmt: skip
    yield {
        "name": "acks_per_s", "value": median("acks_per_s"), "unit": "acks/s", "min": round(min(acks)),
        "max": round(max(acks)), "cpu_share": median("cpu_share", 2), "groups": median("groups"),
        "events": median("events"), "behind_events": median("behind_events"), "settle_s": median("settle_s", 2),
        "errors": sum(w["errors"] for w in windows), "lost": windows[-1]["lost"],
        "unanswered": sum(w["unanswered"] for w in windows), "error": windows[-1]["error"],
    } | common  # fmt: skip
    commit_us = statistics.median(anchors.frame_b1_us)
    for share in ("p50", "p99", "p999"):
        value = median(f"{share}_us")
        yield {
            "name": f"ack_{share}_us", "value": value, "unit": "us", "anchor": "frame_b1 p50",
            "anchor_value": round(commit_us), "ratio": round(value / commit_us, 2), "max": median("max_us"),
            "slice_us_max": median("slice_us_max"), "commit_us_max": median("commit_us_max"),
        } | common  # fmt: skip
    for name, values in (("rows_b64", anchors.rows_b64), ("frame_b1", anchors.frame_b1)):
        ratio = statistics.median(acks) / statistics.median(values)
        yield {
            "name": f"ratio_{name}", "value": round(ratio, 4), "unit": "1", "anchor": name,
            "anchor_value": round(statistics.median(values)),
            "anchor_min": round(min(values)), "anchor_max": round(max(values)), "ratio": round(ratio, 4),
        } | common  # fmt: skip
    yield {"name": "fills_per_s", "value": median("fills_per_s"), "unit": "fills/s"} | common
