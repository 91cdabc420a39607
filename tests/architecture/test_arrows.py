"""The walls of the source hold, and the checker that guards them finds planted holes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import checker

ROOT = Path(__file__).parents[2]
MARK = checker.LEFTOVERS[0]


def test_the_source_keeps_its_walls() -> None:
    breaches = checker.check(ROOT)
    assert not breaches, "\n" + "\n".join(map(str, breaches))


def plant(root: Path, path: str, text: str) -> list[str]:
    """Write one file into an otherwise empty project and return what the checker says about it."""
    for top in (*checker.PACKAGES, "tests"):
        (root / top).mkdir(exist_ok=True)
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return [breach.why for breach in checker.check(root)]


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("actors/a.py", "import mbtd.config", "actors must not import mbtd"),
        ("actors/a.py", "def f():\n    from storage import journal", "actors must not import storage"),
        ("storage/a.py", "from actors.book import units", "storage must not import actors"),
        ("storage/a.py", "import mbtd", "storage must not import mbtd"),
        ("mbtd/a.py", "from tests import bench", "mbtd must not import tests"),
        ("actors/a.py", "import os", "actors must not import os"),
        ("actors/a.py", "import anyio", "actors must not import anyio"),
        ("actors/a.py", "import zoneinfo", "actors must not import zoneinfo"),
        ("actors/a.py", "from datetime import datetime as d\nx = d.now()", "datetime.datetime.now"),
        ("actors/a.py", "import datetime as d\nx = d.date.today", "datetime.date.today"),
        ("actors/a.py", "import time as t\nx = t.monotonic_ns()", "time.monotonic_ns"),
        ("actors/a.py", "from time import time\nx = time()", "time.time"),
        ("actors/a.py", "from random import randint\nx = randint(1, 6)", "random.randint"),
        ("actors/a.py", "from uuid import uuid4 as new\nx = dict(factory=new)", "uuid.uuid4"),
        ("actors/a.py", "import os\nx = os.urandom(8)", "os.urandom"),
        ("actors/a.py", "import secrets\nx = secrets.token_hex()", "secrets.token_hex"),
        ("actors/a.py", "print(1)", "print"),
        ("actors/a.py", "open('x')", "open"),
        ("actors/a.py", "import asyncio\nasyncio.create_task(f())", "asyncio.create_task"),
        ("actors/a.py", "loop.create_task(f())", "create_task"),
        ("actors/pump.py", "group.create_task(f())", "create_task"),
        ("actors/a.py", "async def f(): pass", "only actors/pump.py may wait"),
        ("actors/book/a.py", "FEE = 0.01", "float literal 0.01"),
        ("actors/book/a.py", "x = float('1')", "float in the book"),
        ("actors/book/a.py", "def f(x: float) -> int: ...", "float in the book"),
        ("actors/book/state/a.py", "from actors.book.rules import b", "state must not reach rules"),
        ("actors/book/events/a.py", "from ..state import b", "events must not reach state"),
        ("actors/book/units.py", "from actors.book import events", "units must not reach events"),
        ("mbtd/a.py", f"x = 1  # {MARK} later", f"unfinished: {MARK}"),
        ("tests/test_a.py", f"# {MARK}", f"unfinished: {MARK}"),
        ("mbtd/a.py", "x = 1\n" * checker.LINES_MAX, "at most 450"),
    ],
)
def test_a_planted_hole_is_found(tmp_path: Path, path: str, code: str, found: str) -> None:
    for package in ("rules", "state", "events"):
        target = tmp_path / "actors/book" / package / "b.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("")
        (target.parent / "__init__.py").write_text("")
    breaches = plant(tmp_path, path, f'"""A room."""\n{code}\n')
    assert any(found in why for why in breaches), breaches


def test_a_detour_does_not_hide_a_wrong_arrow(tmp_path: Path) -> None:
    book = tmp_path / "actors/book"
    (book / "rules").mkdir(parents=True)
    (book / "rules/margin.py").write_text("")
    (book / "helper.py").write_text('"""Neutral ground."""\nfrom actors.book.rules import margin\n')
    breaches = plant(tmp_path, "actors/book/state/account.py", '"""State."""\nfrom actors.book import helper\n')
    assert breaches == ["state must not reach rules (actors.book.rules.margin)"]


def test_a_module_without_a_head_is_found(tmp_path: Path) -> None:
    assert plant(tmp_path, "storage/a.py", "X = 1\n") == ["a module with code needs a docstring"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("actors/__init__.py", ""),
        ("actors/pump.py", '"""Waits."""\nimport anyio\nasync def run():\n    await anyio.sleep(0)\n'),
        ("actors/a.py", '"""Time as a type."""\nfrom datetime import date, datetime\nD = date(2026, 1, 2)\n'),
        ("actors/a.py", '"""An own name."""\ndef step(input: int) -> int:\n    return input\n'),
        ("actors/house/a.py", '"""Outside the book."""\nSHARE = 0.5\n'),
        (
            "actors/book/rules/a.py",
            '"""Downward."""\nfrom actors.book.state import b\nfrom .. import units\n',
        ),
        ("storage/a.py", '"""I/O."""\nimport os, time\nprint(time.time(), open(os.devnull))\n'),
        ("mbtd/a.py", '"""Joins."""\nfrom actors import commands\nfrom storage import records\n'),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, path: str, code: str) -> None:
    assert plant(tmp_path, path, code) == []
