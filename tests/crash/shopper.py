"""One client of the fault campaign: an account, what it was promised, and what it has no answer about."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from mbtd.rpc.client import Client
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

CASH = "100000000"
PAGE = 500


class Looked(Struct):
    """What a look at all orders of an account found."""

    lost: int = 0
    duplicates: int = 0
    wrong: list[str] = []


class Shopper:
    """Sends orders of many kinds and remembers every answer. For one thread at a time."""

    def __init__(self, socket: Path, name: str, symbols: tuple[str, ...], seed: int) -> None:
        self._socket = socket
        self._symbols = symbols
        self.name = name
        self.random = Random(f"{seed}/{name}")
        self.acknowledged: dict[str, str] = {}
        """Client order ids and the ids that were promised, from the first order on."""
        self.unanswered: dict[str, dict[str, Any]] = {}
        self.settled = 0
        self.refused = 0
        self._sent = 0

    def client(self, timeout_s: float = 20.0) -> Client:
        """A new connection."""
        return Client(self._socket, timeout_s=timeout_s, reconnect_max_s=0.1)

    def open_account(self, client: Client) -> None:
        """Have the account; whether it was there already does not matter."""
        try:
            client.call("account.create", name=self.name, type="margin", cash=CASH)
        except RpcRefusal as refusal:
            if refusal.reason != "account_name_taken":
                raise

    def trade(self, orders: int, until: float | None = None) -> None:
        """Send orders one after another; the daemon's death ends it."""
        try:
            with self.client() as client:
                for _ in range(orders):
                    if until is not None and time.monotonic() > until:
                        return
                    self._one(client)
        except (ConnectionLost, OSError, TimeoutError):
            return

    def _one(self, client: Client) -> None:
        random = self.random
        self._sent += 1
        name = f"{self.name}-{self._sent}-{random.getrandbits(32):x}"
        self.unanswered[name] = order = self._order(name)
        try:
            answer = client.call("order.place", **order)
        except RpcRefusal as refusal:
            if refusal.reason not in ("outcome_unknown", "shutting_down"):
                self.refused += 1
                del self.unanswered[name]
            return
        self.acknowledged[name] = answer["order"]["id"]
        del self.unanswered[name]
        self._follow_up(client, name)

    def _order(self, name: str) -> dict[str, Any]:
        random = self.random
        order: dict[str, Any] = {
            "account": self.name, "symbol": random.choice(self._symbols), "qty": str(random.randint(1, 3)),
            "side": "buy", "type": "limit", "limit_price": "1.00", "client_order_id": name,
        }  # fmt: skip
        draw = random.random()
        if draw < 0.45:
            return order
        if draw < 0.9:
            del order["limit_price"]
            order |= {"type": "market", "side": random.choice(("buy", "buy", "sell"))}
        elif draw < 0.95:
            order |= {"limit_price": "2000.00", "time_in_force": random.choice(("gtc", "ioc", "fok"))}
        else:
            order |= {
                "order_class": "bracket", "limit_price": "2000.00", "time_in_force": "gtc",
                "take_profit": {"limit_price": "9000.00"}, "stop_loss": {"stop_price": "1.00"},
            }  # fmt: skip
        return order

    def _follow_up(self, client: Client, name: str) -> None:
        draw = self.random.random()
        try:
            if draw < 0.2:
                client.call("order.cancel", account=self.name, client_order_id=name)
            elif draw < 0.3:
                client.call("order.replace", account=self.name, client_order_id=name, qty="7")
            elif draw < 0.33:
                again = client.call("order.place", account=self.name, symbol="AAPL", client_order_id=name,
                                    qty="1", side="buy", type="market")  # fmt: skip
                assert again["duplicate"] is True
            elif draw < 0.36:
                client.call("account.deposit", account=self.name, amount="1.25")
        except RpcRefusal:
            return

    def settle(self, client: Client) -> None:
        """Repeat what has no answer, each under its own id."""
        for name, order in list(self.unanswered.items()):
            try:
                self.acknowledged[name] = client.call("order.place", **order)["order"]["id"]
            except RpcRefusal:
                # Refused, so not there; the look afterwards proves it.
                self.refused += 1
            self.settled += 1
            del self.unanswered[name]

    def look(self, client: Client) -> Looked:
        """Whether every order that was ever acknowledged is there exactly once."""
        found: dict[str, list[str]] = {}
        token: str | None = None
        while True:
            page = client.call("order.list", account=self.name, status="all", limit=PAGE, page_token=token)
            for order in page["items"]:
                found.setdefault(order["client_order_id"], []).append(order["id"])
            token = page["next_page_token"]
            if token is None:
                break
        looked = Looked()
        for name, order_id in self.acknowledged.items():
            here = found.get(name, [])
            if order_id not in here:
                looked.lost += 1
                looked.wrong.append(f"{name} was acknowledged as {order_id}, found {here}")
            if len(here) > 1:
                looked.duplicates += 1
                looked.wrong.append(f"{name} is there as {here}")
        return looked
