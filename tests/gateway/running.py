"""A daemon with its gateway, as a user starts it, and the clients that speak to it."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter

from tests.service.running import PATIENCE_S, Daemon, until

DELAY_S = 2
BUSY = {
    "MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": "1000",
    "MBTD_MARKET__DELAYED_BY_S": str(DELAY_S),
}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_addresses = itertools.count(2)


def elsewhere() -> str:
    """A loopback address that nobody has called from yet: failed logins are slowed down per source."""
    number = next(_addresses)
    return f"127.0.{number // 250}.{number % 250 + 2}"


class FromElsewhere(HTTPAdapter):
    """Calls from an address of its own."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        kwargs["source_address"] = (elsewhere(), 0)
        super().init_poolmanager(*args, **kwargs)


def stranger() -> requests.Session:
    """A session without a key, from an address of its own."""
    session = requests.Session()
    session.mount("http://", FromElsewhere())
    return session


class Served(Daemon):
    """``mbtd serve`` with its gateway as a child."""

    def __init__(self, state: Path, *flags: str, **environ: str) -> None:
        self.port = free_port()
        super().__init__(state, "--seed", "11", "--gateway", f"127.0.0.1:{self.port}", *flags, **{**BUSY, **environ})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> Served:
        super().start()
        self.wait_for_gateway()
        return self

    def wait_for_gateway(self) -> None:
        """Until the gateway answers and has its line to the daemon."""
        until(self._ready, "the gateway")

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def open(self, name: str, tier: str = "pro_plus", **more: Any) -> User:
        """A new account and its key."""
        with self.client() as client:
            given = {"name": name, "tier": tier, "cash": "1000000", **more}
            made = client.call("account.create", **given)
        return User(self, made)

    def call(self, method: str, **params: Any) -> Any:
        """Over the socket, as the platform's backend does."""
        with self.client() as client:
            return client.call(method, **params)


class User:
    """One account with its key, and how it asks."""

    def __init__(self, served: Served, made: dict[str, Any]) -> None:
        self.served = served
        self.account_id: str = made["account_id"]
        self.name: str = made["name"]
        self.key: str = made["api_key"]
        self.secret: str = made["api_secret"]
        self.http = requests.Session()
        self.http.headers.update({"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret})

    def trading(self, **more: Any) -> TradingClient:
        """The SDK's own client, unmodified."""
        return TradingClient(self.key, self.secret, paper=True, url_override=self.served.url, **more)

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """A raw request."""
        return self.http.request(method, self.served.url + path, timeout=PATIENCE_S, allow_redirects=False, **more)


@contextmanager
def serving(state: Path, *flags: str, **environ: str) -> Iterator[Served]:
    """A daemon and gateway for a while."""
    served = Served(state, *flags, **environ)
    try:
        yield served.start()
    finally:
        if served.process.poll() is None:
            served.stop()
        served.end()


def eventually(condition: Callable[[], Any], what: str = "the condition", pause_s: float = 0.03) -> Any:
    """Wait for something true over HTTP, without asking too often."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(pause_s)
    return found
