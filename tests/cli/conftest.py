"""A server on a real socket that commands find, and a shell to run them in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.rpc.fake_broker import Running, running_broker


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    with running_broker(tmp_path / "s") as it:
        monkeypatch.setenv("MBTD_SOCKET", str(it.path))
        yield it


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
