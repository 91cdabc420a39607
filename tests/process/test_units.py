"""The systemd units: nothing to complain about, few privileges, the names that the daemon expects."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mbtd.config import Config
from mbtd.install import install
from mbtd.market.alpaca_credentials import KEY_FILE, SECRET_FILE

UNITS = Path(__file__).parents[2] / "systemd"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")


def options(name: str) -> list[tuple[str, str, str]]:
    """Section, key and value of every line of a unit, repeated keys included."""
    section, found = "", []
    for line in (UNITS / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


@needs_systemd
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    for unit in [*UNITS.glob("*.service"), *UNITS.glob("*.socket"), *UNITS.glob("*.timer")]:
        text = unit.read_text().replace("/opt/mbtd/.venv/bin/mbtd", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@needs_systemd
def test_the_daemon_is_well_confined() -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--threshold=13",
            "--no-pager",
            UNITS / "mbtd.service",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:]


def test_sockets_carry_the_names_the_daemon_looks_for() -> None:
    for unit, name in (("mbtd.socket", "rpc"), ("mbtd-admin.socket", "admin")):
        found = options(unit)
        assert ("Socket", "FileDescriptorName", name) in found
        assert ("Socket", "Service", "mbtd.service") in found
        assert ("Socket", "SocketMode", "0660") in found


def test_a_restart_is_not_tried_where_it_cannot_help() -> None:
    service = {key: value for section, key, value in options("mbtd.service") if section == "Service"}
    assert service["RestartPreventExitStatus"].split() == ["2", "65", "78"]
    assert service["Type"] == "notify"


@pytest.mark.parametrize("unit", ["mbtd.service", "mbtd-gateway.service"])
@pytest.mark.parametrize("status", ["0", "2", "65", "70", "74", "78", "TERM"])
def test_its_sockets_close_where_a_start_cannot_help(tmp_path: Path, unit: str, status: str) -> None:
    """Else every waiting client would start it again, until systemd gives up."""
    service = {key: value for section, key, value in options(unit) if section == "Service"}
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "systemctl").chmod(0o755)
    command = shlex.split(service["ExecStopPost"].removeprefix("+").replace("$$", "$"))
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:/usr/bin:/bin", "EXIT_STATUS": status}, capture_output=True, text=True,
        timeout=20, check=True,
    )  # fmt: skip
    sockets = [
        socket.name for socket in UNITS.glob("*.socket") if ("Socket", "Service", unit) in options(socket.name)
    ]
    if status not in service["RestartPreventExitStatus"].split():
        assert done.stdout == ""
        return
    words = done.stdout.split()
    assert words[:2] == ["--no-block", "stop"]
    assert sorted(words[2:]) == sorted(sockets)


def test_the_gateway_starts_no_daemon_that_gave_up() -> None:
    pulled = {value for _, key, value in options("mbtd-gateway.service") if key in ("Requires", "Wants", "BindsTo")}
    assert pulled == {"mbtd-gateway.socket"}


def test_credentials_carry_the_names_the_daemon_looks_for() -> None:
    loaded = {value for _, key, value in options("mbtd.service") if key == "LoadCredential"}
    assert loaded == {KEY_FILE, SECRET_FILE}


def test_directives_that_break_the_daemon_are_absent() -> None:
    keys = {key for _, key, _ in options("mbtd.service")}
    assert not keys & {"PrivateUsers", "RuntimeDirectory"}


def test_the_groups_of_the_sockets_are_made() -> None:
    made = {line.split()[1] for line in (UNITS / "mbtd.sysusers").read_text().splitlines() if line.startswith("g ")}
    wanted = {
        value for unit in UNITS.glob("*.socket") for _, key, value in options(unit.name) if key == "SocketGroup"
    }
    assert made == wanted | {"mbtd-gateway"}


def test_an_installation_below_a_root_names_itself_and_keeps_a_configuration(tmp_path: Path) -> None:
    written = install(tmp_path, Path("/srv/mbtd"))
    units = tmp_path / "usr/lib/systemd/system"
    assert {path.name for path in written} >= {"mbtd.service", "mbtd.socket", "mbtd-backup.timer", "mbtd-drill.timer"}
    assert "ExecStart=/srv/mbtd/bin/mbtd serve" in (units / "mbtd.service").read_text()
    configuration = tmp_path / "etc/mbtd/config.toml"
    server = Config.load(configuration, {}).config.server
    assert server.operator_uids == (0,)
    assert (server.operator_groups, server.service_groups) == (("mbtd-operators",), ("mbtd-gateway",))
    configuration.write_text("[log]\n")
    assert configuration not in install(tmp_path)
    assert configuration.read_text() == "[log]\n"
