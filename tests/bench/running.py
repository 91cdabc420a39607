"""Starting, asking and stopping the measured daemon and the load generator, from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class BenchError(RuntimeError):
    """Something that was measured did not run; the text is what it said."""


class StateDirectory:
    """A directory of its own on the disk that is measured; removed at the end."""

    def __init__(self, parent: Path | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="mbtd-bench-", dir=parent))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Child:
    """A process that speaks lines of JSON."""

    def __init__(self, module: str, *arguments: str, log: Path | None = None) -> None:
        self._log = open(log, "ab") if log is not None else None  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self._name = module
        self._log_path = log

    def hear(self) -> dict[str, Any]:
        """The next line. Raises :class:`BenchError` when there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            said = self._log_path.read_text()[-2_000:] if self._log_path is not None else ""
            raise BenchError(f"{self._name} ended with status {self.process.wait()}: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def say(self, **request: Any) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and hear its answer."""
        self.say(do=do, **request)
        return self.hear()

    def stop(self, timeout_s: float = 60) -> int:
        """Ask it to end; returns its status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            if pipe is not None:
                pipe.close()
        return status

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_daemon(state: Path, symbols: int, *, options: bool = False) -> Child:
    """The daemon, ready, with its market open."""
    state.mkdir(mode=0o700, exist_ok=True)
    words = (str(state), str(symbols), *(["options"] if options else []))
    daemon = Child("tests.bench.daemon_main", *words, log=state / "daemon.log")
    daemon.hear()
    return daemon


def percentile(ordered: list[float], share: float) -> float:
    """A percentile of values in order."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
