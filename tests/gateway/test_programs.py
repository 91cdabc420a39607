"""Two programs in the style of alpaca-py's documentation, unchanged except for the address, for a whole market day.

The day is a recorded one at speed: its market time is what the programs see, whatever the wall clock says.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.running import Served, User, serving

RECORDINGS = Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
PROGRAMS = Path(__file__).parent / "programs"
CASH = 1_000_000
PATIENCE_S = 120
DAYS = {
    "moving_average": ("20131007-equities.ndjson.gz", "2013-10-07", ("SPY", "BAC")),
    "iron_condor": ("20140605-twx-options.ndjson.gz", "2014-06-05", ("TWX",)),
}
SPEEDS = ("2000", "400")
BEHIND_MAX_MINUTES = 15
LAUNCH = """
import json, os, runpy, sys
import alpaca.data.live, alpaca.data.historical, alpaca.trading.stream, alpaca.trading.client
os.environ.update(json.load(sys.stdin))
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""The libraries are loaded before the tape begins to run, which does not wait for anybody."""
pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")


def trimmed(directory: Path, name: str) -> Path:
    """The day's recording from 08:00 to 16:10 New York, of the program's symbols."""
    recording, day, symbols = DAYS[name]
    path = directory / recording
    with gzip.open(RECORDINGS / recording, "rt") as source, gzip.open(path, "wt", compresslevel=1) as target:
        for line in source:
            message = json.loads(line)
            if f"{day}T12:00" <= message["t"] < f"{day}T20:10" and message["S"].startswith(symbols):
                target.write(line)
    return path


class Run:
    """One program's day."""

    def __init__(self, served: Served, user: User, report: dict[str, Any]) -> None:
        self.served = served
        self.user = user
        self.report = report


def live(stack: ExitStack, directory: Path, name: str, speed: str) -> Run:
    """A program's day at a speed."""
    words = [sys.executable, "-c", LAUNCH, str(PROGRAMS / f"{name}.py")]
    pipe = subprocess.PIPE
    program = stack.enter_context(subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
    stack.callback(program.kill)
    flags = ("--feed", "replay", "--recording", str(trimmed(directory, name)), "--speed", speed)
    served = stack.enter_context(serving(directory / "state", *flags))
    user = served.open(name, cash=str(CASH))
    environ = {
        "APCA_API_KEY_ID": user.key,
        "APCA_API_SECRET_KEY": user.secret,
        "APCA_API_BASE_URL": served.url,
        "APCA_STREAM_URL": served.ws,
    }
    out, err = program.communicate(json.dumps(environ), timeout=PATIENCE_S)
    assert program.returncode == 0, err[-3000:]
    assert "Traceback" not in err, err[-3000:]
    return Run(served, user, json.loads(out))


def kept_up(run: Run, name: str) -> bool:
    """Whether the program was there at the open and never far behind the tape, which waits for nobody."""
    first = run.report["first_bar"]
    return (
        first is not None and first < f"{DAYS[name][1]}T13:45" and run.report["behind_minutes"] < BEHIND_MAX_MINUTES
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Both programs, each on its own day, side by side; on a machine that cannot keep up, at a slower speed."""
    with ExitStack() as stack, ThreadPoolExecutor(len(DAYS)) as pool:

        def day(name: str) -> Run:
            for speed in SPEEDS:
                attempt = ExitStack()
                try:
                    run = live(attempt, tmp_path_factory.mktemp(name), name, speed)
                    if kept_up(run, name) or speed == SPEEDS[-1]:
                        stack.push(attempt.pop_all())
                        return run
                finally:
                    attempt.close()
            raise AssertionError("no speed was tried")

        yield dict(zip(DAYS, pool.map(day, DAYS), strict=True))


def test_a_moving_average_bot_trades_a_whole_day(runs: dict[str, Run]) -> None:
    run = runs["moving_average"]
    report = run.report
    assert report["first_bar"] < "2013-10-07T16:00"
    assert report["last_bar"] >= "2013-10-07T19:00"
    assert report["entries"] > 3
    assert report["entries"] == report["exits"]
    assert report["positions"] == 0
    assert report["statuses"].count("filled") == 2 * report["entries"]
    assert set(report["statuses"]) <= {"filled", "canceled"}
    assert report["updates"].count("fill buy") == report["entries"]
    assert report["updates"].count("fill sell") == report["exits"]
    fees = CASH + report["sold_less_bought"] - float(report["cash"])
    assert 0 <= fees < report["entries"]
    assert 0 <= float(report["cash"]) - float(report["equity"]) < report["entries"]  # fees that are not posted yet


def test_its_day_has_ended(runs: dict[str, Run]) -> None:
    run = runs["moving_average"]
    trading = run.user.trading()
    assert not trading.get_clock().is_open
    assert run.report["clock"] >= "2013-10-07T16:00"
    assert run.report["bid"] == "expired"
    assert trading.get_orders() == []
    fills = run.user.ask("GET", "/v2/account/activities/FILL").json()
    assert len(fills) == min(100, 2 * run.report["entries"])
    history = run.user.ask("GET", "/v2/account/portfolio/history?period=1D&timeframe=1D").json()
    assert history["equity"][-1] == pytest.approx(float(run.report["cash"]), abs=run.report["entries"])


def test_an_iron_condor_is_sold_and_bought_back_within_the_day(runs: dict[str, Run]) -> None:
    report = runs["iron_condor"].report
    assert report["opened"]["status"] == report["closed"]["status"] == "filled"
    assert report["opened"]["legs"] == report["closed"]["legs"] == 4
    assert report["opened"]["filled_qty"] == report["closed"]["filled_qty"] == "5"
    assert float(report["opened"]["price"]) < 0 < float(report["closed"]["price"])
    assert report["most_legs"] == 4
    assert report["updates"].count("fill") == 2
    assert report["positions"] == 0
    assert report["clock"] >= "2014-06-05T16:00"
    spent = 500 * (float(report["opened"]["price"]) + float(report["closed"]["price"]))
    assert 0 <= CASH - spent - float(report["cash"]) < 10
    assert not runs["iron_condor"].user.trading().get_clock().is_open
