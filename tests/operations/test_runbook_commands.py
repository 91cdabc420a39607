"""What a page of the runbook tells somebody to type exists, is understood, and does something sensible."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actors.book.rules.admission.switches import SWITCHES
from actors.book.units import format_time
from mbtd.cli.program import build_parser
from mbtd.config import Config
from mbtd.config.report import render
from mbtd.rpc.client import Client
from storage.backup import read_manifest
from tests.service.conftest import make_account, place
from tests.service.running import ENVIRON, Daemon

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "runbook").glob("*.md"))
WORDS = {"NAME": "ann", "USER": "ann-user", "N": "999", "WHY": "drill"}
CHANGES_FILES = ("restore",)
"""Needs a daemon that is stopped; run in the end."""
REFUSED = {("console", "kill", "client"): 1, ("user", "erase"): 0, ("corporate-action", "withdraw"): 1}


def spans(path: Path) -> list[str]:
    """Code spans of a page."""
    return re.findall(r"`([^`\n]+)`", path.read_text())


def commands() -> list[tuple[str, str]]:
    """Page and command line of everything that a page tells to type."""
    found = []
    for path in PAGES:
        for span in spans(path):
            if span.startswith("mbtd "):
                found.append((path.stem, span))
            elif span.startswith("show "):
                found.append((path.stem, f"mbtd console {span}"))
    return list(dict.fromkeys(found))


def typed(line: str, directory: Path) -> list[str]:
    """The words behind ``mbtd``, with something real in the place of each placeholder."""
    places = {**WORDS, "DIR": str(directory / "state"), "NEW": str(directory / "new")}
    places["OLD/backups"] = places["PLACE"] = str(directory / "state" / "backups")
    made = sorted((directory / "state" / "backups").glob("mbtd-*"))
    places["BACKUP"] = str(made[0] if made else directory / "backup")
    places["TIME"] = format_time(read_manifest(made[0]).at if made else 0)
    words = [places.get(word, word) for word in shlex.split(line)[1:]]
    if words[:2] == ["user", "export"]:
        words[words.index("--out") + 1] = str(directory / "export")
    if words == ["top"]:
        words.append("--once")
    return words


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_is_one(page: str, line: str, tmp_path: Path) -> None:
    args = build_parser().parse_args(typed(line, tmp_path))
    assert callable(args.run)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path / "state", "--seed", "31").start()
    with running.client() as client:
        make_account(client, "ann", user_id="ann-user")
        place(client, "ann")
    yield running
    running.end()


def run(words: list[str], directory: Path, socket: Path) -> subprocess.CompletedProcess[str]:
    """A command as somebody at the host types it: in the state's neighbourhood, with no variable set."""
    environ = {
        **ENVIRON,
        "MBTD_SOCKET": str(socket),
        "STATE_DIRECTORY": str(directory / "state"),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "mbtd.cli", *words],
        env=environ, cwd=directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_command_does_what_it_says(daemon: Daemon, tmp_path: Path) -> None:
    lines = [typed(line, tmp_path) for _, line in commands()]
    unique = list(dict.fromkeys(map(tuple, lines)))
    first = [words for words in unique if words[0] not in CHANGES_FILES and words[:2] != ("user", "erase")]
    # A copy comes first, so that the drill has one to try.
    first.sort(key=lambda words: words != ("backup",))
    erasing = [words for words in unique if words[:2] == ("user", "erase")]
    for words in [*first, ("restore", "--drill"), *erasing]:
        if words[0] == "serve":
            continue
        done = run(list(words), tmp_path, daemon.socket)
        expected = next((status for start, status in REFUSED.items() if words[: len(start)] == start), 0)
        assert done.returncode == expected, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        assert done.stdout.strip() or done.stderr.strip(), f"{words} says nothing"
    with Client(daemon.socket) as client:
        health = client.call("health.get")
    assert set(health["reasons"]) <= set(SWITCHES), health
    assert daemon.stop() == 0
    after = [tuple(typed(line, tmp_path)) for _, line in commands()]
    for words in dict.fromkeys(words for words in after if words[0] in CHANGES_FILES):
        done = run(list(words), tmp_path, daemon.socket)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    checked = run(["verify", "--json"], tmp_path, daemon.socket)
    assert json.loads(checked.stdout)["ok"]


def test_settings_and_log_lines_that_pages_name_exist() -> None:
    known = {row["key"] for row in msgspec.to_builtins(render(Config.load(None, {}, {})))}
    source = "".join(path.read_text() for path in (ROOT / "mbtd").rglob("*.py"))
    logged = set(re.findall(r'log\.\w+\(\s*"([a-z]+\.[a-z_]+)"', source))
    sections = {key.partition(".")[0] for key in known}
    for path in PAGES:
        for span in spans(path):
            name = re.fullmatch(r"([a-z]+)\.([a-z_.]+\*?)( = .*)?", span)
            if name is None or span.endswith((".jsonl", ".md", ".toml", ".yml")):
                continue
            text = f"{name[1]}.{name[2]}"
            if text.endswith("*"):
                assert any(key.startswith(text[:-1]) for key in known), f"{path.stem}: {span}"
            elif name[1] in sections:
                assert text in known or text in logged or text in _health(), f"{path.stem}: {span}"


def _health() -> set[str]:
    """Names below a heading of health's answer."""
    return {"engine.scheduling", "interest.left_out", "reference.problem", "server.debug_prompt"}


def test_no_page_is_missing_from_the_list() -> None:
    listed = re.findall(r"\((\w+)\.md\)", (ROOT / "docs" / "runbook" / "README.md").read_text())
    assert sorted(listed) == sorted(path.stem for path in PAGES if path.stem != "README")
    assert os.path.commonpath(PAGES).endswith("runbook")
