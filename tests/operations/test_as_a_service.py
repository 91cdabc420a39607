"""What only shows where systemd holds the sockets and another user owns the state."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from mbtd.cli.base import connect
from mbtd.jobs.commands import hand_over
from mbtd.rpc.client import Client
from tests.service.conftest import make_account
from tests.service.running import Daemon, printed, run_cli

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets this")
SERVICE = 61_234


class Elsewhere(Daemon):
    """Its sockets do not lie in the state directory."""

    @property
    def socket(self) -> Path:
        return self.state.parent / "run" / "mbtd.sock"


def test_the_console_backs_up_and_verifies_though_the_sockets_are_elsewhere(tmp_path: Path) -> None:
    places = tmp_path / "run"
    places.mkdir()
    names = {"MBTD_SERVER__SOCKET": "mbtd.sock", "MBTD_SERVER__ADMIN_SOCKET": "admin.sock"}
    daemon = Elsewhere(tmp_path / "state", **{key: str(places / name) for key, name in names.items()}).start()
    try:
        with Client(places / "admin.sock", timeout_s=20.0) as operator:
            make_account(operator, "ann")
            made = operator.call("admin.backup")
            assert (made["exit_status"], made["ok"], made["daemon"]) == (0, True, "running")
            assert operator.call("admin.verify")["ok"]
        # And from a shell that knows only the sockets.
        by_hand = printed(run_cli("backup", "--state", str(tmp_path / "state"), "--json", socket=daemon.socket))
        assert by_hand["daemon"] == "running"
    finally:
        daemon.end()


@as_root
def test_what_root_makes_in_the_service_s_state_belongs_to_the_service(tmp_path: Path) -> None:
    state = tmp_path / "state"
    daemon = Daemon(state).start()
    assert daemon.stop() == 0
    for path in (state, *state.rglob("*")):
        os.chown(path, SERVICE, SERVICE)
    for words in (("backup",), ("restore", "--drill"), ("verify",), ("restore",)):
        assert run_cli(*words, "--state", str(state)).returncode == 0
        assert {path.lstat().st_uid for path in state.rglob("*")} == {SERVICE}, words


@as_root
def test_nothing_changes_hands_where_root_is_the_owner(tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.write_text("")
    os.chown(other, SERVICE, SERVICE)
    hand_over(tmp_path)
    assert other.stat().st_uid == SERVICE


def test_who_may_open_only_the_operators_socket_is_served_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = argparse.Namespace(socket=str(tmp_path / "mbtd.sock"), timeout=1.0)
    may = {"mbtd.sock", "admin.sock"}
    monkeypatch.setattr("mbtd.cli.base.os.access", lambda path, mode: Path(path).name in may)
    assert connect(asked).path.name == "mbtd.sock"
    may.remove("mbtd.sock")
    assert connect(asked).path.name == "admin.sock"
    may.clear()
    assert connect(asked).path.name == "mbtd.sock", "and the refusal names it"
