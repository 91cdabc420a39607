"""Settings: which layer wins, what is refused, and what an error tells."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbtd.config import Config, ConfigError, Loaded, changes, find_config
from mbtd.config.layers import load_layers


def written(directory: Path, text: str) -> Path:
    path = directory / "config.toml"
    path.write_text(text)
    return path


def refused(path: Path | None, environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environ or {}, {key.replace("__", "."): value for key, value in flags.items()})
    assert caught.value.exit_status == 78
    return str(caught.value)


def test_each_layer_covers_the_ones_below_and_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "[engine]\nmailbox_max = 100\nseed = 1\nprofile = 'conservative'\n")
    loaded = Config.load(
        path,
        {"MBTD_ENGINE__SEED": "2", "MBTD_ENGINE__PROFILE": "alpaca-parity", "MBTD_SOCKET": "/elsewhere"},
        {"engine.seed": 3, "storage.directory": None},
    )
    engine = loaded.config.engine
    assert (engine.mailbox_max, engine.seed, engine.profile) == (100, 3, "alpaca-parity")
    assert loaded.origins["engine.mailbox_max"] == str(path)
    assert loaded.origins["engine.seed"] == "command line"
    assert loaded.origins["engine.profile"] == "environment MBTD_ENGINE__PROFILE"
    assert loaded.origins["storage.directory"] == "default"


def test_texts_from_outside_are_read_by_the_type_of_their_setting() -> None:
    environ = {
        "MBTD_SERVER__SERVICE_UIDS": "1000, 1001",
        "MBTD_SERVER__SERVICE_GROUPS": "platform",
        "MBTD_SERVER__CLIENT__LINE_MAX_BYTES": "2048",
        "MBTD_SWITCHES__TRADING_DISABLED": "on",
        "MBTD_MARKET__SPEED": "2.5",
    }
    config = Config.load(None, environ, {"market.recordings": ["a.gz", "b.gz"]}).config
    assert config.server.service_uids == (1000, 1001)
    assert config.server.service_groups == ("platform",)
    assert config.server.client.line_max_bytes == 2048
    assert config.server.service.line_max_bytes == 65536
    assert config.switches.trading_disabled is True
    assert config.market.speed == Decimal("2.5")
    assert config.market.recordings == ("a.gz", "b.gz")


@given(st.decimals(min_value="0.001", max_value=1_000_000, places=3))
def test_a_fraction_in_the_file_never_becomes_a_binary_one(value: Decimal) -> None:
    class Sample(msgspec.Struct, frozen=True):
        speed: Decimal = Decimal(1)

    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(f"speed = {value}\n")
        file.flush()
        loaded = load_layers(Sample, Path(file.name), {}, {}, lambda _: ())
    assert loaded.config.speed == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[engine]\nmailbox_max = 0\n", ["engine.mailbox_max", ">= 1", "a whole number from 1 to"]),
        ("[engine]\nmailbox_max = 1.5\n", ["engine.mailbox_max", "a whole number"]),
        ("[engine]\nmailbox_max = '5'\n", ["engine.mailbox_max", "a whole number"]),
        ("[engine]\nmalbox_max = 5\n", ["engine.malbox_max", "did you mean engine.mailbox_max?"]),
        ("[engin]\nseed = 5\n", ["engin"]),
        ("engine = 5\n", ["engine", "write it as [engine]"]),
        ("[engine]\nmailbox_reserved = 256\n", ["engine.mailbox_reserved", "less than engine.mailbox_max"]),
        ("[engine]\nmailbox_max = 32\n", [": engine.mailbox_max: ", "engine.mailbox_reserved must be less"]),
        ("[engine]\ntape_budget_us = 900\n", ["engine.tape_budget_us"]),
        ("[engine]\nprofile = 'fast'\n", ["engine.profile", "realistic"]),
        ("[market]\nfeed = 'replay'\n", ["market.feed", "at least one file in market.recordings"]),
        ("[market]\nfeed = 'yahoo'\n", ["market.feed", "alpaca, replay, synthetic"]),
        ("[market]\nspeed = nan\n", ["market.speed", "0.001"]),
        ("[market]\nspeed = 0\n", ["market.speed", "0.001"]),
        ("[market.alpaca]\noption_underlyings = ['aapl']\n", ["market.alpaca.option_underlyings", "of the form"]),
        ("[server]\nservice_groups = ['a\\nb']\n", ["server.service_groups"]),
        ("[server]\nservice_uids = [-1]\n", ["server.service_uids"]),
        ("[profiles.thin]\ndepth_ppm = 1\n", ["profiles.thin.base", "alpaca-parity"]),
        ("[profiles.thin]\nbase = 'realistic'\ndepth_ppm = 0.5\n", ["profiles", "a whole number"]),
        ("[profiles.realistic]\nbase = 'realistic'\n", ["profiles.realistic", "built-in"]),
        ("[engine\n", ["is not valid TOML", "line 1"]),
    ],
)
def test_a_bad_file_is_refused_with_file_key_and_what_is_allowed(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = written(tmp_path, text)
    said = refused(path)
    assert said.startswith(f"{path}: ")
    for part in parts:
        assert part in said


def test_all_problems_of_all_layers_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "[engine]\nseed = -1\n[log]\nlevel = 'loud'\n")
    said = refused(path, {"MBTD_STORAGE__GROUP_MAX_MS": "soon"}, engine__turn_budget_ms=0)
    assert len(said.splitlines()) == 4
    assert "environment MBTD_STORAGE__GROUP_MAX_MS: storage.group_max_ms" in said
    assert "command line: engine.turn_budget_ms" in said


@pytest.mark.parametrize("name", ["MBTD_LOG__LEVEL", "MBTD_ENGINE__SEED", "MBTD_LOG__PASSWORD", "MBTD_MARKET__SPEED"])
def test_a_refused_value_is_not_repeated(name: str) -> None:
    assert "hunter2" not in refused(None, {name: "hunter2"})


@pytest.mark.parametrize("text", ["٣", "5_0", " 5", "5.0", "1e3", ""])
def test_numbers_from_the_environment_are_plain_digits(text: str) -> None:
    assert "engine.seed" in refused(None, {"MBTD_ENGINE__SEED": text})


def test_a_missing_or_unreadable_file_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.toml")
    assert "cannot be read" in refused(tmp_path)
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refused(path)
    path.write_text("#" * 2_000_000)
    assert "larger than" in refused(path)


def test_a_custom_profile_can_be_the_default_one(tmp_path: Path) -> None:
    path = written(tmp_path, "[engine]\nprofile='thin'\n[profiles.thin]\nbase='realistic'\ndepth_ppm=250000\n")
    assert Config.load(path, {}).config.profiles == {"thin": {"base": "realistic", "depth_ppm": 250000}}


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Config().engine.seed = 5  # type: ignore[misc]


def loaded_with(**flags: object) -> Loaded[Config]:
    return Config.load(None, {}, {key.replace("__", "."): value for key, value in flags.items()})


def test_a_reload_takes_over_all_or_nothing() -> None:
    old = loaded_with()
    assert changes(old, loaded_with(log__level="debug", server__service_uids=[7])) == (
        "server.service_uids",
        "log.level",
    )
    with pytest.raises(ConfigError, match=r"engine\.seed: needs a restart") as caught:
        changes(old, loaded_with(log__level="debug", engine__seed=7))
    assert [problem.key for problem in caught.value.problems] == ["engine.seed"]


def test_the_file_is_looked_for_where_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) in (None, Path("/etc/mbtd/config.toml"))
    written(tmp_path, "")
    assert find_config(None, {}) == Path("config.toml")
    assert find_config(None, {"MBTD_CONFIG": "x.toml"}) == Path("x.toml")
    assert find_config("y.toml", {"MBTD_CONFIG": "x.toml"}) == Path("y.toml")
