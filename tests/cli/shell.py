"""Commands run in the process of a test, and what they sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mbtd.cli import main
from tests.rpc.fake_broker import Running


class Shell:
    """Runs commands in the process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, line: str) -> int:
        try:
            status = main(line.split())
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        self.out, self.err = self._capsys.readouterr()
        return status

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def sent(running: Running, method: str) -> dict[str, Any]:
    """The parameters of the last request of a method."""
    return next(values for name, values in reversed(running.broker.asked) if name == method)
