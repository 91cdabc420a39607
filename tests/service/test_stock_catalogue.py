"""The error catalogue of alpaca-api §0.1 for stock orders: each row over the socket, with its exact code and text.

The market is a recording that stands at 15:52 New York, so no auction takes orders. Rows about an asset's flags are
produced on the stand-in's assets, because every recorded symbol can be traded.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mbtd.rpc.async_client import AsyncClient
from mbtd.rpc.client import Client, RpcRefusal
from tests.market.test_alpaca_daemon import anyio_backend, asset, rig
from tests.market.test_alpaca_daemon import until as until_true
from tests.service.conftest import make_account
from tests.service.running import Daemon, refusal, until
from tests.service.test_refusals import state_of

__all__ = ["anyio_backend"]

INVALID, FORBIDDEN, UNPROCESSABLE, NOT_FOUND = 40010001, 40310000, 42210000, 40410000
MARKET = {"symbol": "AAPL", "side": "buy", "qty": "10", "type": "market"}
LIMIT = {**MARKET, "type": "limit", "limit_price": "90.00"}
STOP = {**MARKET, "type": "stop", "stop_price": "110.00"}
TRAIL = {**MARKET, "type": "trailing_stop"}
SELL = {**LIMIT, "side": "sell", "limit_price": "110.00"}
PROFIT, LOSS = {"limit_price": "120.00"}, {"stop_price": "80.00"}
BRACKET = {**MARKET, "order_class": "bracket", "take_profit": PROFIT, "stop_loss": LOSS}
OCO = {**BRACKET, "order_class": "oco", "type": "limit", "side": "sell"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A market that stands still: AAPL at 100.00 to 100.02."""
    directory = tmp_path_factory.mktemp("catalogue")
    path = directory / "tape.ndjson.gz"
    with gzip.open(path, "wt") as file:
        for second, size in ((0, 1_000), (1, 2_000), (400, 2_000)):
            at = f"2013-10-07T19:{52 + second // 60:02d}:{second % 60:02d}Z"
            file.write(json.dumps({"T": "q", "S": "AAPL", "bp": 100, "bs": size, "ap": 100.02, "as": size, "t": at}))
            file.write("\n")
    config = directory / "config.toml"
    # Alpaca's random partial fills would wait for a next quote, which never comes here.
    config.write_text('[profiles.whole]\nbase = "alpaca-parity"\npartial_ppm = 0\n')
    flags = ("--config", str(config), "--feed", "replay", "--recording", str(path), "--seed", "5")
    running = Daemon(directory / "state", *flags).start()
    with running.client() as client:
        until(lambda: client.call("health.get")["engine"]["tape_seq"] > 2, "a quote")
    yield running
    running.end()


def nested(key: str, **prices: str) -> dict[str, Any]:
    return {key: prices}


