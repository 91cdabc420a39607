"""``config.toml`` at the root is complete, true and explained; ``check-config`` shows what is in force."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from mbtd.config import Config, Switches, check_config, environment_switches, is_reloadable, render
from mbtd.config.layers import leaves, values

FILE = Path(__file__).parents[2] / "config.toml"
SETTING = re.compile(r"([a-z_]+) = ")
TABLE = re.compile(r"\[([a-z_.]+)\]\s*$")


def explained(text: str) -> dict[str, str]:
    """Dotted key → the comment right above it, for every setting and for tables of free names."""
    found: dict[str, str] = {}
    table, comment = "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            comment += line.removeprefix("#")
        elif match := TABLE.match(line):
            table = match.group(1)
            found[table], comment = comment, ""
        elif match := SETTING.match(line):
            found[f"{table}.{match.group(1)}"], comment = comment, ""
        else:
            comment = ""
    return found


COMMENTS = explained(FILE.read_text())


def test_every_value_in_the_file_is_the_default() -> None:
    assert dict(values(Config.load(FILE, {}).config)) == dict(values(Config()))


@pytest.mark.parametrize("key", leaves(Config))
def test_every_setting_stands_in_the_file_with_a_comment(key: str) -> None:
    comment = COMMENTS[key]
    assert len(comment.strip()) > 10
    assert ("(R)" in comment) == is_reloadable(key)
    for suffix, unit in (
        ("_ms", "milliseconds"),
        ("_us", "microseconds"),
        ("_s", "seconds"),
        ("_bytes", "bytes"),
    ):
        if key.endswith(suffix):
            assert unit in comment
            break


def test_a_setting_without_a_comment_would_be_found() -> None:
    comments = explained("[a]\n# What it is for.\nx = 1\ny = 2\n\n# of nothing\n\nz = 3\n")
    assert comments == {"a": "", "a.x": " What it is for.", "a.y": "", "a.z": ""}


def test_rows_name_every_setting_once_with_its_origin() -> None:
    loaded = Config.load(FILE, {"MBTD_ENGINE__SEED": "9"})
    rows = {row.key: row for row in render(loaded)}
    assert list(rows) == list(leaves(Config))
    assert (rows["engine.seed"].value, rows["engine.seed"].origin) == ("9", "environment MBTD_ENGINE__SEED")
    assert rows["log.level"].origin == str(FILE)


def test_check_config_speaks_to_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_config(FILE, environ={"MBT_TRADING_DISABLED": "1"}) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert re.search(r"engine\.mailbox_max +256 +.*config\.toml", output.out)
    assert "MBT_TRADING_DISABLED" in output.out
    assert check_config(FILE, json=True, environ={}) == 0
    answer = msgspec.json.decode(capsys.readouterr().out)
    assert answer["ok"] is True
    assert {row["key"] for row in answer["settings"]} == set(leaves(Config))


def test_check_config_ends_with_78_and_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_config(None, json=True, environ={"MBTD_LOG__LEVEL": "loud"}) == 78
    output = capsys.readouterr()
    (problem,) = msgspec.json.decode(output.out)["problems"]
    assert (problem["key"], problem["allowed"]) == ("log.level", "one of debug, error, info, warning")
    assert "log.level" in output.err


@pytest.mark.parametrize(
    ("text", "thrown"), [("1", True), ("true", True), ("what?", True), ("0", False), ("", False)]
)
def test_a_switch_in_the_environment_fails_to_the_safe_side(text: str, thrown: bool) -> None:
    assert environment_switches({"MBT_NEW_ORDERS_DISABLED": text}) == Switches(new_orders_disabled=thrown)
    assert environment_switches({"ALPACA_MARKET_DATA_DISABLED": text}) == Switches(market_data_disabled=thrown)
    assert environment_switches({}) == Switches()
