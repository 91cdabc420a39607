"""A running daemon in an operator's hands: backup, restore, erasure, export, console, switches, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbtd.console.shell import complete
from mbtd.rpc.client import Client, RpcRefusal
from storage.erasure import find_bytes
from storage.tombstones import Tombstone, Tombstones
from tests.service.conftest import ended, make_account, place
from tests.service.running import Daemon, printed, refusal, run_cli, until

BUSY = {"MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": "500"}


def started(state: Path, **environ: str) -> Daemon:
    daemon = Daemon(state, "--seed", "31", **BUSY, **environ).start()
    with daemon.client() as client:
        until(lambda: client.call("health.get")["engine"]["tape_seq"] > 200, "quotes")
    return daemon


def bought(client: Client, account: str) -> str:
    order = client.call("order.place", account=account, symbol="AAPL", side="buy", qty="3", type="market")["order"]
    return str(ended(client, account, order["id"])["id"])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = started(tmp_path / "state")
    yield running
    running.end()


def admin(daemon: Daemon) -> Client:
    return Client(daemon.state / "admin.sock")


def test_backup_restore_erasure_and_restore_again(daemon: Daemon, tmp_path: Path) -> None:
    state = str(daemon.state)
    with daemon.client() as client:
        make_account(client, "first-account", user_id="a-user-to-forget")
        make_account(client, "second", user_id="a-user-who-stays")
        bought(client, "first-account")
        kept = bought(client, "second")
        epoch = client.call("session.hello")["data_epoch"]
    made = printed(run_cli("backup", "--state", state, "--json", socket=daemon.socket))
    with daemon.client() as client:
        later = place(client, "second")["order"]["id"]
        exported = tmp_path / "export"
        told = printed(daemon.cli("user", "export", "a-user-to-forget", "--out", str(exported), "--json"))
        assert told["rows"]["fills"] >= 1
        orders = json.loads((exported / "orders.json").read_text())
        assert [order["account"] for order in orders] == ["first-account"]
        assert (exported / "archive.csv").read_text().count("\n") > told["rows"]["fills"]
        printed(daemon.cli("user", "erase", "a-user-to-forget", "--json"))
        needles = [b"a-user-to-forget", b"first-account", orders[0]["id"].encode()]
        assert not find_bytes(daemon.state, needles, leave_out=["backups"])
        assert (
            refusal(lambda: client.call("account.get", account="first-account"))["data"]["reason"]
            == "unknown_account"
        )
        assert [item["name"] for item in client.call("account.list")["items"]] == ["second"]
    assert printed(run_cli("verify", "--state", state, "--json"))["ok"]
    assert run_cli("restore", made["backup"], "--state", state, socket=daemon.socket).returncode == 75
    assert daemon.stop() == 0

    # What happened between the backup and the erasure is in no journal any more.
    assert run_cli("restore", made["backup"], "--state", state, "--replay").returncode == 65
    done = printed(run_cli("restore", made["backup"], "--state", state, "--json"))
    assert done["erased_again"] == 1
    assert not find_bytes(
        daemon.state, needles, leave_out=["backups", *(p.name for p in daemon.state.glob("before-*"))]
    )
    assert printed(run_cli("verify", "--state", state, "--json"))["ok"]
    daemon.start()
    with daemon.client() as client:
        assert client.call("session.hello")["data_epoch"] != epoch
        assert client.call("order.get", account="second", order_id=kept)["status"] == "filled"
        assert client.call("account.list")["items"][0]["name"] == "second"
        assert later
    assert daemon.stop() == 0


def test_each_erased_user_is_said(daemon: Daemon) -> None:
    with daemon.client() as client:
        for name in ("one", "two"):
            make_account(client, name, user_id=f"user-{name}")
            printed(daemon.cli("user", "erase", f"user-{name}", "--json"))
    lines = [json.loads(line[line.index("{") :]) for line in daemon.log.read_text().splitlines() if "{" in line]
    said = [line["account_no"] for line in lines if line["event"] == "user.erased"]
    assert said == [1, 2]


def test_a_restored_state_elsewhere_has_the_same_books_and_goes_on(daemon: Daemon, tmp_path: Path) -> None:
    with daemon.client() as client:
        make_account(client, "ann")
        bought(client, "ann")
        first = printed(run_cli("backup", "--state", str(daemon.state), "--json", socket=daemon.socket))
        second = place(client, "ann")["order"]["id"]
    assert daemon.stop() == 0
    there = tmp_path / "elsewhere"
    done = printed(run_cli("restore", first["backup"], "--state", str(there), "--json"))
    assert done["state_hash"] == printed(run_cli("verify", first["backup"], "--json"))["state_hash"]
    assert printed(run_cli("restore", "--drill", "--state", str(daemon.state), "--json"))["ok"]
    # The journal of the old state carries the backup on to its last event.
    whole = printed(run_cli("verify", "--state", str(daemon.state), "--json"))
    back = printed(run_cli("restore", first["backup"], "--state", str(daemon.state), "--replay", "--json"))
    assert (back["seq"], back["state_hash"]) == (whole["seq"], whole["state_hash"])
    daemon.start()
    with daemon.client() as client:
        assert client.call("order.get", account="ann", order_id=second)["id"] == second
        bought(client, "ann")


def test_an_erasure_that_a_crash_cut_short_is_finished_at_the_next_start(daemon: Daemon) -> None:
    with daemon.client() as client:
        make_account(client, "first-account", user_id="a-user-to-forget")
        bought(client, "first-account")
        make_account(client, "second")
        daemon.kill()
    stones = Tombstones(daemon.state)
    stones.set(Tombstone(stones.mark("a-user-to-forget").hex(), (1,), "now"))
    assert find_bytes(daemon.state, [b"a-user-to-forget"])
    daemon.start()
    assert not find_bytes(daemon.state, [b"a-user-to-forget", b"first-account"])
    with daemon.client() as client:
        assert [item["name"] for item in client.call("account.list")["items"]] == ["second"]
        bought(client, "second")
    assert daemon.stop() == 0
    assert printed(run_cli("verify", "--state", str(daemon.state), "--json"))["ok"]
    assert not Tombstones(daemon.state).unfinished


def test_a_damaged_backup_is_refused_and_nothing_is_touched(daemon: Daemon) -> None:
    state = str(daemon.state)
    made = printed(run_cli("backup", "--state", state, "--json", socket=daemon.socket))
    assert daemon.stop() == 0
    path = Path(made["backup"]) / "mbtd.sqlite3"
    body = bytearray(path.read_bytes())
    body[5_000] ^= 1
    path.write_bytes(body)
    before = (daemon.state / "mbtd.sqlite3").read_bytes()
    assert run_cli("restore", made["backup"], "--state", state).returncode == 65
    assert (daemon.state / "mbtd.sqlite3").read_bytes() == before


def test_switches_from_each_source_survive_a_kill_and_clear_only_their_own(tmp_path: Path) -> None:
    daemon = started(tmp_path / "state", MBT_NEW_ORDERS_DISABLED="1")
    try:
        with daemon.client() as client, admin(daemon) as operator:
            make_account(client, "ann")
            assert refusal(lambda: place(client, "ann"))["data"]["reason"] == "new_orders_disabled"
            operator.call("admin.switch", name="new_orders_disabled", on=True, why="both")
            operator.call("admin.switch", name="market_data_disabled", on=True, why="quiet")
            health = client.call("health.get")
            assert {"new_orders_disabled", "market_data_disabled", "feed_stopped"} <= set(health["reasons"])
            count = health["feed"]["messages"]
        daemon.kill()
        del daemon.environ["MBT_NEW_ORDERS_DISABLED"]
        daemon.start()
        with daemon.client() as client, admin(daemon) as operator:
            sources = client.call("health.get")["switches"]["new_orders_disabled"]["sources"]
            assert list(sources) == ["console"]
            assert sources["console"]["why"] == "both"
            assert client.call("health.get")["feed"]["messages"] == 0 <= count
            operator.call("admin.switch", name="new_orders_disabled", on=False, why="over")
            operator.call("admin.switch", name="market_data_disabled", on=False, why="over")
            until(lambda: client.call("health.get")["status"] == "ok", "health")
            bought(client, "ann")
    finally:
        daemon.end()


def test_the_console_knows_its_words(daemon: Daemon) -> None:
    with daemon.client() as client:
        make_account(client, "ann")
        place(client, "ann")
    for words in (
        "show accounts", "show account ann", "show mailboxes", "show clients", "show streams", "show tasks",
        "show feed", "show storage", "show limits", "show metrics", "show config", "show switches", "status",
        "pause", "resume", "drain", "resume", "reload", "log-level debug", "log-level info", "checkpoint",
        "backup", "verify",
    ):  # fmt: skip
        assert printed(daemon.cli("console", "--json", *words.split())), words
    assert daemon.cli("console", "dance").returncode == 2
    assert daemon.cli("console", "!1+1").returncode == 77, "the prompt is off by default"
    assert "ann" in daemon.cli("console", "show", "accounts").stdout
    assert complete("show ac") == ["accounts", "account"]
    with daemon.client() as idle, admin(daemon) as operator:
        idle.call("health.get")
        numbers = [row["no"] for row in operator.call("admin.show", what="clients")["clients"]]
        assert numbers
    metrics = daemon.cli("metrics").stdout
    assert 'mbtd_health_state{state="ok"} 1.0' in metrics
    assert printed(daemon.cli("top", "--once"))["health"]["status"] == "ok"
    assert "mbtd 0" in daemon.cli("status").stdout


def test_only_operators_may_ask_for_admin(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", MBTD_SERVER__DEBUG_PROMPT="1").start()
    try:
        with admin(daemon) as operator:
            assert operator.call("admin.prompt", line="len(engine.books)")["output"] == "0\n"
            assert "ZeroDivisionError" in operator.call("admin.prompt", line="1/0")["output"]
            with pytest.raises(RpcRefusal):
                operator.call("admin.switch", name="nonsense", on=True, why="x")
    finally:
        daemon.end()