# setup, method, parameters, Alpaca's status, code and text
ROWS: list[tuple[str, str, dict[str, Any], int, int, str]] = [
    ("", "order.place", {**MARKET, "qty": None}, 422, INVALID, "qty or notional is required"),
    ("", "order.place", {**MARKET, "notional": "5"}, 422, INVALID, "only one of qty or notional is accepted"),
    ("", "order.place", {**MARKET, "qty": "0"}, 422, INVALID, "qty must be > 0"),
    ("", "order.place", {**LIMIT, "limit_price": "0"}, 422, INVALID, "limit price must be > 0"),
    ("", "order.place", {**STOP, "stop_price": "-1"}, 422, INVALID, "stop price must be > 0"),
    ("", "order.place", {**MARKET, "type": "iceberg"}, 422, INVALID, "invalid order type"),
    ("", "order.place", {**MARKET, "side": "hold"}, 422, INVALID, "invalid side"),
    ("", "order.place", {**STOP, "time_in_force": "fok"}, 422, INVALID, "invalid time_in_force"),
    ("", "order.place", {**MARKET, "order_class": "ladder"}, 422, INVALID, "invalid order class"),
    ("", "order.place", {**LIMIT, "limit_price": None}, 422, INVALID, "limit orders require a limit price"),
    ("", "order.place", {**STOP, "stop_price": None}, 422, INVALID, "stop orders require a stop price"),
    (
        "", "order.place", {**STOP, "type": "stop_limit"}, 422, INVALID,
        "stop limit orders require both stop and limit price",
    ),
    ("", "order.place", {**MARKET, "limit_price": "5"}, 422, INVALID, "market orders require no stop or limit price"),
    ("", "order.place", {**MARKET, "trail_price": "5"}, 422, INVALID, "market orders must not have trail_price"),
    (
        "", "order.place", TRAIL, 422, INVALID,
        "trailing stop orders must specify one of trail_price or trail_percent",
    ),
    (
        "", "order.place", {**TRAIL, "trail_percent": "0.05"}, 422, INVALID,
        "trail_percent must be greater than or equal to 0.1",
    ),
    (
        "", "order.place", {**LIMIT, "client_order_id": "x" * 129}, 422, INVALID,
        "client_order_id must be no more than 128 characters",
    ),
    ("buying", "order.place", {**LIMIT, "qty": "3", "client_order_id": "buying"}, 422, INVALID,
     "client_order_id must be unique"),
    ("", "order.place", {**BRACKET, "order_class": "oco"}, 422, INVALID, "oco orders must be limit orders"),
    ("", "order.cancel", {}, 422, INVALID, "order_id is missing"),
    ("", "order.place", {**LIMIT, "qty": "90000"}, 403, FORBIDDEN, "insufficient buying power"),
    (
        "long", "order.place", {**SELL, "qty": "11"}, 403, FORBIDDEN,
        "insufficient qty available for order (requested: 11, available: 10)",
    ),
    (
        "long and buying", "order.place", {**SELL, "limit_price": "90.00"}, 403, FORBIDDEN,
        "potential wash trade detected. use complex orders",
    ),
    (
        "long and stopped", "order.place", LIMIT, 403, FORBIDDEN,
        "potential wash trade detected. use complex orders",
    ),
    (
        "buying", "order.place", SELL, 403, FORBIDDEN,
        "cannot open a short sell while a long buy order is open",
    ),
    (
        "shorting", "order.place", LIMIT, 403, FORBIDDEN,
        "cannot open a long buy while a short sell order is open",
    ),
    (
        "whole shares", "order.place", {**MARKET, "qty": "0.5"}, 403, FORBIDDEN,
        "fractional trading is disabled for this account",
    ),
    (
        "", "order.place", {**MARKET, "qty": "0.005"}, 403, FORBIDDEN,
        "cost basis must be >= minimal amount of order 1",
    ),
    ("no shorts", "order.place", SELL, 403, FORBIDDEN, "account is not allowed to short"),
    ("closed", "order.place", LIMIT, 403, FORBIDDEN, "account is not authorized to trade"),
    ("suspended", "order.place", LIMIT, 403, FORBIDDEN, "new orders are rejected by user request"),
    (
        "", "order.place", {**MARKET, "time_in_force": "opg"}, 403, FORBIDDEN,
        "opg orders must be submitted after 7:00pm and before 9:28am",
    ),
    (
        "", "order.place", {**LIMIT, "time_in_force": "cls"}, 403, FORBIDDEN,
        "cls orders must be submitted after 7:00pm and before 3:50pm",
    ),
    ("", "order.cancel", {"order_id": "none"}, 404, NOT_FOUND, "order not found for none"),
    ("", "order.replace", {"order_id": "none", "qty": "1"}, 404, NOT_FOUND, "order not found for none"),
    ("", "position.close", {"symbol": "AAPL"}, 404, NOT_FOUND, "position does not exist"),
    ("", "order.place", {**LIMIT, "symbol": "NOPE"}, 422, UNPROCESSABLE, 'asset "NOPE" not found'),
    (
        "", "order.place", {**LIMIT, "qty": "1.5", "time_in_force": "gtc"}, 422, UNPROCESSABLE,
        "fractional orders must be DAY orders",
    ),
    ("", "order.place", {**BRACKET, "qty": "1.5"}, 422, UNPROCESSABLE, "fractional orders must be simple orders"),
    ("", "order.place", {**SELL, "qty": "0.5"}, 422, UNPROCESSABLE, "fractional orders cannot be sold short"),
    ("", "order.place", {**MARKET, "qty": None, "notional": "0.99"}, 422, UNPROCESSABLE, "notional must be >= 1.00"),
    (
        "long and selling", "order.place", {**LIMIT, "qty": None, "notional": "50"}, 422, UNPROCESSABLE,
        "unable to open new notional orders while having open closing position orders",
    ),
    (
        "", "order.place", {**MARKET, "extended_hours": True}, 422, UNPROCESSABLE,
        "extended hours order must be DAY or GTC limit orders",
    ),
    (
        "", "order.place", {**STOP, "extended_hours": True}, 422, UNPROCESSABLE,
        "stop orders are not eligible for extended hours trading",
    ),
    (
        "", "order.place", {**LIMIT, "limit_price": "90.123"}, 422, UNPROCESSABLE,
        "invalid limit_price 90.123. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    (
        "", "order.place", {**STOP, "stop_price": "110.001"}, 422, UNPROCESSABLE,
        "invalid stop_price 110.001. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    (
        "long", "order.place", {**BRACKET, "side": "sell", "take_profit": {"limit_price": "80.00"},
                                "stop_loss": {"stop_price": "120.00"}},
        422, UNPROCESSABLE, "bracket orders must be entry orders",
    ),
    ("", "order.place", OCO, 422, UNPROCESSABLE, "oco orders must be exit orders"),
    (
        "", "order.place", {**BRACKET, "stop_loss": {"stop_price": "130.00"}}, 422, UNPROCESSABLE,
        "take_profit.limit_price must be > stop_loss.stop_price",
    ),
    (
        "", "order.place", {**BRACKET, "type": "limit", "limit_price": "120.00"}, 422, UNPROCESSABLE,
        "take_profit.limit_price must be >= base_price + 0.01",
    ),
    (
        "", "order.place", {**BRACKET, "type": "limit", "limit_price": "80.00"}, 422, UNPROCESSABLE,
        "stop_loss.stop_price must be <= base_price - 0.01",
    ),
    (
        "long", "order.place", {**STOP, "side": "sell"}, 422, UNPROCESSABLE,
        "stop price must be less than current price",
    ),
    (
        "", "order.place", {**STOP, "stop_price": "90.00"}, 422, UNPROCESSABLE,
        "stop price must be greater than current price",
    ),
    (
        "ended", "order.cancel", {"client_order_id": "ended"}, 422, UNPROCESSABLE,
        'order is already in "canceled" state',
    ),
    (
        "filled", "order.replace", {"client_order_id": "filled", "qty": "20"}, 422, UNPROCESSABLE,
        'order is already in "filled" state',
    ),
    (
        "elected", "order.replace", {"client_order_id": "elected", "qty": "20"}, 422, UNPROCESSABLE,
        "cannot replace order in held status",
    ),
    (
        "buying", "order.replace", {"client_order_id": "buying", "qty": "10.0"}, 422, UNPROCESSABLE,
        "order parameters are not changed",
    ),
    ("buying", "order.replace", {"client_order_id": "buying", "trail": "1"}, 422, UNPROCESSABLE,
     "trail is not accepted for this order"),
    (
        "grouped", "order.replace", {"client_order_id": "grouped", "qty": "20"}, 422, UNPROCESSABLE,
        "qty cannot be changed for advanced orders",
    ),
    ("replaced", "order.replace", {"client_order_id": "replaced", "qty": "30"}, 422, UNPROCESSABLE,
     "order already replaced"),
]  # fmt: skip


