"""The gateway or the daemon goes away under load: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from tests.gateway.running import Served, User, serving
from tests.gateway.test_limits import gateway_pid
from tests.service.running import Daemon, until


def order(client_order_id: str | None = None) -> dict[str, Any]:
    given = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": 1}
    return given if client_order_id is None else {**given, "client_order_id": client_order_id}


class Placer(threading.Thread):
    """Places orders and repeats each until it is answered, as the SDK's users do."""

    def __init__(self, user: User) -> None:
        super().__init__(daemon=True)
        self.user = user
        self.answered: dict[str, str] = {}
        self.wrong: list[str] = []
        self.going = True

    def run(self) -> None:
        while self.going:
            name = str(uuid.uuid4())
            while self.going:
                try:
                    answer = self.user.ask("POST", "/v2/orders", json=order(name))
                except requests.RequestException:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    self.answered[name] = answer.json()["id"]
                    break
                if answer.status_code not in (429, 503, 504):
                    self.wrong.append(answer.text)
                    return
                time.sleep(0.02)


def placed(served: Served, account: str) -> dict[str, list[str]]:
    """Client ids of all orders of an account, and the orders under each."""
    found: dict[str, list[str]] = {}
    token = None
    while True:
        page = served.call("order.list", account=account, status="all", limit=500, page_token=token)
        for row in page["items"]:
            found.setdefault(row["client_order_id"], []).append(row["id"])
        token = page["next_page_token"]
        if token is None:
            return found


@pytest.mark.parametrize("which", ["gateway", "daemon"])
def test_a_kill_under_load_loses_and_doubles_nothing(tmp_path: Path, which: str) -> None:
    with serving(tmp_path / "state") as served:
        placers = [Placer(served.open(f"placer {number}", cash="1000000000")) for number in range(3)]
        for placer in placers:
            placer.start()
        until(lambda: all(len(placer.answered) > 10 for placer in placers), "some orders")
        if which == "gateway":
            old = gateway_pid(served)
            os.kill(old, signal.SIGKILL)
            until(lambda: gateway_pid(served) not in (0, old), "another gateway")
        else:
            served.kill()
            served.start()
        seen = [len(placer.answered) for placer in placers]
        until(
            lambda: all(p.wrong or len(p.answered) > n + 10 for p, n in zip(placers, seen, strict=True)),
            "more orders",
        )
        for placer in placers:
            placer.going = False
            placer.join(20)
        for placer in placers:
            assert placer.wrong == []
            there = placed(served, placer.user.name)
            for name, order_id in placer.answered.items():
                assert there[name] == [order_id]
            assert set(there) - set(placer.answered) == set() or len(set(there) - set(placer.answered)) <= 1


def test_trade_updates_go_on_from_where_they_were_when_the_daemon_returns(tmp_path: Path) -> None:
    with Beside(tmp_path / "state") as (served, gateway):
        user = served.open("steady")
        with connect(f"{served.ws}/stream") as stream:
            stream.send(json.dumps({"action": "auth", "key": user.key, "secret": user.secret}))
            stream.recv(timeout=10)
            stream.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            stream.recv(timeout=10)
            one = user.ask("POST", "/v2/orders", json=order()).json()["id"]
            told = [json.loads(stream.recv(timeout=10))["data"] for _ in range(2)]
            assert [(u["event"], u["order"]["id"]) for u in told] == [("accepted", one), ("new", one)]
            served.kill()
            served.start_daemon()
            two = served.call("order.place", account=user.name, **{k: str(v) for k, v in order().items()})["order"][
                "id"
            ]
            heard = []
            while len(heard) < 2:
                heard.append(json.loads(stream.recv(timeout=15))["data"])
            assert [(u["event"], u["order"]["id"]) for u in heard] == [("accepted", two), ("new", two)]
        assert gateway.poll() is None


class Apart(Served):
    """A daemon that starts no gateway."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.flags = ("--seed", "11", "--gateway", "off")

    def start_daemon(self) -> None:
        """The daemon alone."""
        Daemon.start(self)


class Beside:
    """A daemon without a gateway, and a gateway of its own beside it."""

    def __init__(self, state: Path) -> None:
        self.served = Apart(state)

    def __enter__(self) -> tuple[Apart, subprocess.Popen[bytes]]:
        self.served.start_daemon()
        words = ["gateway", "--socket", str(self.served.socket), "--listen", f"127.0.0.1:{self.served.port}"]
        log = self.served.log.open("ab")
        environ = {k: v for k, v in self.served.environ.items() if k != "MBTD_GATEWAY__ADDRESS"}
        self.gateway = subprocess.Popen(
            [sys.executable, "-m", "mbtd.cli", *words], env=environ, stdout=log, stderr=log
        )
        log.close()
        self.served.wait_for_gateway()
        return self.served, self.gateway

    def __exit__(self, *_: object) -> None:
        self.gateway.terminate()
        assert self.gateway.wait(20) == 0
        if self.served.process.poll() is None:
            self.served.stop()
        self.served.end()
