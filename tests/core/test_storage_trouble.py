"""What a daemon does when its storage fails: a full disk passes by itself, a lost writer ends the process."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbtd.rpc.client import Client, ConnectionLost, RpcRefusal
from tests.service.conftest import make_account, place
from tests.service.running import Daemon, until


def writer_pid(daemon: Daemon) -> int:
    """The daemon's only child."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    found = [int(pid) for pid in children if b"mbtd.writer" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(found) == 1
    return found[0]


def test_a_lost_writer_ends_the_process_and_nothing_unconfirmed_was_said(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "31").start()
    try:
        confirmed = []
        with daemon.client() as client:
            make_account(client, "ann", cash="90000000")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
            order = {
                "account": "ann",
                "symbol": "AAPL",
                "side": "buy",
                "qty": "1",
                "type": "limit",
                "limit_price": "1.00",
            }
            confirmed += [answer["order"]["id"] for answer in client.call_many([("order.place", order)] * 20)]
            os.kill(writer_pid(daemon), signal.SIGKILL)
            try:
                for answer in client.call_many([("order.place", order)] * 32):
                    if not isinstance(answer, RpcRefusal):
                        confirmed.append(answer["order"]["id"])
            except ConnectionLost:
                pass
        assert daemon.process.wait(10) == 74
        daemon.start()
        with daemon.client() as client:
            kept = client.call("order.list", account="ann", status="all", limit=500)["items"]
        assert set(confirmed) <= {item["id"] for item in kept}
    finally:
        daemon.end()


def test_a_clean_stop_stores_a_snapshot_of_the_house_and_of_every_account(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state", "--seed", "32").start()
    try:
        with daemon.client() as client:
            make_account(client, "ann")
            n = client.call("account.get", account="ann")["n"]
        assert daemon.stop() == 0
        db = sqlite3.connect(daemon.state / "mbtd.sqlite3")
        rows = dict(db.execute("SELECT account_no, n FROM snapshots").fetchall())
        db.close()
        assert rows[1] == n
        assert rows[0] > 0
        assert not (daemon.state / "mbtd.sqlite3-wal").exists()
    finally:
        daemon.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB of its own, where this may be had."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all room there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_full_disk_refuses_commands_serves_reads_and_passes_by_itself(small_disk: Path) -> None:
    settings = {"MBTD_STORAGE__BALLAST_BYTES": "65536", "MBTD_STORAGE__TAPE_MAX_DAYS": "0"}
    daemon = Daemon(small_disk / "state", "--seed", "33", **settings)
    daemon.log = small_disk.parent / "daemon.log"
    daemon.start()
    try:
        with daemon.client() as client:
            make_account(client, "ann")
            until(lambda: client.call("health.get")["engine"]["tape_seq"] > 500)
            first = place(client, "ann", client_order_id="first")["order"]
            filler = fill(small_disk)
            reason = until(lambda: pressed(client), "storage_full")
            assert (reason.code, reason.retryable) == (5001, True)
            health = client.call("health.get")
            assert health["status"] == "degraded"
            assert "storage_full" in health["reasons"]
            shown = client.call("order.list", account="ann", status="all")["items"]
            assert first["id"] in {order["id"] for order in shown}
            filler.unlink()
            until(lambda: client.call("health.get")["storage"]["state"] == "ok", "room again")
            again = place(client, "ann", client_order_id="first")
            assert (again["duplicate"], again["order"]["id"]) == (True, first["id"])
        assert daemon.stop() == 0
    finally:
        daemon.end()


def pressed(client: Client) -> RpcRefusal | None:
    """Send an order; the refusal of a full disk, once it comes."""
    try:
        place(client, "ann")
    except RpcRefusal as refused:
        if refused.reason == "storage_full":
            return refused
        if refused.reason != "outcome_unknown":
            raise
    return None
