"""A small application with accounts and orders, on a real socket in a thread, for tests of clients."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mbtd.rpc.errors import AlpacaError, Refusal, make_error, order_refusal, refuse
from mbtd.rpc.server import Server
from mbtd.rpc.session import RequestId, Session

BUYING_POWER = order_refusal(
    3010,
    "insufficient_buying_power",
    "The order needs more buying power than there is",
    alpaca=AlpacaError(status=403, code=40310000, message="insufficient buying power"),
    numbers={"required": "450100.00", "available": "100000.00"},
    remedy="Order less, or deposit cash.",
)


class FakeBroker:
    """Orders fill when told to; ``faults`` names what happens at the next requests of a method."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.kept_from = 0
        self.subscribers: dict[Session, set[str]] = {}
        self.faults: dict[str, list[str]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fill_at_once = False
        self.missed: list[dict[str, Any]] = []
        self.open_account("alice")

    def open_account(self, name: str) -> dict[str, Any]:
        account = {
            "id": f"acc-{name}",
            "name": name,
            "status": "ACTIVE",
            "cash": "100000",
            "equity": "100000",
        }
        self.accounts[name] = account
        return account

    # ---- Application

    def connected(self, session: Session) -> None:
        pass

    def disconnected(self, session: Session) -> None:
        self.subscribers.pop(session, None)

    def request(
        self,
        session: Session,
        request_id: RequestId,
        method: str,
        params: msgspec.Raw,
        deadline_ms: int | None,
    ) -> None:
        values = msgspec.json.decode(params)
        self.asked.append((method, values))
        fault = self.faults[method].pop(0) if self.faults.get(method) else None
        if fault == "lose before":
            session.close("test")
            return
        if fault not in (None, "lose after"):
            refuse(fault)
        handler = getattr(self, method.replace(".", "_"), None)
        if handler is None:
            refuse("method_not_found")
        answer = handler(session, values)
        if fault == "lose after":
            session.close("test")
            return
        session.reply(request_id, json.dumps(answer).encode())
        missed, self.missed = self.missed, []
        for event in missed:
            session.event(json.dumps(event).encode())
        if method == "order.place" and self.fill_at_once:
            self.fill(answer["order"]["id"])

    # ---- methods

    def _account(self, values: dict[str, Any]) -> dict[str, Any]:
        wanted = values.get("account")
        for account in self.accounts.values():
            if wanted in (account["id"], account["name"]):
                return account
        raise Refusal(make_error("unknown_account", field="account"))

    def account_create(self, session: Session, values: dict[str, Any]) -> Any:
        if values["name"] in self.accounts:
            refuse("name_taken", field="name")
        account = self.open_account(values["name"])
        return {"account_id": account["id"], "name": account["name"], "api_key": "k", "api_secret": "s"}

    def account_list(self, session: Session, values: dict[str, Any]) -> Any:
        first = int(values.get("page_token") or 0)
        last = first + min(values["limit"], 2)
        shown = ("id", "name", "user_id", "type", "status")
        items = [{name: row[name] for name in shown if name in row} for row in self.accounts.values()]
        return {"items": items[first:last], "next_page_token": str(last) if last < len(items) else None}

    def account_get(self, session: Session, values: dict[str, Any]) -> Any:
        return self._account(values)

    def account_configure(self, session: Session, values: dict[str, Any]) -> Any:
        return self._account(values) | values

    def account_deposit(self, session: Session, values: dict[str, Any]) -> Any:
        self._account(values)
        return {"id": "act-1", "activity_type": "CSD", "net_amount": values["amount"]}

    def order_place(self, session: Session, values: dict[str, Any]) -> Any:
        account = self._account(values)
        client_order_id = values["client_order_id"]
        if client_order_id in self.orders:
            return {"order": self.orders[client_order_id], "seq": 1, "duplicate": True}
        if values.get("qty") == "1000":
            raise Refusal(BUYING_POWER)
        order = {**values, "id": f"ord-{len(self.orders)}", "status": "accepted", "account": account["id"]}
        self.orders[client_order_id] = order
        self.emit(account["id"], {"event": "order.accepted", "order_id": order["id"], "status": "accepted"})
        return {"order": order, "seq": 1, "duplicate": False}

    def order_get(self, session: Session, values: dict[str, Any]) -> Any:
        for order in self.orders.values():
            if values.get("order_id") == order["id"] or values.get("client_order_id") in self.orders:
                return order
        raise Refusal(make_error("not_found", field="order_id"))

    def order_list(self, session: Session, values: dict[str, Any]) -> Any:
        self._account(values)
        return {"items": list(self.orders.values()), "next_page_token": None}

    def order_preview(self, session: Session, values: dict[str, Any]) -> Any:
        return {
            "acceptable": values.get("qty") != "1000",
            "duplicate": False,
            "effect": {
                "buying_power": "-4501",
                "buying_power_before": "100000",
                "check_price": "450.1",
                "reserved_qty": "0",
                "initial_margin": "2250.5",
                "maintenance_margin": "1350.3",
                "fees": "0",
                "warnings": [],
            },
            "structures": {},
        }

    def order_cancel(self, session: Session, values: dict[str, Any]) -> Any:
        return None

    def order_cancel_all(self, session: Session, values: dict[str, Any]) -> Any:
        return {"items": [{"id": order["id"], "status": 200} for order in self.orders.values()]}

    def fill_why(self, session: Session, values: dict[str, Any]) -> Any:
        refuse("not_found", field="fill_id")

    def order_why(self, session: Session, values: dict[str, Any]) -> Any:
        return {"order_id": values["order_id"], "because": {"limit_price": "1.00", "ask": "450.10"}}

    def health_get(self, session: Session, values: dict[str, Any]) -> Any:
        return {"status": "degraded", "reasons": ["feed_down"]}

    def stream_subscribe(self, session: Session, values: dict[str, Any]) -> Any:
        from_n = values.get("from_n")
        if from_n is not None and from_n < self.kept_from:
            refuse("resync_required")
        topics = self.subscribers.setdefault(session, set())
        topics |= set(values["topics"])
        if from_n is not None:
            topic = values["topics"][0]
            missed = [event for event in self.events if event["topic"] == topic and event["n"] > from_n]
            self.missed = missed
            return {"topics": {topic: {"n": from_n}}}
        return {"topics": {topic: {"n": self.count(topic), "snapshot": {"a": 1}} for topic in values["topics"]}}

    # ---- what tests make happen

    def count(self, topic: str) -> int:
        return max((event["n"] for event in self.events if event["topic"] == topic), default=0)

    def emit(self, account_id: str, data: dict[str, Any], *, quiet: bool = False) -> None:
        topic = f"account:{account_id}"
        event = {"topic": topic, "n": self.count(topic) + 1, **data}
        self.events.append(event)
        if quiet:
            return
        for session, topics in list(self.subscribers.items()):
            if topic in topics:
                session.event(json.dumps(event).encode())

    def fill(self, order_id: str) -> None:
        order = next(order for order in self.orders.values() if order["id"] == order_id)
        order |= {"status": "filled", "filled_qty": order.get("qty"), "filled_avg_price": "450.10"}
        self.emit(order["account"], {"event": "order.filled", "order_id": order_id, "status": "filled"})


class Running:
    """A broker being served; ``do`` runs something on its loop."""

    def __init__(self, broker: FakeBroker, path: Path) -> None:
        self.broker = broker
        self.path = path
        self.server: Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, function: Any, *args: Any, **options: Any) -> Any:
        async def run() -> Any:
            return function(*args, **options)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def start(self) -> None:
        async def run() -> None:
            self.server = Server(self.broker)
            await self.server.listen(self.path)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            closing = server.close(make_error("shutting_down"))
            asyncio.run_coroutine_threadsafe(closing, self._loop).result(5)

    def end(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def running_broker(path: Path) -> Iterator[Running]:
    running = Running(FakeBroker(), path)
    running.start()
    try:
        yield running
    finally:
        running.end()
