"""Daemons shared by the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mbtd.rpc.client import Client
from tests.service.running import Daemon, until


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The synthetic market with a seed."""
    busy = {"MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND": "1000"}
    running = Daemon(tmp_path_factory.mktemp("serve") / "state", "--seed", "11", **busy).start()
    with running.client() as client:
        until(lambda: _has_quote(client), "a quote")
    yield running
    running.end()


def _has_quote(client: Client) -> bool:
    return bool(client.call("health.get")["engine"]["tape_seq"] > 500)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as client:
        yield client


@pytest.fixture
def account(client: Client, request: pytest.FixtureRequest) -> str:
    """A margin account with latency and cash enough, named after the test."""
    return make_account(client, request.node.name[:60])


def make_account(client: Client, name: str, **more: Any) -> str:
    """Open an account; its name."""
    client.call("account.create", name=name, **{"cash": "1000000", **more})
    return name


@pytest.fixture
def bought(client: Client, account: str) -> Callable[..., dict[str, Any]]:
    """Buys at the market and waits for the fill; the filled order."""

    def buy(qty: str = "10", symbol: str = "AAPL") -> dict[str, Any]:
        order = client.call("order.place", account=account, symbol=symbol, side="buy", qty=qty, type="market")[
            "order"
        ]
        return ended(client, account, order["id"])

    return buy


def ended(client: Client, account: str, order_id: str) -> dict[str, Any]:
    """Wait for an order's end."""

    def look() -> dict[str, Any] | None:
        order: dict[str, Any] = client.call("order.get", account=account, order_id=order_id)
        return order if order["status"] in ("filled", "canceled", "expired", "replaced") else None

    found: dict[str, Any] = until(look, "the order's end")
    return found


def status_is(client: Client, account: str, order_id: str, status: str) -> dict[str, Any]:
    """Wait for a status."""
    found: dict[str, Any] = until(
        lambda: (
            order
            if (order := client.call("order.get", account=account, order_id=order_id))["status"] == status
            else None
        ),
        status,
    )
    return found


REST = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "limit", "limit_price": "1.00"}
"""An order that rests for ever."""


def place(client: Client, account: str, **fields: Any) -> dict[str, Any]:
    """A resting order, or what ``fields`` make of it; the whole reply."""
    answer: dict[str, Any] = client.call("order.place", account=account, **{**REST, **fields})
    return answer
