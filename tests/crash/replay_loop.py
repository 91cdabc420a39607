"""Replays killed again and again: the finished output must be that of a run that was never disturbed.

Checked at every death: durable progress never goes back. At the end: the same bytes, and fewer steps replayed
than there are in all.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from mbtd.failpoints import VARIABLE
from mbtd.replay.run import Cursor
from storage.sqlite import SqliteStore
from tests.crash.processes import copy_when_free
from tests.crash.scripts import Levels, write_script

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("MBTD_RECORDINGS") or ROOT.parent / "shared" / "recordings")
PATIENCE_S = 120.0
FAIL_POINTS = ("commit.before", "commit.after", "output.middle")
TORN = b'{"seq":1,"torn":'
DATABASE = "mbtd.sqlite3"


class Case(msgspec.Struct):
    """One replay: its inputs, and where it keeps things."""

    recording: Path
    script: Path
    state: Path
    out: Path
    seed: int = 7
    profile: str = ""

    def command(self) -> list[str]:
        parts: list[str | Path] = [sys.executable, "-m", "mbtd.cli", "replay", "--json"]
        parts += ["--recording", self.recording, "--script", self.script, "--state", self.state, "--out", self.out]
        parts += ["--seed", str(self.seed)]
        if self.profile:
            parts += ["--profile", self.profile]
        return [str(part) for part in parts]

    def start(self, **environ: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(),
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, **environ: str) -> tuple[int, dict[str, Any], str]:
        """Run to the end: exit status, the summary, and what it said."""
        process = self.start(**environ)
        out, said = process.communicate(timeout=PATIENCE_S)
        return process.returncode, json.loads(out) if out.strip() else {}, said.decode()


class Durable(msgspec.Struct, order=True, frozen=True):
    """How far a run is on disk; compares like progress."""

    input_seq: int = 0
    tape_pos: int = 0
    seq: int = 0
    script_next: int = 0
    out_length: int = 0

    def not_before(self, other: Durable) -> bool:
        return all(getattr(self, name) >= getattr(other, name) for name in Durable.__struct_fields__)


def durable(state: Path) -> Durable:
    """What the store of a state directory says; a copy is read, so that the next run meets what was left."""
    if not (state / DATABASE).exists():
        return Durable()
    copy = copy_when_free(state, state.with_suffix(".copy"))
    store = SqliteStore.open(copy, take_epoch=False, ballast_bytes=0)
    with contextlib.closing(store):
        head = store.head()
    cursor = msgspec.msgpack.decode(head.cursor, type=Cursor) if head.cursor else Cursor()
    return Durable(head.input_seq, head.tape_pos, head.seq, cursor.script_next, cursor.out_length)


class Tally(msgspec.Struct):
    """What a loop did."""

    kills: int = 0
    deaths_at_fail_points: int = 0
    deaths_with_progress: int = 0
    """Deaths that left part of the run on disk, not all of it."""
    resumes: int = 0
    """Runs that went on from durable progress and finished."""
    finished: int = 0
    meddled: int = 0
    """Outputs deleted, cut or lengthened between runs."""


class ReplayLoop:
    """One recording and script, run undisturbed once and then killed until it has finished, over and over."""

    def __init__(
        self, directory: Path, recording: Path, seed: int, *, orders: int = 500, accounts: int = 50, text: str = ""
    ) -> None:
        """``text`` is the script; without one a mixed script of stock orders is made."""
        self.directory = directory
        self.seed = seed
        self.dice = Random(f"kills {seed}")
        self.script = directory / "script.ndjson"
        self.script.write_text(text or write_script(Levels(recording), seed, orders=orders, accounts=accounts))
        self.recording = recording
        self.tally = Tally()
        self._cycles = 0

    def case(self, name: str) -> Case:
        """A case of this loop in a directory of its own."""
        return Case(
            self.recording, self.script, self.directory / f"{name}.state", self.directory / f"{name}.out", self.seed
        )

    def undisturbed(self) -> tuple[bytes, dict[str, Any]]:
        """Two whole runs under different hash seeds and time zones; their one output, and a summary."""
        first, second = self.case("first"), self.case("second")
        status, summary, said = first.finish(PYTHONHASHSEED="1", TZ="UTC")
        assert status == 0, said
        self.run_s = float(summary["seconds"])
        started = time.monotonic()
        status, _, said = second.finish(PYTHONHASHSEED="4242", TZ="Asia/Kathmandu")
        self.whole_s = time.monotonic() - started
        assert status == 0, said
        self.expected = first.out.read_bytes()
        self.steps = int(summary["steps"])
        assert self.expected
        assert second.out.read_bytes() == self.expected
        return self.expected, summary

    def kill_until_finished(self, kills_left: int) -> None:
        """Kill a fresh run at random places until a run gets through, or no kill is left; then check the output."""
        self._cycles += 1
        case = self.case(f"cycle{self._cycles}")
        before = Durable()
        summary: dict[str, Any] | None = None
        while summary is None:
            if kills_left > 0:
                summary = self._run_and_kill(case)
                if summary is not None:
                    break
            now = durable(case.state)
            assert now.not_before(before), f"seed {self.seed}: durable progress went back: {before} to {now}"
            self._check_durable_output(case, now)
            if before < now and now.out_length < len(self.expected):
                self.tally.deaths_with_progress += 1
            before = now
            kills_left -= 1
            self._meddle(case)
            if kills_left <= 0:
                status, summary, said = case.finish()
                assert status == 0, said
        self.tally.finished += 1
        if summary["resumed"]:
            self.tally.resumes += 1
        if before.seq:
            assert summary["resumed"]
            assert summary["steps"] < self.steps, "a resume replayed everything"
        assert case.out.read_bytes() == self.expected, f"seed {self.seed}: another output after kills, {case.out}"
        self._remove(case)

    def _run_and_kill(self, case: Case) -> dict[str, Any] | None:
        """Start a run and kill it; its summary when it was through before."""
        dice, environ = self.dice, {}
        at_point = dice.random() < 0.3
        if at_point:
            environ[VARIABLE] = f"{dice.choice(FAIL_POINTS)}:{dice.randint(1, 12)}"
        process = case.start(**environ)
        if at_point:
            out, _ = process.communicate(timeout=PATIENCE_S)
        else:
            started = max(0.05, self.whole_s - self.run_s - 0.15)
            offset = dice.uniform(0.05, 0.8) if dice.random() < 0.25 else dice.uniform(started, self.whole_s * 1.1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(offset)
            process.kill()
            out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in (0, -9), process.returncode
        if process.returncode == 0:
            return dict(json.loads(out))
        self.tally.kills += 1
        self.tally.deaths_at_fail_points += at_point
        return None

    def _check_durable_output(self, case: Case, now: Durable) -> None:
        """Lines are written only when they are durable."""
        written = case.out.read_bytes() if case.out.exists() else b""
        while written.endswith(TORN):
            written = written.removesuffix(TORN)
        assert len(written) <= now.out_length, "a line was written before it was durable"
        assert self.expected.startswith(written)

    def _meddle(self, case: Case) -> None:
        """Now and then somebody deletes, cuts or lengthens the output."""
        if self.dice.random() > 0.4 or not case.out.exists():
            return
        self.tally.meddled += 1
        kind = self.dice.choice(("delete", "cut", "lengthen"))
        if kind == "delete":
            case.out.unlink()
        elif kind == "cut":
            os.truncate(case.out, self.dice.randint(0, case.out.stat().st_size))
        else:
            with case.out.open("ab") as file:
                file.write(TORN)

    def _remove(self, case: Case) -> None:
        for path in case.state.iterdir():
            path.unlink()
        case.state.rmdir()
        case.out.unlink()

    def run(self, kills: int) -> Tally:
        """At least ``kills`` kills."""
        while self.tally.kills < kills:
            self.kill_until_finished(kills - self.tally.kills)
        return self.tally