def prepare(client: Client, account: str, setup: str) -> None:
    """Bring an account where the row wants it."""

    def place(**fields: Any) -> dict[str, Any]:
        order: dict[str, Any] = client.call("order.place", account=account, **fields)["order"]
        return order

    def bought(**fields: Any) -> None:
        order = place(**MARKET, **fields)
        until(lambda: client.call("order.get", account=account, order_id=order["id"])["status"] == "filled", "a fill")

    if setup.startswith("long") or setup == "elected":
        bought()
    if setup == "filled":
        bought(client_order_id="filled")
    if setup in ("buying", "long and buying"):
        place(**LIMIT, client_order_id="buying")
    elif setup == "long and stopped":
        place(**{**STOP, "side": "sell", "stop_price": "70.00"})
    elif setup in ("shorting", "long and selling"):
        place(**SELL)
    elif setup == "grouped":
        place(**{**BRACKET, "type": "limit", "limit_price": "90.00"}, client_order_id="grouped")
    elif setup == "elected":
        place(**LIMIT)
        client.call("position.close", account=account, symbol="AAPL", cancel_orders=True, client_order_id="elected")
    elif setup in ("ended", "replaced"):
        order = place(**LIMIT, client_order_id=setup)
        if setup == "ended":
            client.call("order.cancel", account=account, order_id=order["id"])
        else:
            client.call("order.replace", account=account, order_id=order["id"], qty="20")
    elif setup == "closed":
        client.call("account.close", account=account)
    settings = {"whole shares": "fractional_trading", "no shorts": "no_shorting", "suspended": "suspend_trade"}
    if setup in settings:
        client.call("account.configure", account=account, **{settings[setup]: setup != "whole shares"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[5][:40]}-{row[0]}")
def test_a_row_of_the_catalogue(client: Client, request: pytest.FixtureRequest, row: tuple[Any, ...]) -> None:
    setup, method, params, status, code, text = row
    account = f"row-{ROWS.index(row)}"
    profile = "realistic" if setup == "elected" else "whole"
    make_account(client, account, profile=profile)
    prepare(client, account, setup)
    before, n = state_of(client, account), client.call("account.get", account=account)["n"]
    error = refusal(lambda: client.call(method, account=account, **params))
    alpaca = error["data"]["alpaca"]
    assert (alpaca["status"], alpaca["code"], alpaca["message"]) == (status, code, text)
    assert error["message"] == text
    if setup == "elected":
        return
    assert state_of(client, account) == before
    assert client.call("account.get", account=account)["n"] == n + 1


@pytest.mark.anyio
async def test_rows_about_the_asset(tmp_path: Path) -> None:
    flags = {"OFF": {"status": "inactive"}, "SHUT": {"tradable": False}, "WHOLE": {"fractionable": False},
             "HARD": {"shortable": False, "easy_to_borrow": False}}  # fmt: skip
    assets = [asset("AAPL", 1), *({**asset(s, n), **f} for n, (s, f) in enumerate(flags.items(), 2))]
    rows: list[tuple[dict[str, Any], int, int, str]] = [
        ({**LIMIT, "symbol": "OFF"}, 422, INVALID, "asset OFF is not active"),
        ({**LIMIT, "symbol": "SHUT"}, 422, UNPROCESSABLE, 'asset "SHUT" is not tradable'),
        ({**LIMIT, "symbol": "WHOLE", "qty": "0.5"}, 403, FORBIDDEN, 'asset "WHOLE" is not fractionable'),
        ({**SELL, "symbol": "HARD"}, 422, UNPROCESSABLE, 'asset "HARD" cannot be sold short'),
    ]
    async with rig(tmp_path) as stand:
        stand.rest.assets = assets
        async with stand.serving() as client:
            await client.call("account.create", name="a", cash="100000")
            await until_known(client, "HARD")
            for order, status, code, text in rows:
                await check_row(client, order, (status, code, text))


async def until_known(client: AsyncClient, symbol: str) -> None:
    """The assets come after the start."""

    async def known() -> bool:
        with suppress(RpcRefusal):
            return bool(await client.call("asset.get", symbol=symbol))
        return False

    await until_true(known)


async def check_row(client: AsyncClient, order: dict[str, Any], expected: tuple[int, int, str]) -> None:
    with pytest.raises(RpcRefusal) as caught:
        await client.call("order.place", account="a", **order)
    alpaca = caught.value.error.data.alpaca
    assert alpaca is not None
    assert (alpaca.status, alpaca.code, alpaca.message) == expected
