"""The installed package: names, version and entry point agree with ``pyproject.toml``."""

import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import mbtd

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_version_is_said_once() -> None:
    assert PROJECT["version"] == mbtd.__version__


def test_the_command_leads_into_the_package() -> None:
    if not [d for d in entry_points(group="console_scripts") if d.name == "mbtd"]:
        import pytest

        pytest.skip("the package is not installed in this environment")
    (command,) = entry_points(group="console_scripts", name="mbtd")
    assert command.value == PROJECT["scripts"]["mbtd"]
    assert version("mbtd") == mbtd.__version__
