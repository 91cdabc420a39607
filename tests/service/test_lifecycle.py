"""Starting, stopping and being refused a start, as an operator sees it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mbtd.rpc.client import ConnectionLost, RpcRefusal
from tests.service.conftest import make_account, place
from tests.service.running import Daemon, printed, refusal, run_cli, until


def one_sentence(text: str) -> str:
    """What the daemon said: one line, without a traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("mbtd serve: ")
    return lines[0]


def test_a_term_under_load_ends_quickly_and_keeps_what_was_confirmed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "21").start()
    confirmed: list[str] = []
    refused: list[RpcRefusal] = []

    def load(name: str) -> None:
        order = {"account": name, "symbol": "AAPL", "side": "buy", "qty": "1", "type": "limit", "limit_price": "1.00"}
        with daemon.client() as client:
            try:
                while True:
                    for answer in client.call_many([("order.place", order)] * 16):
                        if isinstance(answer, RpcRefusal):
                            refused.append(answer)
                        else:
                            confirmed.append(answer["order"]["id"])
            except (ConnectionLost, RpcRefusal):
                return

    try:
        names = ["a", "b", "c"]
        with daemon.client() as client:
            for name in names:
                make_account(client, name, cash="90000000")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
        threads = [threading.Thread(target=load, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        until(lambda: len(confirmed) > 300)
        began = time.monotonic()
        assert daemon.stop() == 0
        took = time.monotonic() - began
        for thread in threads:
            thread.join(10)
        assert took < 2.0
        assert {refusal.reason for refusal in refused} <= {"shutting_down", "mailbox_full"}
        assert not (daemon.state / "mbtd.sock").exists()
        daemon.start()
        with daemon.client() as client:
            kept = {row["id"] for name in names for row in orders(client, name)}
        assert set(confirmed) <= kept
    finally:
        daemon.end()


def orders(client: Any, account: str) -> list[dict[str, Any]]:
    """Every order of an account."""
    items: list[dict[str, Any]] = []
    token = None
    while True:
        page = client.call("order.list", account=account, status="all", limit=500, page_token=token)
        items += page["items"]
        token = page["next_page_token"]
        if token is None:
            return items


def test_a_second_daemon_is_refused(daemon: Daemon) -> None:
    before = set(os.listdir(daemon.state)) - {"tape"}
    result = run_cli("serve", "--state", str(daemon.state))
    assert result.returncode == 75
    assert str(daemon.state) in one_sentence(result.stderr)
    assert set(os.listdir(daemon.state)) - {"tape"} == before
    with daemon.client() as client:
        assert client.call("health.get")["status"] == "ok"


@pytest.mark.parametrize(
    ("words", "status", "names"),
    [
        (("--config", "bad.toml"), 78, "qty_max"),
        (("--config", "absent.toml"), 78, "absent.toml"),
        (("--feed", "replay", "--recording", "absent.ndjson.gz"), 2, "absent.ndjson.gz"),
        (("--feed", "replay", "--recording", "bad.toml"), 65, "bad.toml"),
        (("--feed", "replay"), 2, "--recording"),
        (("--feed", "alpaca"), 78, "APCA_API_KEY_ID"),
        (("--speed", "0"), 2, "--speed"),
    ],
)
def test_a_start_that_cannot_be_leaves_nothing(
    tmp_path: Path, words: tuple[str, ...], status: int, names: str
) -> None:
    (tmp_path / "bad.toml").write_text("[engine]\nqty_max = 3\n")
    words = tuple(str(tmp_path / word) if "." in word else word for word in words)
    result = run_cli("serve", "--state", str(tmp_path / "state"), *words)
    assert result.returncode == status, result.stderr
    assert names in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["bad.toml"]


def test_a_foreign_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mbtd.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cats (name TEXT)")
    db.close()
    before = path.read_bytes()
    result = run_cli("serve", "--state", str(tmp_path))
    assert result.returncode == 65
    one_sentence(result.stderr)
    assert path.read_bytes() == before
    assert not (tmp_path / "seed").exists()


def test_a_socket_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    result = run_cli("serve", "--state", str(tmp_path / ("x" * 120)))
    assert result.returncode == 78
    assert "choose a shorter --state" in result.stderr


def test_a_seed_makes_the_same_accounts_and_is_kept(tmp_path: Path) -> None:
    ids = []
    for state in ("one", "two"):
        daemon = Daemon(tmp_path / state, "--seed", "22").start()
        try:
            with daemon.client() as client:
                ids.append(client.call("account.create", name="ann")["account_id"])
        finally:
            daemon.end()
    assert ids[0] == ids[1]


def test_trading_can_be_switched_off(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "23").start()
    try:
        with daemon.client() as client:
            make_account(client, "ann")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
            order = place(client, "ann")["order"]
        assert daemon.stop() == 0
        daemon.environ["MBT_TRADING_DISABLED"] = "1"
        daemon.start()
        with daemon.client() as client:
            error = refusal(lambda: place(client, "ann"))
            assert (error["code"], error["data"]["reason"]) == (3505, "trading_disabled")
            assert client.call("order.cancel", account="ann", order_id=order["id"]) == {}
    finally:
        daemon.end()


RECORDING = (
    Path(os.environ.get("MBTD_RECORDINGS") or Path(__file__).parents[2] / ".." / "shared" / "recordings")
    / "20131007-equities.ndjson.gz"
)


@pytest.mark.skipif(not RECORDING.exists(), reason="20131007-equities.ndjson.gz is not there")
def test_a_recording_is_served_on_its_own_time(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--feed", "replay", "--recording", str(RECORDING), "--speed", "20000").start()
    try:
        with daemon.client() as client:
            make_account(client, "ann")
            until(lambda: client.call("clock.get")["phase"] == "core")
            order = place(client, "ann", symbol="SPY", qty="10", type="market", limit_price=None)["order"]
            assert order["submitted_at"].startswith("2013-10-07T")
            until(lambda: client.call("order.get", account="ann", order_id=order["id"])["status"] == "filled")
            (fill,) = client.call("fill.list", account="ann")["items"]
            assert 165 < float(fill["price"]) < 170
            assert client.call("fill.why", fill_id=fill["fill_id"])["reproduced"] is True
            booked = client.call("order.list", account="ann", status="all")["items"]
            assert [item["status"] for item in booked] == ["filled"]
        assert daemon.stop() == 0
    finally:
        daemon.end()


def test_the_readme_commands_as_a_person_types_them(daemon: Daemon) -> None:
    opened = printed(
        daemon.cli(
            "account",
            "create",
            "--name",
            "cleo",
            "--user",
            "cleo",
            "--type",
            "margin",
            "--tier",
            "pro",
            "--cash",
            "100000",
            "--json",
        )
    )
    assert set(opened) == {"account_id", "name", "api_key", "api_secret"}
    order = ("order", "place", "--account", "cleo", "--symbol", "AAPL", "--side", "buy", "--qty", "10")
    placed = printed(daemon.cli(*order, "--type", "market", "--wait", "15", "--json"))
    assert placed["order"]["status"] == "filled"
    rows = [line.split() for line in daemon.cli("account", "list").stdout.splitlines()]
    (row,) = [dict(zip(rows[0], cells, strict=True)) for cells in rows[1:] if cells[0] == "cleo"]
    shown = printed(daemon.cli("account", "show", "cleo", "--json"))
    assert (row["type"], row["tier"], row["status"]) == ("margin", "pro", "ACTIVE")
    assert row["cash"] == shown["cash"]
    assert float(row["equity"]) == pytest.approx(float(shown["equity"]), rel=0.01)
    assert float(row["power"]) > 150_000
    listed = daemon.cli("order", "list", "--account", "cleo", "--status", "all")
    assert listed.returncode == 0
    assert placed["order"]["id"] in listed.stdout
    assert "AAPL" in daemon.cli("position", "list", "--account", "cleo").stdout
    why = printed(daemon.cli("why", placed["order"]["id"], "--json"))
    assert why["order"]["id"] == placed["order"]["id"]
    fills = daemon.cli("why", printed_fill(daemon))
    assert "reproduced" in fills.stdout
    assert printed(daemon.cli("status", "--json"))["status"] == "ok"
    refused = daemon.cli(*order, "--type", "limit", "--limit-price", "1.001")
    assert refused.returncode == 1
    assert "sub_penny_price" in refused.stderr
    assert "limit_price" in refused.stderr
    assert daemon.cli("order", "place").returncode == 2
    assert run_cli("status", "--socket", "/nowhere.sock").returncode == 69
    assert printed(daemon.cli("quote", "AAPL", "--json"))["symbol"] == "AAPL"


def printed_fill(daemon: Daemon) -> str:
    with daemon.client() as client:
        return str(client.call("fill.list", account="cleo")["items"][0]["fill_id"])


def test_check_config_shows_what_is_in_force_and_a_thrown_switch() -> None:
    shown = printed(run_cli("check-config", "--json", MBT_TRADING_DISABLED="1", MBTD_ENGINE__SEED="7"))
    assert shown["switches_thrown"] == ["MBT_TRADING_DISABLED"]
    (seed,) = [row for row in shown["settings"] if row["key"] == "engine.seed"]
    assert (seed["value"], seed["origin"]) == ("7", "environment MBTD_ENGINE__SEED")
    assert run_cli("check-config", MBTD_ENGINE__SEEED="7").returncode == 78


def test_mark_outs_outlive_a_restart(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "23").start()
    try:
        with daemon.client() as client:
            make_account(client, "a")
            client.call("order.place", account="a", symbol="AAPL", side="buy", qty="1", type="market")
            fill = until(lambda: client.call("fill.list", account="a")["items"])[0]
            first = until(lambda: (client.call("fill.why", fill_id=fill["fill_id"])["mark_outs"] or {}).get("1s"))
        assert daemon.stop() == 0
        daemon.start()
        with daemon.client() as client:
            assert client.call("fill.why", fill_id=fill["fill_id"])["mark_outs"]["1s"] == first
            assert client.call("fill.list", account="a")["items"][0]["mark_outs"]["1s"] == first
    finally:
        daemon.end()
